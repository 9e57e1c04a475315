"""Ways of adapting a model: AFLoRA and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from search.spec.settings import TrialSettings
from search.trial.methods.adalora import AdaLoRAMethod
from search.trial.methods.aflora import AFLoRAMethod, ELoRAMethod
from search.trial.methods.base import Method, head_parameters, trainable
from search.trial.methods.by_peft import LoRAMethod, OtherMethod, VeRAMethod
from search.trial.methods.sora import SoRAMethod
from search.trial.methods.whole import FullMethod, HeadMethod

# Of which length a trial is taken to be where only the model's shapes matter.
NOMINAL_STEPS = 1000

_METHODS: Mapping[str, type[Method]] = {
    "aflora": AFLoRAMethod,
    "lora": LoRAMethod,
    "adalora": AdaLoRAMethod,
    "vera": VeRAMethod,
    "elora": ELoRAMethod,
    "sora": SoRAMethod,
    "full": FullMethod,
    "head": HeadMethod,
    "peft": OtherMethod,
}


def method_for(settings: TrialSettings) -> Method:
    """The method that a configuration names."""
    make: Any = _METHODS[settings.method_name]
    method: Method = make(settings.method_settings)
    return method


def counted_settings(method: str) -> frozenset[str] | None:
    """Settings of a method that change its number of parameters; None where any may."""
    return _METHODS[method].counted


def counts_at_start(settings: TrialSettings, model: nn.Module) -> tuple[int, int]:
    """Trainable adapter parameters at the first step, and the floor that freezing leads to.

    ``model`` may lie on the meta device; it is adapted in place.

    Raises:
        ValueError: the settings do not fit the model.
    """
    method = method_for(settings)
    adapted = method.apply(model, NOMINAL_STEPS)
    return trainable(method.adapter_parameters(adapted)), method.floor(adapted)


__all__ = [
    "Method",
    "counted_settings",
    "counts_at_start",
    "head_parameters",
    "method_for",
    "trainable",
]
