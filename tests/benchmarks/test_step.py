"""How steps are compared, and that each variant is what it says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.step import Bench, ratio
from benchmarks.variants import SHAPES, VARIANTS, build
from tests.tiny_models import tiny_model


def test_steps_that_were_disturbed_do_not_count() -> None:
    ours = [2.0] * 10 + [9.0] * 5
    theirs = [7.0] * 5 + [4.0] * 10
    value, low, high = ratio(ours, theirs)
    assert value == 0.5
    assert low <= value <= high


def test_all_variants_step_on_one_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", lambda: tiny_model("bert"))
    monkeypatch.setattr("benchmarks.step.VOCABULARY", 50)
    monkeypatch.setattr("benchmarks.step.LEAST_TOKEN", 5)
    names = [name for name in VARIANTS if "VeRA" not in name]
    bench = Bench("tiny", 2, 6, "cpu", "fp32", names)
    bench.run(1)
    for name in names:
        found = bench.measured[name]
        assert len(found.seconds) == 1
        assert found.bytes_kept > 0
        assert (found.scoring[0] > 0) == name.startswith("AFLoRA live")
    kept = {name: bench.measured[name].bytes_kept for name in names}
    assert kept["AFLoRA frozen"] < kept["AFLoRA live"] < kept["AFLoRA live, authors' way"]


def test_the_authors_way_computes_the_same() -> None:
    ours, theirs = (
        build(name, tiny_model("bert")).model.eval()
        for name in ("AFLoRA live", "AFLoRA live, authors' way")
    )
    for model in (ours, theirs):
        for name, parameter in model.named_parameters():
            if name.endswith((".b", ".d")):
                nn.init.constant_(parameter, 0.3)
    theirs.load_state_dict(ours.state_dict())
    ids = torch.arange(5, 25).reshape(2, 10)
    torch.testing.assert_close(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)
