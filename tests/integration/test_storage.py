"""A search whose checkpoints lie in an object store, and that goes on from there alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.engine.run_directory import RunDirectory
from search.engine.snapshots import LEADER
from search.engine.study import SearchStudy
from search.record import TrialRecord
from search.store import Store
from tests.integration.test_kills import ROOT, SMALL, kill_in_the_middle
from tests.object_store import BUCKET, object_store


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with object_store(tmp_path / "s3.log") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/runs"


def command(out: Path, place: str, *options: str) -> list[str]:
    words = [sys.executable, "-m", "search.run", "spaces/quickstart.yaml", "--local"]
    words += ["--out", str(out), "--storage", place, *options]
    return [*words, *(f"--set={each}" for each in SMALL)]


def trials_of(run: Path) -> dict[int, TrialRecord]:
    study = RunDirectory(run).open_study()
    found = {trial.number: trial for trial in study.trials()}
    study.close()
    return found


def test_a_search_outlives_the_machine_it_was_led_from(tmp_path: Path, place: str) -> None:
    out, other = tmp_path / "first" / "run", tmp_path / "second" / "run"
    kill_in_the_middle(command(out, place))
    before = trials_of(out)
    assert before
    assert not list(out.glob("trials/*"))
    shutil.rmtree(out.parent)

    store = Store.at(place).below("run")
    assert store.is_file("study.db")
    refused = subprocess.run(
        command(other, place), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert f"storage {place}/run: already holds something; if that is this run" in refused.stderr
    assert not other.exists()

    store.get("study.db", tmp_path / "study.db")
    study = SearchStudy.open(tmp_path / "study.db")
    saved = {trial.number: trial for trial in study.trials()}
    study.close()

    ended = subprocess.run(
        command(other, place, "--resume"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = trials_of(other)
    assert [trial.state for trial in after.values()] == ["complete"] * 4
    for number, trial in after.items():
        assert [rung.index for rung in trial.rungs] == [1, 2, 3, 4]
        if number in before:
            assert trial.settings == before[number].settings
            # What the dead driver had told was at most seconds old; that stands as it was, the rest
            # is of the same training.
            kept = saved[number].rungs if number in saved else ()
            assert trial.rungs[: len(kept)] == kept
            for rung, known in zip(trial.rungs, before[number].rungs, strict=False):
                assert rung.measures["score"] == known.measures["score"]
    # Storage holds all there is to have, and no checkpoint that nobody needs.
    front = json.loads((other / "front.json").read_text())["front"]
    for member in front:
        assert store.files(member["adapter"])
    here, there = set(Store.at(other).files()), set(store.files(without=["trials"]))
    alone = {path for path in here if path.startswith(("mlflow.db", "mlartifacts", ".lock"))}
    assert there - {LEADER} == here - alone
    assert [path for path in store.files("trials") if "checkpoint_" in path] == []
