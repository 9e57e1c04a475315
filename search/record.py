"""What a search knows of itself, as plain values.

The engine makes these from the Optuna study; tracking and results read nothing else, so neither
needs to know Optuna, Ray or torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

State = Literal["waiting", "running", "paused", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class FreezeEvent:
    """One projection matrix and when it stopped training.

    Attributes:
        layer: index of the transformer block, counted from 0.
        role: what the adapted module does there, for example ``ffn_in``, or
            ``decoder cross query`` in a model of two stacks.
        matrix: ``A`` (r × in) or ``B`` (out × r).
        step: optimizer step (0-based) at which it was frozen; None while it still trains.
    """

    layer: int
    role: str
    matrix: Literal["A", "B"]
    step: int | None


@dataclass(frozen=True)
class Rung:
    """An evaluation at a fixed fraction of a trial's training.

    Attributes:
        index: 1 for the first; the last one is the end of training.
        step: optimizer steps done.
        fraction: part of all optimizer steps done, in (0, 1].
        measures: what was measured so far, by name (``score``, ``trainable_params``, …).
        projected: the same measures carried forward to the full length, by name.
        at: when it was reported, in seconds since the epoch.
        checkpoint: folder of the checkpoint relative to the run directory.
        judged: whether a pruner may look at it: false while the trial's freezing schedule has not
            begun to act, where the search asked for that.
        host: name of the machine that measured it.
    """

    index: int
    step: int
    fraction: float
    measures: Mapping[str, float]
    projected: Mapping[str, float]
    at: float
    checkpoint: str | None = None
    judged: bool = True
    host: str = ""


@dataclass(frozen=True)
class RungReport:
    """What a worker tells the driver at a rung.

    Attributes:
        rung: the evaluation; ``at`` and ``checkpoint`` are the driver's to fill in.
        freezing: one event for each matrix that trained at the start, as of now.
        total_steps: optimizer steps of the full length.
    """

    rung: Rung
    freezing: tuple[FreezeEvent, ...]
    total_steps: int

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RungReport:
        return cls.from_plain(json.loads(text))

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> RungReport:
        return cls(
            Rung(**values["rung"]),
            tuple(FreezeEvent(**event) for event in values["freezing"]),
            values["total_steps"],
        )


@dataclass(frozen=True)
class CheckpointNote:
    """What lies in a checkpoint, so that it can be gone on with by who never got its report.

    Attributes:
        settings: of the trial that wrote it.
        report: of the rung at which it was written.
        sizes: bytes of every other file of the checkpoint, by its path: one that was cut off
            while it was written is none.
    """

    settings: Mapping[str, Any]
    report: RungReport
    sizes: Mapping[str, int]

    FILE: ClassVar[str] = "report.json"

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CheckpointNote:
        """Raises ValueError where the text is no note, or half of one."""
        try:
            values = json.loads(text)
            report = RungReport.from_plain(values["report"])
            return cls(values["settings"], report, values["sizes"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"no note of a checkpoint: {error!r}") from None


@dataclass(frozen=True)
class TrialRecord:
    """One configuration and all that became of it.

    Attributes:
        number: 0-based, in the order in which configurations were proposed.
        state: ``complete`` only when trained to the end; ``waiting`` while it has not begun;
            ``paused`` when it has, does not train now and can go on.
        settings: the whole configuration, nested as in the space file.
        label: a short name made of the settings, ``aflora r4 ffn paper``.
        mark: name of a configuration the user enqueued, ``AFLoRA, paper``; else None.
        values: objective → value; only of complete trials.
        measures: everything measured at the last rung, by name.
        rungs: in order.
        freezing: one event for each matrix that trained at the start.
        total_steps: optimizer steps of the full length; None before the first rung.
        reason: why it was pruned, failed or paused.
        failures: why earlier attempts at it ended, in order.
        feasible: whether it keeps to the limits of the search; true while that is not known.
        started, finished: seconds since the epoch.
        adapter: folder relative to the run directory, for front members.
    """

    number: int
    state: State
    settings: Mapping[str, Any]
    label: str
    mark: str | None = None
    values: Mapping[str, float] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    rungs: tuple[Rung, ...] = ()
    freezing: tuple[FreezeEvent, ...] = ()
    total_steps: int | None = None
    reason: str | None = None
    failures: tuple[str, ...] = ()
    feasible: bool = True
    started: float | None = None
    finished: float | None = None
    adapter: str | None = None


@dataclass(frozen=True)
class Importance:
    """How much each setting of a method decides about one objective.

    Attributes:
        method: name of the method.
        objective: name of the objective.
        parts: setting → its part, all together 1.
    """

    method: str
    objective: str
    parts: Mapping[str, float]


@dataclass(frozen=True)
class ConstantAnswer:
    """The best that one and the same answer to every row reaches on the selection split.

    Attributes:
        answer: name of the class, or its number.
        score: what it scores there.
    """

    answer: str
    score: float


@dataclass(frozen=True)
class StudyRecord:
    """A whole search on one task.

    Attributes:
        name: of the search, from the space file.
        task: name of the task.
        model: name of the backbone as the space file gives it.
        metric: what ``score`` is here, ``accuracy`` or ``Matthews correlation``.
        objectives: objective → ``max`` or ``min``, in the order of the space file.
        trials: in the order of their numbers.
        reference: reference point of the hypervolume, objective → value in the objective's own
            unit; None until enough trials are complete.
        provenance: commit, versions, machine, fingerprint of the data, seed.
        classes: names of the classes in the order of their numbers; None for regression,
            and in runs of versions that kept none of GLUE's.
        constant: what answering always the same scores; None for regression, and in runs of
            versions that did not look at it.
        importances: of settings, where there are enough trials to tell.
        seconds: that drivers have worked on it, so far; None where that is not known.
        disk_bytes: what the run takes on disk; None where that was not looked at.
    """

    name: str
    task: str
    model: str
    metric: str
    objectives: Mapping[str, Literal["max", "min"]]
    trials: tuple[TrialRecord, ...]
    reference: Mapping[str, float] | None
    provenance: Mapping[str, Any]
    classes: tuple[str, ...] | None = None
    constant: ConstantAnswer | None = None
    importances: tuple[Importance, ...] = ()
    disk_bytes: int | None = None
    seconds: float | None = None

    def in_state(self, *states: State) -> tuple[TrialRecord, ...]:
        """The trials in any of these states, in the order of their numbers."""
        return tuple(trial for trial in self.trials if trial.state in states)
