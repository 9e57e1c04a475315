"""Run directories made of records, as a search would have left them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import TrialState

from search.engine.proposer import Draft
from search.engine.run_directory import RunDirectory
from search.engine.study import SearchStudy, StudyHeader
from search.record import RungReport, StudyRecord

SPACE = {"sampler": {"name": "tpe", "startup": 3}, "pruner": {"name": "pareto", "rungs": 5}}
_ENDS = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def write_run(root: Path, *records: StudyRecord, space: Mapping[str, Any] = SPACE) -> Path:
    """A run of one task or, with more records, of several; trials stand as they are recorded."""
    root.mkdir(parents=True)
    if len(records) > 1:
        tasks = [record.task for record in records]
        (root / "space.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
    for record in records:
        folder = root / record.task if len(records) > 1 else root
        _write(RunDirectory(folder), record, space)
    return root


def _write(directory: RunDirectory, record: StudyRecord, space: Mapping[str, Any]) -> None:
    directory.root.mkdir(exist_ok=True)
    header = StudyHeader(
        record.name, record.task, record.model, record.metric, record.objectives,
        record.provenance, space,
    )  # fmt: skip
    study = SearchStudy.create(directory.study, header)
    for trial in record.trials:
        settings = dict(trial.settings)
        study.add(Draft(trial.number, settings, {}, {}), trial.label, trial.started or 0.0)
        for rung in trial.rungs:
            report = RungReport(rung, trial.freezing, trial.total_steps or 1)
            study.rung(trial.number, report, None)
        if trial.state in _ENDS:
            values = list(trial.values.values()) if trial.values else None
            end, ended = _ENDS[trial.state], trial.finished or 0.0
            study.finish(trial.number, end, ended, values, trial.reason, {})
    study.close()
