"""The run directory's own tracking store, where it is damaged or only half made."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.engine.run_directory import RunDirectory
from search.spec import LoadedSpace, load_space
from search.tracked import Tracked, store_opener, track_confirmations
from search.tracking.follower import Followed, Follower
from tests.search.records import study, trial
from tests.search.spec.spaces import changed


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedSpace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return load_space(changed(tmp_path)).for_task("rte")


def test_a_damaged_store_is_told_and_taken_once_it_is_whole(
    loaded: LoadedSpace, tmp_path: Path
) -> None:
    directory = RunDirectory(tmp_path)
    directory.mlflow.write_text("no database at all\n" * 9)
    followed = Followed(store_opener(loaded, directory, "s1"), lambda: study(trial(0)))
    following = Follower([followed])
    following.start()
    assert following.close() == (
        f"ValueError: {directory.mlflow} cannot be read: file is not a database"
    )
    # MLflow makes its tables in an empty file, as a driver leaves that was killed just then.
    directory.mlflow.write_text("")
    followed.write(finish=True)
    assert directory.mlflow.stat().st_size > 0


def test_what_cannot_be_written_of_one_task_keeps_no_other_from_being_written(
    loaded: LoadedSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[str] = []

    class Study(Tracked):
        def write(self) -> None:
            if self.directory.root.name == "rte":
                raise LookupError("MLflow has no run of trial 3")
            written.append(self.directory.root.name)

    names = ("rte", "mrpc")
    track_confirmations([Study(loaded, RunDirectory(tmp_path / name), "s1") for name in names])
    assert written == ["mrpc"]
    told = capsys.readouterr().err
    assert told == "MLflow misses what was confirmed: LookupError: MLflow has no run of trial 3\n"


def test_what_was_confirmed_is_told_where_it_is_damaged(
    loaded: LoadedSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "confirm.json").write_text("[{")
    track_confirmations([Tracked(loaded, RunDirectory(tmp_path), "s1")])
    told = capsys.readouterr().err
    assert told.startswith("MLflow misses what was confirmed: ValueError: ")
    assert f"{tmp_path}/confirm.json is damaged" in told
