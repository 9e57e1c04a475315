"""A trial of the Optuna study and the project's own record of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.record import FreezeEvent, Rung, State, TrialRecord

RUNG = "rung:"

_STATES: Mapping[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_ENDED_EARLY = (TrialState.PRUNED, TrialState.FAIL)


def record_of(trial: FrozenTrial, objectives: Sequence[str]) -> TrialRecord:
    """The record; objectives in the order of the study's directions."""
    attributes = trial.user_attrs
    rungs = sorted(
        (rung_from_plain(value) for key, value in attributes.items() if key.startswith(RUNG)),
        key=lambda rung: rung.index,
    )
    values = trial.values if trial.state == TrialState.COMPLETE else None
    paused = trial.state == TrialState.WAITING and "settings" in attributes
    return TrialRecord(
        number=trial.number,
        state="paused" if paused else _STATES[trial.state],
        settings=attributes.get("settings") or attributes.get("queued", {}),
        label=attributes.get("label", ""),
        mark=attributes.get("mark"),
        values=dict(zip(objectives, values, strict=True)) if values is not None else None,
        measures=rungs[-1].measures if rungs else {},
        rungs=tuple(rungs),
        freezing=freezing_from_text(attributes.get("freezing", "[]")),
        total_steps=attributes.get("total_steps"),
        # A trial that was paused and then went on keeps the attribute, which says nothing any more.
        reason=attributes.get("reason") if trial.state in _ENDED_EARLY or paused else None,
        failures=tuple(attributes.get("failures", ())),
        feasible=all(violation <= 0 for violation in trial.constraints.values()),
        started=attributes.get("started"),
        # Written before the state: a trial that was killed in between has not ended.
        finished=attributes.get("finished") if trial.state.is_finished() else None,
    )


def rung_to_plain(rung: Rung) -> dict[str, Any]:
    """As the study has it; of what is projected only what differs from what was measured."""
    projected = {k: v for k, v in rung.projected.items() if rung.measures.get(k) != v}
    return dataclasses.asdict(rung) | {"projected": projected}


def rung_from_plain(plain: Mapping[str, Any]) -> Rung:
    return Rung(**{**plain, "projected": {**plain["measures"], **plain["projected"]}})


def freezing_to_text(events: Sequence[FreezeEvent]) -> str:
    """One short text: a study of thousands of trials holds hundreds of thousands of events."""
    return json.dumps([[e.layer, e.role, e.matrix, e.step] for e in events], separators=(",", ":"))


def freezing_from_text(text: str) -> tuple[FreezeEvent, ...]:
    return tuple(FreezeEvent(*event) for event in json.loads(text))
