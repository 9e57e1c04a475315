"""``python -m search.run SPACE.yaml``: search, and leave front, report and adapters behind."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from search import environment

environment.prepare()

import yaml  # noqa: E402 - libraries read the environment when they are imported
from rich.console import Console  # noqa: E402

from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402

INTERRUPTED = 130
PLAIN_WIDTH = 120


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Search the settings of AFLoRA and its rivals: score against trainable "
        "parameters against training time.",
    )
    made.add_argument("space", metavar="SPACE.yaml", help="what to search")
    made.add_argument("--out", metavar="DIR", help="run directory (default: runs/NAME)")
    made.add_argument("--resume", action="store_true", help="go on with the run in --out")
    made.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the space file, for example budget.trials=8; may be repeated",
    )
    made.add_argument("--trials", type=int, metavar="N", help="short for --set budget.trials=N")
    made.add_argument(
        "--dry-run", action="store_true", help="check and print the space, start nothing"
    )
    made.add_argument("--address", metavar="A", help="address of a Ray cluster")
    made.add_argument("--local", action="store_true", help="run on this machine whatever is there")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status.

    0: done. 1: every trial failed. 2: the user's input was wrong, nothing was written.
    130: stopped by Ctrl-C.
    """
    options = parser().parse_args(arguments)
    if options.trials is not None:
        options.overrides.append(f"budget.trials={options.trials}")
    try:
        return _run(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before any trial had started", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    from search.engine.run_directory import RunDirectory, RunLock

    if options.local and options.address is not None:
        what = "cannot go together; leave one out"
        raise SpecError("command line", [Mistake("--local and --address", what)])
    loaded = load_space(options.space, options.overrides)
    directory = RunDirectory(Path(options.out or Path("runs") / loaded.space.name).absolute())
    if not options.dry_run:
        directory.check_resumable() if options.resume else directory.check_new()
        if options.resume:
            _check_same_space(loaded, directory.space)

    from search.trial.preflight import smallest_and_largest

    smallest, largest = smallest_and_largest(loaded)
    if options.dry_run:
        _print_dry_run(loaded, smallest, largest)
        return 0

    from search.engine.where import connected

    data = _prepare_data(loaded)
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    _check_machine(loaded, options)
    with connected(options.address, options.local) as place:
        slots = _check_cluster(loaded)
        print(f"Running trials {place.why}; {slots} at a time.", flush=True)
        with RunLock(directory):
            return _Search(loaded, directory, data, slots, place.why, console, options).run()


def _check_same_space(loaded: LoadedSpace, saved: Path) -> None:
    """A run is resumed with the space it was started with; only its budget may differ."""
    before = yaml.safe_load(saved.read_text(encoding="utf-8"))
    now = loaded.resolved()
    where_only = {"budget", "resources", "tracking"}
    changed = [
        Mistake(key, f"was {before.get(key)!r} when the run was started, is now {now.get(key)!r}")
        for key in sorted({*before, *now} - where_only)
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise SpecError(f"{loaded.source} does not fit the run to resume", changed)


def _print_dry_run(loaded: LoadedSpace, smallest: Any, largest: Any) -> None:
    from search.results.units import readable
    from search.spec.settings import TrialSettings

    print(yaml.safe_dump(loaded.resolved(), sort_keys=False, allow_unicode=True), end="")
    print("\n# trainable adapter parameters, head excluded")
    for name, size in (("smallest", smallest), ("largest", largest)):
        settings = TrialSettings.model_validate(size.settings)
        modules = ", ".join(settings.method_settings.modules)
        floor = f", {size.floor:,} once all is frozen" if size.floor != size.start else ""
        print(
            f"# {name}: {size.start:,} ({readable('trainable_params', size.start)}) at the "
            f"start{floor}: {settings.label} on {modules}"
        )


def _prepare_data(loaded: LoadedSpace) -> Any:
    from search.trial.backbone import NotFound
    from search.trial.data import DataError, prepare

    try:
        return prepare(loaded.space, loaded.task)
    except (NotFound, DataError) as error:
        raise loaded.error(Mistake("data", str(error))) from None


def _check_machine(loaded: LoadedSpace, options: argparse.Namespace) -> None:
    """What a trial takes must be here, where it is known that trials run here."""
    if not options.local:
        return
    cpus = os.cpu_count() or 1
    if loaded.space.resources.cpu > cpus:
        what = f"a trial takes {loaded.space.resources.cpu:g} CPUs, this machine has {cpus}"
        raise loaded.error(Mistake("resources.cpu", what))


def _check_cluster(loaded: LoadedSpace) -> int:
    """Trials at a time; a trial that fits nowhere would wait for ever."""
    import ray

    from search.engine.ray_tune import slots_of

    wanted = loaded.space.resources
    mistakes = []
    for key, unit, amount in (("cpu", "CPU", wanted.cpu), ("gpu", "GPU", wanted.gpu)):
        most = max((n["Resources"].get(unit, 0.0) for n in ray.nodes() if n["Alive"]), default=0.0)
        if amount > most:
            what = f"a trial takes {amount:g} {unit}s, the largest node has {most:g}"
            mistakes.append(Mistake(f"resources.{key}", what))
    if mistakes:
        raise loaded.error(*mistakes)
    return slots_of(wanted.cpu, wanted.gpu)


class _Search:
    """One driver's work on one run directory, from the first proposal to the report."""

    def __init__(
        self,
        loaded: LoadedSpace,
        directory: Any,
        data: Any,
        slots: int,
        why: str,
        console: Console,
        options: argparse.Namespace,
    ) -> None:
        self._loaded = loaded
        self._directory = directory
        self._data = data
        self._slots = slots
        self._why = why
        self._console = console
        self._options = options

    def run(self) -> int:
        from search.engine.core import Engine
        from search.engine.pruner import ParetoPruner
        from search.engine.ray_tune import execute
        from search.trial.training import TrialJob
        from search.trial.worker import train

        space = self._loaded.space
        study = self._open_study()
        pruner = (
            ParetoPruner(
                tuple(space.objectives), space.pruner.keep, space.pruner.wait, space.pruner.start
            )
            if space.pruner.name == "pareto"
            else None
        )
        engine = Engine(
            study, self._loaded.tree, space.sampler, pruner, space.budget, space.seed, time.time()
        )
        job = TrialJob(space.model, self._loaded.task, space.train, space.pruner.rungs, space.seed)
        follower = self._follower(engine, study)
        view = self._view(engine)

        def listen(trial: TrialRecord) -> None:
            view.on_trial(trial)
            follower.wake()

        engine.listener = listen
        follower.start()
        with view, _ended_by_signals(engine):
            execute(
                engine,
                self._directory,
                train,
                {"job": job, "data": self._data, "threads": max(1, int(space.resources.cpu))},
                space.resources.cpu,
                space.resources.gpu,
                self._slots,
            )
        record, files = self._write_results(engine.record())
        problem = follower.close(files, ended=engine.ending is None)
        if problem is not None:
            print(f"MLflow misses a part of this run: {problem}", file=sys.stderr)
        self._say_goodbye(record, engine.ending)
        return self._status(record, engine.ending)

    def _open_study(self) -> Any:
        from search.engine.study import SearchStudy, StudyHeader
        from search.provenance import provenance
        from search.results.writing import write_atomically
        from search.spec.tasks import METRIC_TITLES

        space, directory = self._loaded.space, self._directory
        if self._options.resume:
            study = SearchStudy.open(directory.study)
            was, now = study.header.provenance["data"], self._data.fingerprint
            if was != now:
                what = f"is other data than the run was started with (fingerprint {now}, was {was})"
                raise self._loaded.error(Mistake("data", what))
            return study
        directory.trials.mkdir()
        write_atomically(
            directory.space,
            yaml.safe_dump(self._loaded.resolved(), sort_keys=False, allow_unicode=True),
        )
        study = SearchStudy.create(
            directory.study,
            StudyHeader(
                space.name,
                self._loaded.task.name,
                space.model,
                METRIC_TITLES[self._loaded.task.metric],
                space.objectives,
                provenance(space.seed, self._data.fingerprint, uuid.uuid4().hex),
                self._loaded.resolved(),
            ),
        )
        if space.reference is not None:
            study.reference = space.reference
        for entry in self._loaded.enqueued:
            study.enqueue(entry.params, entry.mark)
        return study

    def _follower(self, engine: Any, study: Any) -> Any:
        from search.tracking.follower import Follower
        from search.tracking.mlflow_store import MLflowStore

        space, directory = self._loaded.space, self._directory
        given = space.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
        uri = given or f"sqlite:///{directory.mlflow}"
        artifacts = None if given else directory.artifacts
        experiment = space.tracking.experiment or space.name
        study_id = study.header.provenance["study_id"]
        return Follower(lambda: MLflowStore(uri, experiment, artifacts, study_id), engine.record)

    def _view(self, engine: Any) -> Any:
        from search.console.live import LiveView
        from search.console.plain import PlainView

        space = self._loaded.space
        if not self._console.is_terminal:
            return PlainView(tuple(space.objectives))
        return LiveView(
            engine.record,
            lambda: engine.ending,
            space.budget.trials,
            self._slots,
            self._why,
            self._console,
        )

    def _write_results(self, record: StudyRecord) -> tuple[StudyRecord, list[Path]]:
        from search.results.adapters import clear_checkpoints, collect_adapters
        from search.results.files import write_front, write_trials
        from search.results.html import write_report

        root = self._directory.root
        record = collect_adapters(record, root)
        files = [write_front(record, root), write_trials(record, root), self._directory.report]
        write_report(record, self._directory.report)
        clear_checkpoints(record, root)
        return record, files

    def _say_goodbye(self, record: StudyRecord, ending: str | None) -> None:
        from search.console.summary import print_summary

        again = None
        if ending is not None:
            given = [f"--set {override}" for override in self._options.overrides]
            out = os.path.relpath(self._directory.root)
            words = ["python -m search.run", self._options.space, f"--out {out} --resume", *given]
            again = " ".join(words)
        tracked = self._loaded.space.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
        uri = tracked or f"sqlite:///{os.path.relpath(self._directory.mlflow)}"
        print_summary(record, self._directory.root, uri, ending, again, self._console)

    def _status(self, record: StudyRecord, ending: str | None) -> int:
        if ending is not None and ending.startswith("stopped by"):
            return INTERRUPTED
        return 0 if record.in_state("complete", "pruned") or not record.trials else 1


@contextmanager
def _ended_by_signals(engine: Any) -> Iterator[None]:
    """The first Ctrl-C ends the search in order, the second at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if engine.ending is not None:
            raise KeyboardInterrupt
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        engine.end(f"stopped by {name}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
