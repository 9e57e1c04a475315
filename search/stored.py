"""The store of a run as its commands meet it: where it is, and what another machine left there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run, RunLock
from search.engine.snapshots import missing_here, open_copy, restore
from search.engine.study import SearchStudy
from search.spec import LoadedSpace, Mistake, SpecError
from search.spec.errors import first_line
from search.store import Store, same_place


def open_store(loaded: LoadedSpace, run: Run) -> Store:
    """Where checkpoints of a run lie: in its directory, or by its name where the space says.

    Raises:
        SpecError: there is no such place, or it lies inside the run directory.
    """
    place = loaded.space.storage
    if place is None:
        return Store.at(run.root)
    try:
        store = Store.at(place).below(run.root.name)
    except ValueError as error:
        raise loaded.error(Mistake("storage", str(error))) from None
    local = store.local
    if local is not None and run.root.resolve() in local.resolve().parents:
        raise loaded.error(Mistake("storage", f"{local} lies inside the run directory {run.root}"))
    return store


def check_unused(run: Run, store: Store) -> None:
    """Raise SpecError where anything lies in the store by the name of a run that is to begin."""
    if same_place(store, run.root):
        return
    try:
        taken = bool(store.names())
    except OSError as error:
        raise _unusable(store, error) from None
    if taken:
        what = (
            "already holds something; if that is this run, go on with it with --resume, else "
            "choose another --out"
        )
        raise SpecError("command line", [Mistake(f"storage {store}", what)])


def fetch_run(run: Run, store: Store) -> None:
    """Fetch from its store what this machine lacks of a run.

    Raises:
        SpecError: the run here or its copy is damaged, or another machine has gone on with it.
    """
    if same_place(store, run.root):
        return
    if run.begun:
        run.check_resumable()
    try:
        check_current(run, store)
        missing = missing_here(run, store)
    except (OSError, ValueError) as error:
        raise _unusable(store, error) from None
    if missing:
        if not run.begun:
            run.check_new()
        try:
            with RunLock(run):
                restore(run, store, missing)
        except (OSError, ValueError) as error:
            raise _unusable(store, error) from None


def check_current(run: Run, store: Store) -> None:
    """Whether what lies here of a run is as new as what lies in its store.

    Raises:
        SpecError: another machine has gone on with a study.
        OSError: the store does not answer.
        ValueError: a copy of a study is damaged there.
    """
    if same_place(store, run.root):
        return
    if behind := [task for task, found in run.begun.items() if _is_behind(found, store)]:
        what = (
            f"is behind {store}: another machine has gone on with {', '.join(behind)}; move the "
            "folder away to go on from there"
        )
        raise SpecError("command line", [Mistake(f"{run.root}", what)])


def _is_behind(directory: RunDirectory, store: Store) -> bool:
    """Whether the copy of a study holds rungs that the study here does not."""
    path = directory.below_top(directory.study)
    if not directory.study.exists() or not store.is_file(path):
        return False
    with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder:
        copy = Path(folder) / directory.study.name
        store.get(path, copy)
        there = rungs_of(open_copy(copy, path))
    return not there <= rungs_of(directory.open_study())


def rungs_of(study: SearchStudy) -> set[tuple[int, int, float]]:
    """Number of the trial, index and time of every rung of a study, which is closed."""
    found = {(t.number, rung.index, rung.at) for t in study.trials() for rung in t.rungs}
    study.close()
    return found


def _unusable(store: Store, error: Exception) -> SpecError:
    return SpecError("command line", [Mistake(f"storage {store}", first_line(error))])
