"""The settings of one trial: the shape that every point of a space must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_gate", "ffn_out"]
ROLES: tuple[Role, ...] = get_args(Role)

Rank = Annotated[int, Field(ge=1, le=4096, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Smoothing = Annotated[float, Field(ge=0, lt=1, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodSettings(_Settings):
    """What every method has: a short name of its settings."""

    def short(self) -> str:
        """What tells two configurations of the method apart at a glance."""
        return ""


class _Trained(MethodSettings):
    """A learning rate given here wins over the one all methods share."""

    learning_rate: Positive | None = None


class _Adapter(_Trained):
    """What every adapter has: the roles of the modules that it adapts."""

    modules: tuple[Role, ...] = (
        "query",
        "key",
        "value",
        "attention_output",
        "ffn_in",
        "ffn_out",
    )

    @field_validator("modules")
    @classmethod
    def _each_role_once(cls, modules: tuple[Role, ...]) -> tuple[Role, ...]:
        if not modules:
            raise ValueError(f"names no role; accepted: {', '.join(ROLES)}")
        if len(set(modules)) != len(modules):
            raise ValueError(f"names a role twice: {', '.join(modules)}")
        return modules


class EpochsSettings(_Settings):
    """A place in the training, in epochs from its beginning."""

    epochs: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


def _kind_of_place(value: Any) -> str:
    return "(epochs)" if isinstance(value, Mapping | EpochsSettings) else "(fraction)"


#: A place in the training: a fraction of all optimizer steps, or ``{epochs: …}``.
Place = Annotated[
    Annotated[Fraction, Tag("(fraction)")] | Annotated[EpochsSettings, Tag("(epochs)")],
    Discriminator(_kind_of_place),
]


class FreezeSettings(_Settings):
    """Score and schedule of AFLoRA, as :class:`aflora.FreezeConfig` has them."""

    rule: Literal["paper", "official"] = "paper"
    score: Literal["gradient", "weight_gradient", "gradient_over_weight", "magnitude"] = "gradient"
    beta1: Smoothing = 0.85
    beta2: Smoothing = 0.95
    start: Place = 0.05
    end: Place = 0.3
    interval: Annotated[int, Field(ge=1, strict=True)] = 10
    window: Annotated[int, Field(ge=0, strict=True)] | None = None
    exponent: Positive = 3.0
    exponent_of: Literal["remaining", "frozen"] = "remaining"

    @model_validator(mode="after")
    def _start_before_end(self) -> FreezeSettings:
        start, end = (
            place.epochs if isinstance(place, EpochsSettings) else place
            for place in (self.start, self.end)
        )
        # A fraction and a number of epochs can be compared only once the steps are known.
        if type(self.start) is type(self.end) and start >= end:
            raise ValueError(f"start must be smaller than end, got {start} and {end}")
        return self


class AFLoRASettings(_Adapter):
    """AFLoRA: what it adapts, and whose projection matrices train at first.

    As :class:`aflora.AFLoRAConfig` has them.
    """

    rank: Rank = 4
    ranks: dict[Role, Rank] = {}
    layers: tuple[Annotated[int, Field(ge=0, strict=True)], ...] | None = None
    trainable_projections: Literal["ffn", "all", "none"] = "ffn"
    scale: Positive = 1.0
    freeze: FreezeSettings = FreezeSettings()
    patterns: dict[Role, str] = {}
    head: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _only_adapted_roles(self) -> AFLoRASettings:
        for name in ("ranks", "patterns"):
            for role in getattr(self, name):
                if role not in self.modules:
                    raise ValueError(f"{name} names {role}, which modules does not")
        return self

    def short(self) -> str:
        return f"r{self.rank} {self.trainable_projections} {self.freeze.rule}"


class LoRASettings(_Adapter):
    """LoRA as PEFT trains it; the update is scaled by alpha / rank."""

    rank: Rank = 8
    alpha: Positive = 16.0

    def short(self) -> str:
        return f"r{self.rank}"


class AdaLoRASettings(_Adapter):
    """AdaLoRA as PEFT trains it: from ``rank`` down to the part ``kept`` of it on average.

    Ranks begin to go at the part ``start`` of the training and are settled at ``end``; they are
    allocated every ``interval`` steps, by importance smoothed with ``beta1`` and ``beta2``.
    ``orthogonality`` weighs the penalty that keeps singular vectors apart. Every value fits every
    other, so that no draw is in vain.
    """

    rank: Annotated[int, Field(ge=2, le=4096, strict=True)] = 12
    kept: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.67
    alpha: Positive = 16.0
    start: Annotated[float, Field(ge=0, lt=0.5, strict=True)] = 0.1
    end: Annotated[float, Field(ge=0.5, le=1, strict=True)] = 0.7
    interval: Annotated[int, Field(ge=1, strict=True)] = 1
    beta1: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.85
    beta2: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.85
    orthogonality: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 0.5

    @property
    def target_rank(self) -> int:
        """What is left of the rank, on average over modules; at least one goes, one stays."""
        return min(self.rank - 1, max(1, round(self.kept * self.rank)))

    def short(self) -> str:
        return f"r{self.rank}→{self.target_rank}"


class VeRASettings(_Adapter):
    """VeRA as PEFT trains it: vectors of each layer, d from ``d_initial``, around shared A, B."""

    rank: Rank = 256
    d_initial: Positive = 0.1

    def short(self) -> str:
        return f"r{self.rank}"


class ELoRASettings(_Adapter):
    """ELoRA as the AFLoRA paper ran it: AFLoRA's layer, no projection matrix of which trains."""

    rank: Rank = 1024

    def short(self) -> str:
        return f"r{self.rank}"


class SoRASettings(_Adapter):
    """SoRA: gates that are drawn towards zero by ``threshold`` after every step."""

    rank: Rank = 8
    alpha: Positive = 16.0
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 1e-3

    def short(self) -> str:
        return f"r{self.rank}"


class FullSettings(_Trained):
    """Full fine-tuning."""


class HeadSettings(MethodSettings):
    """The head alone; it has the head's learning rate."""


class PeftSettings(_Adapter):
    """Any other tuner of PEFT; further keys are arguments of its configuration."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Annotated[str, Field(min_length=1)]

    @property
    def options(self) -> dict[str, Any]:
        """The keys that PEFT's configuration is given."""
        return dict(self.model_extra or {})

    def short(self) -> str:
        return self.type.upper()


METHODS: Mapping[str, type[MethodSettings]] = {
    "aflora": AFLoRASettings,
    "lora": LoRASettings,
    "adalora": AdaLoRASettings,
    "vera": VeRASettings,
    "elora": ELoRASettings,
    "sora": SoRASettings,
    "full": FullSettings,
    "head": HeadSettings,
    "peft": PeftSettings,
}


def has_learning_rate(method: str) -> bool:
    """Whether a method trains anything but the head."""
    return "learning_rate" in METHODS[method].model_fields


class TrialSettings(_Settings):
    """A whole configuration: one method with its settings, and two learning rates."""

    method: dict[str, Any]
    learning_rate: Positive | None = None
    head_learning_rate: Positive

    @property
    def method_name(self) -> str:
        return next(iter(self.method))

    @property
    def method_settings(self) -> MethodSettings:
        return METHODS[self.method_name].model_validate(self.method[self.method_name])

    @property
    def adapter_learning_rate(self) -> float | None:
        """The method's own learning rate, or the one all methods share; None without either."""
        own: float | None = getattr(self.method_settings, "learning_rate", None)
        return own or self.learning_rate

    @property
    def label(self) -> str:
        """A short name, for example ``aflora r4 ffn paper``."""
        return f"{self.method_name} {self.method_settings.short()}".rstrip()
