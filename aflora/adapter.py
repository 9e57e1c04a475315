"""Put AFLoRA on a model, find its parts, merge them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from torch import Tensor, nn

from aflora.config import AFLoRAConfig
from aflora.layer import AFLoRALinear
from aflora.linear import features, is_linear
from aflora.roles import Target, find_targets, head_modules
from aflora.wrappers import unwrapped

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Projection:
    """One projection matrix that trains at first.

    Attributes:
        name: path of the parameter in the model.
        parameter: the matrix itself.
        layer: index of the transformer block, counted from 0.
        role: role of the adapted module.
        matrix: ``A`` (r × in) or ``B`` (out × r).
    """

    name: str
    parameter: nn.Parameter
    layer: int
    role: str
    matrix: Literal["A", "B"]


@dataclass(frozen=True)
class Placement:
    """Where a config puts the adapter in a model.

    Attributes:
        targets: modules to adapt, each with its rank.
        head: paths of the modules that train in full.
    """

    targets: tuple[tuple[Target, int], ...]
    head: tuple[str, ...]


def place(model: nn.Module, config: AFLoRAConfig) -> Placement:
    """Find out what ``config`` adapts in a model that is not adapted; changes nothing.

    Raises:
        ValueError: the model is adapted already, its architecture is unknown, a role has no module
            in it or one that is not linear, is shared or is never called, the rank does not fit a
            layer, or the head shares a parameter with the rest.
    """
    if any(True for _ in adapted_layers(model)):
        raise ValueError(f"{type(model).__name__} is adapted already")
    targets = find_targets(model, config.modules, config.patterns, config.layers)
    head = tuple(head_modules(model, config.head))
    _refuse_bypassed(model, targets)
    _refuse_shared(model, targets)
    _refuse_tied(model, head)
    ranked = tuple((target, _checked_rank(model, target, config, head)) for target in targets)
    return Placement(ranked, head)


def _refuse_bypassed(model: nn.Module, targets: Sequence[Target]) -> None:
    """torch's own transformer modules read the weights of their layers and never call them."""
    for target in targets:
        parent = model.get_submodule(target.name.rpartition(".")[0])
        if isinstance(parent, nn.MultiheadAttention | nn.TransformerEncoderLayer):
            raise ValueError(
                f"{target.name} cannot be adapted: torch's {type(parent).__name__} reads its "
                "weight without calling it, so that an adapter there would have no effect"
            )


def _refuse_shared(model: nn.Module, targets: Sequence[Target]) -> None:
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    for target in targets:
        if len(same := paths[id(model.get_submodule(target.name))]) > 1:
            raise ValueError(
                f"{target.name} cannot be adapted: it is one module with {same[1]}, and only one "
                "of the two would be"
            )


def _refuse_tied(model: nn.Module, head: Sequence[str]) -> None:
    """A parameter of the head that also lies outside would train, and be saved, there too."""
    inside: dict[int, str] = {}
    outside: dict[int, str] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        in_head = any(path.startswith(f"{module}.") for module in head)
        (inside if in_head else outside)[id(parameter)] = path
    for key, path in inside.items():
        if key in outside:
            raise ValueError(
                f"the head cannot hold {path}: it is one parameter with {outside[key]}, which "
                "would then train as well"
            )


def adapt(model: nn.Module, config: AFLoRAConfig) -> nn.Module:
    """Wrap the modules that ``config`` names, freeze everything else but the head.

    Works in place and returns the model. Initial values are drawn from torch's global generator.

    Raises:
        TypeError: ``config`` is not an AFLoRAConfig, or ``model`` no module.
        ValueError: the config does not fit, see :func:`place`. The model is then unchanged.
    """
    if not isinstance(config, AFLoRAConfig):
        raise TypeError(f"config must be an AFLoRAConfig, got {config!r}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, got {model!r}")
    placement = place(model, config)
    if config.patterns and config.head is None and not placement.head:
        logger.warning(
            "no head is known in %s: nothing but the adapter trains; if it has one, name it with "
            "AFLoRAConfig(head=…)",
            type(model).__name__,
        )
    model.requires_grad_(False)
    for path in placement.head:
        model.get_submodule(path).requires_grad_(True)
    for target, rank in placement.targets:
        base = model.get_submodule(target.name)
        assert is_linear(base)
        wrapped = AFLoRALinear(
            base,
            rank,
            scale=config.scale,
            layer=target.layer,
            role=target.role,
            train_projections=config.trains_projections_of(target.role),
        )
        model.set_submodule(target.name, wrapped, strict=True)
    model.aflora_config = config  # type: ignore[assignment]
    return model


def _checked_rank(
    model: nn.Module, target: Target, config: AFLoRAConfig, head: Sequence[str]
) -> int:
    """The rank for a target that can be adapted with it."""
    base = model.get_submodule(target.name)
    if not is_linear(base):
        kind = f"{type(base).__module__}.{type(base).__name__}"
        raise ValueError(f"{target.name} is a {kind}, which is no plain linear layer")
    if inside := [path for path in head if f"{target.name}.".startswith(f"{path}.")]:
        raise ValueError(f"{target.name} lies in the head ({inside[0]}), which trains in full")
    ranks = {config.rank_of(role) for role in target.roles}
    if len(ranks) > 1:
        raise ValueError(
            f"{', '.join(target.roles)} are one module ({target.name}) and need one rank, "
            f"got {', '.join(map(str, sorted(ranks)))}"
        )
    rank = ranks.pop()
    # Random projections that stay as they are may be wider than the layer, as ELoRA's.
    if config.trains_projections_of(target.role) and rank > min(features(base)):
        raise ValueError(
            f"rank {rank} is larger than {target.name} allows: its smaller side is "
            f"{min(features(base))}"
        )
    return rank


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, AFLoRALinear]]:
    """Path and layer of everything adapted, in the model's own order."""
    for name, module in unwrapped(model).named_modules():
        if isinstance(module, AFLoRALinear):
            yield name, module


def adapter_config(model: nn.Module) -> AFLoRAConfig:
    """The config that the model was adapted with.

    Raises:
        ValueError: the model is not adapted.
    """
    model = unwrapped(model)
    config = getattr(model, "aflora_config", None)
    if not isinstance(config, AFLoRAConfig):
        raise ValueError(f"{type(model).__name__} has no AFLoRA adapter")
    return config


def projections(model: nn.Module) -> list[Projection]:
    """The projection matrices that train at first, frozen since or not, in module order.

    Raises:
        ValueError: the model is not adapted.
    """
    config = adapter_config(model)
    return [
        Projection(f"{name}.{matrix}", getattr(layer, matrix), layer.layer, layer.role, matrix)
        for name, layer in adapted_layers(model)
        if config.trains_projections_of(layer.role)
        for matrix in ("A", "B")
    ]


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """A, B, d and b of every adapted layer by their path, whether they train or not."""
    return {
        f"{name}.{part}": getattr(layer, part)
        for name, layer in adapted_layers(model)
        for part in ("A", "B", "d", "b")
    }


def head_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of the modules that train in full, by their path.

    Raises:
        ValueError: the model is not adapted.
    """
    head = head_modules(unwrapped(model), adapter_config(model).head)
    return {
        f"{path}.{name}": parameter
        for path in head
        for name, parameter in unwrapped(model).get_submodule(path).named_parameters()
    }


def head_state(model: nn.Module, head: Sequence[str]) -> dict[str, Tensor]:
    """Parameters and buffers of modules by their path; the model's own tensors, detached."""
    return {
        f"{path}.{name}": tensor
        for path in head
        for name, tensor in unwrapped(model).get_submodule(path).state_dict().items()
    }


def merge(model: nn.Module) -> nn.Module:
    """A copy of the model with the adapter folded into its weights: plain layers, no adapter.

    The model itself stays as it is, also when it trains on, or the copy is moved or cast. The copy
    has merged weights and a head of its own and shares the memory of all else with the model, so
    that no second backbone is held; what trains the whole copy would write to both.

    Raises:
        ValueError: the model is not adapted, or its weights are quantised.
    """
    config, model = adapter_config(model), unwrapped(model)
    head = head_modules(model, config.head)
    parts = [model.get_submodule(path) for path in head]
    own = {id(tensor) for part in parts for tensor in chain(part.parameters(), part.buffers())}
    shared: dict[int, Tensor] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        if id(tensor) in own:
            continue
        # In a parameter of its own, whose data ``to`` and ``half`` replace in place.
        plain = type(tensor) is nn.Parameter
        shared[id(tensor)] = (
            nn.Parameter(tensor.detach(), tensor.requires_grad) if plain else tensor
        )
    merged = copy.deepcopy(model, shared)
    for name, layer in list(adapted_layers(merged)):
        layer.base.weight = nn.Parameter(layer.merged_weight(), requires_grad=False)
        merged.set_submodule(name, layer.base, strict=True)
    del merged.aflora_config
    return merged
