"""Put AFLoRA on a model, find its parts, count them, merge them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from aflora.config import AFLoRAConfig
from aflora.layer import AFLoRALinear
from aflora.roles import find_targets

# What turns a backbone into a classifier. The pooler belongs to it: some checkpoints come without
# one, and then it starts at random.
HEAD_NAMES = frozenset({"classifier", "score", "pooler", "pre_classifier", "classification_head"})


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
class ParameterCounts:
    """Numbers of parameters of an adapted model.

    Attributes:
        start: trainable in the adapter before anything froze.
        now: trainable in the adapter at present.
        floor: trainable in the adapter once every projection matrix is frozen (d and b).
        head: in the head, which trains throughout and counts towards none of the above.
        total: in the whole model.
    """

    start: int
    now: int
    floor: int
    head: int
    total: int


def adapt(model: nn.Module, config: AFLoRAConfig) -> nn.Module:
    """Wrap the modules that ``config`` names, freeze everything else but the head.

    Works in place and returns the model. Initial values are drawn from torch's global generator.

    Raises:
        ValueError: the model is adapted already, its architecture is unknown, a role has no module
            in it, or the rank does not fit a layer. The model is then unchanged.
    """
    if any(True for _ in adapted_layers(model)):
        raise ValueError(f"{type(model).__name__} is adapted already")
    targets = find_targets(model, config.modules)
    for target in targets:
        base = model.get_submodule(target.name)
        if not isinstance(base, nn.Linear):
            raise ValueError(f"{target.name} is a {type(base).__name__}, not a linear layer")
        if config.rank > min(base.in_features, base.out_features):
            raise ValueError(
                f"rank {config.rank} is larger than {target.name} allows: its smaller side is "
                f"{min(base.in_features, base.out_features)}"
            )
    model.requires_grad_(False)
    for parameter in head_parameters(model).values():
        parameter.requires_grad_(True)
    for target in targets:
        base = model.get_submodule(target.name)
        assert isinstance(base, nn.Linear)
        wrapped = AFLoRALinear(
            base,
            config.rank,
            layer=target.layer,
            role=target.role,
            train_projections=config.trains_projections_of(target.role),
        )
        _replace(model, target.name, wrapped)
    model.aflora_config = config  # type: ignore[assignment]
    return model


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, AFLoRALinear]]:
    """Path and layer of everything adapted, in the model's own order."""
    for name, module in model.named_modules():
        if isinstance(module, AFLoRALinear):
            yield name, module


def adapter_config(model: nn.Module) -> AFLoRAConfig:
    """The config that the model was adapted with.

    Raises:
        ValueError: the model is not adapted.
    """
    config = getattr(model, "aflora_config", None)
    if not isinstance(config, AFLoRAConfig):
        raise ValueError(f"{type(model).__name__} has no AFLoRA adapter")
    return config


def projections(model: nn.Module) -> list[Projection]:
    """The projection matrices that train at first, frozen since or not, in module order."""
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
    """Parameters of the classification head and the pooler, by their path."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if HEAD_NAMES.intersection(name.split("."))
    }


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count an adapted model.

    Raises:
        ValueError: the model is not adapted.
    """
    matrices = sum(projection.parameter.numel() for projection in projections(model))
    floor = sum(layer.d.numel() + layer.b.numel() for _, layer in adapted_layers(model))
    return ParameterCounts(
        start=floor + matrices,
        now=sum(p.numel() for p in adapter_parameters(model).values() if p.requires_grad),
        floor=floor,
        head=sum(p.numel() for p in head_parameters(model).values()),
        total=sum(p.numel() for p in model.parameters()),
    )


def merge(model: nn.Module) -> nn.Module:
    """Fold the adapter into the weights and take it off, in place: plain linear layers remain.

    Raises:
        ValueError: the model is not adapted.
    """
    adapter_config(model)
    for name, layer in list(adapted_layers(model)):
        layer.base.weight.data = layer.merged_weight()
        _replace(model, name, layer.base)
    del model.aflora_config
    return model


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
