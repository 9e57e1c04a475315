"""What the search asks of a method, on models it cannot train here."""

import copy
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerState, TrainingArguments

from benchmarks.average_parameters import deberta_v3_base
from search.spec.settings import (
    AdaLoRASettings,
    AFLoRASettings,
    FullSettings,
    PeftSettings,
    SoRASettings,
    TrialSettings,
)
from search.spec.tasks import TASKS
from search.trial.backbone import empty_classifier
from search.trial.methods import counts_at_start
from search.trial.methods.adalora import AdaLoRAMethod
from search.trial.methods.aflora import AFLoRAMethod
from search.trial.methods.by_peft import OtherMethod
from search.trial.methods.sora import SoRALinear, SoRAMethod
from search.trial.methods.whole import FullMethod
from tests.tiny_models import tiny_batch, tiny_model


@pytest.mark.parametrize("kind", ["bart", "t5-gated", "gpt2", "bert", "opt"])
def test_every_matrix_has_a_place_of_its_own_in_the_account_of_freezing(kind: str) -> None:
    settings = AFLoRASettings(rank=2, trainable_projections="all", freeze={"interval": 2})
    method = AFLoRAMethod(settings)
    model = method.apply(tiny_model(kind), 20)
    (callback,) = method.callbacks(None, None)
    arguments = TrainingArguments(output_dir=".", max_grad_norm=0, use_cpu=True)
    state = TrainerState(max_steps=20)
    callback.on_train_begin(arguments, state, None, model=model)  # type: ignore[arg-type]
    events = method.freezing()
    places = {(event.layer, event.role, event.matrix) for event in events}
    assert len(places) == len(events) == len(callback.freezer.timeline)  # type: ignore[attr-defined]
    roles = {event.role for event in events}
    if kind in {"bart", "t5-gated"}:
        assert {"encoder query", "decoder query", "decoder cross query", "decoder ffn_in"} <= roles
    else:
        assert not any(" " in role for role in roles)


@pytest.fixture(scope="module")
def deberta() -> nn.Module:
    return empty_classifier(deberta_v3_base(128_100), TASKS["rte"])


@pytest.mark.parametrize(
    ("method", "start", "floor"),
    [
        # Published: 1.33M, 0.16M, 184M; AFLoRA's 0.14M is an average, between its two.
        ({"lora": {"rank": 8}}, 1_327_104, 1_327_104),
        ({"elora": {"rank": 1024}}, 156_672, None),
        ({"aflora": {"rank": 4}}, 451_872, 83_232),
        ({"full": {}}, 184_224_768, None),
        ({"head": {}}, 0, None),
        ({"sora": {"rank": 8}}, 1_327_104 + 72 * 8, 0),
        ({"adalora": {"rank": 12, "kept": 0.67}}, 1_990_656 + 72 * 12, None),
    ],
)
def test_counts_on_the_shapes_of_the_paper_s_model(
    deberta: nn.Module, method: dict[str, Any], start: int, floor: int | None
) -> None:
    settings = TrialSettings(method=method, learning_rate=1e-3, head_learning_rate=1e-3)
    found = counts_at_start(settings, copy.deepcopy(deberta))
    assert found[0] == start
    if floor is not None:
        assert found[1] == floor


def test_sora_computes_its_equation_and_starts_as_the_model_was() -> None:
    torch.manual_seed(0)
    base = nn.Linear(6, 5)
    layer = SoRALinear(base, 3, alpha=6.0)
    x = torch.randn(4, 6)
    torch.testing.assert_close(layer(x), base(x))
    nn.init.normal_(layer.B)
    wanted = base(x) + 6.0 / 3 * ((x @ layer.A.T) * layer.gate) @ layer.B.T
    torch.testing.assert_close(layer(x), wanted)
    with pytest.raises(ValueError, match="rank 7 is larger than a layer of 6 → 5 allows"):
        SoRALinear(base, 7, alpha=1.0)


def test_a_gate_of_sora_shrinks_to_zero_and_not_across_and_its_rank_is_gone() -> None:
    method = SoRAMethod(SoRASettings(rank=3, modules=("query",), threshold=0.5))
    model = method.apply(tiny_model("bert"), 10)
    layers = [m for m in model.modules() if isinstance(m, SoRALinear)]
    for layer in layers:
        layer.gate.data = torch.tensor([2.0, -0.3, -1.0])
    before = method.trains_now(model, 0)
    (callback,) = method.callbacks(None, None)
    callback.on_optimizer_step(None, None, None, model=model)  # type: ignore[arg-type]
    for layer in layers:
        torch.testing.assert_close(layer.gate.data, torch.tensor([1.5, 0.0, -0.5]))
    assert method.trains_now(model, 0) == before * 2 // 3
    assert method.measures(model) == {"rank_left": 2.0}
    # What has no effect gets no gradient: the rank is out of training, but for its gate.
    model(**tiny_batch()).loss.backward()
    for layer in layers:
        assert layer.A.grad is not None
        assert layer.B.grad is not None
        assert not layer.A.grad[1].any()
        assert not layer.B.grad[:, 1].any()


def trained_by_adalora(**settings: Any) -> tuple[list[int], list[int], float]:
    """What was counted in each of 20 steps, the ranks it left above zero, and what was foreseen."""
    own = AdaLoRASettings(rank=4, kept=0.5, modules=("query", "value"), start=0.2, **settings)
    method = AdaLoRAMethod(own)
    model = method.apply(tiny_model("bert"), 20)
    singular = [p for n, p in method.adapter_parameters(model).items() if ".lora_E" in n]
    optimizer = torch.optim.AdamW(method.adapter_parameters(model).values(), lr=1e-2)
    (callback,) = method.callbacks(None, None)
    counted, left = [], []
    foreseen = method.expected_trainable(model, 0)
    for step in range(20):
        counted.append(method.trains_now(model, step))
        model(**tiny_batch()).loss.backward()
        optimizer.step()
        callback.on_optimizer_step(
            None,  # type: ignore[arg-type]
            SimpleNamespace(global_step=step),  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            model=model,
        )
        optimizer.zero_grad()
        left.append(sum(int(p.count_nonzero()) for p in singular))
    return counted, left, foreseen


RANK = 16 + 16 + 1  # parameters of one rank in one layer of the tiny model
WHOLE = 4 * 4 * RANK


def test_adalora_gives_ranks_away_as_its_schedule_has_it() -> None:
    counted, _, foreseen = trained_by_adalora(end=0.6)
    assert counted[:5] == [WHOLE] * 5
    assert counted == sorted(counted, reverse=True)
    assert counted[-1] == pytest.approx(WHOLE / 2, abs=RANK)
    assert foreseen == pytest.approx(sum(counted) / 20, rel=0.1)


def test_between_two_allocations_all_ranks_of_adalora_train() -> None:
    counted, left, foreseen = trained_by_adalora(end=0.6, interval=3)
    settled = 12
    for step in range(1, settled):
        # Singular values begin at zero; step 0 moves them all.
        zeroes = step > 4 and step % 3 == 0
        assert (left[step] < 16) == zeroes, step
        assert counted[step] == WHOLE or zeroes, step
    assert counted[9] < WHOLE
    assert counted[settled + 1 :] == [left[-1] * RANK] * (20 - settled - 1)
    assert left[settled:] == [left[-1]] * (20 - settled)
    assert foreseen == pytest.approx(sum(counted) / 20, rel=0.1)


def test_adalora_settles_its_ranks_though_they_go_until_the_end() -> None:
    _, left, _ = trained_by_adalora(end=1.0, interval=7)
    assert left[-1] == pytest.approx(8, abs=1)
    assert left[-2] == 16


def test_weight_decay_leaves_out_what_it_should() -> None:
    vector, matrix = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3, 3))
    aflora = AFLoRAMethod(AFLoRASettings())
    assert aflora.decays("layer.d", vector)
    assert not aflora.decays("layer.bias", vector)
    full = FullMethod(FullSettings())
    assert full.decays("layer.weight", matrix)
    assert not full.decays("LayerNorm.weight", vector)
    sora = SoRAMethod(SoRASettings())
    assert sora.decays("layer.A", matrix)
    assert not sora.decays("layer.gate", vector)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "IA4"}, "PEFT has no type 'IA4'; did you mean 'IA3'?"),
        ({"type": "ia3", "ranc": 3}, "IA3Config has no 'ranc'"),
        ({"type": "ADALORA"}, "ADALORA: take the method adalora"),
        ({"type": "P_TUNING"}, "P_TUNING: it learns prompts, not an adapter"),
        ({"type": "POLY"}, "POLY: it needs the task of every row"),
        ({"type": "LOHA", "rank_pattern": {}, "r": 0}, "positive"),
    ],
)
def test_what_peft_does_not_know_is_named(settings: dict[str, Any], message: str) -> None:
    method = OtherMethod(PeftSettings(modules=("query",), **settings))
    with pytest.raises(ValueError, match=re.escape(message)):
        method.apply(tiny_model("bert"), 10)


@pytest.mark.parametrize(
    ("settings", "gain"),
    [
        ({"type": "IA3"}, "ia3_l"),
        ({"type": "BOFT", "boft_block_size": 4}, "boft_s"),
        ({"type": "RANDLORA", "r": 4}, "randlora_gamma"),
    ],
)
def test_gains_of_other_tuners_do_not_decay(settings: dict[str, Any], gain: str) -> None:
    method = OtherMethod(PeftSettings(modules=("query",), **settings))
    model = method.apply(tiny_model("bert"), 10)
    adapter = method.adapter_parameters(model)
    kept = {name for name, p in adapter.items() if not method.decays(name, p)}
    assert kept == {name for name in adapter if gain in name} != set()


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "LOHA", "r": 2},
        {"type": "ln_tuning", "target_modules": ["LayerNorm"]},
        {"type": "fourierft", "n_frequency": 10},
    ],
)
def test_other_tuners_of_peft_train(settings: dict[str, Any]) -> None:
    method = OtherMethod(PeftSettings(modules=("query",), **settings))
    model = method.apply(tiny_model("bert"), 10)
    adapter = method.adapter_parameters(model)
    model(**tiny_batch()).loss.backward()
    assert adapter
    assert all(p.grad is not None for p in adapter.values())
