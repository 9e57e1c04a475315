"""Copies of a run's studies in its store, so that a search outlives the machine it is led from."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from search.background import Background
from search.engine.checkpoints import TRIALS
from search.engine.run_directory import RunDirectory
from search.engine.runs import FETCHED, Run
from search.engine.study import SearchStudy
from search.spec.errors import first_line
from search.store import Store

#: Seconds between two looks; while the store answers, a copy is at most twice as old.
EVERY_SECONDS = 5.0
#: So long a store may do nothing at the end of a search before it is given up.
CLOSE_SECONDS = 120.0
#: Names the driver that leads the run from this store.
LEADER = ".leader"
# What a run needs on the machine it is led from alone, and what others write.
_STAYS = (
    "mlflow.db",
    "mlflow.db-shm",
    "mlflow.db-wal",
    "mlartifacts",
    TRIALS,
    ".lock",
    LEADER,
    FETCHED,
)


class Snapshots:
    """Writes what studies hold into a store, in the background and again whenever they change.

    A checkpoint that a study has no use for any more is deleted only once the copy of the study
    has none either: who goes on from the copy finds every checkpoint that it names. At the end, the
    files of the run come before anything is deleted.

    A store that does not answer costs the search nothing; it is tried again. Once another driver
    has taken the store over, nothing more is written or deleted.

    Args:
        run: whose studies are copied.
        store: of the run.
        deposed: called once when another driver has taken over.
    """

    def __init__(self, run: Run, store: Store, deposed: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._store = store
        self._deposed = deposed
        self._name = uuid.uuid4().hex
        self._leads = False
        self._lost = False
        self._changed: set[str] = set(run.tasks)
        self._obsolete: list[str] = []
        self._obsolete_at_last: list[str] = []
        self._lock = threading.Lock()
        self._moved = time.monotonic()
        self._thread = Background(
            "snapshots", self._look, lambda problem: EVERY_SECONDS, insists=True
        )

    @property
    def problem(self) -> str | None:
        """What went wrong the last time something was written, or None."""
        return self._thread.problem

    def start(self) -> None:
        self._thread.wake()
        self._thread.start()

    def changed(self, task: str) -> None:
        """The study of a task holds more than its copy."""
        with self._lock:
            self._changed.add(task)
        self._thread.wake()

    def discard(self, checkpoints: Sequence[str]) -> None:
        """Delete checkpoints that the studies, as they are now, do not need."""
        with self._lock:
            self._obsolete += checkpoints
        self._thread.wake()

    def close(self, obsolete: Sequence[str] = ()) -> str | None:
        """Write everything that is there now; what went wrong, or None.

        Args:
            obsolete: checkpoints that nobody needs once the files of the run are in the store.
        """
        with self._lock:
            self._obsolete_at_last += obsolete
        self._has_moved()
        return self._thread.close(
            lambda: self._moved + CLOSE_SECONDS - time.monotonic(),
            f"it did not answer within {CLOSE_SECONDS:g} s",
        )

    def _look(self, closing: bool) -> str | None:
        try:
            self._write(closing)
        # Whatever an object store does wrong must not end the search; it is kept and told.
        except Exception as error:
            return f"{type(error).__name__}: {first_line(error)[:300]}"
        if self._lost:
            self._deposed()
            self._thread.end()
            return "another driver leads the run from there now"
        return None

    def _write(self, closing: bool) -> None:
        self._check_leader()
        if self._lost:
            return
        with self._lock:
            # Before the studies are read: what changes meanwhile is written again.
            changed, obsolete = self._changed, self._obsolete
            self._changed, self._obsolete = set(), []
            if closing:
                obsolete = obsolete + self._obsolete_at_last
                self._obsolete_at_last = []
        try:
            for task in sorted(changed):
                copy_study(self._run.studies[task], self._store)
            if closing:
                mirror(self._run, self._store, self._has_moved)
                drop_adapters(self._run, self._store, self._has_moved)
            while obsolete:
                self._store.delete(obsolete[-1])
                obsolete.pop()
                self._has_moved()
        except BaseException:
            with self._lock:
                self._changed |= changed
                if closing:
                    self._obsolete_at_last = obsolete
                else:
                    self._obsolete = obsolete + self._obsolete
            raise

    def _check_leader(self) -> None:
        if self._leads:
            there = self._store.read(LEADER)
            # Others only ever write their own name over it: a note that is gone is nobody's.
            self._leads = there is not None
            self._lost = there not in (None, self._name)
            if there is None:
                raise FileNotFoundError(f"{self._store} has lost {LEADER}, which says who leads")
            return
        with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder:
            (Path(folder) / LEADER).write_text(self._name, encoding="utf-8")
            self._store.put(Path(folder) / LEADER, LEADER)
        self._leads = True

    def _has_moved(self) -> None:
        self._moved = time.monotonic()


def copy_study(directory: RunDirectory, store: Store) -> None:
    """Write a study and its space into the store, as of one moment."""
    for space in {directory.space, directory.top / directory.space.name}:
        store.put(space, directory.below_top(space))
    if directory.elsewhere.exists():
        # The database has its own ways of outliving a machine.
        store.put(directory.elsewhere, directory.below_top(directory.elsewhere))
        return
    with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder:
        copy = Path(folder) / directory.study.name
        with closing(sqlite3.connect(directory.study)) as study, closing(
            sqlite3.connect(copy)
        ) as target:  # fmt: skip
            study.backup(target)
        store.put(copy, directory.below_top(directory.study))


def mirror(run: Run, store: Store, moved: Callable[[], None] = lambda: None) -> None:
    """Have the store hold all files that the run has here, those of its studies excepted.

    What is only of use on this machine stays here: the tracking store, which follows the study
    wherever that goes on.

    Args:
        run: a run of this machine.
        store: of the run.
        moved: called after every file.
    """
    studies = tuple(run.directory.below_top(found.study) for found in run.studies.values())
    here = Store.at(run.root)
    for path in here.files(without=_STAYS):
        if not path.startswith(studies):
            store.put(run.root / path, path)
            moved()


def drop_adapters(run: Run, store: Store, moved: Callable[[], None]) -> None:
    """Delete adapters from the store that the run does not have here.

    Only for whoever has made the adapters that are here: they may have been moved away since.
    """
    for directory in run.studies.values():
        folder = directory.below_top(directory.adapters)
        kept = set(Store.at(run.root).names(folder))
        for name in store.names(folder):
            if name not in kept:
                store.delete(f"{folder}/{name}")
                moved()


def open_copy(file: Path, path: str) -> SearchStudy:
    """The study in a file that was fetched from a store, where it has this path.

    Raises:
        ValueError: it is damaged, or no study.
    """
    try:
        with closing(sqlite3.connect(file)) as study:
            ((told, *_),) = study.execute("PRAGMA quick_check(1)")
        if told != "ok":
            raise ValueError(told)
        return SearchStudy.open(file)
    except (sqlite3.DatabaseError, ValueError) as error:
        why = first_line(error).replace(str(file), path)
        raise ValueError(f"{path} is damaged there: {why}") from None


def missing_here(run: Run, store: Store) -> list[str]:
    """Tasks whose study lies in the store and not on this machine."""
    begun = run.begun
    return [
        task
        for task, found in run.studies.items()
        if task not in begun
        and any(store.is_file(run.directory.below_top(p)) for p in (found.study, found.elsewhere))
    ]


def restore(run: Run, store: Store, tasks: Iterable[str]) -> None:
    """Fetch studies that lie in the store and not here, and all that belongs to them.

    Their checkpoints stay there. All of it arrives in a folder of its own, and what is moved from
    there last are the studies: until then the directory holds that folder, and not them, and
    fetching begins anew wherever it was interrupted.

    Args:
        run: of whose directory parts are missing.
        store: of the run.
        tasks: whose studies are missing.

    Raises:
        ValueError: a copy of a study is damaged; nothing of what was fetched is left here.
    """
    missing = [run.studies[task] for task in tasks]
    studies = {
        run.directory.below_top(path)
        for found in missing
        for path in (found.study, found.elsewhere)
    }
    others = [
        f"{run.directory.below_top(found.root)}/"
        for found in run.studies.values()
        if run.several and found not in missing
    ]
    wanted = [p for p in store.files(without=_STAYS) if not p.startswith(tuple(others))]
    files = sorted(wanted, key=lambda path: path in studies)
    folder = run.root / FETCHED
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for path in files:
            store.get(path, folder / path)
            if path in studies and Path(path).suffix == run.directory.study.suffix:
                open_copy(folder / path, path).close()
    except (ValueError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for path in files:
        (run.root / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).rename(run.root / path)
    shutil.rmtree(folder)
