"""Save and load an adapter: a JSON file for the config, safetensors for the weights."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aflora.adapter import adapt, adapter_config, adapter_parameters, head_parameters
from aflora.config import AFLoRAConfig

CONFIG_FILE = "aflora.json"
WEIGHTS_FILE = "aflora.safetensors"
FORMAT = 1


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Adapter and head by parameter path, detached."""
    parameters = adapter_parameters(model) | head_parameters(model)
    return {name: parameter.detach() for name, parameter in parameters.items()}


def save(model: nn.Module, folder: str | Path) -> None:
    """Write the adapter and the head of an adapted model, never the backbone.

    Raises:
        ValueError: the model is not adapted.
    """
    config = adapter_config(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in adapter_state(model).items()}
    save_file(state, folder / WEIGHTS_FILE)
    about = {"format": FORMAT, "config": config.to_dict()}
    (folder / CONFIG_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load(model: nn.Module, folder: str | Path) -> nn.Module:
    """Put a saved adapter and its head on a model, in place.

    A model that is not adapted yet is adapted with the saved config; one that is must have the
    same config.

    Raises:
        FileNotFoundError: the folder holds no adapter.
        ValueError: a file is damaged, or the adapter was made for another model.
    """
    folder = Path(folder)
    about_path, weights_path = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        about = json.loads(about_path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT}")
        config = AFLoRAConfig.from_dict(about["config"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{about_path} is not an AFLoRA config: {error}") from error
    try:
        state = load_file(weights_path)
    except SafetensorError as error:
        raise ValueError(f"{weights_path} is damaged: {error}") from error

    if not hasattr(model, "aflora_config"):
        adapt(model, config)
    elif adapter_config(model) != config:
        raise ValueError(f"{folder} holds an adapter with other settings than the model's")
    parameters = adapter_parameters(model) | head_parameters(model)
    if wrong := parameters.keys() ^ state.keys():
        raise ValueError(f"{weights_path} does not fit this model: {min(wrong)!r}")
    for name, parameter in parameters.items():
        if parameter.shape != state[name].shape:
            raise ValueError(
                f"{weights_path} does not fit this model: {name!r} has shape "
                f"{tuple(state[name].shape)}, the model wants {tuple(parameter.shape)}"
            )
    for name, parameter in parameters.items():
        parameter.data.copy_(state[name])
    return model
