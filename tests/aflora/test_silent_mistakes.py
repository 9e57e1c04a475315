"""What would train, freeze, keep or change something else than meant is told, or does not happen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertLMHeadModel

import aflora
from aflora import AFLoRAConfig, Freezer
from tests.aflora.loop import STEPS, adamw, adapted, batch, config, train, trained, weights
from tests.tiny_models import tiny_model


def test_an_optimizer_that_was_made_before_the_adapter_is_refused() -> None:
    model = tiny_model("bert")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    freezer = Freezer.for_model(aflora.adapt(model, config()), STEPS)
    with pytest.raises(ValueError, match=r"holds none of the matrices that train, bert\.encoder"):
        train(model, freezer, optimizer, range(1))


def test_an_optimizer_that_moves_what_was_frozen_is_refused() -> None:
    model = adapted()
    optimizer = torch.optim.LBFGS([p for p in model.parameters() if p.requires_grad])
    with pytest.raises(ValueError, match="cannot train with LBFGS: it moves"):
        train(model, Freezer.for_model(model, STEPS), optimizer, range(1))


def test_an_adapter_that_the_loss_never_reaches_is_told_when_it_is_to_freeze() -> None:
    """As reentrant checkpointing does it: the head has gradients, the adapter none."""
    model = adapted()
    for _, layer in aflora.adapted_layers(model):
        layer.register_forward_hook(lambda module, inputs, output: output.detach())
    freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
    with pytest.raises(ValueError, match=r"no matrix has had a gradient until step \d+"):
        train(model, freezer, optimizer)
    assert not freezer.frozen_at


@pytest.mark.parametrize("rule", ["paper", "official"])
def test_a_look_that_fell_on_a_step_left_out_is_made_up_for(rule: str) -> None:
    """Every look of the interval of 3 falls on a step that is left out."""
    model = adapted(rule, interval=3, start=0.0, end=0.8)
    freezer, optimizer = Freezer.for_model(model, 30), adamw(model)
    train(model, freezer, optimizer, [step for step in range(30) if step % 3])
    assert len(freezer.frozen_at) == 8
    # Else all would wait for the end of the schedule.
    assert len({step for step in freezer.frozen_at.values() if step < 24}) > 2


def test_windows_close_though_their_first_step_is_left_out() -> None:
    model = adapted("official", window=4, end=1.0)
    freezer = Freezer.for_model(model, 12)
    train(model, freezer, adamw(model), [0, 1, 2, 3, 5])
    (name, *_) = (matrix.name for matrix in freezer.live)
    assert bool((freezer.state_dict()[f"sensitivity/{name}"] > 0).any())


def test_steps_beyond_the_schedule_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    model = adapted()
    freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
    with caplog.at_level(logging.WARNING, "aflora"):
        train(model, freezer, optimizer, range(STEPS))
        assert not caplog.records
        train(model, freezer, optimizer, range(STEPS + 3, STEPS + 6))
    (record,) = caplog.records
    assert record.getMessage().startswith("step 15 lies beyond the 12 steps of the schedule")


def test_a_merged_model_and_its_own_do_not_change_one_another() -> None:
    model, freezer = trained(adapted())
    model.eval()
    merged = aflora.merge(model).eval()
    before, whole = weights(merged), weights(model)
    expected = model(**batch(0)).logits
    # No second backbone is held.
    own = dict(model.named_parameters())
    (embeddings,) = (n for n in own if n.endswith("word_embeddings.weight"))
    assert dict(merged.named_parameters())[embeddings].data_ptr() == own[embeddings].data_ptr()
    train(model, freezer, adamw(model), range(STEPS, STEPS + 2))
    assert all(torch.equal(p, before[name]) for name, p in weights(merged).items())
    assert not torch.equal(model.eval()(**batch(0)).logits, expected)
    merged.half()
    assert {p.dtype for p in merged.parameters()} == {torch.float16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    for name, parameter in weights(model).items():
        assert own[name].requires_grad or torch.equal(parameter, whole[name])


class Own(nn.Module):
    """A classifier whose head has a name that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.decide = nn.Linear(8, 2)


class Normed(Own):
    """A head with statistics that change in place."""

    def __init__(self) -> None:
        super().__init__()
        self.decide = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 2))  # type: ignore[assignment]


def test_statistics_of_a_head_are_the_merged_model_s_own() -> None:
    settings = AFLoRAConfig(
        rank=2, modules=("ffn_in",), patterns={"ffn_in": "first"}, head=("decide",)
    )
    model: Any = aflora.adapt(Normed(), settings)
    merged: Any = aflora.merge(model)
    model.train().decide(torch.randn(16, 8))
    assert bool(model.decide[0].running_mean.any())
    assert not bool(merged.decide[0].running_mean.any())


def test_precision_that_was_set_by_backend_is_no_reason_to_fail() -> None:
    model = adapted().eval()
    expected = model(**batch(0)).logits
    backends: Any = torch.backends
    before = backends.fp32_precision
    backends.fp32_precision = "tf32"
    try:
        torch.testing.assert_close(model(**batch(0)).logits, expected, rtol=1e-2, atol=1e-3)
    finally:
        backends.fp32_precision = before


@pytest.mark.parametrize("how", ["save", "export"])
def test_what_trains_and_is_not_saved_is_told(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write = aflora.save if how == "save" else aflora.export_lora
    model = adapted()
    with caplog.at_level(logging.WARNING, "aflora"):
        write(model, tmp_path)
        assert not caplog.records
        model.get_submodule("bert.embeddings.LayerNorm").requires_grad_(True)
        write(model, tmp_path)
    (record,) = caplog.records
    assert record.getMessage().startswith("bert.embeddings.LayerNorm.weight trains, but is neither")


def test_saving_again_leaves_no_other_files(tmp_path: Path) -> None:
    model = adapted()
    for _ in range(2):
        aflora.save(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aflora.json", "aflora.safetensors"]


@pytest.mark.parametrize("head", [None, (), ("decide",)])
def test_that_no_head_is_known_is_told(
    head: tuple[str, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    patterns = {"ffn_in": "first"}
    settings = AFLoRAConfig(rank=2, modules=("ffn_in",), patterns=patterns, head=head)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "aflora"):
        aflora.adapt(Own(), settings)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (head is None)
    assert all(line.startswith("no head is known in Own: ") for line in told)


def test_attention_to_an_encoder_is_attention_in_bert_too() -> None:
    shape = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, is_decoder=True, add_cross_attention=True,
    )  # fmt: skip
    model = aflora.adapt(BertLMHeadModel(shape), config())
    paths = [name for name, _ in aflora.adapted_layers(model)]
    assert sum(".crossattention." in path for path in paths) == 2 * 4
    assert sum(".attention." in path for path in paths) == 2 * 4
