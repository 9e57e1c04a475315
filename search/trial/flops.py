"""Floating-point operations of a training step, counted from the products as they are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from aflora import AFLoRALinear

# Sequences and tokens of the passes that are counted: as many as the formula has coefficients.
_PROBES = ((1, 8), (1, 16), (1, 24), (2, 8), (2, 16))


class StepFlops:
    """FLOPs of forward and backward over one batch of a sequence classifier.

    What one pass costs is a polynomial in its sequences S and their length L,

        FLOPs = c0 + c1 L + S (c2 + c3 L + c4 L²)

    for products over a whole batch (DeBERTa's relative positions, whose number can grow with L), a
    sequence (the head), a token (linear layers) and pairs of tokens (attention). Its coefficients
    follow from five small passes
    in which torch counts 2·n·k·m for every product of an (n × k) by a (k × m) matrix; attention is
    counted as the plain products, whatever kernel computes it, so that the count is the same on
    every machine. What is no product (normalisation, activations, the optimizer) is not counted.

    A projection matrix A that freezes saves the product for its gradient, and where nothing below
    it trains the one that leads to it. B saves none: d and b need it. So freezing is followed
    without counting again.

    Args:
        model: the model as it trains, adapter on. It is put into evaluation mode for the passes, so
            that no dropout draws random numbers, and back.
    """

    def __init__(self, model: nn.Module) -> None:
        passes = [_Pass(model, sequences, length) for sequences, length in _PROBES]
        self._all_live = _fit([p.flops for p in passes])
        # What each layer saves once its A is frozen.
        self._saved = {
            layer: _fit([p.own_products[layer] for p in passes])
            for layer in passes[0].own_products
            if layer.A.requires_grad
        }
        self._frozen = -1
        self._coefficients = self._all_live

    def step(self, sequences: int, length: int) -> int:
        """FLOPs of one forward and backward pass over a padded batch."""
        frozen = [saved for layer, saved in self._saved.items() if not layer.A.requires_grad]
        if len(frozen) != self._frozen:
            self._frozen = len(frozen)
            self._coefficients = self._all_live - sum(frozen, np.zeros(len(_PROBES)))
        return round(float(_powers(sequences, length) @ self._coefficients))


class _Counter(TorchDispatchMode):
    """Counts the FLOPs of what is executed within it, by torch's own formulas.

    torch's ``FlopCounterMode`` does the same and follows the modules besides, which nobody here
    asks for and every trial would wait for.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing here is compiled, and what torch would wrap around every operation to make sure
        # of that costs much beside the counting.
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out


class _Pass:
    """One pass forward and backward, counted."""

    def __init__(self, model: nn.Module, sequences: int, length: int) -> None:
        #: layer → FLOPs that are executed for the gradient of its A alone
        self.own_products: dict[AFLoRALinear, int] = defaultdict(int)
        hooks = [
            module.register_forward_pre_hook(self._note)
            for module in model.modules()
            if isinstance(module, AFLoRALinear)
        ]
        training = model.training
        device = next(model.parameters()).device
        ids = _tokens(model, sequences, length).to(device)
        before = [(p, p.grad) for p in model.parameters()]
        try:
            model.eval()
            with _Counter() as counter, sdpa_kernel(SDPBackend.MATH):
                output = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
                output.sum().backward()
        finally:
            for hook in hooks:
                hook.remove()
            for parameter, gradient in before:
                parameter.grad = gradient
            model.train(training)
        self.flops = counter.flops

    def _note(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, AFLoRALinear)
        rows = inputs[0].numel() // inputs[0].shape[-1]
        width = module.in_features + (0 if inputs[0].requires_grad else module.out_features)
        self.own_products[module] += 2 * rows * module.rank * width


def _powers(sequences: int, length: int) -> NDArray[np.float64]:
    return np.array([1.0, length, sequences, sequences * length, sequences * length**2])


def _tokens(model: nn.Module, sequences: int, length: int) -> torch.Tensor:
    """Sequences of any token, ended as BART and T5 want them to find where one ends."""
    end = getattr(getattr(model, "config", None), "eos_token_id", None)
    ids = torch.full((sequences, length), 4 if end != 4 else 5)
    if isinstance(end, int):
        ids[:, -1] = end
    return ids


def _fit(counts: list[int]) -> NDArray[np.float64]:
    """Coefficients of the polynomial that has these values at the probes."""
    return np.linalg.solve(np.stack([_powers(*probe) for probe in _PROBES]), np.array(counts))
