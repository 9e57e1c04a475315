"""The store of a run as its commands meet it: where it is, and what another machine left there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run, RunLock
from search.engine.snapshots import holds_run, restore
from search.engine.study import SearchStudy
from search.spec import LoadedSpace, Mistake, SpecError
from search.spec.errors import first_line
from search.store import Store, same_place


def open_store(loaded: LoadedSpace, run: Run) -> Store:
    """Where checkpoints of a run lie: in its directory, or by its name where the space says.

    Raises:
        SpecError: there is no such place.
    """
    place = loaded.space.storage
    if place is None:
        return Store.at(run.root)
    try:
        return Store.at(place).below(run.root.name)
    except ValueError as error:
        raise loaded.error(Mistake("storage", str(error))) from None


def check_unused(run: Run, store: Store) -> None:
    """Raise SpecError where another machine has begun a run of that name in the store."""
    if same_place(store, run.root):
        return
    try:
        taken = holds_run(run, store)
    except OSError as error:
        raise _unreachable(store, error) from None
    if taken:
        what = "already holds a run; go on with it with --resume, or choose another --out"
        raise SpecError("command line", [Mistake(f"storage {store}", what)])


def fetch_run(run: Run, store: Store) -> None:
    """Fetch a run that this machine does not have from its store.

    Raises:
        SpecError: this machine has the run, but another one has gone on with it.
    """
    if same_place(store, run.root):
        return
    try:
        if not run.begun:
            if holds_run(run, store):
                with RunLock(run):
                    restore(run, store)
            return
        behind = [task for task, found in run.begun.items() if _is_behind(found, store)]
    except OSError as error:
        raise _unreachable(store, error) from None
    if behind:
        what = (
            f"is behind {store}: another machine has gone on with {', '.join(behind)}; move the "
            "folder away to go on from there"
        )
        raise SpecError("command line", [Mistake(f"--out {run.root}", what)])


def _is_behind(directory: RunDirectory, store: Store) -> bool:
    """Whether the copy of a study holds rungs that the study here does not."""
    path = directory.below_top(directory.study)
    if not directory.study.exists() or not store.is_file(path):
        return False
    with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder:
        copy = Path(folder) / directory.study.name
        store.get(path, copy)
        there = _rungs(SearchStudy.open(copy))
    return not there <= _rungs(directory.open_study())


def _rungs(study: SearchStudy) -> set[tuple[int, int, float]]:
    found = {(t.number, rung.index, rung.at) for t in study.trials() for rung in t.rungs}
    study.close()
    return found


def _unreachable(store: Store, error: OSError) -> SpecError:
    return SpecError("command line", [Mistake(f"storage {store}", first_line(error))])
