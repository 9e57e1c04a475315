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
from typing import TYPE_CHECKING

from search import environment

environment.prepare()

import yaml  # noqa: E402 - libraries read the environment when they are imported

from search.checks import (  # noqa: E402
    check_machine,
    check_options,
    check_places,
    check_same_space,
    check_same_tasks,
)
from search.console.encoding import make_legible  # noqa: E402
from search.console.startup import Startup  # noqa: E402
from search.console.terminal import console_on  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.section import NAME  # noqa: E402

if TYPE_CHECKING:
    from search.trial.preflight import Size

#: Names a storage for runs whose space says nothing of it, as the head of a cluster may.
STORAGE = "AFLORA_STORAGE"


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
    from search.searching import Wanted, material, search
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

    wanted = Wanted(
        loaded, run, store, options.resume, options.address, options.local, _again(options),
        console, startup,
    )  # fmt: skip
    if options.dry_run:
        _print_dry_run(loaded, *material(wanted).sizes)
        return 0
    with ExitStack() as held:
        try:
            return search(wanted, held)
        except SpecError as error:
            # Told before Ray is left, which may still be starting.
            print(error, file=sys.stderr, flush=True)
            return WRONG_INPUT


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


def _print_dry_run(loaded: LoadedSpace, smallest: Size, largest: Size) -> None:
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
