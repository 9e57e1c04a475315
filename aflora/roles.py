"""Which modules of a model play which role in its transformer blocks, and which are its head."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from aflora.architectures import ARCHITECTURES
from aflora.config import Role, one_of

#: What turns a backbone into a classifier. The pooler belongs to it: some checkpoints come
#: without one, and then it starts at random.
HEAD_NAMES = (
    "classifier",
    "score",
    "pooler",
    "pre_classifier",
    "classification_head",
    "qa_outputs",
)


@dataclass(frozen=True)
class Target:
    """One module to adapt.

    Attributes:
        name: path of the module in the model.
        roles: what it does in its block; several for a fused module.
        layer: index of the block, counted from 0.
    """

    name: str
    roles: tuple[Role, ...]
    layer: int

    @property
    def role(self) -> str:
        """One word for it: the role, or ``qkv`` for query, key and value in one."""
        return "qkv" if set(self.roles) == {"query", "key", "value"} else "+".join(self.roles)


def find_targets(
    model: nn.Module,
    roles: Sequence[Role],
    patterns: Mapping[Role, str] | None = None,
    layers: Sequence[int] | None = None,
) -> list[Target]:
    """The modules of ``model`` that play these roles, in the model's own order.

    Roles go by the names of modules, never by shapes: under grouped-query attention key and value
    are narrower than query, and all three are attention nonetheless.

    Args:
        model: whose ``config.model_type`` names the architecture.
        roles: what to look for.
        patterns: role → regular expression for the end of a path, in place of what is known of
            the architecture. A first group that is a number is the index of the block; else the
            first number in the path is.
        layers: indices of blocks; None for all.

    Raises:
        ValueError: the architecture is not known and a role has no pattern, a role has no module,
            only a part of a fused module is asked for, or a layer does not exist.
    """
    expressions = _expressions(model, roles, patterns or {})
    fused: dict[str, list[Role]] = {}
    for role, expression in expressions.items():
        fused.setdefault(expression, []).append(role)
    compiled = [
        (re.compile(rf"(?:^|.*\.)(?:{expression})$"), tuple(group))
        for expression, group in fused.items()
    ]
    targets: list[Target] = []
    for name, _ in model.named_modules():
        matches = [(match, group) for p, group in compiled if (match := p.match(name))]
        if len(matches) > 1:
            groups = " and ".join(repr(role) for _, group in matches for role in group)
            raise ValueError(f"the patterns of {groups} both match {name!r}")
        if matches:
            match, group = matches[0]
            targets.append(Target(name, group, _block(match)))
    found = {role for target in targets for role in target.roles}
    if missing := [role for role in roles if role not in found]:
        how = (
            f"; its pattern is {patterns[missing[0]]!r}"
            if patterns and missing[0] in patterns
            else ""
        )
        raise ValueError(f"no module of {type(model).__name__} plays the role {missing[0]!r}{how}")
    if layers is None:
        return targets
    blocks = sorted({target.layer for target in targets})
    if unknown := sorted(set(layers) - set(blocks)):
        raise ValueError(
            f"layers names {unknown[0]}, but the blocks of {type(model).__name__} are "
            f"{blocks[0]} to {blocks[-1]}"
        )
    return [target for target in targets if target.layer in layers]


def head_modules(model: nn.Module, names: Sequence[str] | None = None) -> list[str]:
    """Paths of the modules that train in full, none inside another, in the model's own order.

    Args:
        model: in which to look.
        names: last parts of the paths; None for every known name of a classification head or
            pooler.

    Raises:
        ValueError: one of ``names`` is no module.
    """
    wanted: Sequence[str]
    if names is None:
        architecture = ARCHITECTURES.get(_model_type(model) or "")
        wanted = (*HEAD_NAMES, *(architecture.head if architecture else ()))
    else:
        wanted = names
    paths: list[str] = []
    seen: set[str] = set()
    for path, _ in model.named_modules():
        for name in wanted:
            if path == name or path.endswith(f".{name}"):
                seen.add(name)
                if not any(path.startswith(f"{outer}.") for outer in paths):
                    paths.append(path)
    if names is not None and (missing := [name for name in names if name not in seen]):
        raise ValueError(f"head names {missing[0]!r}, which {type(model).__name__} does not have")
    return paths


def _model_type(model: nn.Module) -> str | None:
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    return model_type if isinstance(model_type, str) else None


def _expressions(
    model: nn.Module, roles: Sequence[Role], patterns: Mapping[Role, str]
) -> dict[Role, str]:
    """Role → expression for the end of the paths of its modules."""
    model_type = _model_type(model)
    architecture = ARCHITECTURES.get(model_type or "")
    unknown = [role for role in roles if role not in patterns]
    if architecture is None and unknown:
        raise ValueError(
            f"the architecture {model_type!r} of {type(model).__name__} is not known, so no "
            f"modules are found for the roles {', '.join(unknown)}. Say where they are with "
            f"patterns={{{unknown[0]!r}: 'attn.q_proj', …}}: the end of the modules' paths, or a "
            f"regular expression for it. Known are {', '.join(ARCHITECTURES)}"
        )
    expressions = {}
    for role in roles:
        if role in patterns:
            expressions[role] = patterns[role]
            continue
        assert architecture is not None
        one_of(f"a role of {model_type}", role, architecture.roles)
        expressions[role] = architecture.pattern(role)
        together = [r for r, path in architecture.roles.items() if path == architecture.roles[role]]
        if apart := [r for r in together if r not in roles or r in patterns]:
            raise ValueError(
                f"{', '.join(together)} are one module in {model_type}: modules names {role!r} "
                f"and must name {apart[0]!r} too"
            )
    return expressions


def _block(match: re.Match[str]) -> int:
    """Index of the block that a matching path lies in; 0 where no part of it is a number."""
    if match.groups() and (match.group(1) or "").isdigit():
        return int(match.group(1))
    numbers = [part for part in match.string.split(".") if part.isdigit()]
    return int(numbers[0]) if numbers else 0
