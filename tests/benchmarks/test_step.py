"""How steps are compared, and that each variant is what it says."""

from __future__ import annotations

import weakref

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
        assert found.bytes_kept
        assert (found.scoring[0] > 0) == name.startswith("AFLoRA live")
    kept = {name: bench.measured[name].bytes_kept or 0 for name in names}
    assert kept["AFLoRA frozen"] < kept["AFLoRA live"] < kept["AFLoRA live, authors' way"]


def test_measuring_what_a_step_keeps_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", lambda: tiny_model("bert"))
    monkeypatch.setattr("benchmarks.step.VOCABULARY", 50)
    monkeypatch.setattr("benchmarks.step.LEAST_TOKEN", 5)
    bench = Bench("tiny", 2, 6, "cpu", "fp32", ["AFLoRA live"])
    model = bench.variants["AFLoRA live"].model
    made: list[weakref.ref[torch.Tensor]] = []
    pooled = next(module for module in model.modules() if isinstance(module, nn.Tanh))
    # Its output belongs to the graph and is kept for its own gradient.
    pooled.register_forward_hook(lambda module, given, out: made.append(weakref.ref(out)))
    assert bench._bytes_kept("AFLoRA live") > 0
    assert [kept() for kept in made] == [None]


def test_a_variant_is_compiled_where_its_name_says_so() -> None:
    for name in ("AFLoRA live", "AFLoRA live, compiled"):
        model = build(name, tiny_model("bert")).model
        assert (model._compiled_call_impl is not None) == name.endswith("compiled")


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


@pytest.mark.parametrize("kind", ["bert", "deberta-v3", "llama"])
def test_below_the_limit_s_lowest_biases_no_gradient_goes(kind: str) -> None:
    model = build("limit", tiny_model(kind)).model
    ids = torch.arange(5, 25).reshape(2, 10)
    entered: list[bool] = []
    for name, module in model.named_modules():
        if "0" in name.split(".") and "q" in name.split(".")[-1] and isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, x: entered.append(x[0].requires_grad))
    model(input_ids=ids, labels=torch.tensor([0, 1])).loss.backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    body = {name for name in trained if not name.startswith(("classifier", "score", "pooler"))}
    assert {".".join(name.split(".")[-2:]) for name in body if "pooler" not in name} in (
        {"query.bias", "key.bias", "value.bias"},
        {"query_proj.bias", "key_proj.bias", "value_proj.bias"},
        {"q_proj.bias", "k_proj.bias", "v_proj.bias"},
    )
    # What goes into the lowest layer needs none.
    assert set(entered) == {False}


def test_selection_falls_on_the_first_step_that_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", lambda: tiny_model("bert"))
    monkeypatch.setattr("benchmarks.step.VOCABULARY", 50)
    monkeypatch.setattr("benchmarks.step.LEAST_TOKEN", 5)
    bench = Bench("tiny", 2, 6, "cpu", "fp32", ["LoRA r=4 (PEFT)", "AFLoRA live", "limit"])
    freezer = bench.variants["AFLoRA live"].freezer
    assert freezer is not None
    asked = []
    step = freezer.step
    monkeypatch.setattr(
        freezer, "step", lambda at, optimizer: (asked.append(at), step(at, optimizer))
    )
    bench.run(3)
    # Two to warm up, then the rounds: the steps of the others do not count.
    assert asked == [8, 9, 10, 11, 12]
