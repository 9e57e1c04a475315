"""The trials of another run with Ray Tune as it comes: a process for each, which loads everything.

``python -m benchmarks.stock_tune SPACE SETTINGS.json OUT.json --slots N [--set KEY=VALUE]``

As Tune's own documentation has it: the data is prepared once and handed to the trials through the
object store. ``--reuse`` has processes used again (``reuse_actors``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search import environment

environment.prepare()

import ray  # noqa: E402 - see search.run
from ray import tune  # noqa: E402

from search.loading import prepare_data, read_task  # noqa: E402
from search.spec import LoadedSpace, load_space  # noqa: E402
from search.spec.settings import TrialSettings  # noqa: E402
from search.spec.tasks import Task  # noqa: E402
from search.trial.data import TaskData  # noqa: E402
from search.writing import write_atomically  # noqa: E402


def trainable(
    config: dict[str, Any], space: str, overrides: list[str], task: Task, data: TaskData
) -> None:
    """Train one configuration and tell Tune of every rung."""
    import torch

    from search.record import RungReport
    from search.trial.training import TrialJob, run_trial

    torch.set_num_threads(1)
    loaded = _loaded(space, overrides)
    rungs = loaded.space.pruner.rungs
    job = TrialJob(loaded.space.model, task, loaded.space.train, rungs, loaded.space.seed)

    def report(found: RungReport, checkpoint: Path) -> None:
        measures = found.rung.measures
        busy = measures["train_seconds"] + measures["eval_seconds"]
        tune.report(
            {"score": measures["score"], "busy": busy, "at": time.time()},
            checkpoint=tune.Checkpoint.from_directory(str(checkpoint)),
        )

    settings = TrialSettings.model_validate(config["settings"])
    run_trial(job, settings, data, report)


def _loaded(space: str, overrides: list[str]) -> LoadedSpace:
    loaded = load_space(space, overrides)
    return loaded.for_task(*loaded.space.task_names)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space")
    parser.add_argument("settings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--reuse", action="store_true", help="use processes again")
    options = parser.parse_args(arguments)
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    loaded = _loaded(options.space, options.overrides)
    task = read_task(loaded)
    data = prepare_data(loaded, task)
    os.environ.pop("RAY_ADDRESS", None)
    ray.init(
        address="local",
        num_cpus=options.slots,
        include_dashboard=False,
        logging_level="error",
        log_to_driver=False,
    )
    with tempfile.TemporaryDirectory(prefix="stock-") as folder:
        space = str(Path(options.space).absolute())
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    trainable, space=space, overrides=options.overrides, task=task, data=data
                ),
                {"cpu": 1},
            ),
            tune_config=tune.TuneConfig(reuse_actors=options.reuse),
            param_space={"settings": tune.grid_search(settings)},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        found = [
            [
                [float(row["at"]), float(row["busy"])]
                for _, row in result.metrics_dataframe.iterrows()
            ]
            for result in results
        ]
    if results.num_errors:
        print(f"{results.num_errors} trials failed", file=sys.stderr)
        return 1
    write_atomically(options.out, json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
