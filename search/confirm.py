"""``python -m search.confirm RUN``: train what a search has found again, with fresh seeds."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from search import environment

environment.prepare()

from search.engine.run_directory import RunDirectory, RunLock  # noqa: E402 - see search.run
from search.environment import INTERRUPTED  # noqa: E402
from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.results.confirmed import (  # noqa: E402
    FOLDER,
    LABELS,
    chosen,
    compare,
    file_of,
    write_confirmations,
)
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.nodes import methods_of  # noqa: E402
from search.spec.schema import Confirm  # noqa: E402
from search.spec.tasks import Task  # noqa: E402
from search.writing import write_atomically  # noqa: E402


def confirm(
    loaded: LoadedSpace,
    task: Task,
    data: Any,
    directory: RunDirectory,
    study: StudyRecord,
    wanted: Confirm,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> bool:
    """Train the chosen configurations with fresh seeds on the Ray that is connected.

    Each training that is done lies in a file of its own below ``confirm/``, so that what was
    interrupted goes on where it was; a training that is interrupted begins anew.

    Args:
        loaded, task, data: of the run.
        directory: of the run, locked by the caller.
        study: whose complete trials are chosen from.
        wanted: how many seeds, which configurations.
        say: tells of progress, a line at a time.

    Returns:
        Whether every training came to its end.
    """
    import ray

    from search.trial.confirming import train_again
    from search.trial.training import TrialJob

    space = loaded.space
    seeds = [space.seed + 1 + at for at in range(wanted.seeds)]
    # Where configurations were chosen on the only official split, it has to do.
    apart = bool(data.tests)
    splits = dict(data.tests) if apart else {"selection": data.selection}
    folder = directory.root / FOLDER
    folder.mkdir(exist_ok=True)
    labels = {split: encoded.labels.tolist() for split, encoded in splits.items()}
    about = {"metric": task.metric, "apart": apart, "labels": labels}
    write_atomically(folder / LABELS, json.dumps(about) + "\n")
    members = chosen(study, wanted.top)
    for method in methods_of(loaded.tree).options:
        if not any(method in trial.settings["method"] for trial in members):
            say(f"No trial of {method} is complete and within the limits: none is confirmed.")
    todo = [
        (trial, seed)
        for seed in seeds
        for trial in members
        if not (folder / file_of(trial.number, seed)).is_file()
    ]
    say(
        f"Confirming {len(members)} configurations with {len(seeds)} fresh seeds on "
        f"{', '.join(splits)}: {len(todo)} training{'s' if len(todo) != 1 else ''} to do."
    )
    job = TrialJob(space.model, task, space.train, 1, space.seed)
    shared = ray.put(dataclasses.replace(data, tests=splits))
    remote = ray.remote(train_again).options(
        num_cpus=space.resources.cpu, num_gpus=space.resources.gpu, max_retries=2
    )
    threads = max(1, int(space.resources.cpu))
    waiting: dict[Any, tuple[TrialRecord, int]] = {
        remote.remote(job, dict(trial.settings), shared, seed, threads): (trial, seed)
        for trial, seed in todo
    }
    failed = 0
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        trial, seed = waiting.pop(ready)
        try:
            found = ray.get(ready)
        except ray.exceptions.RayError as error:
            failed += 1
            reason = str(error).strip().splitlines()[-1]
            say(f"trial {trial.number}, {trial.label}, seed {seed}: failed, {reason}")
            continue
        content = {"trial": trial.number, "seed": seed, "settings": trial.settings, **found}
        write_atomically(folder / file_of(trial.number, seed), json.dumps(content) + "\n")
        score = next(iter(found["scores"].values()))["score"]
        say(f"trial {trial.number}, {trial.label}, seed {seed}: {score:.4f}")
    write_confirmations(compare(study, directory.root), directory.root)
    return not failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 where a training failed, 2 where the input was wrong."""
    parser = argparse.ArgumentParser(prog="python -m search.confirm", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory whose search has ended")
    parser.add_argument("--seeds", type=int, metavar="N", help="fresh seeds (default: 5)")
    parser.add_argument("--top", metavar="front|N", help="of every method (default: front)")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--address", metavar="A", help="address of a Ray cluster")
    parser.add_argument("--local", action="store_true", help="run on this machine")
    options = parser.parse_args(arguments)
    if options.seeds is not None:
        options.overrides.append(f"confirm.seeds={options.seeds}")
    if options.top is not None:
        options.overrides.append(f"confirm.top={options.top}")
    try:
        return _main(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _main(options: argparse.Namespace) -> int:
    from search.engine.where import connected
    from search.loading import check_same_data, prepare_data, read_task
    from search.report import write_all

    directory = RunDirectory(Path(options.run).absolute())
    if not directory.holds_run:
        raise SpecError(options.run, [Mistake("RUN", "holds no run (no study.db)")])
    loaded = load_space(directory.space, options.overrides, resumed=True)
    _check_unchanged(loaded, load_space(directory.space, resumed=True))
    with ExitStack() as held:
        held.enter_context(RunLock(directory))
        task = read_task(loaded)
        data = prepare_data(loaded, task)
        try:
            study = directory.open_study()
        except ValueError as error:
            raise SpecError(options.run, [Mistake("study", str(error))]) from None
        check_same_data(loaded, study, data)
        record = study.record(study.trials())
        study.close()
        if not record.in_state("complete"):
            raise SpecError(options.run, [Mistake("RUN", "has no complete trial to confirm")])
        held.enter_context(connected(options.address, options.local))
        wanted = loaded.space.confirm or Confirm()
        whole = confirm(loaded, task, data, directory, record, wanted)
        write_all(directory)
        print(directory.report)
        return 0 if whole else 1


def _check_unchanged(loaded: LoadedSpace, before: LoadedSpace) -> None:
    """What is confirmed is what was searched: where it runs may differ, how it trains may not."""
    was, now = before.resolved(), loaded.resolved()
    changed = [
        Mistake(key, f"was {was.get(key)!r} in the search, is now {now.get(key)!r}")
        for key in sorted({*was, *now} - {"confirm", "resources"})
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
