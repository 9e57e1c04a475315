"""Write an AFLoRA adapter as a plain LoRA adapter that PEFT loads."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aflora.adapter import adapted_layers, adapter_config, head_state
from aflora.checkpoint import warn_of_others
from aflora.linear import is_conv1d
from aflora.roles import head_modules
from aflora.wrappers import unwrapped

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

# End of a model's class name → PEFT's task type, which decides the class that PEFT wraps it in.
_TASK_TYPES = {
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
}

# Modules that PEFT trains and saves by itself for a task type, by the end of their paths.
_ALWAYS_SAVED = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}


@torch.no_grad()
def export_lora(model: nn.Module, folder: str | Path) -> None:
    """Write the adapter and the head as a LoRA for ``PeftModel.from_pretrained(base, folder)``.

    AFLoRA's update is a LoRA's: lora_A = A, lora_B = s Λ_b B Λ_d (out × r) and lora_alpha = r, so
    that PEFT's own factor alpha / r is 1. The exported model computes the same; what is lost is
    which matrices were frozen. The model stays as it is. As :func:`aflora.save` does, it warns of
    what else trains.

    Raises:
        ValueError: the model is not adapted.
    """
    config = adapter_config(model)
    warn_of_others(model)
    model = unwrapped(model)
    layers = dict(adapted_layers(model))
    write_lora(
        model,
        {name: (layer.A, layer.effective_B()) for name, layer in layers.items()},
        head_modules(model, config.head),
        folder,
        fan_in_fan_out=all(is_conv1d(layer.base) for layer in layers.values()),
    )


@torch.no_grad()
def write_lora(
    model: nn.Module,
    updates: Mapping[str, tuple[Tensor, Tensor]],
    head: Sequence[str],
    folder: str | Path,
    *,
    fan_in_fan_out: bool = False,
) -> None:
    """Write low-rank updates B A of linear layers, and a head, as PEFT keeps a LoRA.

    Args:
        model: the layers' own, adapted or not.
        updates: path of a layer → A of shape (r, in) and B of shape (out, r).
        head: paths of the modules that are saved in full.
        folder: made where it is not there.
        fan_in_fan_out: whether the layers' weights are stored transposed.

    Raises:
        ValueError: there is no update.
    """
    if not updates:
        raise ValueError("there is no update to write")
    weights: dict[str, Tensor] = {}
    for name, (A, B) in updates.items():
        weights[f"base_model.model.{name}.lora_A.weight"] = A
        weights[f"base_model.model.{name}.lora_B.weight"] = B
    for name, tensor in head_state(model, _wrapped_by_peft(model, head)).items():
        weights[f"base_model.model.{name}"] = tensor
    rank_of = {name: len(A) for name, (A, _) in updates.items()}
    ranks = Counter(rank_of.values())
    rank = max(ranks, key=lambda r: (ranks[r], r))
    # PEFT matches these keys against paths in the base model, and alpha does not follow the rank.
    other = {f"^{re.escape(name)}": r for name, r in rank_of.items() if r != rank}
    about: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": _task_type(model, head),
        "base_model_name_or_path": getattr(model, "name_or_path", None) or None,
        "inference_mode": True,
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": other,
        "alpha_pattern": other,
        "lora_dropout": 0.0,
        "target_modules": list(updates),
        "modules_to_save": list(head) or None,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()},
        folder / WEIGHTS_FILE,
        metadata={"format": "pt"},
    )
    (folder / CONFIG_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _task_type(model: nn.Module, head: Sequence[str]) -> str | None:
    """PEFT's task type; None where it would make PEFT look for a module that was not trained."""
    name = type(model).__name__
    task = next((task for end, task in _TASK_TYPES.items() if name.endswith(end)), None)
    for path, _ in model.named_modules():
        if path.endswith(_ALWAYS_SAVED.get(task or "", ())) and not any(
            path == module or path.startswith(f"{module}.") for module in head
        ):
            return None
    return task


def _wrapped_by_peft(model: nn.Module, head: Sequence[str]) -> list[str]:
    """Modules that PEFT loads in full: it compares only the ends of paths."""
    found: list[str] = []
    for path, _ in model.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if head and path.endswith(tuple(head)) and not inside:
            found.append(path)
    return found
