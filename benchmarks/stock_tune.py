"""The trials of another run with Ray Tune as it comes: a process for each, which loads everything.

``python -m benchmarks.stock_tune SPACE SETTINGS.json OUT.json --slots N [--set KEY=VALUE]``
"""

from __future__ import annotations

import argparse
import json
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
from search.spec import load_space  # noqa: E402
from search.spec.settings import TrialSettings  # noqa: E402
from search.writing import write_atomically  # noqa: E402


def trainable(config: dict[str, Any], space: str, overrides: list[str]) -> None:
    """Train one configuration and tell Tune of every rung."""
    import torch

    from search.record import RungReport
    from search.trial.training import TrialJob, run_trial

    torch.set_num_threads(1)
    loaded = load_space(space, overrides)
    loaded = loaded.for_task(*loaded.space.task_names)
    task = read_task(loaded)
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
    run_trial(job, settings, prepare_data(loaded, task), report)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space")
    parser.add_argument("settings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--slots", type=int, required=True)
    options = parser.parse_args(arguments)
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    ray.init(
        num_cpus=options.slots, include_dashboard=False, logging_level="error", log_to_driver=False
    )
    with tempfile.TemporaryDirectory(prefix="stock-") as folder:
        space = str(Path(options.space).absolute())
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trainable, space=space, overrides=options.overrides),
                {"cpu": 1},
            ),
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
