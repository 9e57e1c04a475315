"""Trainings with fresh seeds, on a Ray of their own: what becomes of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.confirming import Confirming, confirm
from search.engine.run_directory import RunDirectory
from search.engine.where import connected
from search.results.confirmed import read_confirmations
from search.spec import load_space
from search.spec.schema import Confirm
from search.trial.data import prepare, task_of
from tests.search.records import study, trial
from tests.search.spec.spaces import changed

HEAD = {"method": {"head": {}}, "head_learning_rate": 1e-3}
LORA = {
    "method": {"lora": {"rank": 2, "modules": ["ffn_gate"]}},
    "learning_rate": 1e-3,
    "head_learning_rate": 1e-3,
}


def test_trainings_that_fail_are_told_of_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    data = {"generated": {"train": 60, "validation": 20}}
    path = changed(tmp_path, tasks=["negation"], data=data)
    loaded = load_space(path).for_task("negation")
    task = task_of(loaded.space)
    directory = RunDirectory(tmp_path / "run" / "negation", tmp_path / "run")
    directory.root.mkdir(parents=True)
    made = Confirming(
        loaded,
        task,
        prepare(loaded.space, task),
        directory,
        study(trial(0, settings=HEAD, label="head"), trial(1, settings=LORA, label="lora r2")),
        Confirm(seeds=3, top=1),
    )
    said: list[str] = []
    with connected(None, local=True):
        assert not confirm([made], None, lambda path: None, said.append)
    failed = [line for line in said if ": failed, " in line]
    assert len(failed) == 3
    assert all("trial 1, lora r2, seed" in line and "ffn_gate" in line for line in failed), failed
    assert said[-1].startswith("3 trainings of 6 failed: means leave them out, which flatters")
    (found,) = read_confirmations(directory.root)
    assert [(member.trial, len(member.scores)) for member in found.members] == [(0, 3)]
