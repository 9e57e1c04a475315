"""Which seconds of a trial are training and which are evaluation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from search.trial import ledger as ledger_module
from search.trial.callbacks import CountedSteps
from search.trial.ledger import Ledger


def test_every_split_that_is_measured_counts_and_saving_counts_as_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger()
    method: Any = SimpleNamespace(trains_now=lambda model, step: 7)
    callback = CountedSteps(ledger, method)
    given: Any = (
        SimpleNamespace(device=torch.device("cpu")),
        SimpleNamespace(global_step=0),
        None,
    )

    now = 100.0

    def passes(seconds: int) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(ledger_module, "time", SimpleNamespace(perf_counter=lambda: now))

    for _ in range(2):
        callback.on_step_begin(*given)
        passes(1)
        callback.on_pre_optimizer_step(*given, model=None)
        callback.on_step_end(*given)
        for _split in range(2):
            passes(2)
            callback.on_evaluate(*given)
        passes(5)
        callback.on_save(*given)
        passes(5)
    assert ledger.train_seconds == 2
    assert ledger.eval_seconds == 8
