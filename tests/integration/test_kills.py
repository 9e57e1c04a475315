"""Searches whose processes are killed, and that go on, also somewhere else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import kill
from search.engine.run_directory import RunDirectory
from tests.integration.small_search import ONE_AT_A_TIME

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "budget.trials=4",
    "train.steps=24",
    ONE_AT_A_TIME.removeprefix("--set="),
    "train.batch_size=8",
    "search.method.choice.aflora.freeze.interval=1",
    "data.generated={train: 60, validation: 10}",
    *kill.SETTINGS,
]


def command(out: Path, *options: str) -> list[str]:
    words = [sys.executable, "-m", "search.run", "spaces/quickstart.yaml", "--local"]
    return [*words, "--out", str(out), *(f"--set={each}" for each in SMALL), *options]


def kill_in_the_middle(words: list[str]) -> None:
    """Start a search and kill it with all of Ray when its third trial is half through."""
    running = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    told = ""
    for line in running.stdout:
        told += line
        if "trial 2" in line and "50% done" in line:
            break
    assert running.poll() is None, told
    below = psutil.Process(running.pid).children(recursive=True)
    os.kill(running.pid, signal.SIGKILL)
    running.wait(60)
    for process in below:
        kill._kill(process)


def test_a_copy_of_a_killed_run_goes_on_without_what_ray_left_behind(tmp_path: Path) -> None:
    out = tmp_path / "run"
    kill_in_the_middle(command(out))
    before = {trial.number: trial for trial in RunDirectory(out).open_study().trials()}
    assert before[2].state == "running"
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(out, copy)
    shutil.rmtree(out)
    # Ray's own state is cut off in the middle, as a full disk or a crash leaves it.
    left = [path for pattern in ("*.pkl", "*.json") for path in copy.glob(f"trials/*/{pattern}")]
    assert left
    for path in left:
        os.truncate(path, path.stat().st_size // 2)
    ended = subprocess.run(
        command(copy, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert not out.exists()
    assert kill.problems(copy, None) == []
    after = {trial.number: trial for trial in RunDirectory(copy).open_study().trials()}
    for number, trial in before.items():
        if trial.state == "complete":
            assert after[number] == trial
        # What was reached before the kill stands as it was.
        assert after[number].rungs[: len(trial.rungs)] == trial.rungs


@pytest.mark.slow
def test_a_search_that_is_killed_again_and_again_comes_to_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Trials enough for the search not to be through before it was killed so often.
    overrides = [f"--set={each}" for each in [*SMALL, "budget.trials=10"]]
    status = kill.main(["--kills", "5", "--longest", "10", "--check", *overrides])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "5 kills" in told
