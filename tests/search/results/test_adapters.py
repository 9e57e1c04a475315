"""Who is on the front has its adapter at hand; nobody else leaves one behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from search.record import TrialRecord
from search.results.adapters import clear_checkpoints, collect_adapters
from tests.search.records import study, trial


def with_checkpoint(record: TrialRecord, root: Path) -> TrialRecord:
    place = f"trials/001/{record.number:05d}-0/checkpoint_000000"
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "aflora.json").write_text(f"config of {record.number}")
    (folder / "aflora.safetensors").write_bytes(b"tensors")
    (folder / "optimizer.pt").write_bytes(b"large")
    rungs = tuple(dataclasses.replace(rung, checkpoint=place) for rung in record.rungs)
    return dataclasses.replace(record, rungs=rungs)


def test_members_of_the_front_get_their_adapter(tmp_path: Path) -> None:
    best = with_checkpoint(trial(0, score=0.9), tmp_path)
    worse = with_checkpoint(trial(1, score=0.8, params=2000.0), tmp_path)
    pruned = with_checkpoint(trial(2, "pruned", score=0.95), tmp_path)
    record = collect_adapters(study(best, worse, pruned), tmp_path)
    assert [t.adapter for t in record.trials] == ["adapters/0", None, None]
    assert [p.name for p in (tmp_path / "adapters").iterdir()] == ["0"]
    kept = {path.name for path in (tmp_path / "adapters/0").iterdir()}
    assert kept == {"aflora.json", "aflora.safetensors"}
    assert (tmp_path / "adapters/0/aflora.json").read_text() == "config of 0"


def test_who_leaves_the_front_loses_it_and_who_stays_keeps_it(tmp_path: Path) -> None:
    old = with_checkpoint(trial(0, score=0.8, params=9.0), tmp_path)
    stays = with_checkpoint(trial(1, score=0.95, params=5000.0), tmp_path)
    clear_checkpoints(collect_adapters(study(old, stays), tmp_path), tmp_path)
    new = with_checkpoint(trial(2, score=0.9, params=8.0), tmp_path)
    record = collect_adapters(study(old, stays, new), tmp_path)
    assert [t.adapter for t in record.trials] == [None, "adapters/1", "adapters/2"]
    assert {p.name for p in (tmp_path / "adapters").iterdir()} == {"1", "2"}


def test_a_member_without_its_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkpoint of trial 0, a member of the front"):
        collect_adapters(study(trial(0)), tmp_path)


def test_only_trials_that_can_go_on_keep_their_checkpoint(tmp_path: Path) -> None:
    trials = [
        with_checkpoint(trial(number, state), tmp_path)
        for number, state in enumerate(("complete", "pruned", "failed", "running", "waiting"))
    ]
    # One that no rung names: its attempt was given up before it reported.
    (tmp_path / "trials/002/00000-1/checkpoint_000001").mkdir(parents=True)
    clear_checkpoints(study(*trials), tmp_path)
    left = {path.parent.name for path in tmp_path.glob("trials/*/*/checkpoint_*")}
    assert left == {"00003-0", "00004-0"}
