import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from aflora import AFLoRALinear


def filled(rank: int = 3, inside: int = 7, outside: int = 5, seed: int = 0) -> AFLoRALinear:
    torch.manual_seed(seed)
    layer = AFLoRALinear(nn.Linear(inside, outside), rank)
    nn.init.normal_(layer.b)
    nn.init.normal_(layer.d)
    return layer


@given(st.integers(1, 5), st.integers(5, 12), st.integers(5, 12), st.integers(0, 99))
def test_forward_is_the_paper_s_equation(rank: int, inside: int, outside: int, seed: int) -> None:
    layer = filled(rank, inside, outside, seed)
    x = torch.randn(2, 3, inside)
    z = (x @ layer.A.T) * layer.d
    expected = x @ layer.base.weight.T + layer.base.bias + (z @ layer.B.T) * layer.b
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_an_untrained_layer_equals_the_one_it_wraps_bit_for_bit() -> None:
    base = nn.Linear(7, 5)
    x = torch.randn(4, 7)
    assert torch.equal(AFLoRALinear(base, 2)(x), base(x))


def test_initial_values_are_the_authors() -> None:
    layer = AFLoRALinear(nn.Linear(64, 32), 4)
    assert torch.equal(layer.d, torch.full((4,), 0.1))
    assert torch.equal(layer.b, torch.zeros(32))
    # Kaiming-uniform with a = √5 is uniform within ±1/√fan_in.
    assert 0.9 / 8 < layer.A.abs().max() <= 1 / 8
    assert 0.9 / 2 < layer.B.abs().max() <= 1 / 2


def test_merged_weight_gives_the_same_output() -> None:
    layer = filled()
    x = torch.randn(4, 7)
    merged = nn.functional.linear(x, layer.merged_weight(), layer.base.bias)
    torch.testing.assert_close(merged, layer(x), rtol=1e-5, atol=1e-6)


def test_only_the_adapter_trains() -> None:
    layer = AFLoRALinear(nn.Linear(7, 5), 2, train_projections=False)
    trains = {name for name, p in layer.named_parameters() if p.requires_grad}
    assert trains == {"b", "d"}
    trains = {n for n, p in AFLoRALinear(nn.Linear(7, 5), 2).named_parameters() if p.requires_grad}
    assert trains == {"A", "B", "b", "d"}


def test_gradients_equal_those_of_the_plain_formula() -> None:
    layer = filled()
    x = torch.randn(4, 7)
    layer(x).square().sum().backward()
    grads = {n: getattr(layer, n).grad.clone() for n in "ABdb"}
    layer.zero_grad()
    plain = layer.base(x) + ((x @ layer.A.T) * layer.d @ layer.B.T) * layer.b
    plain.square().sum().backward()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, getattr(layer, name).grad, rtol=1e-4, atol=1e-5)


def test_a_frozen_a_keeps_no_activation_of_width_in() -> None:
    inside = 64

    def saved_widths(layer: AFLoRALinear) -> set[int]:
        widths: set[int] = set()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            # The weight itself is kept for the gradient of the input; only activations count.
            if tensor.shape[0] == 9:
                widths.add(tensor.shape[-1])
            return tensor

        x = torch.randn(9, inside, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            layer(x)
        return widths

    layer = AFLoRALinear(nn.Linear(inside, 48), 4)
    assert inside in saved_widths(layer)
    layer.A.requires_grad_(False)
    layer.B.requires_grad_(False)
    widths = saved_widths(layer)
    assert inside not in widths
    assert 48 not in widths


def test_a_rank_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        AFLoRALinear(nn.Linear(7, 5), 0)
    with pytest.raises(ValueError, match="between 1 and 5 for a layer of 7 → 5, got 6"):
        AFLoRALinear(nn.Linear(7, 5), 6)
    # ELoRA draws projections wider than the layer and never trains them.
    assert AFLoRALinear(nn.Linear(7, 5), 6, train_projections=False).A.shape == (6, 7)


def test_only_linear_layers_are_wrapped() -> None:
    with pytest.raises(TypeError, match="got LayerNorm"):
        AFLoRALinear(nn.LayerNorm(7), 1)  # type: ignore[arg-type]


def test_a_half_precision_backbone_keeps_its_output_type() -> None:
    layer = AFLoRALinear(nn.Linear(7, 5, dtype=torch.bfloat16), 2)
    out = layer(torch.randn(3, 7, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16
    assert layer.A.dtype == torch.float32
