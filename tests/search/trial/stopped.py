"""Trials without Ray that are stopped after a rung and keep what they handed out there."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from search.record import RungReport
from search.spec.settings import TrialSettings
from search.trial.data import TaskData
from search.trial.training import TrialJob, run_trial

CLOCK = {"train_seconds", "eval_seconds", "total_seconds", "tokens_per_second"}


class StopTraining(Exception):
    pass


def train(
    job: TrialJob,
    settings: TrialSettings,
    data: TaskData,
    keep: Path,
    stop: int | None = None,
    resume: Path | None = None,
) -> list[RungReport]:
    """Reports of a trial; the checkpoint of each rung is copied to ``keep``."""
    reports: list[RungReport] = []

    def report(told: RungReport, folder: Path) -> None:
        reports.append(told)
        shutil.copytree(folder, keep / f"rung{told.rung.index}")
        if told.rung.index == stop:
            raise StopTraining

    torch.set_num_threads(1)
    try:
        run_trial(job, settings, data, report, resume)
    except StopTraining:
        assert stop is not None
    return reports


def without_clock(report: RungReport) -> object:
    """What two trainings of one configuration must have in common."""
    rung = report.rung
    measures = {k: v for k, v in rung.measures.items() if k not in CLOCK}
    projected = {k: v for k, v in rung.projected.items() if k not in CLOCK}
    return rung.index, rung.step, measures, projected, report.freezing
