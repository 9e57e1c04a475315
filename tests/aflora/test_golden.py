"""The rule ``official`` against recorded runs of the authors' own code."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from aflora import FreezeConfig, Freezer
from aflora.adapter import Projection
from aflora.selection import official_threshold
from tests.conftest import DATA


@pytest.mark.parametrize("name", ["mid", "small_spread"])
def test_every_matrix_freezes_at_the_recorded_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = json.loads((DATA / "golden" / f"{name}.json").read_text())
    arrays = np.load(DATA / "golden" / f"{name}.npz")
    total = recorded["total_steps"]
    config = FreezeConfig(
        "official",
        beta1=recorded["beta1"],
        beta2=recorded["beta2"],
        start=recorded["start_step"] / total,
        end=recorded["end_step"] / total,
        interval=recorded["interval"],
    )
    matrices = [
        Projection(
            key.removeprefix("weight/"),
            nn.Parameter(torch.from_numpy(arrays[key])),
            0,
            "ffn_in",
            "A",
        )
        for key in arrays.files
        if key.startswith("weight/")
    ]
    thresholds = []

    def watched(elements: list[torch.Tensor], remaining: float) -> float | None:
        threshold = official_threshold(elements, remaining)
        if threshold is not None:
            thresholds.append((remaining, threshold))
        return threshold

    monkeypatch.setattr("aflora.selection.official_threshold", watched)
    freezer = Freezer(matrices, config, total)
    for step in range(total):
        for matrix in freezer.live:
            matrix.parameter.grad = torch.from_numpy(arrays[f"grad/{matrix.name}"][step].copy())
        freezer.step(step)
    assert freezer.frozen_at == recorded["frozen_at_step"]
    expected = [(remaining, threshold) for _, remaining, threshold in recorded["thresholds"]]
    assert thresholds == [pytest.approx(pair, rel=1e-6) for pair in expected]
