"""AFLoRA in a loop of one's own, in every way that a GPU or a CPU is used to train."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import aflora
from aflora import AFLoRAConfig, AFLoRALinear, FreezeConfig, Freezer
from tests.aflora.loop import STEPS, adamw, adapted, batch, train, trained, weights
from tests.tiny_models import tiny_model

RULES = ["paper", "official"]


@pytest.fixture(scope="module", params=RULES)
def whole(request: pytest.FixtureRequest) -> tuple[str, nn.Module, Freezer]:
    """A training that never stopped."""
    return request.param, *trained(adapted(request.param))


def test_all_matrices_freeze_one_after_the_other(whole: tuple[str, nn.Module, Freezer]) -> None:
    rule, _, freezer = whole
    assert len(freezer.frozen_at) == 8
    assert len(set(freezer.frozen_at.values())) >= (5 if rule == "paper" else 2)


@settings(max_examples=STEPS + 1, deadline=None)
@given(st.integers(0, STEPS))
def test_stopping_at_any_step_and_resuming_changes_not_a_bit(
    whole: tuple[str, nn.Module, Freezer], stop: int
) -> None:
    rule, expected, expected_freezer = whole
    first = adapted(rule)
    optimizer = adamw(first)
    freezer = Freezer.for_model(first, STEPS)
    train(first, freezer, optimizer, range(stop))
    with TemporaryDirectory() as name:
        folder = Path(name)
        aflora.save(first, folder)
        save_file(freezer.state_dict(), folder / "freezer.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")

        resumed = aflora.load(tiny_model("bert"), folder)
        optimizer = adamw(resumed)
        optimizer.load_state_dict(torch.load(folder / "optimizer.pt", weights_only=True))
        freezer = Freezer.for_model(resumed, STEPS)
        freezer.load_state_dict(load_file(folder / "freezer.safetensors"))
    train(resumed, freezer, optimizer, range(stop, STEPS))
    assert freezer.timeline == expected_freezer.timeline
    end = weights(expected)
    assert all(torch.equal(p, end[name]) for name, p in weights(resumed).items())


@pytest.mark.parametrize("rule", RULES)
def test_accumulated_gradients_count_once(rule: str) -> None:
    model, freezer = trained(adapted(rule))

    def parts(step: int) -> list[dict[str, torch.Tensor]]:
        full = batch(step)
        return [{key: value[i : i + 4] for key, value in full.items()} for i in (0, 4)]

    split, split_freezer = trained(adapted(rule), batches=parts)
    assert split_freezer.timeline == freezer.timeline
    expected = weights(model)
    for name, parameter in weights(split).items():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_scaler_changes_no_score(rule: str) -> None:
    _, freezer = trained(adapted(rule, end=1.0))
    model = adapted(rule, end=1.0)
    optimizer = adamw(model)
    # A power of two, so that scaling loses no bit.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaled_freezer = Freezer.for_model(model, STEPS)
    train(
        model,
        scaled_freezer,
        optimizer,
        backward=lambda loss: scaler.scale(loss).backward(),
        unscale=lambda: scaler.unscale_(optimizer),
        update=lambda: (scaler.step(optimizer), scaler.update()),
    )
    assert scaled_freezer.timeline == freezer.timeline
    state, expected = scaled_freezer.state_dict(), freezer.state_dict()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_an_overflow_under_a_scaler_is_skipped_by_both() -> None:
    model = adapted(end=1.0)
    optimizer = adamw(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=10_000)
    freezer = Freezer.for_model(model, STEPS)
    before = weights(model)
    train(
        model,
        freezer,
        optimizer,
        range(1, 2),
        backward=lambda loss: scaler.scale(loss * 1e9).backward(),
        unscale=lambda: scaler.unscale_(optimizer),
        update=lambda: (scaler.step(optimizer), scaler.update()),
    )
    assert freezer.skipped_gradients > 0
    assert all(torch.equal(p, before[name]) for name, p in weights(model).items())
    assert all(torch.isfinite(t.float()).all() for t in freezer.state_dict().values())


@pytest.mark.parametrize("rule", RULES)
def test_bf16_autocast_trains_and_freezes(rule: str) -> None:
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    base = tiny_model("bert").eval()
    model = adapted(rule)
    part = batch(0)
    with autocast(), torch.no_grad():
        assert torch.equal(model.eval()(**part).logits, base(**part).logits)
        before = float(model(**part).loss)
    _, freezer = trained(model, autocast=autocast, batches=lambda step: [part])
    with autocast(), torch.no_grad():
        assert float(model.eval()(**part).loss) < 0.9 * before
    assert len(freezer.frozen_at) == 8
    assert freezer.skipped_gradients == 0
    assert all(p.dtype == torch.float32 for p in aflora.adapter_parameters(model).values())


def test_autocast_computes_the_thin_products_in_half_precision() -> None:
    layer = AFLoRALinear(nn.Linear(8, 6), 2)
    nn.init.ones_(layer.b)
    dtypes = set()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[:1] == (5,):
            dtypes.add(tensor.dtype)
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
    ):
        assert layer(torch.randn(5, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(reentrant: bool) -> None:
    model, freezer = trained(adapted())
    lean: Any = adapted()
    lean.activation_checkpointing_enable(
        activation_checkpointing_kwargs={"use_reentrant": reentrant}
    )
    if reentrant:  # as everywhere else: it needs an input that has a gradient
        lean.enable_input_require_grads()
    lean, lean_freezer = trained(lean)
    assert lean_freezer.timeline == freezer.timeline
    expected = weights(model)
    for name, parameter in weights(lean).items():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-6)


def test_compiled_code_is_compiled_anew_at_most_once_a_freezing_event() -> None:
    graphs = 0

    def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return torch._dynamo.lookup_backend("eager")(graph, inputs)

    expected, expected_freezer = trained(adapted())
    torch._dynamo.reset()
    model: Any = adapted()
    # Else transformers finds it out in the first pass, and the second is compiled anew.
    model.config.problem_type = "single_label_classification"
    # Fewer recompilations than freezing events; giving up, silent by default, is an error here.
    with torch._dynamo.config.patch(recompile_limit=2, fail_on_recompile_limit_hit=True):
        compiled: Any = torch.compile(model, backend=counting, fullgraph=True)
        freezer = Freezer.for_model(compiled, STEPS)
        optimizer = adamw(model)
        train(compiled, freezer, optimizer, range(1))
        assert graphs == 1
        train(compiled, freezer, optimizer, range(1, STEPS))
    assert 2 < graphs - 1 <= len(set(freezer.frozen_at.values()))
    assert freezer.timeline == expected_freezer.timeline
    end = weights(expected)
    for name, parameter in weights(model).items():
        torch.testing.assert_close(parameter, end[name], rtol=1e-3, atol=1e-5)
    torch._dynamo.reset()


def test_a_frozen_matrix_costs_no_product_of_its_own() -> None:
    """rows × r × in for A; B has none at any time, for d and b need that of B_eff."""

    def flops(layer: AFLoRALinear, below: bool) -> int:
        x = torch.randn(7, 24, requires_grad=below)
        with FlopCounterMode(display=False) as counter:
            layer(x).sum().backward()
        return int(counter.get_total_flops())

    for below in (True, False):
        layer = AFLoRALinear(nn.Linear(24, 10), 3)
        live = flops(layer, below)
        layer.B.requires_grad_(False)
        assert flops(layer, below) == live
        layer.A.requires_grad_(False)
        way_to_a = 0 if below else 2 * 7 * 3 * 10
        assert live - flops(layer, below) == 2 * 7 * 3 * 24 + way_to_a


def test_the_optimizer_forgets_what_is_frozen() -> None:
    model = adapted()
    freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
    held = []
    for step in range(STEPS):
        train(model, freezer, optimizer, [step])
        held.append(sum(t.numel() for s in optimizer.state.values() for t in s.values()))
        for matrix in freezer.matrices:
            if matrix.name in freezer.frozen_at:
                assert matrix.parameter.grad is None
                assert matrix.parameter not in optimizer.state
    sizes = sum(m.parameter.numel() for m in freezer.matrices)
    # Two moments and a step count for each of the eight matrices.
    assert held[0] - held[-1] == 2 * sizes + 8


@pytest.mark.parametrize("how", ["evaluated in between", "layer by layer"])
def test_compilation_is_never_given_up_silently(how: str) -> None:
    """Every event may compile for evaluation as well, and shared code once for each matrix."""
    torch._dynamo.reset()
    config = AFLoRAConfig(
        rank=2,
        trainable_projections="all",
        # Five events: more than the limit below, and each takes seconds to compile for.
        freeze=FreezeConfig(start=0.05, end=0.9, interval=2),
    )
    torch.manual_seed(2)
    model: Any = aflora.adapt(tiny_model("bert"), config)
    model.config.problem_type = "single_label_classification"
    with torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True):
        if how == "layer by layer":
            for _, layer in aflora.adapted_layers(model):
                layer.compile(backend="eager")
            compiled: Any = model
        else:
            compiled = torch.compile(model, backend="eager")
        freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
        for step in range(STEPS):
            train(compiled, freezer, optimizer, range(step, step + 1))
            if how == "evaluated in between":
                with torch.no_grad():
                    compiled.eval()(**batch(step))
                compiled.train()
    assert not freezer.live
    assert len(set(freezer.frozen_at.values())) > 4
    torch._dynamo.reset()
