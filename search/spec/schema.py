"""The space file, key by key."""

from __future__ import annotations

import math
from collections import Counter
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from search.spec.data import Data, Holdout
from search.spec.errors import did_you_mean
from search.spec.infrastructure import Resources, StudyStorage, Tracking, refuse_password
from search.spec.limits import parse_limits
from search.spec.objectives import OBJECTIVES, Direction
from search.spec.section import NAME, Count, PositiveNumber, Section
from search.spec.tasks import TASKS


class Train(Section):
    """How a trial trains. Of ``epochs`` and ``steps`` one is given; steps are optimizer steps.

    ``eval_batch_size`` is chosen by the machine where it is not given; no score depends on it.
    """

    epochs: PositiveNumber | None = None
    steps: Count | None = None
    batch_size: Count = 32
    accumulation: Count = 1
    eval_batch_size: Count | None = None
    max_length: Annotated[int, Field(ge=4, strict=True)] = 128
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.06
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    clip: PositiveNumber | None = 0.1
    precision: Literal["fp32", "bf16"] = "fp32"

    @model_validator(mode="after")
    def _one_length(self) -> Train:
        if (self.epochs is None) == (self.steps is None):
            found = "none" if self.epochs is None else "both"
            raise ValueError(f"one of epochs and steps is needed, got {found}")
        return self


class _WithOptions(BaseModel):
    """A section whose other keys are handed on as they are, to be checked by who takes them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are handed on."""
        return dict(self.model_extra or {})


class Sampler(_WithOptions):
    """Who proposes, after ``startup`` random configurations: a sampler of Optuna.

    ``name`` is tpe, nsga2, nsga3, gp, random, qmc, grid or ``module:Class``; other keys are
    arguments of that class.
    """

    name: str = "tpe"
    startup: Count = 3


class Pruner(_WithOptions):
    """Who stops trials early, at which rungs.

    Rungs lie at equal parts of the training, ``rungs`` of them. Nothing is judged before the part
    ``start`` of its training, where scores are still at chance, nor, with ``after_freezing``,
    before the trial's own freezing schedule has begun to act.

    ``pareto`` compares a trial with all that were measured at the same rung before it; the trial
    stops when it is dominated and not among the best ``keep`` of them, once ``wait`` of them are
    there. With ``promote`` it is paused instead and goes on later if it then belongs to them.
    Other names are pruners of Optuna, on the score alone; other keys are arguments of theirs.
    """

    name: str = "pareto"
    rungs: Annotated[int, Field(ge=1, le=100, strict=True)] = 5
    start: Annotated[float, Field(ge=0, lt=1)] = 0.1
    after_freezing: bool = True
    promote: bool = False

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_pareto(cls, given: Any) -> Any:
        """Written out, so that the resolved space says how it was pruned."""
        if isinstance(given, dict) and given.get("name", "pareto") == "pareto":
            return {"keep": 0.25, "wait": 3, **given}
        return given

    @model_validator(mode="after")
    def _promotes_by_rank(self) -> Pruner:
        if self.promote and self.name != "pareto":
            raise ValueError(f"promote is of pareto alone, not of {self.name}")
        return self


class Stagnation(Section):
    """End when the hypervolume has not grown by the part ``epsilon`` over ``trials`` trials."""

    trials: Count
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.001


TRIALS = 64


class Budget(Section):
    """When the search ends: the first of these. All of them add up over resumes.

    Attributes:
        trials: configurations, 64 where nothing is said.
        trials_per_method: so many configurations of every method, each searched on its own; in
            place of ``trials``.
        hours: wall-clock.
        trial_seconds: seconds of trials, added up over all of them.
        stagnation: when nothing better comes any more; trials that run go on to their end.
    """

    trials: Count | None = None
    trials_per_method: Count | None = None
    hours: PositiveNumber | None = None
    trial_seconds: PositiveNumber | None = None
    stagnation: Stagnation | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_count(cls, given: Any) -> Any:
        """Written out, so that the resolved space says how many there were."""
        counts = ("trials", "trials_per_method")
        if not isinstance(given, dict):
            return given
        named = [name for name in counts if given.get(name) is not None]
        if len(named) > 1:
            raise ValueError("trials and trials_per_method exclude one another; give one of them")
        return given if named or "trials" in given else {"trials": TRIALS, **given}

    def total(self, methods: int) -> int:
        """Configurations of a search among so many methods."""
        if self.trials_per_method is not None:
            return self.trials_per_method * methods
        return TRIALS if self.trials is None else self.trials


# Of fewer no interval can be told.
LEAST_SEEDS = 3


class Confirm(Section):
    """Train what was found again, once the search has ended, with seeds it has not seen.

    Attributes:
        seeds: how many, the search's own left out.
        top: ``front``: of every method what no other configuration of it dominates; or so many of
            every method, by their score.
    """

    seeds: Annotated[int, Field(ge=LEAST_SEEDS, strict=True)] = 5
    top: Literal["front"] | Count = "front"


class Failures(Section):
    """What happens when a trial fails.

    Attributes:
        retries: how often it is tried again from its last rung; the loss of a node does not count.
        hang_minutes: a trial that takes no step for so long is stopped and counts as failed.
        give_up: the search ends once so many trials have failed in the same way and none has got
            anywhere.
    """

    retries: Annotated[int, Field(ge=0, strict=True)] = 2
    hang_minutes: PositiveNumber = 30
    give_up: Count = 5


def _measurable(name: str, value: float) -> bool:
    """Whether a value lies on the scale on which its hypervolume is measured."""
    try:
        return math.isfinite(OBJECTIVES[name].minimised(value))
    except ValueError:  # a logarithm of nothing
        return False


def _objectives() -> dict[str, Direction]:
    return {"score": "max", "trainable_params": "min", "train_seconds": "min"}


class Space(Section):
    """A whole space file, except for ``search`` and ``enqueue``, which :mod:`tree` reads."""

    name: Annotated[str, Field(pattern=NAME, max_length=80)]
    model: Annotated[str, Field(min_length=1)]
    data: Data
    tasks: list[Annotated[str, Field(pattern=NAME, max_length=80)]] = Field(
        default_factory=list, validate_default=True
    )
    selection: Literal["validation"] | Holdout = Holdout(holdout=0.1)
    train: Train
    search: dict[str, Any]
    enqueue: list[dict[str, Any]] = Field(default_factory=list)
    objectives: dict[str, Direction] = Field(default_factory=_objectives)
    reference: dict[str, float] | None = None
    limits: dict[str, str] = Field(default_factory=dict)
    warm_start: str | None = None
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner.model_validate({})
    budget: Budget = Budget.model_validate({})
    failures: Failures = Failures()
    confirm: Confirm | None = None
    resources: Resources = Resources()
    study: StudyStorage = StudyStorage()
    storage: Annotated[str, Field(min_length=1)] | None = None
    tracking: Tracking = Tracking()
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0

    @field_validator("storage")
    @classmethod
    def _storage_without_password(cls, storage: str | None) -> str | None:
        if storage is not None:
            refuse_password(storage, "the credentials that its client finds by itself")
        return storage

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: list[str], info: ValidationInfo) -> list[str]:
        twice = sorted(task for task, count in Counter(tasks).items() if count > 1)
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once")
        data = info.data.get("data")
        if data is not None and data.text is not None:
            if len(tasks) > 1:
                raise ValueError(f"data of your own is one task, got {', '.join(tasks)}")
            return tasks
        if data is not None and not tasks:
            raise ValueError(f"is missing; {did_you_mean('', TASKS)}")
        for task in tasks:
            # Where data is wrong it is not known whether it was one's own: then only a slip counts.
            if task not in TASKS and (data is not None or get_close_matches(task, TASKS)):
                raise ValueError(
                    f"unknown task {task!r}; {did_you_mean(task, TASKS)}; a task of your own names "
                    "its columns with data.text and data.label"
                )
        return tasks

    @property
    def task_names(self) -> tuple[str, ...]:
        """What the tasks are called: data of one's own may go by the name of the space."""
        return tuple(self.tasks) or (self.name,)

    @property
    def task_name(self) -> str:
        """What the task of a space with one is called."""
        (name,) = self.task_names
        return name

    @field_validator("objectives", mode="before")
    @classmethod
    def _known_objectives(cls, objectives: Any) -> Any:
        if not isinstance(objectives, dict):
            raise ValueError(
                "an objective needs its direction, for example {score: max, "
                f"trainable_params: min}}; got {objectives!r}"
            )
        if not objectives:
            raise ValueError("at least one objective is needed")
        for name, direction in objectives.items():
            if name not in OBJECTIVES:
                raise ValueError(f"unknown objective {name!r}; {did_you_mean(name, OBJECTIVES)}")
            wanted = OBJECTIVES[name].direction
            if direction != wanted:
                raise ValueError(f"the direction of {name} must be {wanted}, got {direction!r}")
        return objectives

    @field_validator("limits")
    @classmethod
    def _bounds(cls, limits: dict[str, str]) -> dict[str, str]:
        parse_limits(limits)
        return limits

    @model_validator(mode="after")
    def _fits_together(self) -> Space:
        if self.reference is not None and self.reference.keys() != self.objectives.keys():
            raise ValueError(
                "reference must name the objectives "
                f"{', '.join(self.objectives)}, got {', '.join(self.reference)}"
            )
        for name, value in (self.reference or {}).items():
            if not _measurable(name, value):
                raise ValueError(f"reference: {name} can never be {value!r}")
        if self.data.text is not None:
            no_validation = self.data.files is not None and "validation" not in self.data.files
            if self.selection == "validation" and no_validation:
                raise ValueError("selection: validation needs data.files.validation")
            return self
        generated = [task for task in self.tasks if TASKS[task].generated]
        if generated and self.data.generated is None:
            raise ValueError(f"task {generated[0]} is made here: data must be {{generated: {{}}}}")
        others = [task for task in self.tasks if task not in generated]
        if self.data.generated is not None and others:
            raise ValueError(
                f"task {others[0]} is not made here: data takes path or dir, not generated"
            )
        return self
