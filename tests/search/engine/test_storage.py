"""Where a study lies: in the run directory, or in a database of the user's."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import optuna
import pytest

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.engine.study import SearchStudy, StudyHeader
from search.record import ConstantAnswer
from search.spec.errors import SpecError
from tests.search.engine.curves import OBJECTIVES, engine_on, new_study, run


def header(study_id: str) -> StudyHeader:
    provenance = {"seed": 0, "data": "x", "study_id": study_id}
    return StudyHeader("n", "rte", "m", "accuracy", OBJECTIVES, provenance, {})


def test_one_database_holds_the_studies_of_many_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.db'}"
    found: list[RunDirectory] = []
    for name in ("a", "b"):
        directory = RunDirectory(tmp_path / name)
        directory.root.mkdir()
        assert not directory.holds_run
        study = directory.create_study(header(name), url)
        run(engine_on(study, trials=3 if name == "a" else 5))
        study.close()
        assert directory.holds_run
        assert not directory.study.exists()
        with pytest.raises(SpecError, match="already holds a run"):
            Run(tmp_path / name, ("rte",)).check_new()
        Run.at(tmp_path / name).check_resumable()
        found.append(directory)
    assert [len(directory.open_study().trials()) for directory in found] == [3, 5]
    place = json.loads(found[0].elsewhere.read_text())
    assert place == {"storage": url, "name": "n a"}


def test_what_a_study_is_about_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    about = dataclasses.replace(
        header("a"), classes=("no", "yes"), constant=ConstantAnswer("yes", 0.75)
    )
    RunDirectory(tmp_path).create_study(about, None).close()
    record = RunDirectory(tmp_path).open_study().record([])
    assert (record.classes, record.constant) == (about.classes, about.constant)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all.db", "sqlite:////nowhere/at/all.db cannot be opened"),
        ("oracle://user@host/db", "needs a driver that is not installed"),
        ("nonsense://host/db", "nonsense://host/db"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named_and_nothing_is_written(
    tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r"cannot be opened|not installed") as caught:
        RunDirectory(tmp_path).create_study(header("a"), url)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_closed_study_is_one_file_that_can_be_copied_alone(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    run(engine_on(study, trials=4))
    expected = study.trials()
    study.close()
    shutil.copy(tmp_path / "study.db", tmp_path / "copy.db")
    assert SearchStudy.open(tmp_path / "copy.db").trials() == expected


def test_a_killed_driver_s_files_copied_together_hold_everything(tmp_path: Path) -> None:
    """Without closing: what was committed lies in the write-ahead log beside the file."""
    study = new_study(tmp_path)
    run(engine_on(study, trials=4))
    (tmp_path / "copy").mkdir()
    for path in tmp_path.glob("study.db*"):
        shutil.copy(path, tmp_path / "copy")
    assert SearchStudy.open(tmp_path / "copy" / "study.db").trials() == study.trials()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_damaged_study_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    directory = RunDirectory(tmp_path)
    directory.study.write_bytes(content)
    with pytest.raises(SpecError, match=r"study\.db (holds no study|cannot be opened)"):
        Run.at(tmp_path).check_resumable()
    if content:
        assert directory.study.read_bytes() == content


def test_another_program_s_study_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(storage=url, study_name="theirs")
    with pytest.raises(ValueError, match="holds no study of this program"):
        SearchStudy.open(tmp_path / "study.db")
    optuna.create_study(storage=url, study_name="search")
    with pytest.raises(ValueError, match="holds no study of this program"):
        SearchStudy.open(tmp_path / "study.db")


def test_rungs_that_are_projected_as_measured_are_kept_once(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    run(engine_on(study, trials=1))
    (trial,) = study.frozen_trials()
    first, last = trial.user_attrs["rung:1"], trial.user_attrs["rung:4"]
    assert first["projected"] == {"train_flops": 4 * first["measures"]["train_flops"]}
    assert last["projected"] == {}
    record = study.trials()[0]
    assert record.rungs[0].projected["score"] == record.rungs[0].measures["score"]
    assert dataclasses.asdict(record.rungs[0]) == first | {
        "projected": first["measures"] | first["projected"]
    }


def test_a_run_whose_driver_is_killed_before_it_begins_can_be_started_again(
    tmp_path: Path,
) -> None:
    directory = RunDirectory(tmp_path)
    directory.trials.mkdir()
    directory.space.write_text("name: n\n")

    def killed(study: SearchStudy) -> None:
        study.reference = dict.fromkeys(OBJECTIVES, 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        directory.create_study(header("a"), None, killed)
    assert not directory.holds_run
    run = Run(tmp_path, ("rte",))
    run.check_new()
    with pytest.raises(SpecError, match="holds no run to resume"):
        run.check_resumable()
    study = directory.create_study(header("a"), None)
    assert study.reference is None
    study.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["space.yaml", "study.db", "trials"]


def test_what_is_not_ours_in_a_run_directory_is_not_written_over(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.trials.mkdir()
    (directory.trials / "thesis.tex").touch()
    with pytest.raises(SpecError, match="is not empty and holds no run"):
        Run(tmp_path, ("rte",)).check_new()
