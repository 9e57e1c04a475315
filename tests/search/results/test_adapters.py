"""Who is on the front has its adapter at hand; nobody else leaves one behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from search.engine.checkpoints import Checkpoints
from search.engine.run_directory import RunDirectory
from search.record import StudyRecord, TrialRecord
from search.results.adapters import collect_adapters
from search.store import Store
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


def clear(record: StudyRecord, directory: RunDirectory) -> None:
    store = Store.at(directory.top)
    for path in Checkpoints(store).useless_to(record, directory):
        store.delete(path)


def test_members_of_the_front_get_their_adapter(tmp_path: Path) -> None:
    best = with_checkpoint(trial(0, score=0.9), tmp_path)
    worse = with_checkpoint(trial(1, score=0.8, params=2000.0), tmp_path)
    pruned = with_checkpoint(trial(2, "pruned", score=0.95), tmp_path)
    record = collect_adapters(study(best, worse, pruned), tmp_path, Store.at(tmp_path))
    assert [t.adapter for t in record.trials] == ["adapters/0", None, None]
    assert [p.name for p in (tmp_path / "adapters").iterdir()] == ["0"]
    kept = {path.name for path in (tmp_path / "adapters/0").iterdir()}
    assert kept == {"aflora.json", "aflora.safetensors"}
    assert (tmp_path / "adapters/0/aflora.json").read_text() == "config of 0"


def test_who_leaves_the_front_loses_it_and_who_stays_keeps_it(tmp_path: Path) -> None:
    old = with_checkpoint(trial(0, score=0.8, params=9.0), tmp_path)
    stays = with_checkpoint(trial(1, score=0.95, params=5000.0), tmp_path)
    clear(collect_adapters(study(old, stays), tmp_path, Store.at(tmp_path)), RunDirectory(tmp_path))
    new = with_checkpoint(trial(2, score=0.9, params=8.0), tmp_path)
    record = collect_adapters(study(old, stays, new), tmp_path, Store.at(tmp_path))
    assert [t.adapter for t in record.trials] == [None, "adapters/1", "adapters/2"]
    assert {p.name for p in (tmp_path / "adapters").iterdir()} == {"1", "2"}


def test_a_member_without_its_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkpoint of trial 0, a member of the front"):
        collect_adapters(study(trial(0)), tmp_path, Store.at(tmp_path))


def test_only_trials_that_can_go_on_keep_their_checkpoint(tmp_path: Path) -> None:
    trials = [
        with_checkpoint(trial(number, state), tmp_path)
        for number, state in enumerate(("complete", "pruned", "failed", "running", "waiting"))
    ]
    # One that no rung names: its attempt was given up before it reported.
    (tmp_path / "trials/002/00000-1/checkpoint_000001").mkdir(parents=True)
    clear(study(*trials), RunDirectory(tmp_path))
    left = {path.parent.name for path in tmp_path.glob("trials/*/*/checkpoint_*")}
    assert left == {"00003-0", "00004-0"}


def test_tasks_that_share_a_folder_of_trials_keep_each_other_s_checkpoints(tmp_path: Path) -> None:
    rte, cola = (RunDirectory(tmp_path / task, tmp_path) for task in ("rte", "cola"))
    places = {}
    for directory in (rte, cola):
        place = f"trials/001/{directory.folder_of(0, 0)}/checkpoint_000000"
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "aflora.json").write_text(directory.root.name)
        rung = dataclasses.replace(trial(0).rungs[0], checkpoint=place)
        places[directory] = study(trial(0, rungs=(rung,)))
    collect_adapters(places[rte], rte.root, Store.at(rte.top))
    clear(places[rte], rte)
    assert (tmp_path / "rte/adapters/0/aflora.json").read_text() == "rte"
    left = Checkpoints(Store.at(tmp_path))
    assert left.of(rte, 0) == []
    assert left.of(cola, 0) == ["trials/001/cola-00000-0/checkpoint_000000"]
