"""Which module of an architecture plays which role in a transformer block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from aflora.config import one_of

_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
}
_DEBERTA_V2 = _BERT | {
    "query": "attention.self.query_proj",
    "key": "attention.self.key_proj",
    "value": "attention.self.value_proj",
}

# Model type (``config.model_type``) → role → path of the module inside one block ``layer.N``.
ARCHITECTURES: Mapping[str, Mapping[str, str]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "deberta-v2": _DEBERTA_V2,
}


@dataclass(frozen=True)
class Target:
    """One module to adapt.

    Attributes:
        name: path of the module in the model.
        role: what it does in its block.
        layer: index of the block, counted from 0.
    """

    name: str
    role: str
    layer: int


def find_targets(model: nn.Module, roles: Sequence[str]) -> list[Target]:
    """The modules of ``model`` that play these roles, in the model's own order.

    Raises:
        ValueError: the architecture is not known, or a role has no module in it.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise ValueError(
            f"the architecture {model_type!r} of {type(model).__name__} is not known; "
            f"known are {', '.join(ARCHITECTURES)}"
        )
    paths = ARCHITECTURES[model_type]
    for role in roles:
        one_of(f"a role of {model_type}", role, paths)
    patterns = {
        role: re.compile(rf"(?:^|\.)layer\.(\d+)\.{re.escape(paths[role])}$") for role in roles
    }
    targets = [
        Target(name, role, int(match.group(1)))
        for name, _ in model.named_modules()
        for role, pattern in patterns.items()
        if (match := pattern.search(name))
    ]
    missing = [role for role in roles if role not in {target.role for target in targets}]
    if missing:
        raise ValueError(f"no module of {type(model).__name__} plays the role {missing[0]!r}")
    return targets
