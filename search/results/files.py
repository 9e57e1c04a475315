"""The two files a program reads after a search: ``front.json`` and ``trials.csv``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from search.flat import exact, flattened
from search.pareto.front import front, front_hypervolume, worst_with_margin
from search.record import StudyRecord, TrialRecord
from search.results.measured import reason
from search.writing import write_atomically

FRONT_SCHEMA = 1


def write_front(study: StudyRecord, folder: Path) -> Path:
    """Write ``front.json``: the front's members, best first objective first, and its hypervolume.

    While the study has no reference point of its own, the worst complete trial plus a margin
    stands in for it and ``reference_fixed`` is false: such a hypervolume moves as trials come in.

    Returns:
        The path of the file.
    """
    names = list(study.objectives)
    complete = study.in_state("complete")
    reference = study.reference or (worst_with_margin(complete, names) if complete else None)
    content = {
        "schema": FRONT_SCHEMA,
        "provenance": study.provenance,
        "study": study.name,
        "task": study.task,
        "classes": study.classes,
        "constant_answer": None if study.constant is None else asdict(study.constant),
        "objectives": study.objectives,
        "hypervolume": front_hypervolume(complete, names, reference) if reference else 0.0,
        "reference_point": reference,
        "reference_fixed": study.reference is not None,
        "trials": {state: len(study.in_state(state)) for state in ("complete", "pruned", "failed")},
        "front": [_member(trial) for trial in front(study.trials, names)],
    }
    path = folder / "front.json"
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")
    return path


def write_trials(study: StudyRecord, folder: Path) -> Path:
    """Write ``trials.csv``: one row for each trial in the order of their numbers.

    The objectives, then every other measure, are those of the trial's last rung, which is the
    trial's end only where its state is ``complete``; ``settings.*`` is the whole configuration.
    Times are UTC in ISO 8601; what is unknown is empty.

    Returns:
        The path of the file.
    """
    members = {trial.number for trial in front(study.trials, list(study.objectives))}
    rows = [_row(trial, study, trial.number in members) for trial in study.trials]
    measures = dict.fromkeys(name for trial in study.trials for name in trial.measures)
    settings = dict.fromkeys(key for row in rows for key in row if key.startswith("settings."))
    columns = [*dict.fromkeys([*_IDENTITY, *study.objectives, *measures]), *settings, *_PROGRESS]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "trials.csv"
    write_atomically(path, text.getvalue())
    return path


_IDENTITY = ["number", "state", "label", "mark", "front"]
_PROGRESS = ["rungs", "step", "total_steps", "started", "finished", "reason"]


def _member(trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "label": trial.label,
        "mark": trial.mark,
        "params": trial.settings,
        "values": trial.values,
        "adapter": trial.adapter,
    }


def _row(trial: TrialRecord, study: StudyRecord, on_front: bool) -> dict[str, str]:
    leaves = {
        "number": trial.number,
        "state": trial.state,
        "label": trial.label,
        "mark": trial.mark,
        "front": on_front,
        **trial.measures,
        **{f"settings.{key}": value for key, value in flattened(trial.settings).items()},
        "rungs": len(trial.rungs),
        "step": trial.rungs[-1].step if trial.rungs else None,
        "total_steps": trial.total_steps,
        "started": _moment(trial.started),
        "finished": _moment(trial.finished),
        "reason": reason(trial),
    }
    return {key: exact(value) for key, value in leaves.items()}


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    """The value in JSON's own types: infinities and NaN, which JSON lacks, become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
