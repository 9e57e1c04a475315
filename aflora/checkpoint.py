"""Save and load an adapter: a JSON file for the config, safetensors for the weights."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aflora.adapter import (
    adapt,
    adapted_layers,
    adapter_config,
    adapter_parameters,
    head_parameters,
    head_state,
    place,
)
from aflora.config import AFLoRAConfig
from aflora.linear import features, is_linear
from aflora.roles import head_modules
from aflora.wrappers import unwrapped

logger = logging.getLogger(__name__)

CONFIG_FILE = "aflora.json"
WEIGHTS_FILE = "aflora.safetensors"
FORMAT = 3

# A backbone in bf16 or fp16 has the norms of the same one in fp32 to a thousandth; another
# backbone of the same shapes has others.
_NORM_TOLERANCE = 0.01


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Adapter and head, its buffers too, by path: contiguous copies on the CPU.

    Raises:
        ValueError: the model is not adapted.
    """
    return {
        name: torch.empty_like(tensor, device="cpu", memory_format=torch.contiguous_format).copy_(
            tensor
        )
        for name, tensor in _tensors(model).items()
    }


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """What is saved: the model's own tensors, detached."""
    adapter = {name: p.detach() for name, p in adapter_parameters(model).items()}
    head = head_modules(unwrapped(model), adapter_config(model).head)
    return adapter | head_state(model, head)


def save(model: nn.Module, folder: str | Path) -> None:
    """Write the adapter and the head of an adapted model, never the backbone.

    Of several processes that train one model, one calls it. Whatever else of the model trains is
    not written, which is told as a warning.

    Raises:
        ValueError: the model is not adapted.
    """
    config = adapter_config(model)
    warn_of_others(model)
    about = {
        "format": FORMAT,
        "config": config.to_dict(),
        "backbone_norms": {
            name: norm
            for name, layer in adapted_layers(model)
            if (norm := _norm(layer.base)) is not None
        },
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # What lies there already stays whole until both are written.
    weights, text = folder / f".{WEIGHTS_FILE}", folder / f".{CONFIG_FILE}"
    save_file(adapter_state(model), weights)
    about["sha256"] = _sha256(weights)
    text.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    weights.replace(folder / WEIGHTS_FILE)
    text.replace(folder / CONFIG_FILE)


def warn_of_others(model: nn.Module) -> None:
    """Say that a parameter trains which is neither of the adapter nor of the head."""
    ours = {id(p) for p in (*adapter_parameters(model).values(), *head_parameters(model).values())}
    for name, parameter in unwrapped(model).named_parameters():
        if parameter.requires_grad and id(parameter) not in ours:
            logger.warning(
                "%s trains, but is neither of the adapter nor of the head, and is not saved; "
                "AFLoRAConfig(head=…) names what is",
                name,
            )
            return


def load(model: nn.Module, folder: str | Path) -> nn.Module:
    """Put a saved adapter and its head on a model, in place.

    A model that is not adapted yet is adapted with the saved config; one that is must have the
    same config.

    Raises:
        FileNotFoundError: the folder holds no adapter.
        ValueError: a file is damaged, or the adapter was made for another model. The model is
            then unchanged.
    """
    folder = Path(folder)
    config, norms, digest = _read_config(folder / CONFIG_FILE)
    weights_path = folder / WEIGHTS_FILE
    if (found := _sha256(weights_path)) != digest:
        raise ValueError(
            f"{weights_path} is damaged or belongs to another {CONFIG_FILE}: its SHA-256 is "
            f"{found[:12]}…, not {digest[:12]}…"
        )
    try:
        state = load_file(weights_path)
    except SafetensorError as error:
        raise ValueError(f"{weights_path} is damaged: {error}") from error

    model_inside = unwrapped(model)
    adapted = hasattr(model_inside, "aflora_config")
    if adapted:
        if adapter_config(model) != config:
            raise ValueError(f"{folder} holds an adapter with other settings than the model's")
        shapes = {name: tuple(tensor.shape) for name, tensor in _tensors(model).items()}
        bases = {name: layer.base for name, layer in adapted_layers(model)}
    else:
        try:
            shapes, bases = _planned(model_inside, config)
        except ValueError as error:
            raise ValueError(f"{folder} does not fit this model: {error}") from error
    _check_fit(weights_path, state, shapes)
    for name, base in bases.items():
        norm, expected = _norm(base), norms.get(name)
        if norm and expected and abs(math.log(norm / expected)) > _NORM_TOLERANCE:
            raise ValueError(
                f"{folder} holds an adapter for another backbone: the weight of {name} has norm "
                f"{norm:.4g}, where the adapter was trained it had {expected:.4g}"
            )
    if not adapted:
        adapt(model_inside, config)
    for name, tensor in _tensors(model).items():
        tensor.copy_(state[name])
    return model


def _read_config(path: Path) -> tuple[AFLoRAConfig, dict[str, float], str]:
    try:
        about: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError(f"it holds a {type(about).__name__}")
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT}")
        norms = {str(name): float(norm) for name, norm in about["backbone_norms"].items()}
        for name, norm in norms.items():
            if not (math.isfinite(norm) and norm >= 0):
                raise ValueError(f"the norm of {name} is {norm!r}")
        return AFLoRAConfig.from_dict(about["config"]), norms, str(about["sha256"])
    except KeyError as error:
        raise ValueError(f"{path} is not an AFLoRA config: it has no {error}") from error
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not an AFLoRA config: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _planned(
    model: nn.Module, config: AFLoRAConfig
) -> tuple[dict[str, tuple[int, ...]], dict[str, nn.Linear]]:
    """Shapes of the parameters that the config would save, and the layers it would adapt."""
    placement = place(model, config)
    shapes: dict[str, tuple[int, ...]] = {}
    bases = {}
    for target, rank in placement.targets:
        base = model.get_submodule(target.name)
        assert is_linear(base)
        bases[target.name] = base
        into, out = features(base)
        for part, shape in {"A": (rank, into), "B": (out, rank), "d": (rank,), "b": (out,)}.items():
            shapes[f"{target.name}.{part}"] = shape
    for name, tensor in head_state(model, placement.head).items():
        shapes[name] = tuple(tensor.shape)
    return shapes, bases


def _check_fit(path: Path, state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    if missing := shapes.keys() - state.keys():
        raise ValueError(f"{path} does not fit this model: it has no {min(missing)!r}")
    if foreign := state.keys() - shapes.keys():
        raise ValueError(f"{path} does not fit this model, which has no {min(foreign)!r}")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(
                f"{path} does not fit this model: {name!r} has shape "
                f"{tuple(state[name].shape)}, the model wants {shape}"
            )
        if state[name].is_complex() or not bool(state[name].isfinite().all()):
            raise ValueError(f"{path} is damaged: {name!r} holds what is no number")


def _norm(base: nn.Linear) -> float | None:
    """Frobenius norm of a layer's weight; None where it has no numbers or is quantised."""
    weight = base.weight
    if weight.is_meta or not weight.is_floating_point():
        return None
    precise = torch.promote_types(weight.dtype, torch.float32)
    return float(torch.linalg.vector_norm(weight.detach(), dtype=precise))
