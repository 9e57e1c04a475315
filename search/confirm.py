"""``python -m search.confirm RUN``: train what a search has found again, with fresh seeds."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search import environment

environment.prepare()

from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run, RunLock  # noqa: E402
from search.engine.snapshots import mirror  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.results.confirmed import (  # noqa: E402
    FOLDER,
    LABELS,
    chosen,
    compare,
    file_of,
    read_confirmations,
    write_confirmations,
)
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.errors import first_line  # noqa: E402
from search.spec.nodes import methods_of  # noqa: E402
from search.spec.schema import LEAST_SEEDS, Confirm  # noqa: E402
from search.spec.tasks import Task  # noqa: E402
from search.store import Store, same_place  # noqa: E402
from search.stored import open_store  # noqa: E402
from search.tracked import Tracked, track_confirmations  # noqa: E402
from search.writing import write_atomically  # noqa: E402

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
        SpecError: one of ``trials`` is not complete, or is none.
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
        self._seeds = [loaded.space.seed + 1 + at for at in range(wanted.seeds)]
        self._named = trials is not None
        self._members = chosen(study, wanted.top) if trials is None else _named(study, trials)

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
            if not (self._folder / file_of(trial.number, seed)).is_file()
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
        job = TrialJob(space.model, self.task, space.train, 1, space.seed)
        shared = ray.put(self._data)
        wanted = space.resources
        remote = ray.remote(train_again).options(
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
            read_confirmations(self._directory.root),
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
            say(f"{where}: failed, {str(error).strip().splitlines()[-1]}")
        else:
            written(studies[at].keep(seed, trial, found))
            say(f"{where}: {next(iter(found['scores'].values()))['score']:.4f}")
        left[at] -= 1
        if not left[at]:
            # Before the others are through: whoever stops now has at least this.
            studies[at].conclude()
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


def write_confirmed(run: Run, store: Store, studies: Sequence[Confirming]) -> None:
    """Write the reports of a run whose configurations were confirmed, and MLflow's part of it.

    The run's store gets them as well, where that is another place.
    """
    from search.report import write_all, write_overview

    for directory in run.begun.values():
        write_all(directory)
    if run.several:
        write_overview(run)
    print(run.directory.report)
    if not same_place(store, run.root):
        try:
            mirror(run, store)
        except Exception as error:  # as above
            print(f"{store} misses what was confirmed: {first_line(error)}", file=sys.stderr)
    # Last: a tracking server that is down must keep nobody waiting for what was found.
    track_confirmations([study.tracked for study in studies])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 where a training failed, 2 where the input was wrong."""
    parser = argparse.ArgumentParser(prog="python -m search.confirm", description=__doc__)
    parser.add_argument(
        "run", metavar="RUN", help="a run whose search has ended, or the folder of one of its tasks"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help=f"fresh seeds, at least {LEAST_SEEDS} (default: 5)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--top", metavar="front|N", help="of every method (default: front)")
    which.add_argument(
        "--trials", metavar="N,…", type=_numbers, help="these, whatever was chosen before"
    )
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--address", metavar="A", help="address of a Ray cluster")
    parser.add_argument("--local", action="store_true", help="run on this machine")
    options = parser.parse_args(arguments)
    environment.heed_signals()
    if options.seeds is not None and options.seeds < LEAST_SEEDS:
        what = f"is {options.seeds}; fewer than {LEAST_SEEDS} tell nothing of noise"
        print(SpecError("command line", [Mistake("--seeds", what)]), file=sys.stderr)
        return WRONG_INPUT
    if options.seeds is not None:
        options.overrides.append(f"confirm.seeds={options.seeds}")
    if options.top is not None:
        options.overrides.append(f"confirm.top={options.top}")
    try:
        return _main(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _main(options: argparse.Namespace) -> int:
    from search.engine.where import connected
    from search.loading import deliver
    from search.nodes import check_nodes

    root = Path(options.run).absolute()
    of_one_task = Run.study_at(root)
    run = Run.at(root if of_one_task is None else root.parent)
    if not run.begun:
        raise SpecError(options.run, [Mistake("(folder)", "holds no run (no study.db)")])
    wanted = list(run.begun.values()) if of_one_task is None else [of_one_task]
    if options.trials is not None and len(wanted) > 1:
        what = f"are of one task, the run has {', '.join(run.begun)}; name the task's own folder"
        raise SpecError("command line", [Mistake("--trials", what)])
    with ExitStack() as held:
        held.enter_context(RunLock(run))
        studies = worth_confirming([_read(directory, options) for directory in wanted])
        if not studies:
            raise SpecError(options.run, [Mistake("RUN", "has no complete trial to confirm")])
        place = held.enter_context(connected(options.address, options.local))
        check_nodes()
        store = open_store(studies[0].loaded, run)
        backbone = None if place.own else deliver(studies[0].loaded)
        whole = confirm(studies, backbone, copied_to(store, run))
        write_confirmed(run, store, studies)
        return 0 if whole else 1


def _read(directory: RunDirectory, options: argparse.Namespace) -> Confirming:
    """What is to be confirmed of a study."""
    from search.loading import check_same_data, prepare_data, read_task

    loaded = load_space(directory.space, options.overrides, resumed=True)
    _check_unchanged(loaded, load_space(directory.space, resumed=True))
    task = read_task(loaded)
    data = prepare_data(loaded, task)
    try:
        study = directory.open_study()
    except ValueError as error:
        raise SpecError(options.run, [Mistake("study", str(error))]) from None
    check_same_data(loaded, study, data)
    record = study.record(study.trials())
    study.close()
    wanted = loaded.space.confirm or Confirm()
    return Confirming(loaded, task, data, directory, record, wanted, options.trials)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        what = f"takes numbers of trials, as in 3,7; got {text!r}"
        raise argparse.ArgumentTypeError(what) from None


def _check_unchanged(loaded: LoadedSpace, before: LoadedSpace) -> None:
    """What is confirmed is what was searched: where it runs may differ, how it trains may not."""
    was, now = before.resolved(), loaded.resolved()
    changed = [
        Mistake(key, f"was {was.get(key)!r} in the search, is now {now.get(key)!r}")
        for key in sorted({*was, *now} - {"confirm", "resources", "storage"})
        if _of_training(key, was) != _of_training(key, now)
    ]
    if changed:
        raise SpecError("--set", changed)


def _of_training(key: str, resolved: dict[str, Any]) -> Any:
    """A section without where its data lies, which the fingerprint tells better."""
    section = resolved.get(key)
    if key == "data" and isinstance(section, dict):
        return {k: v for k, v in section.items() if k not in {"dir", "path", "files"}}
    return section


if __name__ == "__main__":
    sys.exit(main())
