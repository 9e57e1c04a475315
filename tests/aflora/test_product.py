"""However the products of an adapted layer are computed, they are those of its equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers.pytorch_utils import Conv1D

from aflora.layer import AFLoRALinear
from aflora.linear import as_stored
from aflora.product import (
    LEAST_ROWS,
    _goes_through_weight,
    _merges,
    is_cheaper_scaled,
    low_rank_linear,
)
from search.trial.flops import _PROBES

FEW, MANY = 6, LEAST_ROWS + 2


def made(
    rows: int, rank: int = 2, inside: int = 8, outside: int = 12, bias: bool = True, seed: int = 0
) -> tuple[nn.Linear, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    base = nn.Linear(inside, outside, bias=bias, dtype=torch.float64).requires_grad_(False)
    x, a, b = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((rows // 2, 2, inside), (rank, inside), (outside, rank))
    )
    return base, x, a, b


@pytest.mark.parametrize("live", [True, False], ids=["live", "frozen"])
@pytest.mark.parametrize("of_x", [True, False], ids=["trains below", "nothing below"])
@pytest.mark.parametrize(
    ("rows", "rank", "merges", "through"),
    [(FEW, 2, False, False), (MANY, 2, True, False), (MANY, 16, False, True)],
    ids=["few rows", "low rank", "high rank"],
)
def test_gradients_are_those_of_finite_differences(
    rows: int, rank: int, merges: bool, through: bool, of_x: bool, live: bool
) -> None:
    base, x, a, b = made(rows, rank)
    assert _merges(rows, 8, 12, rank) == merges
    assert _goes_through_weight(rows, 8, 12, rank, live) == through
    x.requires_grad_(of_x)
    a.requires_grad_(live)
    assert torch.autograd.gradcheck(
        lambda x, a, b: low_rank_linear(base, x, a, b), (x, a, b), fast_mode=True
    )


@given(
    st.integers(1, 24), st.integers(4, 40), st.integers(4, 40), st.booleans(), st.integers(2, 300)
)
def test_values_and_gradients_equal_those_of_the_products_as_they_are_written(
    rank: int, inside: int, outside: int, bias: bool, rows: int
) -> None:
    base, x, a, b = made(rows, rank, inside, outside, bias, seed=rows)
    weights = torch.randn(x.shape[0], 2, outside, dtype=torch.float64)
    found = low_rank_linear(base, x, a, b)
    expected = base(x) + F.linear(F.linear(x, a), b)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), (x, a, b)),
        torch.autograd.grad((expected * weights).sum(), (x, a, b)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("rows", "rank"), [(FEW, 2), (MANY, 2), (MANY, 16)])
def test_a_layer_of_gpt2_whose_weight_is_transposed(rows: int, rank: int) -> None:
    base: Any = Conv1D(12, 8).double().requires_grad_(False)
    _, x, a, b = made(rows, rank)
    found = low_rank_linear(base, x, a, b)
    torch.testing.assert_close(found, base(x) + F.linear(F.linear(x, a), b))
    (of_x,) = torch.autograd.grad(found.sum(), x)
    whole = base.weight + as_stored(base, b @ a)
    torch.testing.assert_close(of_x, whole.sum(1).expand_as(x))


def test_what_the_layer_does_beside_its_weight_is_done() -> None:
    base, x, a, b = made(MANY)
    plain = low_rank_linear(base, x, a, b)
    seen: list[int] = []
    handle = base.register_forward_hook(lambda module, given, out: seen.append(1) or out + 1)
    torch.testing.assert_close(low_rank_linear(base, x, a, b), plain + 1)
    assert seen
    handle.remove()
    base.requires_grad_(True)
    low_rank_linear(base, x, a, b).sum().backward()
    assert base.weight.grad is not None
    assert base.bias.grad is not None


def test_an_update_that_is_small_beside_the_weight_is_not_lost_under_autocast() -> None:
    """Beside a weight of 1 a thousandth is nothing in bf16."""
    base = nn.Linear(64, 64, bias=False).requires_grad_(False)
    base.weight.fill_(1.0)
    a, b = torch.zeros(1, 64), torch.ones(64, 1)
    a[0, 0] = 1e-3
    x = torch.zeros(MANY, 64)
    x[:, 0], x[:, 1] = 1.0, -1.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = low_rank_linear(base, x, a, b)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), torch.full((MANY, 64), 1e-3), rtol=1e-2, atol=0)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_where_fp32_may_be_summed_in_less_the_products_stay_apart(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, x, a, b = made(MANY)
    expected = low_rank_linear(base, x, a, b)
    asked: list[bool] = []
    monkeypatch.setattr("aflora.product._merges", lambda *shape: asked.append(True) or True)
    low_rank_linear(base, x, a, b)
    assert asked == [True]
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    torch.testing.assert_close(low_rank_linear(base, x, a, b), expected)
    assert asked == [True]


@pytest.mark.parametrize("rank", [2, 16])
def test_what_comes_out_may_be_changed_in_place(rank: int) -> None:
    base, x, a, b = made(MANY, rank)
    doubled = low_rank_linear(base, x, a, b)
    doubled *= 2.0
    (gradient,) = torch.autograd.grad(doubled.sum(), x)
    torch.testing.assert_close(gradient, 2 * (base.weight + b @ a).sum(0).expand_as(x))


def test_of_a_high_rank_the_input_alone_is_kept_of_what_each_row_has() -> None:
    base, x, a, b = made(MANY, rank=16)
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.shape[0] == MANY:
            kept.append(tensor.shape[-1])
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        low_rank_linear(base, x, a, b)
    assert kept == [8]


def test_a_layer_whose_forward_was_replaced_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    base, x, a, b = made(MANY)
    plain = low_rank_linear(base, x, a, b)
    monkeypatch.setattr(base, "forward", lambda x: nn.Linear.forward(base, x) + 1)
    torch.testing.assert_close(low_rank_linear(base, x, a, b), plain + 1)


@pytest.mark.parametrize("of_x", [True, False])
def test_as_many_flops_are_counted_however_it_is_computed(
    of_x: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, x, a, b = made(FEW)
    x.requires_grad_(of_x)

    def counted() -> int:
        with FlopCounterMode(display=False) as counter:
            low_rank_linear(base, x, a, b).sum().backward()
        return int(counter.get_total_flops())

    found = counted()
    monkeypatch.setattr("aflora.product._is_plain", lambda *given: False)
    assert found == counted() > 0


def test_with_a_frozen_a_nothing_of_the_layer_s_width_is_kept() -> None:
    base, x, a, b = made(MANY)
    widths: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.shape[0] == MANY:
            widths.add(tensor.shape[-1])
        return tensor

    for live, kept in ((True, {8, 2}), (False, {2})):
        widths.clear()
        a.requires_grad_(live)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            low_rank_linear(base, x, a, b)
        assert widths == kept


@pytest.mark.parametrize("rank", [2, 16])
def test_a_second_derivative_is_refused_and_not_wrong(rank: int) -> None:
    base, x, a, b = made(MANY, rank)
    (first,) = torch.autograd.grad(
        low_rank_linear(base, x, a, b).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 2048), st.booleans())
def test_no_pass_in_which_flops_are_counted_makes_a_weight(
    inside: int, outside: int, rank: int, live: bool
) -> None:
    """So that the count of a step is the same on every machine."""
    for sequences, length in _PROBES:
        assert not _merges(sequences * length, inside, outside, rank)
        assert not _goes_through_weight(sequences * length, inside, outside, rank, live)


@given(
    st.integers(1, 24), st.integers(4, 40), st.integers(4, 40), st.booleans(), st.integers(2, 300)
)
def test_a_layer_whose_projections_stay_random_is_its_equation(
    rank: int, inside: int, outside: int, of_x: bool, rows: int
) -> None:
    """y = W x + s b ⊙ B (d ⊙ A x), and the gradients of x, d and b."""
    base, x, _, _ = made(rows, rank, inside, outside, seed=rows)
    x.requires_grad_(of_x)
    layer = AFLoRALinear(base, rank, scale=0.5, train_projections=False)
    torch.nn.init.normal_(layer.b)
    found = layer(x)
    expected = base(x) + layer.b * F.linear(layer.d * F.linear(x, layer.A), layer.B) * 0.5
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    trains = [layer.d, layer.b, *([x] if of_x else [])]
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), trains),
        torch.autograd.grad((expected * weights).sum(), trains),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rows", [FEW, MANY])
@pytest.mark.parametrize("kind", ["bf16", "autocast", "transposed"])
def test_random_projections_around_any_layer(kind: str, rows: int) -> None:
    """In the layer's own format comes out the update that is computed in that of the vectors."""
    torch.manual_seed(0)
    base: Any = Conv1D(12, 8) if kind == "transposed" else nn.Linear(8, 12)
    layer = AFLoRALinear(base.to(torch.bfloat16 if kind == "bf16" else torch.float32), 16,
                         train_projections=False)  # fmt: skip
    torch.nn.init.normal_(layer.b)
    x = torch.randn(2, rows, 8)
    expected = base(x.to(base.weight.dtype)).float() + x @ (layer.effective_B() @ layer.A).t()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast"):
        found = layer(x.to(base.weight.dtype))
    assert found.dtype == (torch.float32 if kind == "transposed" else torch.bfloat16)
    exact = kind == "transposed"
    torch.testing.assert_close(
        found.float(), expected, rtol=1e-5 if exact else 2e-2, atol=1e-5 if exact else 5e-2
    )
    found.sum().backward()
    assert layer.d.grad is not None
    assert layer.d.grad.dtype == torch.float32


def test_no_graph_of_random_projections_depends_on_the_number_of_rows() -> None:
    layer = AFLoRALinear(nn.Linear(8, 12), 16, train_projections=False)
    torch.nn.init.normal_(layer.b)
    graphs = 0

    def backend(graph: Any, inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    compiled = torch.compile(layer, backend=backend, fullgraph=True, dynamic=True)
    for rows in (FEW, MANY, 8 * MANY):
        x = torch.randn(rows, 8)
        torch.testing.assert_close(compiled(x), layer(x))
    assert graphs == 1


def scaled(rows: int, inside: int, outside: int, rank: int) -> bool:
    return is_cheaper_scaled(
        nn.Linear(inside, outside).requires_grad_(False),
        torch.empty(1, rows, inside),
        torch.empty(rank, inside),
    )


def test_a_matrix_as_large_as_the_layer_is_made_for_many_rows_alone() -> None:
    assert scaled(256, 384, 1536, rank=1024)
    assert not scaled(2048, 384, 1536, rank=1024)
    assert not scaled(256, 384, 1536, rank=4)
    # Elsewhere than in fp32 on a CPU: once two of it are less than the activations.
    with torch.device("meta"):
        assert scaled(2047, 384, 1536, rank=1024)
        assert not scaled(2048, 384, 1536, rank=1024)


@given(st.integers(1, 96), st.integers(1, 96), st.integers(1, 96), st.sampled_from(["cpu", "meta"]))
def test_flops_of_random_projections_are_counted_scaled_unless_they_are_low(
    inside: int, outside: int, rank: int, device: str
) -> None:
    """On any device: what lies on ``meta`` is computed as on a GPU."""
    with torch.device(device):
        for sequences, length in _PROBES:
            low = 4 * rank <= min(inside, outside)
            assert scaled(sequences * length, inside, outside, rank) == (not low)


@pytest.mark.parametrize("many", [False, True], ids=["scaled", "through the weight"])
def test_only_scaled_projections_have_no_product_for_a_gradient_of_their_own(many: bool) -> None:
    layer = AFLoRALinear(nn.Linear(8, 12), 16, train_projections=False)
    x = torch.randn(LEAST_ROWS * 8 if many else FEW, 8, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    rows = len(x)
    own = 2 * 8 * 12 * rows  # of the layer itself, twice: forward and for x
    thin = 2 * 16 * (8 + 12) * rows
    # Through the weight: B A, its gradient, and from that B's.
    heavy = 2 * (8 * 12 * rows + 2 * 8 * 12 * 16)
    assert counter.get_total_flops() == 2 * own + (heavy if many else 2 * thin)
