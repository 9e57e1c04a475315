"""A run directory of several tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from search.engine.runs import Run, RunLock
from search.spec import SpecError
from tests.search.engine.test_storage import header

TASKS = ("rte", "cola")


def begin(root: Path, *tasks: str) -> Run:
    run = Run(root, TASKS)
    run.directory.space.write_text(yaml.safe_dump({"tasks": list(TASKS)}))
    for task in tasks:
        run.studies[task].root.mkdir()
        run.studies[task].create_study(header(task), None).close()
    return run


def test_a_run_is_known_again_by_its_space(tmp_path: Path) -> None:
    assert Run.at(tmp_path).begun == {}
    begin(tmp_path, "rte")
    found = Run.at(tmp_path)
    assert found.tasks == TASKS
    # Its driver was killed when it had made the first study; the other is made when it goes on.
    assert list(found.begun) == ["rte"]
    found.check_resumable()
    with pytest.raises(SpecError, match="already holds a run"):
        Run(tmp_path, TASKS).check_new()
    with pytest.raises(SpecError, match="already holds a run"):
        Run(tmp_path, ("mrpc",)).check_new()


def test_tasks_share_trials_tracking_and_lock(tmp_path: Path) -> None:
    run = begin(tmp_path, *TASKS)
    for task, directory in run.studies.items():
        assert directory.study == tmp_path / task / "study.db"
        assert directory.report == tmp_path / task / "report.html"
        assert directory.trials == tmp_path / "trials"
        assert directory.mlflow == tmp_path / "mlflow.db"
    with RunLock(run), pytest.raises(SpecError, match="another driver"):
        RunLock(Run.at(tmp_path)).__enter__()


def test_what_a_driver_leaves_that_was_killed_before_the_first_study_is_no_run(
    tmp_path: Path,
) -> None:
    run = begin(tmp_path)
    run.directory.trials.mkdir()
    (tmp_path / "rte").mkdir()
    (tmp_path / "rte" / "space.yaml").touch()
    (tmp_path / "rte" / "study.db.new-wal").touch()
    run.check_new()
    (tmp_path / "rte" / "thesis.tex").touch()
    with pytest.raises(SpecError, match="is not empty and holds no run"):
        run.check_new()


def test_a_damaged_study_of_one_task_is_named(tmp_path: Path) -> None:
    run = begin(tmp_path, *TASKS)
    run.studies["cola"].study.write_bytes(b"no database" * 100)
    with pytest.raises(SpecError, match=r"cola/study\.db"):
        run.check_resumable()


def test_the_folder_of_one_task_is_no_run_of_its_own(tmp_path: Path) -> None:
    """Its trials and its lock lie with the run."""
    begin(tmp_path, *TASKS)
    folder = tmp_path / "cola"
    for look in (lambda: Run.at(folder), Run(folder, ("cola",)).check_resumable):
        with pytest.raises(SpecError, match=f"one task of the run {tmp_path}"):
            look()


@pytest.mark.parametrize(
    "content",
    ["[1, 2]", "tasks: [rte]", "", "tasks:", "tasks: 3", "tasks: [{a: 1}, b]", "tasks: [../x, y]"],
)
def test_a_folder_with_some_other_space_holds_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "space.yaml").write_text(content)
    assert Run.at(tmp_path).begun == {}


def test_a_space_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("tasks: [")
    with pytest.raises(SpecError, match="cannot be read"):
        Run.at(tmp_path)
