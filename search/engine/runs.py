"""A run as its commands meet it: may it begin, may it go on, which studies does it hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import yaml
from filelock import FileLock, Timeout

from search.engine.run_directory import RunDirectory
from search.spec.errors import Mistake, SpecError
from search.spec.section import NAME

#: Where a run that is fetched from a store arrives; what holds this holds no run yet.
FETCHED = ".fetching"


@dataclass(frozen=True)
class Run:
    """A run directory: of one task it is the study's own; of several each has a folder in it.

    Attributes:
        root: the directory.
        tasks: names of the tasks.
    """

    root: Path
    tasks: tuple[str, ...]

    @classmethod
    def at(cls, root: Path) -> Run:
        """The run that lies in a folder; its tasks are none where there is none.

        Raises:
            SpecError: its space file cannot be read, or the folder is that of one task of a run.
        """
        if RunDirectory(root).holds_run:
            _check_is_whole(root)
            return cls(root, (root.name,))
        tasks = _several_tasks(root)
        return cls(root, tasks)

    @classmethod
    def study_at(cls, root: Path) -> RunDirectory | None:
        """The study of one task of a run, where the folder is that task's; None where it is not.

        Raises:
            SpecError: the space file of the run cannot be read.
        """
        return cls(root.parent, _several_tasks(root.parent)).begun.get(root.name)

    @property
    def several(self) -> bool:
        """Whether it has more than one task."""
        return len(self.tasks) > 1

    @property
    def directory(self) -> RunDirectory:
        """What all tasks share, and of one task everything."""
        return RunDirectory(self.root)

    @property
    def studies(self) -> dict[str, RunDirectory]:
        """Directory of each task's study."""
        if not self.several:
            return dict.fromkeys(self.tasks, self.directory)
        return {task: RunDirectory(self.root / task, self.root) for task in self.tasks}

    @property
    def is_complete(self) -> bool:
        """Whether it holds the study of every task."""
        return bool(self.tasks) and self.begun.keys() == self.studies.keys()

    @property
    def begun(self) -> dict[str, RunDirectory]:
        """Those that hold a study: a driver may be killed when it has made the first of several."""
        return {task: found for task, found in self.studies.items() if found.holds_run}

    def check_new(self) -> None:
        """Raise SpecError unless a new run can be made here; writes nothing."""
        where = f"--out {self.root}"
        _check_is_whole(self.root)
        if self.root.exists() and not self.root.is_dir():
            raise SpecError("command line", [Mistake(where, "is a file, not a folder")])
        if self.begun or Run.at(self.root).begun:
            what = "already holds a run; go on with it with --resume, or choose another --out"
            raise SpecError("command line", [Mistake(where, what)])
        fetched = (self.root / FETCHED).is_dir()
        if (
            not fetched
            and self.root.is_dir()
            and not all(map(self._begun_by_us, self.root.iterdir()))
        ):
            what = "is not empty and holds no run; choose another --out"
            raise SpecError("command line", [Mistake(where, what)])
        place = self.root
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            what = f"cannot be made: {place} is a file"
            raise SpecError("command line", [Mistake(where, what)])
        if not _writable(place):
            what = f"cannot be written: no permission in {place}"
            raise SpecError("command line", [Mistake(where, what)])

    def _begun_by_us(self, path: Path) -> bool:
        """Whether a path is what a driver leaves that is killed before its run begins."""
        shared = self.directory
        if path == shared.trials:
            return path.is_dir() and not any(path.iterdir())
        if path in (shared.lock, shared.space):
            return True
        for study in self.studies.values():
            if path.parent == study.root and (
                path == study.space or path.name.startswith(study.unfinished.name)
            ):
                return True
            if path == study.root and path.is_dir():
                return all(self._begun_by_us(below) for below in path.iterdir())
        return False

    def check_resumable(self) -> None:
        """Raise SpecError unless a run lies here that this process can go on with."""
        where = f"--out {self.root}"
        _check_is_whole(self.root)
        if not self.begun:
            what = "holds no run to resume; leave out --resume to start one"
            raise SpecError("command line", [Mistake(where, what)])
        if not _writable(self.root):
            raise SpecError("command line", [Mistake(where, "cannot be written: no permission")])
        try:
            for study in self.begun.values():
                study.open_study().close()
        except ValueError as error:
            raise SpecError("command line", [Mistake(where, str(error))]) from None


def _several_tasks(root: Path) -> tuple[str, ...]:
    """Tasks of a run that has more than one; none where no such run lies there.

    Raises:
        SpecError: the space file cannot be read.
    """
    try:
        content = yaml.safe_load(RunDirectory(root).space.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"cannot be read: {error}"
        raise SpecError(str(root), [Mistake("space.yaml", what)]) from None
    tasks = content.get("tasks") if isinstance(content, dict) else None
    if not isinstance(tasks, list) or len(tasks) < 2:
        return ()
    if not all(isinstance(task, str) and re.fullmatch(NAME, task) for task in tasks):
        return ()
    return tuple(tasks)


def _check_is_whole(root: Path) -> None:
    """Raise SpecError for the folder of one task of a run: trials and lock lie with the run."""
    if root.name in _several_tasks(root.parent):
        what = f"is one task of the run {root.parent}; name that"
        raise SpecError("command line", [Mistake(str(root), what)])


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder; asking the system, which root always answers yes to,
    would miss a read-only file system."""
    probe = folder / ".aflora-search-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


class RunLock:
    """Held by the one driver that may write to a run directory.

    Raises:
        SpecError: on entering, when another driver holds it.
    """

    def __init__(self, run: Run) -> None:
        self._root = run.root
        self._lock = FileLock(run.directory.lock)

    def __enter__(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            # Who only looks whether it is held holds it for a moment.
            self._lock.acquire(timeout=0.5)
        except Timeout:
            where = f"--out {self._root}"
            what = "another driver is working on this run; wait for it, or stop it first"
            raise SpecError("command line", [Mistake(where, what)]) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
