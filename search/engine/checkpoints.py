"""Checkpoints of a run: which there are, which are of no use any more, where the next ones go."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from search.engine.run_directory import RunDirectory
from search.record import CheckpointNote, RungReport, StudyRecord, TrialRecord
from search.store import Store

TRIALS = "trials"
_CHECKPOINT = "checkpoint_"


def next_experiment(store: Store) -> str:
    """A folder name below ``trials`` for this driver, so that each attempt has its own."""
    taken = [int(name) for name in store.names(TRIALS) if name.isdigit()]
    return f"{max(taken, default=0) + 1:03d}"


class Checkpoints:
    """All checkpoints that lie in a store, of all drivers' attempts, as they are now.

    Args:
        store: of the run.
    """

    def __init__(self, store: Store) -> None:
        self._of: dict[str, list[str]] = defaultdict(list)
        for attempt, path in _found(store):
            self._of[attempt].append(path)

    def of(self, directory: RunDirectory, number: int) -> list[str]:
        """Those of a trial, relative to the run's directory; of all attempts at it."""
        prefix = directory.folder_of(number, "")
        return sorted(
            path
            for attempt, paths in self._of.items()
            if attempt.startswith(prefix) and attempt.removeprefix(prefix).isdigit()
            for path in paths
        )

    def newer(
        self, trial: TrialRecord, directory: RunDirectory, store: Store
    ) -> list[tuple[RungReport, str]]:
        """Rungs of a trial that its study does not know of, with their checkpoints, in order.

        Numbers are given out again where the study forgot a trial: only what was trained with
        the same settings is the trial's own.
        """
        known = trial.rungs[-1].index if trial.rungs else 0
        found: dict[int, tuple[RungReport, str]] = {}
        for path in self.of(directory, trial.number):
            note = _note_of(path, store)
            if note is None or note.settings != trial.settings:
                continue
            if note.report.rung.index > known:
                found[note.report.rung.index] = (note.report, path)
        return [found[index] for index in sorted(found)]

    def useless_to(self, study: StudyRecord, directory: RunDirectory) -> list[str]:
        """Those of trials that ended; trials that can go on keep theirs.

        Also those that no rung names: of attempts that were given up, or came too late.
        """
        ended = study.in_state("complete", "pruned", "failed")
        return [path for trial in ended for path in self.of(directory, trial.number)]


def _note_of(path: str, store: Store) -> CheckpointNote | None:
    """What a checkpoint says of itself; None for one that is not all there."""
    text = store.read(f"{path}/{CheckpointNote.FILE}")
    try:
        note = None if text is None else CheckpointNote.from_json(text)
    except ValueError:
        return None
    if note is None:
        return None
    there = store.sizes(path)
    return note if all(there.get(name) == size for name, size in note.sizes.items()) else None


def _found(store: Store) -> Iterator[tuple[str, str]]:
    """Name of the attempt's folder and path of each checkpoint."""
    for experiment in store.names(TRIALS):
        for attempt in store.names(f"{TRIALS}/{experiment}"):
            folder = posixpath.join(TRIALS, experiment, attempt)
            for name in store.names(folder):
                if name.startswith(_CHECKPOINT):
                    yield attempt, posixpath.join(folder, name)
