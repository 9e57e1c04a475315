"""Floating-point operations of a training step, counted from the products really executed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from aflora import AFLoRALinear

_PROBE = (2, 8)  # sequences, tokens


@dataclass(frozen=True)
class _Product:
    """One linear module: how many rows go through it, and whether gradients go back below it."""

    module: nn.Module
    per_token: bool
    input_needs_grad: bool


class StepFlops:
    """FLOPs of forward and backward over one batch of a sequence classifier.

    A product of an (n × k) by a (k × m) matrix counts 2·n·k·m. A linear layer takes one such
    product forward, one back to its input where something below it trains, and one for its
    weight where that trains. AFLoRA's layer takes two thin products forward, the same back to its
    input, one for the effective B always (d and b need it), and one for A while A trains.
    Attention takes 4·L²·hidden a sequence and layer forward, and twice that backward. What costs
    less than a product (normalisation, activations, the optimizer) is not counted.

    Args:
        model: the model as it trains, adapter on; one small forward pass finds out which module
            sees one row a token and which one a sequence.
    """

    def __init__(self, model: nn.Module) -> None:
        config = model.config
        hidden: int = config.hidden_size  # type: ignore[union-attr,assignment]
        layers: int = config.num_hidden_layers  # type: ignore[union-attr,assignment]
        self._attention = 3 * 4 * hidden * layers
        self._products = _probe(model)
        self._live = -1
        self._per_token = self._per_sequence = 0

    def step(self, sequences: int, length: int) -> int:
        """FLOPs of one forward and backward pass over a padded batch."""
        live = sum(p.requires_grad for product in self._products for p in _weights(product.module))
        if live != self._live:
            self._live = live
            costs = [(product.per_token, _cost(product)) for product in self._products]
            self._per_token = sum(cost for per_token, cost in costs if per_token)
            self._per_sequence = sum(cost for per_token, cost in costs if not per_token)
        return sequences * (
            length * self._per_token + self._per_sequence + self._attention * length * length
        )


def _weights(module: nn.Module) -> tuple[torch.Tensor, ...]:
    if isinstance(module, AFLoRALinear):
        return (module.A,)
    assert isinstance(module, nn.Linear)
    return (module.weight,)


def _cost(product: _Product) -> int:
    """FLOPs for each row that goes through."""
    module, below = product.module, int(product.input_needs_grad)
    if isinstance(module, AFLoRALinear):
        down, up = module.in_features * module.rank, module.rank * module.out_features
        own = int(module.A.requires_grad)
        return 2 * down * (1 + below + own) + 2 * up * (2 + max(below, own))
    assert isinstance(module, nn.Linear)
    own = int(module.weight.requires_grad)
    return 2 * module.in_features * module.out_features * (1 + below + own)


def _probe(model: nn.Module) -> list[_Product]:
    sequences, length = _PROBE
    found: list[_Product] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].numel() // inputs[0].shape[-1]
        found.append(_Product(module, rows != sequences, inputs[0].requires_grad))

    hooks = [
        module.register_forward_pre_hook(note)
        for module in model.modules()
        if isinstance(module, nn.Linear | AFLoRALinear)
    ]
    device = next(model.parameters()).device
    training = model.training
    try:
        # In evaluation mode no dropout draws random numbers, so that training starts as it would.
        model.eval()(input_ids=torch.ones(sequences, length, dtype=torch.long, device=device))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return found
