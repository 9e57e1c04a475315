"""Every setting of AFLoRA, checked when it is made."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Rule = Literal["paper", "official"]
Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_gate", "ffn_out"]
TrainableProjections = Literal["ffn", "all", "none"]

ROLES: tuple[Role, ...] = get_args(Role)
FFN_ROLES: frozenset[str] = frozenset({"ffn_in", "ffn_gate", "ffn_out"})


def one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ValueError, with the nearest allowed word, unless ``value`` is one of ``allowed``."""
    allowed = tuple(allowed)
    if value in allowed:
        return
    near = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}{hint}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class FreezeConfig:
    """How projection matrices are scored and when they freeze.

    Attributes:
        rule: ``paper`` freezes a count of matrices given by the schedule; ``official`` is what the
            authors' code does, a threshold on single elements (see :mod:`aflora.selection`).
        beta1: smoothing of the sensitivity, in [0, 1).
        beta2: smoothing of the uncertainty, in [0, 1).
        start: fraction of all optimizer steps up to which nothing freezes (t_i / T).
        end: fraction of all optimizer steps from which on everything is frozen (1 - t_f / T).
        interval: optimizer steps between two looks (ΔT).
        exponent: of the remaining fraction, 3 for the cubic schedule.
    """

    rule: Rule = "paper"
    beta1: float = 0.85
    beta2: float = 0.95
    start: float = 0.05
    end: float = 0.3
    interval: int = 10
    exponent: float = 3.0

    def __post_init__(self) -> None:
        one_of("freeze.rule", self.rule, get_args(Rule))
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not (_is_number(value) and 0.0 <= value < 1.0):
                raise ValueError(f"freeze.{name} must lie in [0, 1), got {value!r}")
        for name in ("start", "end"):
            value = getattr(self, name)
            if not (_is_number(value) and 0.0 <= value <= 1.0):
                raise ValueError(
                    f"freeze.{name} must be a fraction of all steps in [0, 1], got {value!r}"
                )
        if self.start >= self.end:
            raise ValueError(
                f"freeze.start must be smaller than freeze.end, got {self.start!r} and {self.end!r}"
            )
        if not isinstance(self.interval, int) or isinstance(self.interval, bool):
            raise ValueError(f"freeze.interval must be a whole number, got {self.interval!r}")
        if self.interval < 1:
            raise ValueError(f"freeze.interval must be at least 1 step, got {self.interval!r}")
        if not (_is_number(self.exponent) and self.exponent > 0):
            raise ValueError(f"freeze.exponent must be larger than 0, got {self.exponent!r}")


@dataclass(frozen=True)
class AFLoRAConfig:
    """What is adapted, with which rank, and what of it trains at first.

    Attributes:
        rank: r, the inner width of the two projection matrices; at least 1 and, checked when a
            layer is made, at most the smaller side of the layer.
        modules: roles that are adapted, see :mod:`aflora.roles`.
        trainable_projections: whose A and B train until they freeze: ``ffn`` (the paper), ``all``
            or ``none`` (frozen from the start, as in ELoRA). d and b always train.
        freeze: score, schedule and rule.
    """

    rank: int = 4
    modules: tuple[Role, ...] = (
        "query",
        "key",
        "value",
        "attention_output",
        "ffn_in",
        "ffn_out",
    )
    trainable_projections: TrainableProjections = "ffn"
    freeze: FreezeConfig = field(default_factory=FreezeConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise ValueError(f"rank must be a whole number of at least 1, got {self.rank!r}")
        if isinstance(self.modules, str) or not self.modules:
            raise ValueError(f"modules must be a list of at least one role, got {self.modules!r}")
        object.__setattr__(self, "modules", tuple(self.modules))
        for role in self.modules:
            one_of("modules", role, ROLES)
        if len(set(self.modules)) != len(self.modules):
            raise ValueError(f"modules names a role twice: {', '.join(self.modules)}")
        one_of("trainable_projections", self.trainable_projections, get_args(TrainableProjections))

    def trains_projections_of(self, role: str) -> bool:
        """Whether A and B of modules with this role train at first."""
        if self.trainable_projections == "ffn":
            return role in FFN_ROLES
        return self.trainable_projections == "all"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; :meth:`from_dict` reads them back."""
        values = dataclasses.asdict(self)
        values["modules"] = list(self.modules)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AFLoRAConfig:
        """The config from plain values.

        Raises:
            ValueError: a key is unknown or a value is out of range.
        """
        plain = dict(values)
        freeze = dict(plain.pop("freeze", {}))
        for name, given, known in (
            ("AFLoRAConfig", plain, cls),
            ("AFLoRAConfig.freeze", freeze, FreezeConfig),
        ):
            for key in given:
                one_of(f"a key of {name}", key, [f.name for f in dataclasses.fields(known)])
        if "modules" in plain and not isinstance(plain["modules"], str):
            plain["modules"] = tuple(plain["modules"])
        return cls(**plain, freeze=FreezeConfig(**freeze))
