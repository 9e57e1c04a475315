"""Training again, with fresh seeds, what a search has found."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.engine.snapshots import mirror
from search.record import StudyRecord, TrialRecord
from search.results.confirmed import (
    FOLDER,
    LABELS,
    chosen,
    compare,
    file_of,
    read_trainings,
    write_confirmations,
)
from search.spec import LoadedSpace, Mistake, SpecError
from search.spec.errors import first_line
from search.spec.nodes import methods_of
from search.spec.schema import Confirm
from search.spec.tasks import Task
from search.store import Store, same_place
from search.tracked import Tracked, track_confirmations
from search.writing import shown, write_atomically

if TYPE_CHECKING:
    from search.trial.delivery import Delivery


class Confirming:
    """What is to be trained again of one study.

    Args:
        loaded, task, data: of the study.
        directory: of the study, locked by the caller.
        study: whose complete trials are chosen from.
        wanted: how many seeds, which configurations.
        trials: numbers of those to train again in place of what ``wanted`` chooses.

    Raises:
        SpecError: one of ``trials`` is not complete, or is none; or a training that is done left
            a damaged file.
    """

    def __init__(
        self,
        loaded: LoadedSpace,
        task: Task,
        data: Any,
        directory: RunDirectory,
        study: StudyRecord,
        wanted: Confirm,
        trials: Sequence[int] | None = None,
    ) -> None:
        self.loaded = loaded
        self._study = study
        self._directory = directory
        self._folder = directory.root / FOLDER
        self.task = task
        # Where configurations were chosen on the only official split, it has to do.
        self._apart = bool(data.tests)
        splits = dict(data.tests) if self._apart else {"selection": data.selection}
        self._data = dataclasses.replace(data, tests=splits)
        # NumPy takes no larger ones.
        self._seeds = [(loaded.space.seed + 1 + at) % 2**32 for at in range(wanted.seeds)]
        self._named = trials is not None
        self._members = chosen(study, wanted.top) if trials is None else _named(study, trials)
        self._done = self._read_done()

    def _read_done(self) -> set[tuple[int, int]]:
        """Trial and seed of every training that is done; all are read before another begins."""
        rows = {split: len(encoded) for split, encoded in self._data.tests.items()}
        root = self._directory.root
        try:
            found = read_trainings(self._study, root, self.task.metric, rows)
        except ValueError as error:
            what = f"{error}; delete that file and it is trained again"
            raise SpecError(shown(root), [Mistake(FOLDER, what)]) from None
        return {(number, seed) for number, seeds in found.items() for seed in seeds}

    @property
    def has_complete(self) -> bool:
        """Whether there is anything that could be trained again."""
        return bool(self._study.in_state("complete"))

    @property
    def labels(self) -> Path:
        """The file that every training is measured against."""
        return self._folder / LABELS

    def begin(self, say: Callable[[str], None]) -> list[tuple[int, TrialRecord]]:
        """Say what will be done; seed and trial of every training that is not done yet."""
        self._folder.mkdir(exist_ok=True)
        splits = self._data.tests
        labels = {split: encoded.labels.tolist() for split, encoded in splits.items()}
        about = {"metric": self.task.metric, "apart": self._apart, "labels": labels}
        write_atomically(self.labels, json.dumps(about) + "\n")
        for method in methods_of(self.loaded.tree).options:
            if not self._named and not any(
                method in trial.settings["method"] for trial in self._members
            ):
                say(f"No trial of {method} is complete and within the limits: none is confirmed.")
        todo = [
            (seed, trial)
            for seed in self._seeds
            for trial in self._members
            if (trial.number, seed) not in self._done
        ]
        seeds, places = f"{len(self._seeds)} fresh seeds", ", ".join(splits)
        say(
            f"Confirming {_counted(len(self._members), 'configuration')} with {seeds} on {places}: "
            f"{_counted(len(todo), 'training')} to do."
        )
        return todo

    def submitter(self, backbone: Delivery | None) -> Callable[[int, TrialRecord], Any]:
        """Has Ray train a configuration with a seed; the data is put there once."""
        import ray

        from search.trial.confirming import train_again
        from search.trial.training import TrialJob

        space = self.loaded.space
        wanted = space.resources
        job = TrialJob(space.model, self.task, space.train, 1, space.seed, gpu=wanted.gpu)
        shared = ray.put(self._data)
        # A process keeps the GPU that it was given first, and what it holds there.
        made = ray.remote(max_calls=1)(train_again) if wanted.gpu else ray.remote(train_again)
        remote = made.options(
            num_cpus=wanted.cpu,
            num_gpus=wanted.gpu,
            memory=wanted.of_ray.get("memory"),
            resources=dict(wanted.custom),
            max_retries=2,
        )
        threads = max(1, int(space.resources.cpu))
        return lambda seed, trial: remote.remote(
            job, dict(trial.settings), shared, seed, threads, backbone
        )

    def keep(self, seed: int, trial: TrialRecord, found: dict[str, Any]) -> Path:
        """Write down what a training came to; the file."""
        content = {"trial": trial.number, "seed": seed, "settings": trial.settings, **found}
        path = self._folder / file_of(trial.number, seed)
        write_atomically(path, json.dumps(content) + "\n")
        return path

    def conclude(self) -> None:
        """Write what all seeds together say."""
        root = self._directory.root
        write_confirmations(compare(self._study, root), root)

    @property
    def tracked(self) -> Tracked:
        """What is written into MLflow."""
        return Tracked(
            self.loaded,
            self._directory,
            self._study.provenance["study_id"],
        )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _named(study: StudyRecord, numbers: Sequence[int]) -> list[TrialRecord]:
    trials = {trial.number: trial for trial in study.trials}
    wrong = []
    for number in numbers:
        if number not in trials:
            wrong.append(Mistake("--trials", f"{number} is none of the {len(trials)} trials"))
        elif trials[number].state != "complete":
            what = f"{number} is {trials[number].state}; only what is complete can be compared"
            wrong.append(Mistake("--trials", what))
    if wrong:
        raise SpecError("command line", wrong)
    return [trials[number] for number in sorted(set(numbers))]


def worth_confirming(studies: Iterable[Confirming]) -> list[Confirming]:
    """Those of which something is complete; a word on each of the others."""
    found = []
    for study in studies:
        if study.has_complete:
            found.append(study)
        else:
            print(f"No trial is complete on {study.task.name}: nothing is confirmed there.")
    return found


def confirm(
    studies: Sequence[Confirming],
    backbone: Delivery | None,
    written: Callable[[Path], None],
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> bool:
    """Train the chosen configurations with fresh seeds on the Ray that is connected.

    Each training that is done lies in a file of its own below ``confirm/``, so that what was
    interrupted goes on where it was; a training that is interrupted begins anew.

    Args:
        studies: of each task; all at the same time.
        backbone: for nodes that do not have it; None where all have.
        written: is given every file that others could go on from.
        say: tells of progress, a line at a time.

    Returns:
        Whether every training came to its end.
    """
    import ray

    from search.engine.ray_failures import failure_from

    several = len(studies) > 1

    def told(study: Confirming) -> Callable[[str], None]:
        return lambda line: say(f"{study.task.name}: {line}" if several else line)

    todo = [(seed, at, trial) for at, s in enumerate(studies) for seed, trial in s.begin(told(s))]
    for study in studies:
        written(study.labels)
    submit = [study.submitter(backbone) for study in studies]
    # Seed after seed, so that what is stopped early has compared all alike.
    waiting: dict[Any, tuple[int, int, TrialRecord]] = {
        submit[at](seed, trial): (seed, at, trial)
        for seed, at, trial in sorted(todo, key=lambda one: (one[0], one[1]))
    }
    left = Counter(at for _, at, _ in todo)
    for at, study in enumerate(studies):
        if not left[at]:
            study.conclude()
    failed = 0
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        seed, at, trial = waiting.pop(ready)
        where = f"[{len(todo) - len(waiting)} of {len(todo)}] "
        where += f"{studies[at].task.name}, " if several else ""
        where += f"trial {trial.number}, {trial.label}, seed {seed}"
        try:
            found = ray.get(ready)
        except ray.exceptions.RayError as error:
            failed += 1
            say(f"{where}: failed, {failure_from(error).reason}")
        else:
            written(studies[at].keep(seed, trial, found))
            say(f"{where}: {next(iter(found['scores'].values()))['score']:.4f}")
        left[at] -= 1
        if not left[at]:
            # Before the others are through: whoever stops now has at least this.
            studies[at].conclude()
    if failed:
        say(
            f"{_counted(failed, 'training')} of {len(todo)} failed: means leave them out, which "
            "flatters. The same command tries them again."
        )
    return not failed


def copied_to(store: Store, run: Run) -> Callable[[Path], None]:
    """Puts files of a run into its store, where that is another place, as soon as they are written.

    A store that does not take one is told of: it gets all of them once more at the end.
    """

    def put(path: Path) -> None:
        try:
            store.put(path, path.relative_to(run.root).as_posix())
        # Whatever an object store does wrong must not end what is being trained.
        except Exception as error:
            print(f"{store} misses {path.name}: {first_line(error)}", file=sys.stderr, flush=True)

    return (lambda path: None) if same_place(store, run.root) else put


def write_confirmed(run: Run, store: Store, studies: Sequence[Confirming]) -> bool:
    """Write the reports of a run whose configurations were confirmed, and MLflow's part of it.

    The run's store gets them as well, where that is another place.

    Returns:
        Whether every report was written; what stood in the way of one is told.
    """
    from search.report import write_reports

    whole = write_reports(run)
    if not same_place(store, run.root):
        try:
            mirror(run, store)
        # What was trained must reach MLflow all the same.
        except Exception as error:
            print(f"{store} misses what was confirmed: {first_line(error)}", file=sys.stderr)
    # Last: a tracking server that is down must keep nobody waiting for what was found.
    track_confirmations([study.tracked for study in studies])
    return whole
