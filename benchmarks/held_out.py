"""Train a configuration of a run again, with fresh seeds, and measure it on held-out data.

``python -m benchmarks.held_out RUN [--trial N] [--seeds 1 2 3] [--out FILE]``

Settings were chosen on a part of train; here they are measured on the official validation split,
which no trial of the run has seen, beside the accuracy of always naming the most frequent class.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from search.provenance import provenance
from search.record import RungReport
from search.spec import load_space
from search.spec.settings import TrialSettings
from search.trial.data import TaskData, prepare, task_of
from search.trial.training import TrialJob, run_trial


def chosen(run: Path, number: int | None) -> dict[str, Any]:
    """The front member with that number, or else the one with the best score."""
    content = json.loads((run / "front.json").read_text(encoding="utf-8"))
    members = [m for m in content["front"] if number in (None, m["trial"])]
    if not members:
        raise SystemExit(f"{run / 'front.json'}: trial {number} is not on the front")
    best: dict[str, Any] = max(members, key=lambda member: member["values"]["score"])
    return best


def measured(job: TrialJob, settings: TrialSettings, data: TaskData) -> dict[str, float]:
    """Measures at the end of one training, on the selection split of ``data``."""
    rungs: list[RungReport] = []
    run_trial(job, settings, data, lambda report, folder: rungs.append(report))
    return dict(rungs[-1].rung.measures)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory")
    parser.add_argument("--trial", type=int, metavar="N", help="default: the best score's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="S")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    options = parser.parse_args(arguments)

    transformers.logging.disable_progress_bar()
    torch.set_num_threads(os.cpu_count() or 1)
    loaded = load_space(options.run / "space.yaml")
    space = loaded.space
    task = task_of(space)
    data = prepare(space, task)
    if task.validation is None or task.validation not in data.tests:
        raise SystemExit(f"{options.run}: the validation split was used for selection")
    if task.is_regression:
        raise SystemExit(f"{options.run}: {task.name} has no classes")
    if "accuracy" not in task.metrics:
        raise SystemExit(f"{options.run}: accuracy is no metric of {task.name}")
    test = data.tests[task.validation]
    labels = np.asarray(test.labels)
    majority = float(np.bincount(labels).max() / len(labels))
    held_out = dataclasses.replace(data, selection=test)
    member = chosen(options.run, options.trial)
    settings = TrialSettings.model_validate(member["params"])
    # Alone on this machine it need not keep to a part of a GPU.
    gpu = 1.0 if space.resources.gpu and torch.cuda.is_available() else 0.0
    if space.resources.gpu and not gpu:
        print(f"resources.gpu is {space.resources.gpu:g}, and torch sees none: on the CPU")
    found = []
    for seed in options.seeds:
        job = TrialJob(space.model, task, space.train, 1, seed, gpu=gpu)
        measures = measured(job, settings, held_out)
        found.append({"seed": seed, **measures})
        print(f"seed {seed}: accuracy {measures['accuracy']:.4f}, majority {majority:.4f}")
    beaten = sum(row["accuracy"] > majority for row in found)
    print(f"{member['label']}: above the majority class for {beaten} of {len(found)} seeds")
    if options.out is not None:
        content = {
            "command": f"python -m benchmarks.held_out RUN --trial {member['trial']}",
            "provenance": provenance(space.seed, data.fingerprint, ""),
            "member": member,
            "rows": len(labels),
            "gpu": gpu,
            "majority": majority,
            "seeds": found,
        }
        options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if beaten == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
