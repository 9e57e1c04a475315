"""The Optuna study of a run: every configuration, rung, state and reason, and nothing else."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.engine.proposer import Draft
from search.engine.storage import close_storage, open_storage
from search.engine.trial_record import RUNG, freezing_to_text, record_of, rung_to_plain
from search.record import ConstantAnswer, RungReport, StudyRecord, TrialRecord

# Of the study in an SQLite file of its own; elsewhere its identity is added.
STUDY_NAME = "search"


@dataclasses.dataclass(frozen=True)
class StudyHeader:
    """What a study is about; written once, when it is created.

    Attributes:
        name, task, model, metric, objectives, provenance, classes, constant: as in
            :class:`StudyRecord`.
        space: the resolved space file.
    """

    name: str
    task: str
    model: str
    metric: str
    objectives: Mapping[str, Any]
    provenance: Mapping[str, Any]
    space: Mapping[str, Any]
    classes: Sequence[str] | None = None
    constant: ConstantAnswer | None = None


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A configuration that is tried before any that is proposed.

    Attributes:
        settings: the whole configuration.
        params, distributions: what would have to be drawn to propose it.
        label: a short name made of the settings.
        mark: what the user calls it, or None.
    """

    settings: Mapping[str, Any]
    params: Mapping[str, Any]
    distributions: Mapping[str, Any]
    label: str
    mark: str | None


class SearchStudy:
    """Reads and writes the study. Rungs are user attributes, never Optuna's intermediate values:

    a multi-objective study takes none, and TPE breaks on pruned trials that have some.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.optuna = study
        self._storage: BaseStorage = study._storage
        header = dict(study.user_attrs["header"])
        if header.get("constant") is not None:
            header["constant"] = ConstantAnswer(**header["constant"])
        self.header = StudyHeader(**header)
        self._ids = [trial._trial_id for trial in study.get_trials(deepcopy=False)]
        self._attributes: dict[str, Any] = dict(study.user_attrs)
        self._sampler_attributes: dict[str, Any] = dict(self._system_attributes())

    @classmethod
    def create(
        cls, path: Path, header: StudyHeader, url: str | None = None, name: str = STUDY_NAME
    ) -> SearchStudy:
        """A new study, in a new SQLite file or in the storage at ``url``.

        Raises:
            ValueError: the storage cannot be reached.
        """
        return cls.create_in(open_storage(path, url), header, name)

    @classmethod
    def create_in(
        cls, storage: BaseStorage, header: StudyHeader, name: str = STUDY_NAME
    ) -> SearchStudy:
        """A new study in an open storage; one in memory is enough for a simulation."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = ["maximize" if d == "max" else "minimize" for d in header.objectives.values()]
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        with warnings.catch_warnings():
            # Called experimental; it is what optuna-dashboard names its axes by.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(header.objectives))
        study.set_user_attr("header", dataclasses.asdict(header))
        return cls(study)

    @classmethod
    def open(cls, path: Path, url: str | None = None, name: str = STUDY_NAME) -> SearchStudy:
        """The study of a run directory.

        Raises:
            ValueError: there is no study of ours.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            return cls(optuna.load_study(storage=open_storage(path, url), study_name=name))
        except KeyError as error:
            place = url or path
            raise ValueError(f"{place} holds no study of this program: {error}") from None

    def close(self) -> None:
        """Leave an SQLite file that holds everything by itself."""
        close_storage(self._storage)

    def _system_attributes(self) -> Mapping[str, Any]:
        attributes: Mapping[str, Any] = self._storage.get_study_system_attrs(self.optuna._study_id)
        return attributes

    @property
    def sampler_attributes(self) -> Mapping[str, Any]:
        """What samplers wrote down for later proposals."""
        return self._sampler_attributes

    # What belongs to the whole study

    @property
    def reference(self) -> dict[str, float] | None:
        """The hypervolume's reference point in the objectives' units, once it is fixed."""
        point: dict[str, float] | None = self._attributes.get("reference")
        return point

    @reference.setter
    def reference(self, point: Mapping[str, float]) -> None:
        self._set("reference", dict(point))

    @property
    def seconds(self) -> float:
        """Wall-clock seconds that drivers have spent on this study."""
        return float(self._attributes.get("seconds", 0.0))

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._set("seconds", seconds)

    @property
    def over(self) -> str | None:
        """Why the search came to its end by itself; None where it can go on as it was asked for."""
        over: str | None = self._attributes.get("over")
        return over

    @over.setter
    def over(self, reason: str | None) -> None:
        self._set("over", reason)

    def reread(self) -> None:
        """Take in what another process has written of the whole study; trials always are."""
        self._attributes = dict(self.optuna.user_attrs)

    def _set(self, key: str, value: Any) -> None:
        self.optuna.set_user_attr(key, value)
        self._attributes[key] = value

    # Trials

    def frozen_trials(self) -> list[FrozenTrial]:
        """Every trial as Optuna has it, in the order of their numbers; not to be changed."""
        trials: list[FrozenTrial] = self.optuna.get_trials(deepcopy=False)
        return trials

    def enqueue(self, waiting: Waiting) -> None:
        """Have a configuration tried before any that is proposed."""
        attributes: dict[str, Any] = {"queued": dict(waiting.settings), "label": waiting.label}
        if waiting.mark is not None:
            attributes["mark"] = waiting.mark
        self._create(TrialState.WAITING, waiting.params, waiting.distributions, attributes, {})

    def add(self, draft: Draft, label: str, now: float) -> None:
        """Write a configuration that was drawn and begins to train."""
        attributes = {"settings": draft.settings, "label": label, "started": now}
        self._create(
            TrialState.RUNNING,
            draft.params,
            draft.distributions,
            attributes,
            draft.trial_attributes,
        )
        for key, value in draft.study_attributes.items():
            if self._sampler_attributes.get(key) != value:
                self._storage.set_study_system_attr(self.optuna._study_id, key, value)
                self._sampler_attributes[key] = value

    def _create(
        self,
        state: TrialState,
        params: Mapping[str, Any],
        distributions: Mapping[str, Any],
        user: Mapping[str, Any],
        system: Mapping[str, Any],
    ) -> None:
        trial = create_trial(
            state=state,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=dict(user),
            system_attrs=dict(system),
        )
        # One transaction, so that no trial is ever there by half.
        self._ids.append(self._storage.create_new_trial(self.optuna._study_id, trial))

    def begin(self, number: int, settings: Mapping[str, Any], now: float) -> None:
        """A configuration that was enqueued begins to train."""
        self._put(number, settings=dict(settings), started=now)
        self._storage.set_trial_state_values(self._ids[number], TrialState.RUNNING)

    def go_on(self, number: int) -> None:
        """A trial that was paused trains again."""
        self._storage.set_trial_state_values(self._ids[number], TrialState.RUNNING)

    def pause(self, number: int, reason: str) -> None:
        """A trial does not train for now and can go on from its last rung."""
        self._put(number, reason=reason)
        self._storage.set_trial_state_values(self._ids[number], TrialState.WAITING)

    def rung(self, number: int, report: RungReport, known_steps: int | None) -> None:
        """Write a rung; ``known_steps`` are the total steps written before, if any."""
        if known_steps != report.total_steps:
            self._put(number, total_steps=report.total_steps)
        if report.freezing:
            self._put(number, freezing=freezing_to_text(report.freezing))
        # Last: a rung that is there has all that belongs to it.
        self._put(number, **{f"{RUNG}{report.rung.index}": rung_to_plain(report.rung)})

    def failed_attempt(self, number: int, failures: Sequence[str]) -> None:
        """Write why attempts at a trial ended so far."""
        self._put(number, failures=list(failures))

    def finish(
        self,
        number: int,
        state: TrialState,
        now: float,
        values: Sequence[float] | None,
        reason: str | None,
        violations: Mapping[str, float],
    ) -> None:
        """Write how a trial ended, the state last: a crash in between leaves it running."""
        trial_id = self._ids[number]
        self._put(number, finished=now, **({} if reason is None else {"reason": reason}))
        for name, violation in violations.items():
            self._storage.set_trial_system_attr(trial_id, f"constraints:{name}", violation)
        self._storage.set_trial_state_values(trial_id, state, values)

    def _put(self, number: int, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(self._ids[number], key, value)

    def trials(self) -> list[TrialRecord]:
        """Every trial as the study has it, in the order of their numbers."""
        names = list(self.header.objectives)
        return [record_of(trial, names) for trial in self.frozen_trials()]

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
            None if header.classes is None else tuple(header.classes),
            header.constant,
            seconds=self.seconds,
        )
