"""The Optuna study of a run: every configuration, rung, state and reason, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.record import FreezeEvent, Rung, RungReport, State, StudyRecord, TrialRecord

STUDY_NAME = "search"

_STATES: Mapping[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclasses.dataclass(frozen=True)
class StudyHeader:
    """What a study is about; written once, when it is created.

    Attributes:
        name, task, model, metric, objectives, provenance: as in :class:`StudyRecord`.
        space: the resolved space file.
    """

    name: str
    task: str
    model: str
    metric: str
    objectives: Mapping[str, Any]
    provenance: Mapping[str, Any]
    space: Mapping[str, Any]


class SearchStudy:
    """Reads and writes the study. Rungs are user attributes, never Optuna's intermediate values:

    a multi-objective study takes none, and TPE breaks on pruned trials that have some.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.optuna = study
        attributes = study.user_attrs
        self.header = StudyHeader(**attributes["header"])

    @classmethod
    def create(cls, path: Path, header: StudyHeader) -> SearchStudy:
        """A new study in a new SQLite file."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = ["maximize" if d == "max" else "minimize" for d in header.objectives.values()]
        study = optuna.create_study(
            storage=f"sqlite:///{path}", study_name=STUDY_NAME, directions=directions
        )
        study.set_user_attr("header", dataclasses.asdict(header))
        return cls(study)

    @classmethod
    def open(cls, path: Path) -> SearchStudy:
        """The study of a run directory.

        Raises:
            ValueError: the file holds no study of ours.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            study = optuna.load_study(storage=f"sqlite:///{path}", study_name=STUDY_NAME)
            return cls(study)
        except KeyError as error:
            raise ValueError(f"{path} holds no study of this program: {error}") from None

    @property
    def reference(self) -> dict[str, float] | None:
        """The hypervolume's reference point in the objectives' units, once it is fixed."""
        point: dict[str, float] | None = self.optuna.user_attrs.get("reference")
        return point

    @reference.setter
    def reference(self, point: Mapping[str, float]) -> None:
        self.optuna.set_user_attr("reference", dict(point))

    @property
    def seconds(self) -> float:
        """Wall-clock seconds that drivers have spent on this study."""
        return float(self.optuna.user_attrs.get("seconds", 0.0))

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self.optuna.set_user_attr("seconds", seconds)

    def enqueue(self, params: Mapping[str, Any], mark: str | None) -> None:
        """Have a configuration tried before any that is proposed."""
        self.optuna.enqueue_trial(dict(params), user_attrs={"mark": mark})

    def next_number(self) -> int:
        """Number of the trial that the next ``ask`` starts."""
        trials = self.optuna.get_trials(deepcopy=False)
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        return min(waiting, default=len(trials))

    def started(
        self, trial: optuna.Trial, settings: Mapping[str, Any], label: str, now: float
    ) -> None:
        trial.set_user_attr("settings", dict(settings))
        trial.set_user_attr("label", label)
        trial.set_user_attr("started", now)

    def rung(self, number: int, report: RungReport, rung: Rung) -> None:
        """Write a rung; ``rung`` is the report's with time and checkpoint filled in."""
        storage, trial_id = self.optuna._storage, self._trial_id(number)
        storage.set_trial_user_attr(trial_id, f"rung:{rung.index}", dataclasses.asdict(rung))
        events = [dataclasses.asdict(event) for event in report.freezing]
        storage.set_trial_user_attr(trial_id, "freezing", events)
        storage.set_trial_user_attr(trial_id, "total_steps", report.total_steps)

    def finished(
        self,
        number: int,
        state: TrialState,
        now: float,
        values: Sequence[float] | None = None,
        reason: str | None = None,
    ) -> None:
        """Write how a trial ended, the state last: a crash in between leaves it running."""
        storage, trial_id = self.optuna._storage, self._trial_id(number)
        storage.set_trial_user_attr(trial_id, "finished", now)
        if reason is not None:
            storage.set_trial_user_attr(trial_id, "reason", reason)
        self.optuna.tell(number, values=values, state=state)

    def _trial_id(self, number: int) -> int:
        study_id = self.optuna._study_id
        storage = self.optuna._storage
        return int(storage.get_trial_id_from_study_id_trial_number(study_id, number))

    def trials(self) -> list[TrialRecord]:
        """Every trial as the study has it, in the order of their numbers."""
        names = list(self.header.objectives)
        return [_record(trial, names) for trial in self.optuna.get_trials(deepcopy=False)]

    def record(self, trials: Sequence[TrialRecord]) -> StudyRecord:
        """The whole study, with ``trials`` as its trials."""
        header = self.header
        return StudyRecord(
            header.name,
            header.task,
            header.model,
            header.metric,
            header.objectives,
            tuple(trials),
            self.reference,
            header.provenance,
        )


def _record(trial: FrozenTrial, objectives: Sequence[str]) -> TrialRecord:
    attributes = trial.user_attrs
    rungs = sorted(
        (Rung(**value) for key, value in attributes.items() if key.startswith("rung:")),
        key=lambda rung: rung.index,
    )
    values = trial.values if trial.state == TrialState.COMPLETE else None
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state],
        settings=attributes.get("settings", {}),
        label=attributes.get("label", ""),
        mark=attributes.get("mark"),
        values=dict(zip(objectives, values, strict=True)) if values is not None else None,
        measures=rungs[-1].measures if rungs else {},
        rungs=tuple(rungs),
        freezing=tuple(FreezeEvent(**event) for event in attributes.get("freezing", [])),
        total_steps=attributes.get("total_steps"),
        reason=attributes.get("reason"),
        started=attributes.get("started"),
        finished=attributes.get("finished"),
    )
