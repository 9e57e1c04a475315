"""``python -m search.run SPACE.yaml``: search, and leave front, report and adapters behind."""

from __future__ import annotations

import argparse
import os
import re
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

from search.checks import (  # noqa: E402
    check_capacity,
    check_engine,
    check_machine,
    check_options,
    check_places,
    check_same_space,
    check_same_tasks,
    check_schedules,
    check_storage,
)
from search.console.encoding import make_legible  # noqa: E402
from search.console.startup import Startup  # noqa: E402
from search.console.terminal import console_on  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.section import NAME  # noqa: E402
from search.spec.tasks import Task  # noqa: E402

#: Names a storage for runs whose space says nothing of it, as the head of a cluster may.
STORAGE = "AFLORA_STORAGE"

if TYPE_CHECKING:
    from search.engine.runs import Run
    from search.part import Part
    from search.spec.schema import Confirm
    from search.store import Store
    from search.trial.delivery import Delivery


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
        "--storage",
        metavar="PLACE",
        help="short for --set storage=PLACE: a folder or address (s3://bucket/runs) that all nodes "
        "reach, for checkpoints, adapters and a copy of the study",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="check and print the space, start nothing"
    )
    made.add_argument(
        "--cluster",
        metavar="FILE",
        help="hand the search to the head of the cluster that `ray up FILE` brought up from here",
    )
    made.add_argument(
        "--attach", action="store_true", help="show a search that was handed to a cluster"
    )
    made.add_argument("--stop", action="store_true", help="end one in order; --resume goes on")
    made.add_argument("--address", metavar="A", help="address of a Ray cluster")
    made.add_argument("--local", action="store_true", help="run on this machine whatever is there")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status.

    0: done. 1: every trial of a task failed, or a training that should confirm one, or a result
    could not be written. 2: the user's input was wrong, nothing was written.
    130: stopped by Ctrl-C.
    """
    options = parser().parse_args(arguments)
    environment.heed_signals()
    make_legible()
    if options.trials is not None:
        options.overrides.append(f"budget.trials={options.trials}")
    if options.storage is not None:
        options.overrides.append(f"storage={options.storage}")
    try:
        return _run(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("stopped at once; --resume goes on with a run that had begun", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    # Of a dry run standard output is the space, for a file or another program.
    stream = sys.stderr if options.dry_run else sys.stdout
    console = console_on(stream)
    startup = Startup(console)
    from search.engine.runs import Run
    from search.stored import check_unused, fetch_run, open_store

    check_options(options)
    loaded = load_space(options.space, options.overrides, resumed=options.resume)
    if loaded.space.storage is None and os.environ.get(STORAGE):
        options.overrides.append(f"storage={os.environ[STORAGE]}")
        loaded = load_space(options.space, options.overrides, resumed=options.resume)
    check_machine(loaded, options)
    if len(loaded.space.task_names) == 1:
        loaded = loaded.for_task(*loaded.space.task_names)
    root = Path(options.out or Path("runs") / loaded.space.name).absolute()
    if not options.dry_run:
        status = _on_cluster(options, loaded, root)
        if status is not None:
            return status
    # Whoever hands a search on need not have what the cluster has.
    check_places(loaded)
    run = Run(root, loaded.space.task_names)
    store = open_store(loaded, run)
    if options.resume and not options.dry_run:
        with startup.step(f"looking for the run in {store}"):
            fetch_run(run, store)
        check_same_tasks(loaded, run)
        run.check_resumable()
        check_same_space(loaded, run)
        if not run.is_complete:
            # Studies that are only made now begin with what the earlier run had found.
            loaded = load_space(options.space, options.overrides)
    elif not options.dry_run:
        run.check_new()
        check_unused(run, store)

    with ExitStack() as held:
        try:
            return _search(options, loaded, run, store, startup, console, held)
        except SpecError as error:
            # Told before Ray is left, which may still be starting.
            print(error, file=sys.stderr, flush=True)
            return WRONG_INPUT


def _search(
    options: argparse.Namespace,
    loaded: LoadedSpace,
    run: Run,
    store: Store,
    startup: Startup,
    console: Console,
    held: ExitStack,
) -> int:
    """Check what needs torch, and search; what is entered into ``held`` is left by the caller."""
    from search.engine.runs import RunLock
    from search.stored import check_unused

    if options.resume and not options.dry_run:
        held.enter_context(RunLock(run))
    ray = None
    if not options.dry_run:
        with startup.step("loading Ray"):
            from search.engine.where import connecting
        # Its processes start while this one loads what the checks need.
        ray = held.enter_context(connecting(options.address, options.local))
    with startup.step("loading torch and transformers"):
        from search.loading import deliver, prepare_data, read_task
        from search.trial.preflight import smallest_and_largest
    if ray is not None and ray.done():
        ray.result()  # an address where nothing answers is known by now
    spaces = [loaded.for_task(name) for name in run.tasks]
    with startup.step("trying sampler and pruner"):
        for space in spaces:
            check_engine(space)
    with startup.step(f"fitting every method to {loaded.space.model}"):
        tasks = [read_task(space) for space in spaces]
        sizes = [smallest_and_largest(*one) for one in _differing(spaces, tasks)]
    data = []
    for space, task in zip(spaces, tasks, strict=True):
        with startup.step(f"reading and tokenising {task.name}"):
            data.append(prepare_data(space, task))
        check_schedules(space, len(data[-1].train))
    if ray is None:
        _print_dry_run(loaded, *sizes[0])
        return 0

    with startup.step("loading the engine"):
        from search.driver import Driver, deposed_by_another
        from search.engine.capacity import Capacity, read_plan
        from search.engine.checkpoints import Checkpoints
        from search.engine.snapshots import Snapshots
        from search.nodes import check_nodes, check_shared
        from search.part import Part, seconds_worked, write_space
        from search.processor import idle_gpu
        from search.store import same_place

    with startup.step("starting Ray" if options.local else "looking for Ray, or starting it"):
        place = ray.result()
    with startup.step("comparing the nodes"):
        check_nodes()
    wanted = loaded.space.resources
    plan = None if place.own else read_plan()
    check_storage(run, store, plan)
    slots = Capacity(wanted.of_ray, plan)
    check_capacity(loaded, slots)
    # A Ray of our own is this machine, which has just read the model.
    backbone = None
    if not place.own:
        with startup.step(f"handing {loaded.space.model} to the nodes"):
            backbone = deliver(loaded)
    for note in dict.fromkeys(note for space in spaces for note in space.notes):
        print(note)
    if (idle := idle_gpu(wanted.gpu, None if place.own else slots.most_of("GPU"))) is not None:
        print(idle)
    if place.own and not wanted.gpu and loaded.space.train.precision == "bf16":
        with startup.step("timing bf16 on this processor"):
            slow = _bf16_warning()
        if slow is not None:
            print(slow)
    print(f"Running trials {place.why}; {slots()} at a time.", flush=True)
    if not options.resume:
        held.enter_context(RunLock(run))
        run.check_new()
        check_unused(run, store)
        write_space(loaded, run.directory)
    with startup.step("opening the study"):
        check_shared(store)
        studies = run.studies
        worked = seconds_worked(run)
        parts = [
            Part(space, task, rows, studies[task.name], store, worked)
            for space, task, rows in zip(spaces, tasks, data, strict=True)
        ]
        if options.resume:
            there = Checkpoints(store)
            for part in parts:
                part.catch_up(there)
    snapshots = None
    if not same_place(store, run.root):
        snapshots = Snapshots(run, store, deposed_by_another(parts))
    driver = Driver(
        loaded, run, parts, store, snapshots, slots, place.why, console, backbone,
        _again(options), startup.since,
    )  # fmt: skip
    status = driver.run()
    if loaded.space.confirm is not None and driver.ended_by_itself:
        # One task that came to nothing is no reason not to confirm the others.
        return max(status, _confirm(run, store, parts, loaded.space.confirm, backbone))
    return status


def _bf16_warning() -> str | None:
    """What is to be said of bf16 on this processor, or None."""
    from search.processor import SLOW, bf16_slowdown

    slowdown = bf16_slowdown()
    if slowdown <= SLOW:
        return None
    return (
        f"train.precision: bf16 takes {slowdown:.0f} times as long as fp32 on this processor, "
        "which has no instructions for it; --set train.precision=fp32 does without"
    )


def _on_cluster(options: argparse.Namespace, loaded: LoadedSpace, root: Path) -> int | None:
    """Hand the search to a cluster where that is asked for; None where it runs from here."""
    from search.cluster.launcher import cluster_of

    elsewhere = bool(options.local or options.address or os.environ.get("RAY_ADDRESS"))
    cluster = cluster_of(options.cluster, elsewhere)
    if cluster is None:
        if options.attach or options.stop:
            what = "is of a search that was handed to a cluster; name that with --cluster"
            name = "--attach" if options.attach else "--stop"
            raise SpecError("command line", [Mistake(name, what)])
        return None
    from search.cluster.handing import Errand, attach, hand_over, stop

    if not re.fullmatch(NAME, root.name):
        what = f"{root.name!r} is no name for a run on a cluster; take letters, digits, - and _"
        raise SpecError("command line", [Mistake("--out", what)])
    launcher, why = cluster
    print(f"Running trials on the cluster of {launcher.file}: {why}.", flush=True)
    words = [f"--set={override}" for override in options.overrides]
    words += ["--resume"] if options.resume else []
    errand = Errand(loaded, root, words, options.resume, _again(options))
    act = attach if options.attach else stop if options.stop else hand_over
    return act(errand, launcher, lambda text: print(text, end="", flush=True))


def _confirm(
    run: Run, store: Store, parts: Sequence[Part], wanted: Confirm, backbone: Delivery | None
) -> int:
    from search.confirming import (
        Confirming,
        confirm,
        copied_to,
        worth_confirming,
        write_confirmed,
    )

    made, whole = [], True
    for part in parts:
        try:
            made.append(Confirming(*part.searched, part.engine.record(), wanted))
        # What is damaged of one task is no reason not to confirm the others.
        except SpecError as error:
            print(error, file=sys.stderr)
            whole = False
    found = worth_confirming(made)
    if found:
        whole = confirm(found, backbone, copied_to(store, run)) and whole
        whole = write_confirmed(run, store, found) and whole
    return 0 if whole else 1


def _differing(
    spaces: Sequence[LoadedSpace], tasks: Sequence[Task]
) -> list[tuple[LoadedSpace, Task]]:
    """A task of every search tree: what does not fit the model does not fit it on any task."""
    found = {id(space.tree): (space, task) for space, task in zip(spaces, tasks, strict=True)}
    return list(found.values())


def _again(options: argparse.Namespace) -> str:
    """The command that goes on with this run; who handed it to a cluster knows it better."""
    if "AFLORA_SEARCH_AGAIN" in os.environ:
        return os.environ["AFLORA_SEARCH_AGAIN"]
    words = ["python", "-m", "search.run", options.space]
    if options.out is not None:
        words += ["--out", options.out]
    words.append("--resume")
    for override in options.overrides:
        words += ["--set", override]
    if options.local:
        words.append("--local")
    for name in ("address", "cluster"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name)]
    return shlex.join(words)


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


if __name__ == "__main__":
    sys.exit(main())
