"""``python -m search.run SPACE.yaml``: search, and leave front, report and adapters behind."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search import environment

environment.prepare()

import yaml  # noqa: E402 - libraries read the environment when they are imported
from rich.console import Console  # noqa: E402

from search.environment import INTERRUPTED  # noqa: E402
from search.flat import flattened  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.tasks import Task  # noqa: E402

if TYPE_CHECKING:
    from search.engine.capacity import Capacity
    from search.engine.runs import Run
    from search.part import Part
    from search.spec.schema import Confirm
    from search.trial.delivery import Delivery

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

    0: done. 1: every trial of a task failed, or a training that should confirm one. 2: the user's
    input was wrong, nothing was written.
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
        print("stopped at once; --resume goes on with a run that had begun", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    from search.engine.runs import Run, RunLock

    if options.local and options.address is not None:
        what = "cannot go together; leave one out"
        raise SpecError("command line", [Mistake("--local and --address", what)])
    loaded = load_space(options.space, options.overrides, resumed=options.resume)
    if len(loaded.space.task_names) == 1:
        loaded = loaded.for_task(*loaded.space.task_names)
    root = Path(options.out or Path("runs") / loaded.space.name).absolute()
    run = Run(root, loaded.space.task_names)
    if options.resume and not options.dry_run:
        _check_same_tasks(loaded, run)
        run.check_resumable()
        _check_same_space(loaded, run)
        if not run.is_complete:
            # Studies that are only made now begin with what the earlier run had found.
            loaded = load_space(options.space, options.overrides)
    elif not options.dry_run:
        run.check_new()

    from search.loading import deliver, prepare_data, read_task
    from search.trial.preflight import smallest_and_largest

    with ExitStack() as held:
        if options.resume and not options.dry_run:
            held.enter_context(RunLock(run))
        spaces = [loaded.for_task(name) for name in run.tasks]
        for space in spaces:
            _check_engine(space)
        tasks = [read_task(space) for space in spaces]
        sizes = [smallest_and_largest(*one) for one in _differing(spaces, tasks)]
        data = []
        for space, task in zip(spaces, tasks, strict=True):
            data.append(prepare_data(space, task))
            _check_schedules(space, len(data[-1].train))
        _check_machine(loaded, options)
        if options.dry_run:
            _print_dry_run(loaded, *sizes[0])
            return 0

        # Ray and MLflow take seconds to import; mistakes are told before.
        from search.driver import Driver
        from search.engine.capacity import Capacity, read_plan
        from search.engine.where import connected
        from search.nodes import check_nodes, check_shared
        from search.part import Part, seconds_worked, write_space

        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        place = held.enter_context(connected(options.address, options.local))
        check_nodes()
        wanted = loaded.space.resources
        slots = Capacity(wanted.cpu, wanted.gpu, None if place.own else read_plan())
        _check_capacity(loaded, slots)
        # A Ray of our own is this machine, which has just read the model.
        backbone = None if place.own else deliver(loaded)
        for note in dict.fromkeys(note for space in spaces for note in space.notes):
            print(note)
        print(f"Running trials {place.why}; {slots()} at a time.", flush=True)
        if not options.resume:
            held.enter_context(RunLock(run))
            run.check_new()
            write_space(loaded, run.directory)
        check_shared(run.root)
        studies = run.studies
        worked = seconds_worked(run)
        parts = [
            Part(space, task, rows, studies[task.name], worked)
            for space, task, rows in zip(spaces, tasks, data, strict=True)
        ]
        driver = Driver(loaded, run, parts, slots, place.why, console, backbone, _again(options))
        status = driver.run()
        if loaded.space.confirm is not None and driver.ended_by_itself:
            # One task that came to nothing is no reason not to confirm the others.
            return max(status, _confirm(run, parts, loaded.space.confirm, backbone))
        return status


def _confirm(run: Run, parts: Sequence[Part], wanted: Confirm, backbone: Delivery | None) -> int:
    from search.confirm import confirm, confirming, write_confirmed

    parted = [confirming(*part.searched, part.engine.record(), wanted) for part in parts]
    found = [study for study in parted if study is not None]
    if not found:
        return 0
    status = 0 if confirm(found, backbone) else 1
    write_confirmed(run, found)
    return status


def _differing(
    spaces: Sequence[LoadedSpace], tasks: Sequence[Task]
) -> list[tuple[LoadedSpace, Task]]:
    """A task of every search tree: what does not fit the model does not fit it on any task."""
    found = {id(space.tree): (space, task) for space, task in zip(spaces, tasks, strict=True)}
    return list(found.values())


def _again(options: argparse.Namespace) -> str:
    """The command that goes on with this run."""
    words = ["python", "-m", "search.run", options.space]
    if options.out is not None:
        words += ["--out", options.out]
    words.append("--resume")
    for override in options.overrides:
        words += ["--set", override]
    if options.local:
        words.append("--local")
    if options.address is not None:
        words += ["--address", options.address]
    return shlex.join(words)


def _check_same_tasks(loaded: LoadedSpace, run: Run) -> None:
    """A run is resumed with the tasks it was started with."""
    if not run.directory.space.is_file():
        return  # there is no run, which is said next
    before = yaml.safe_load(run.directory.space.read_text(encoding="utf-8"))
    if before.get("tasks") != loaded.space.tasks:
        what = (
            f"was {before.get('tasks')!r} when the run was started, is now {loaded.space.tasks!r}"
        )
        raise SpecError(f"{loaded.source} does not fit the run to resume", [Mistake("tasks", what)])


def _check_same_space(loaded: LoadedSpace, run: Run) -> None:
    """A study is resumed with the space it was started with; only its budget may differ."""
    where_only = {"budget", "confirm", "failures", "resources", "tracking"}
    changed = []
    for task, directory in run.begun.items():
        before = yaml.safe_load(directory.space.read_text(encoding="utf-8"))
        now = loaded.for_task(task).resolved()
        of_task = f" (for {task})" if run.several else ""
        sections = sorted({*before, *now} - where_only)
        was = flattened({key: before.get(key) for key in sections})
        wanted = flattened({key: now.get(key) for key in sections})
        changed += [
            Mistake(
                key,
                f"was {was.get(key)!r} when the run was started, "
                f"is now {wanted.get(key)!r}{of_task}",
            )
            for key in dict.fromkeys([*was, *wanted])
            if was.get(key) != wanted.get(key)
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
        modules: tuple[str, ...] = getattr(settings.method_settings, "modules", ())
        where = f" on {', '.join(modules)}" if modules else ""
        floor = f", {size.floor:,} once all is frozen" if size.floor != size.start else ""
        print(
            f"# {name}: {size.start:,} ({readable('trainable_params', size.start)}) at the "
            f"start{floor}: {settings.label}{where}"
        )


def _check_engine(loaded: LoadedSpace) -> None:
    """Sampler and pruner must exist and take what the file gives them."""
    from search.engine.pruners import make_judge
    from search.engine.rehearsal import rehearse

    mistakes = []
    try:
        rehearse(loaded.space.sampler, loaded.tree, list(loaded.space.objectives))
    except ValueError as error:
        mistakes.append(Mistake("sampler", str(error)))
    try:
        make_judge(loaded.space.pruner, tuple(loaded.space.objectives))
    except ValueError as error:
        mistakes.append(Mistake("pruner", str(error)))
    if mistakes:
        raise loaded.error(*mistakes)


def _check_schedules(loaded: LoadedSpace, rows: int) -> None:
    """Every configuration must have room for its freezing schedule in a trial of this length."""
    from search.spec.relations import schedule_mistakes, settings_mistakes
    from search.trial.training import length_of

    length = length_of(loaded.space.train, rows)
    mistakes = schedule_mistakes(loaded.tree, length)
    for entry in loaded.enqueued:
        mistakes += settings_mistakes(entry.settings, length, entry.where)
    if mistakes:
        raise loaded.error(*mistakes)


def _check_machine(loaded: LoadedSpace, options: argparse.Namespace) -> None:
    """What a trial takes must be here, where it is known that trials run here."""
    if not options.local:
        return
    from search.engine.cpus import cpus_here

    cpus = cpus_here()
    if loaded.space.resources.cpu > cpus:
        what = f"a trial takes {loaded.space.resources.cpu:g} CPUs, this machine has {cpus}"
        raise loaded.error(Mistake("resources.cpu", what))


def _check_capacity(loaded: LoadedSpace, capacity: Capacity) -> None:
    """A trial that fits nowhere would wait for ever."""
    wanted = loaded.space.resources
    mistakes = []
    for key, unit, amount in (("cpu", "CPU", wanted.cpu), ("gpu", "GPU", wanted.gpu)):
        most = capacity.most_of(unit)
        if amount > most:
            what = f"a trial takes {amount:g} {unit}s, the largest node has {most:g}"
            mistakes.append(Mistake(f"resources.{key}", what))
    if mistakes:
        raise loaded.error(*mistakes)


if __name__ == "__main__":
    sys.exit(main())
