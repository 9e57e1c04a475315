"""Trials and studies for tests, with only what matters to them written out."""

from __future__ import annotations

from typing import Any

from search.record import Rung, StudyRecord, TrialRecord


def trial(number: int, state: str = "complete", **change: Any) -> TrialRecord:
    values = {
        "score": change.pop("score", 0.8),
        "trainable_params": change.pop("params", 1000.0),
        "train_seconds": change.pop("seconds", 10.0),
    }
    rung = Rung(1, 10, 1.0, values, values, at=100.0 + number)
    given: dict[str, Any] = {
        "settings": {"method": {"lora": {"rank": 4}}, "learning_rate": 0.001},
        "label": "lora r4",
        "values": values if state == "complete" else None,
        "measures": values,
        "rungs": (rung,),
        "total_steps": 10,
        "started": 50.0 + number,
        "finished": 100.0 + number if state in {"complete", "pruned", "failed"} else None,
    }
    return TrialRecord(number, state, **(given | change))  # type: ignore[arg-type]


def study(*trials: TrialRecord, **change: Any) -> StudyRecord:
    given: dict[str, Any] = {
        "name": "test",
        "task": "rte",
        "model": "tiny",
        "metric": "accuracy",
        "objectives": {"score": "max", "trainable_params": "min", "train_seconds": "min"},
        "trials": trials,
        "reference": None,
        "provenance": {"commit": "abc", "machine": "here", "seed": 0, "study_id": "s1"},
    }
    return StudyRecord(**(given | change))
