"""What a driver says and saves when its search is over and something cannot be written."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from rich.console import Console

from search import confirming, driver
from search.confirming import Confirming
from search.engine.runs import Run
from search.part import write_space
from search.record import State
from search.searching import confirm_all
from search.spec import LoadedSpace
from search.spec.schema import Confirm
from search.store import Store
from tests.search.records import study, trial
from tests.search.test_part import loaded, part_of  # noqa: F401 - a fixture


def test_what_is_damaged_costs_the_results_of_no_other_task(
    loaded: LoadedSpace,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A confirmation and the tracking store were cut off when a disk was full."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(driver, "execute", lambda *all_of_it: None)
    run = Run(tmp_path / "run", loaded.space.task_names)
    run.root.mkdir()
    write_space(loaded, run.directory)
    parts = [part_of(loaded, run, task) for task in run.tasks]
    (run.studies["rte"].root / "confirm.json").write_text("[{")
    run.directory.mlflow.write_text("no database at all\n" * 9)
    out = io.StringIO()
    made = driver.Driver(
        loaded, run, parts, Store.at(run.root), None, lambda: 1, "here", Console(file=out), None,
        "again", time.time(),
    )  # fmt: skip
    assert made.run() == 1
    assert run.studies["cola"].report.is_file()
    told = capsys.readouterr().err.splitlines()
    file = run.studies["rte"].root / "confirm.json"
    starts = [
        f"The results of rte are not written: {file} is damaged: ",
        f"The page over all tasks is not written: {file} is damaged: ",
        f"MLflow misses a part of this run: ValueError: {run.directory.mlflow} cannot be read: ",
    ]
    assert [line.startswith(start) for line, start in zip(told, starts, strict=True)] == [True] * 3
    assert "2 tasks" in out.getvalue()


def test_a_database_that_fails_costs_the_results_of_no_other_task(
    loaded: LoadedSpace,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(driver, "execute", lambda *all_of_it: None)
    run = Run(tmp_path / "run", loaded.space.task_names)
    run.root.mkdir()
    write_space(loaded, run.directory)
    parts = {task: part_of(loaded, run, task) for task in run.tasks}

    def away() -> None:
        raise StorageInternalError("the database went away")

    monkeypatch.setattr(parts["rte"], "write_results", away)
    made = driver.Driver(
        loaded, run, list(parts.values()), Store.at(run.root), None, lambda: 1, "here",
        Console(file=io.StringIO()), None, "again", time.time(),
    )  # fmt: skip
    assert made.run() == 1
    assert run.studies["cola"].report.is_file()
    told = capsys.readouterr().err
    hint = "; search.run --resume writes what is missing."
    assert f"The results of rte are not written: the database went away{hint}" in told


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([["paused"]], 0),
        ([["complete"], ["waiting"]], 0),
        ([["complete", "failed"]], 0),
        ([["failed", "paused"]], 1),
        ([["complete"], ["failed"]], 1),
        ([[]], 0),
    ],
)
def test_only_what_failed_is_told_as_failure(states: list[list[State]], status: int) -> None:
    records = [study(*(trial(n, state) for n, state in enumerate(of))) for of in states]
    assert driver.status_of(records) == status


def test_a_damaged_training_of_one_task_keeps_no_other_from_being_confirmed(
    loaded: LoadedSpace,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(tmp_path / "run", loaded.space.task_names)
    run.root.mkdir()
    parts = [part_of(loaded, run, task) for task in run.tasks]
    damaged = run.studies["rte"].root / "confirm" / "00000-seed1.json"
    damaged.parent.mkdir()
    damaged.write_text("[{")
    begun: list[list[str]] = []

    def confirm(studies: list[Confirming], *rest: object) -> bool:
        begun.append([study.task.name for study in studies])
        return True

    monkeypatch.setattr(confirming, "worth_confirming", list)
    monkeypatch.setattr(confirming, "confirm", confirm)
    monkeypatch.setattr(confirming, "write_confirmed", lambda *all_of_it: True)
    assert confirm_all(run, Store.at(run.root), parts, Confirm(), None) == 1
    assert begun == [[task for task in run.tasks if task != "rte"]]
    assert "delete that file and it is trained again" in capsys.readouterr().err
