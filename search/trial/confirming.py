"""One training with a fresh seed, measured on splits that no choice was made on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.metrics import measures_of, predicted
from search.record import RungReport
from search.spec.settings import TrialSettings
from search.trial.data import TaskData
from search.trial.delivery import Delivery, placed
from search.trial.process import settle
from search.trial.training import TrialJob, run_trial


def train_again(
    job: TrialJob,
    settings: dict[str, Any],
    data: TaskData,
    seed: int,
    threads: int,
    backbone: Delivery | None = None,
) -> dict[str, Any]:
    """Train a configuration with a seed, and measure it at its end on every test split.

    Args:
        job: as the search trained it.
        settings: the configuration.
        data: with test splits.
        seed: draws the head, the adapter and the order of the data.
        threads: CPU threads to use.
        backbone: for nodes that do not have it; None where all have.

    Returns:
        ``measures`` of the training, ``scores`` and ``predictions`` by split; plain values.
    """
    settle(threads)
    rungs: list[RungReport] = []
    outputs: dict[str, NDArray[np.floating]] = {}
    run_trial(
        dataclasses.replace(placed(job, backbone), seed=seed, rungs=1),
        TrialSettings.model_validate(settings),
        data,
        lambda report, folder: rungs.append(report),
        outputs=outputs,
    )
    predictions = {split: predicted(job.task, logits) for split, logits in outputs.items()}
    return {
        "measures": {
            name: value
            for name, value in rungs[-1].rung.measures.items()
            if not name.startswith(tuple(outputs))
        },
        "scores": {
            split: measures_of(job.task, found, data.tests[split].labels)
            for split, found in predictions.items()
        },
        "predictions": {split: found.tolist() for split, found in predictions.items()},
    }
