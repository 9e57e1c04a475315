"""The space file, key by key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from search.spec.errors import did_you_mean
from search.spec.objectives import OBJECTIVES, Direction
from search.spec.tasks import TASKS

Count = Annotated[int, Field(ge=1, strict=True)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generated(_Section):
    """How many sentences this project makes for a task of its own."""

    train: Count = 3000
    validation: Count = 500


class Data(_Section):
    """Where the data is: a hub data set, a local copy laid out as TASK/SPLIT.parquet, or made here.

    ``train_rows`` takes a seeded subset of the training rows.
    """

    path: str | None = None
    dir: str | None = None
    generated: Generated | None = None
    train_rows: Count | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        given = [name for name in DATA_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"one of {', '.join(DATA_SOURCES)} is needed, got {found}")
        return self


DATA_SOURCES = ("path", "dir", "generated")


class Holdout(_Section):
    """A seeded, stratified part of train on which configurations are compared."""

    holdout: Annotated[float, Field(gt=0, lt=1)]


class Train(_Section):
    """How a trial trains. Of ``epochs`` and ``steps`` one is given; steps are optimizer steps."""

    epochs: PositiveNumber | None = None
    steps: Count | None = None
    batch_size: Count = 32
    accumulation: Count = 1
    eval_batch_size: Count = 128
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


class Sampler(_Section):
    """Who proposes: multi-objective TPE, after ``startup`` random configurations."""

    name: Literal["tpe", "random"] = "tpe"
    startup: Count = 10


class Pruner(_Section):
    """Who stops trials early, at which rungs.

    Rungs lie at equal parts of the training. At a rung a trial is compared with those that were
    measured there before; it stops when it is dominated and not among the best ``keep`` of them,
    once ``wait`` of them are there. Nothing is judged before the part ``start`` of its training:
    scores that are still at chance say nothing.
    """

    name: Literal["pareto", "none"] = "pareto"
    rungs: Annotated[int, Field(ge=1, le=100, strict=True)] = 5
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5
    wait: Annotated[int, Field(ge=2, strict=True)] = 4
    start: Annotated[float, Field(ge=0, lt=1)] = 0.2


class Budget(_Section):
    """When the search ends; hours add up over resumes."""

    trials: Count = 64
    hours: PositiveNumber | None = None


class Resources(_Section):
    """What one trial takes of a machine."""

    cpu: PositiveNumber = 1
    gpu: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0


class Tracking(_Section):
    """Where MLflow records; by default an SQLite file in the run directory."""

    uri: str | None = None
    experiment: str | None = None


class Space(_Section):
    """A whole space file, except for ``search`` and ``enqueue``, which :mod:`tree` reads."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    model: Annotated[str, Field(min_length=1)]
    tasks: Annotated[list[str], Field(min_length=1)]
    data: Data
    selection: Literal["validation"] | Holdout = Holdout(holdout=0.1)
    train: Train
    search: dict[str, Any]
    enqueue: list[dict[str, Any]] = []
    objectives: dict[str, Direction] = {
        "score": "max",
        "trainable_params": "min",
        "train_seconds": "min",
    }
    reference: dict[str, float] | None = None
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    budget: Budget = Budget()
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: list[str]) -> list[str]:
        for task in tasks:
            if task not in TASKS:
                raise ValueError(f"unknown task {task!r}; {did_you_mean(task, TASKS)}")
        if len(tasks) > 1:
            raise ValueError(f"one task a run is searched, got {', '.join(tasks)}")
        return tasks

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

    @model_validator(mode="after")
    def _fits_together(self) -> Space:
        if self.reference is not None and self.reference.keys() != self.objectives.keys():
            raise ValueError(
                "reference must name the objectives "
                f"{', '.join(self.objectives)}, got {', '.join(self.reference)}"
            )
        generated = [task for task in self.tasks if TASKS[task].generated]
        if generated and self.data.generated is None:
            raise ValueError(f"task {generated[0]} is made here: data must be {{generated: {{}}}}")
        if self.data.generated is not None and not generated:
            raise ValueError(
                f"task {self.tasks[0]} is not made here: data takes path or dir, not generated"
            )
        return self
