"""Every setting of AFLoRA, checked when it is made."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Rule = Literal["paper", "official"]
Score = Literal["gradient", "weight_gradient", "gradient_over_weight", "magnitude"]
Fraction = Literal["remaining", "frozen"]
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


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass(frozen=True)
class Epochs:
    """A place in the training, in epochs from its beginning.

    Attributes:
        epochs: at least 0; parts of an epoch are allowed.
    """

    epochs: float

    def __post_init__(self) -> None:
        if not (_is_number(self.epochs) and self.epochs >= 0):
            raise ValueError(f"epochs must be a number of at least 0, got {self.epochs!r}")

    def __str__(self) -> str:
        return f"{self.epochs:g} epoch{'' if self.epochs == 1 else 's'}"


@dataclass(frozen=True)
class FreezeConfig:
    """How projection matrices are scored and when they freeze.

    The defaults are the paper's. The variant that its authors used on GSM8K is
    ``FreezeConfig(rule="official", start=0.3, end=0.7, exponent=2, exponent_of="frozen")`` with
    ``AFLoRAConfig(trainable_projections="all", scale=2.0)``.

    Attributes:
        rule: ``paper`` freezes a count of matrices given by the schedule; ``official`` is what the
            authors' code does, a threshold on single elements (see :mod:`aflora.selection`).
        score: what is smoothed into the score, g being the gradient and w the weight:
            ``gradient`` abs(g), ``weight_gradient`` abs(w·g), ``gradient_over_weight`` abs(g/w); or
            ``magnitude``, abs(w) itself, not smoothed (see :mod:`aflora.score`).
        beta1: smoothing of the sensitivity, in [0, 1). With 0 it equals the importance of the step,
            the uncertainty is 0 and with it every score: matrices then freeze in module order under
            ``paper`` and not at all under ``official``.
        beta2: smoothing of the uncertainty, in [0, 1).
        start: up to where nothing freezes (t_i): a fraction of all optimizer steps, or
            :class:`Epochs`.
        end: from where on everything is frozen (T - t_f): a fraction of all optimizer steps, or
            :class:`Epochs`.
        interval: optimizer steps between two looks (ΔT).
        window: optimizer steps whose importance is averaged before the smoothing takes it in; 0
            smooths every step as it is. None stands for what the rule does: 0 for ``paper``, the
            interval for ``official``.
        exponent: e of the schedule, 3 for the cubic one.
        exponent_of: the fraction that is a power of the schedule's progress m, from 0 to 1:
            ``remaining`` (1 - m)^e starts fast, ``frozen`` m^e starts slowly.
    """

    rule: Rule = "paper"
    score: Score = "gradient"
    beta1: float = 0.85
    beta2: float = 0.95
    start: float | Epochs = 0.05
    end: float | Epochs = 0.3
    interval: int = 10
    window: int | None = None
    exponent: float = 3.0
    exponent_of: Fraction = "remaining"

    def __post_init__(self) -> None:
        one_of("freeze.rule", self.rule, get_args(Rule))
        one_of("freeze.score", self.score, get_args(Score))
        one_of("freeze.exponent_of", self.exponent_of, get_args(Fraction))
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not (_is_number(value) and 0.0 <= value < 1.0):
                raise ValueError(f"freeze.{name} must lie in [0, 1), got {value!r}")
        for name in ("start", "end"):
            value = getattr(self, name)
            if not isinstance(value, Epochs) and not (_is_number(value) and 0.0 <= value <= 1.0):
                raise ValueError(
                    f"freeze.{name} must be a fraction of all steps in [0, 1] or Epochs, "
                    f"got {value!r}"
                )
        start, end = (
            value.epochs if isinstance(value, Epochs) else value for value in (self.start, self.end)
        )
        # A fraction and a number of epochs can be compared only once the steps are known.
        if isinstance(self.start, Epochs) == isinstance(self.end, Epochs) and start >= end:
            raise ValueError(
                f"freeze.start must be smaller than freeze.end, got {self.start} and {self.end}"
            )
        if not _is_whole(self.interval, 1):
            raise ValueError(
                f"freeze.interval must be a whole number of at least 1 step, got {self.interval!r}"
            )
        if self.window is not None and not _is_whole(self.window, 0):
            raise ValueError(
                f"freeze.window must be a whole number of steps, 0 or None, got {self.window!r}"
            )
        if not (_is_number(self.exponent) and self.exponent > 0):
            raise ValueError(f"freeze.exponent must be larger than 0, got {self.exponent!r}")

    @property
    def window_steps(self) -> int:
        """Optimizer steps of a window, 0 where there is none."""
        if self.window is not None:
            return self.window
        return self.interval if self.rule == "official" else 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FreezeConfig:
        """The config from plain values; epochs are written as ``{"epochs": 1}``.

        Raises:
            ValueError: a key is unknown or a value is out of range.
        """
        _known_keys("AFLoRAConfig.freeze", values, cls)
        plain = dict(values)
        for name in ("start", "end"):
            if isinstance(value := plain.get(name), Mapping):
                _known_keys(f"AFLoRAConfig.freeze.{name}", value, Epochs)
                plain[name] = Epochs(**value)
        return cls(**plain)


@dataclass(frozen=True)
class AFLoRAConfig:
    """What is adapted, with which rank, and what of it trains at first.

    Attributes:
        rank: r, the inner width of the two projection matrices; at least 1 and, where they train,
            at most the smaller side of the layer (checked when a layer is made).
        modules: roles that are adapted, see :mod:`aflora.roles`.
        trainable_projections: whose A and B train until they freeze: ``ffn`` (the paper), ``all``
            or ``none`` (frozen from the start, as in ELoRA). d and b always train.
        freeze: score, schedule and rule.
        ranks: role → rank, where it differs from ``rank``.
        layers: indices of the transformer blocks that are adapted, counted from 0; None for all.
            In a model with encoder and decoder they count in both.
        scale: factor of the update, 1 in the paper; the authors' code for GSM8K has α/r = 2.
        patterns: role → end of the paths of its modules (``attn.q_proj``), for an architecture
            that is not known, or in place of what is known. A pattern is a regular expression;
            its first group, if it has one, is the index of the block.
        head: names of modules that train in full and are saved with the adapter; None for the
            classification head and the pooler, as far as the model has them.
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
    ranks: Mapping[Role, int] = field(default_factory=dict, hash=False)
    layers: tuple[int, ...] | None = None
    scale: float = 1.0
    patterns: Mapping[Role, str] = field(default_factory=dict, hash=False)
    head: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.rank, 1):
            raise ValueError(f"rank must be a whole number of at least 1, got {self.rank!r}")
        if (
            not isinstance(self.modules, Collection)
            or isinstance(self.modules, str)
            or not self.modules
        ):
            raise ValueError(f"modules must be a list of at least one role, got {self.modules!r}")
        object.__setattr__(self, "modules", tuple(self.modules))
        for role in self.modules:
            one_of("modules", role, ROLES)
        if len(set(self.modules)) != len(self.modules):
            raise ValueError(f"modules names a role twice: {', '.join(self.modules)}")
        one_of("trainable_projections", self.trainable_projections, get_args(TrainableProjections))
        if not isinstance(self.freeze, FreezeConfig):
            raise ValueError(f"freeze must be a FreezeConfig, got {self.freeze!r}")
        for name in ("ranks", "patterns"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{name} must map roles, got {getattr(self, name)!r}")
            object.__setattr__(self, name, dict(getattr(self, name)))
            for role in getattr(self, name):
                one_of(f"a role in {name}", role, self.modules)
        for role, rank in self.ranks.items():
            if not _is_whole(rank, 1):
                raise ValueError(
                    f"ranks[{role!r}] must be a whole number of at least 1, got {rank!r}"
                )
        for role, pattern in self.patterns.items():
            try:
                re.compile(f"{pattern:s}")
            except (re.error, TypeError, ValueError) as error:
                raise ValueError(
                    f"patterns[{role!r}] is no regular expression: {pattern!r} ({error})"
                ) from error
        if not (_is_number(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be larger than 0, got {self.scale!r}")
        if self.layers is not None:
            if not isinstance(self.layers, Collection) or not self.layers:
                raise ValueError(f"layers must be a list of indices or None, got {self.layers!r}")
            for layer in self.layers:
                if not _is_whole(layer, 0):
                    raise ValueError(f"layers must hold indices from 0 up, got {layer!r}")
            object.__setattr__(self, "layers", tuple(sorted(set(self.layers))))
        if self.head is not None:
            if (
                not isinstance(self.head, Collection)
                or isinstance(self.head, str)
                or not all(isinstance(name, str) and name for name in self.head)
            ):
                raise ValueError(f"head must be a list of module names, got {self.head!r}")
            object.__setattr__(self, "head", tuple(self.head))

    def rank_of(self, role: Role) -> int:
        """The rank of modules with this role."""
        return self.ranks.get(role, self.rank)

    def trains_projections_of(self, role: str) -> bool:
        """Whether A and B of modules with this role train at first."""
        if self.trainable_projections == "ffn":
            return FFN_ROLES.issuperset(role.split("+"))  # a fused module plays several
        return self.trainable_projections == "all"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; :meth:`from_dict` reads them back."""
        values = dataclasses.asdict(self)
        for name in ("modules", "layers", "head"):
            if values[name] is not None:
                values[name] = list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AFLoRAConfig:
        """The config from plain values.

        Raises:
            ValueError: a key is unknown or a value is out of range.
        """
        _known_keys("AFLoRAConfig", values, cls)
        plain = dict(values)
        freeze = plain.pop("freeze", {})
        if not isinstance(freeze, Mapping):
            raise ValueError(f"freeze must map settings to values, got {freeze!r}")
        return cls(**plain, freeze=FreezeConfig.from_dict(freeze))


def _known_keys(name: str, given: Iterable[str], known: type[Any]) -> None:
    for key in given:
        one_of(f"a key of {name}", key, [f.name for f in dataclasses.fields(known)])
