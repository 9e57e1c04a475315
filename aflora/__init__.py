"""AFLoRA: low-rank adaptation whose matrices freeze while training (arXiv 2403.13269)."""

from aflora.adapter import (
    ParameterCounts,
    adapt,
    adapted_layers,
    adapter_parameters,
    count_parameters,
    head_parameters,
    merge,
    projections,
)
from aflora.checkpoint import load, save
from aflora.config import ROLES, AFLoRAConfig, FreezeConfig
from aflora.freezer import Freezer, TimelineEntry
from aflora.layer import AFLoRALinear
from aflora.schedule import Schedule

__all__ = [
    "ROLES",
    "AFLoRAConfig",
    "AFLoRALinear",
    "FreezeConfig",
    "Freezer",
    "ParameterCounts",
    "Schedule",
    "TimelineEntry",
    "adapt",
    "adapted_layers",
    "adapter_parameters",
    "count_parameters",
    "head_parameters",
    "load",
    "merge",
    "projections",
    "save",
]
