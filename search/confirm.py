"""``python -m search.confirm RUN``: train what a search has found again, with fresh seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from search import environment

environment.prepare()

from search.checks import check_capacity, check_gpu, check_machine  # noqa: E402 - see search.run
from search.confirming import (  # noqa: E402
    Confirming,
    confirm,
    copied_to,
    worth_confirming,
    write_confirmed,
)
from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run, RunLock  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.data import PLACES_OF_DATA  # noqa: E402
from search.spec.errors import first_line  # noqa: E402
from search.spec.schema import LEAST_SEEDS, Confirm  # noqa: E402
from search.stored import check_current, open_store  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status.

    0: done. 1: a training failed, or a report is not written. 2: the input was wrong.
    """
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
    from search.engine.capacity import Capacity, read_plan
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
        loaded = studies[0].loaded
        store = open_store(loaded, run)
        try:
            check_current(run, store)
        # It gets what is found as soon as it answers, and is told of where it does not.
        except (OSError, ValueError) as error:
            print(f"{store} cannot be asked: {first_line(error)}", file=sys.stderr, flush=True)
        place = held.enter_context(connected(options.address, options.local))
        check_nodes()
        wanted_of_ray = loaded.space.resources.of_ray
        check_capacity(loaded, Capacity(wanted_of_ray, None if place.own else read_plan()))
        if place.own:
            check_gpu(loaded)
        backbone = None if place.own else deliver(loaded)
        whole = confirm(studies, backbone, copied_to(store, run))
        written = write_confirmed(run, store, studies)
        return 0 if whole and written else 1


def _read(directory: RunDirectory, options: argparse.Namespace) -> Confirming:
    """What is to be confirmed of a study."""
    from search.loading import check_same_data, prepare_data, read_task

    loaded = load_space(directory.space, options.overrides, resumed=True)
    _check_unchanged(loaded, load_space(directory.space, resumed=True))
    check_machine(loaded, options)
    task = read_task(loaded)
    data = prepare_data(loaded, task)
    try:
        study = directory.open_study()
    except ValueError as error:
        raise SpecError(options.run, [Mistake("study", str(error))]) from None
    check_same_data(loaded, study, task, data)
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
        return {k: v for k, v in section.items() if k not in PLACES_OF_DATA}
    return section


if __name__ == "__main__":
    sys.exit(main())
