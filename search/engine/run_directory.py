"""The run directory: where everything of a run lies, and who may write to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from search.engine.study import SearchStudy, StudyHeader
from search.spec.errors import Mistake, SpecError
from search.writing import write_atomically


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run; everything it knows lies below ``root``."""

    root: Path

    @property
    def space(self) -> Path:
        return self.root / "space.yaml"

    @property
    def study(self) -> Path:
        return self.root / "study.db"

    @property
    def elsewhere(self) -> Path:
        """Says where the study lies, if not in this directory."""
        return self.root / "study.json"

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.study.exists() or self.elsewhere.exists()

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "mlartifacts"

    @property
    def trials(self) -> Path:
        return self.root / "trials"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    def open_study(self) -> SearchStudy:
        """The study of the run that lies here.

        Raises:
            ValueError: the study is not there, or its storage cannot be reached.
        """
        if not self.elsewhere.exists():
            return SearchStudy.open(self.study)
        place = json.loads(self.elsewhere.read_text(encoding="utf-8"))
        return SearchStudy.open(self.study, place["storage"], place["name"])

    def create_study(
        self,
        header: StudyHeader,
        url: str | None,
        fill: Callable[[SearchStudy], None] = lambda study: None,
    ) -> SearchStudy:
        """A new study, here or in the storage at ``url``.

        Only once ``fill`` has written what belongs into it does the directory hold a run: one whose
        driver is killed before can be started again.

        Raises:
            ValueError: the storage cannot be reached.
        """
        if url is None:
            self._clear_unfinished()
            study = SearchStudy.create(self._unfinished, header)
            fill(study)
            study.close()
            self._unfinished.rename(self.study)
            return self.open_study()
        # One database can hold the studies of many runs.
        name = f"{header.name} {header.provenance['study_id']}"
        study = SearchStudy.create(self.study, header, url, name)
        fill(study)
        write_atomically(self.elsewhere, json.dumps({"storage": url, "name": name}) + "\n")
        return study

    @property
    def _unfinished(self) -> Path:
        return self.root / "study.db.new"

    def _clear_unfinished(self) -> None:
        for path in self.root.glob(f"{self._unfinished.name}*"):
            path.unlink()

    @property
    def bytes(self) -> int:
        """What the run takes on disk; it may be at work, and files come and go."""
        total = 0
        for folder, _, files in os.walk(self.root):
            for name in files:
                with suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
        return total

    def check_new(self) -> None:
        """Raise SpecError unless a new run can be made here; writes nothing."""
        where = f"--out {self.root}"
        if self.root.exists() and not self.root.is_dir():
            raise SpecError("command line", [Mistake(where, "is a file, not a folder")])
        if self.holds_run:
            what = "already holds a run; go on with it with --resume, or choose another --out"
            raise SpecError("command line", [Mistake(where, what)])
        if self.root.is_dir() and any(not self._begun_by_us(p) for p in self.root.iterdir()):
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
        if path == self.trials:
            return path.is_dir() and not any(path.iterdir())
        return path in (self.lock, self.space) or path.name.startswith(self._unfinished.name)

    def check_resumable(self) -> None:
        """Raise SpecError unless a run lies here that this process can go on with."""
        where = f"--out {self.root}"
        if not self.holds_run:
            what = "holds no run to resume; leave out --resume to start one"
            raise SpecError("command line", [Mistake(where, what)])
        if not _writable(self.root):
            raise SpecError("command line", [Mistake(where, "cannot be written: no permission")])
        try:
            self.open_study().close()
        except ValueError as error:
            raise SpecError("command line", [Mistake(where, str(error))]) from None


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

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._lock = FileLock(directory.lock)

    def __enter__(self) -> None:
        self._directory.root.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            where = f"--out {self._directory.root}"
            what = "another driver is working on this run; wait for it, or stop it first"
            raise SpecError("command line", [Mistake(where, what)]) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
