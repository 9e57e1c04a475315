"""AFLoRA: low-rank adaptation whose matrices freeze while training (arXiv 2403.13269)."""

from aflora.adapter import (
    adapt,
    adapted_layers,
    adapter_parameters,
    head_parameters,
    merge,
    projections,
)
from aflora.checkpoint import load, save
from aflora.config import ROLES, AFLoRAConfig, Epochs, FreezeConfig
from aflora.counts import (
    ParameterCounts,
    average_parameters,
    count_parameters,
    expected_parameters,
)
from aflora.export import export_lora
from aflora.freezer import Freezer, TimelineEntry
from aflora.layer import AFLoRALinear
from aflora.schedule import Schedule

__all__ = [
    "ROLES",
    "AFLoRAConfig",
    "AFLoRALinear",
    "Epochs",
    "FreezeConfig",
    "Freezer",
    "ParameterCounts",
    "Schedule",
    "TimelineEntry",
    "adapt",
    "adapted_layers",
    "adapter_parameters",
    "average_parameters",
    "count_parameters",
    "expected_parameters",
    "export_lora",
    "head_parameters",
    "load",
    "merge",
    "projections",
    "save",
]
