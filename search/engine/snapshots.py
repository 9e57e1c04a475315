"""Copies of a run's studies in its store, so that a search outlives the machine it is led from."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from search.engine.checkpoints import TRIALS
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.spec.errors import first_line
from search.store import Store

#: A copy is at most twice as old: one that is being written takes its time as well.
EVERY_SECONDS = 5.0
CLOSE_SECONDS = 120.0
# What a run needs on the machine it is led from alone, and what others write.
_PARTIAL = ".part"
_STAYS = ("mlflow.db", "mlflow.db-shm", "mlflow.db-wal", "mlartifacts", TRIALS, ".lock")


class Snapshots:
    """Writes what studies hold into a store, in the background and again whenever they change.

    A checkpoint that a study has no use for any more is deleted only once the copy of the study
    has none either: who goes on from the copy finds every checkpoint that it names.

    A store that does not answer costs the search nothing; it is tried again.

    Args:
        run: whose studies are copied.
        store: of the run.
    """

    def __init__(self, run: Run, store: Store) -> None:
        self._run = run
        self._store = store
        self._changed: set[str] = set(run.tasks)
        self._obsolete: list[str] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="snapshots", daemon=True)

    def start(self) -> None:
        self._wake.set()
        self._thread.start()

    def changed(self, task: str) -> None:
        """The study of a task holds more than its copy."""
        with self._lock:
            self._changed.add(task)
        self._wake.set()

    def discard(self, checkpoints: Sequence[str]) -> None:
        """Delete checkpoints that the studies, as they are now, do not need."""
        with self._lock:
            self._obsolete += checkpoints
        self._wake.set()

    def close(self) -> str | None:
        """Write everything that is there now; what went wrong, or None."""
        self._closing.set()
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            return self.problem or f"it did not answer within {CLOSE_SECONDS:g} s"
        return self.problem

    def _follow(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.is_set()
            try:
                self._write()
                if closing:
                    mirror(self._run, self._store)
                self.problem = None
            # Whatever an object store does wrong must not end the search; it is kept and told.
            except Exception as error:
                self.problem = f"{type(error).__name__}: {first_line(error)[:300]}"
                self._wake.set()
            if closing:
                return
            self._closing.wait(EVERY_SECONDS)

    def _write(self) -> None:
        with self._lock:
            # Before the studies are read: what changes meanwhile is written again.
            changed, obsolete = self._changed, self._obsolete
            self._changed, self._obsolete = set(), []
        try:
            for task in sorted(changed):
                copy_study(self._run.studies[task], self._store)
            for checkpoint in obsolete:
                self._store.delete(checkpoint)
        except BaseException:
            with self._lock:
                self._changed |= changed
                self._obsolete = obsolete + self._obsolete
            raise


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


def mirror(run: Run, store: Store) -> None:
    """Have the store hold all files of the run, those of its studies excepted, and no adapter more.

    What is only of use on this machine stays here: the tracking store, which follows the study
    wherever that goes on.
    """
    studies = [run.directory.below_top(found.study) for found in run.studies.values()]
    here = Store.at(run.root)
    files = [
        path for path in here.files(without=_STAYS) if not path.startswith(tuple(studies))
    ]  # fmt: skip
    for path in files:
        store.put(run.root / path, path)
    for directory in run.studies.values():
        folder = directory.below_top(directory.adapters)
        kept = set(here.names(folder))
        for name in store.names(folder):
            if name not in kept:
                store.delete(f"{folder}/{name}")


def holds_run(run: Run, store: Store) -> bool:
    """Whether a run of these tasks lies in the store."""
    return any(store.is_file(path) for path in _studies(run))


def restore(run: Run, store: Store) -> None:
    """Fetch a run that lies in the store and not here; its checkpoints stay there.

    Nothing has its name before all has arrived, and the studies get theirs last: until then the
    directory holds no run, and fetching can begin anew.
    """
    studies = _studies(run)
    files = sorted(store.files(without=_STAYS), key=lambda path: path in studies)
    partials = [run.root / f"{path}{_PARTIAL}" for path in files]
    for path, partial in zip(files, partials, strict=True):
        store.get(path, partial)
    for path, partial in zip(files, partials, strict=True):
        partial.rename(run.root / path)


def _studies(run: Run) -> set[str]:
    """What makes a directory hold a run, by the paths in its store."""
    return {
        run.directory.below_top(path)
        for found in run.studies.values()
        for path in (found.study, found.elsewhere)
    }
