"""The engine on a real Ray, with workers that crash, hang, lose their process or have no memory."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from search.engine.ray_tune import execute
from search.engine.run_directory import RunDirectory
from search.engine.where import connected
from search.record import StudyRecord
from search.spec.schema import Budget, Failures, Pruner, Sampler
from search.store import Store
from tests.search.engine.curves import OBJECTIVES, RUNGS, alone, engine_on, new_study, report

# What happens to a trial at its first attempt, after its second rung.
ENDS = ("raises", "has no memory", "dies", "hangs", "no number")


def worker(
    config: dict[str, Any], folder: str, falling: bool, store: Store, heartbeats: Any
) -> None:
    """Goes through the rungs; each checkpoint says how far it had got.

    With ``falling`` each trial is worse than the one before and none fails.
    """
    number, attempt = config["number"], config["attempt"]
    reached = 0
    if config["checkpoint"]:
        reached = json.loads(store.read(f"{config['checkpoint']}/reached.json") or "")
    with (Path(folder) / f"{number}.log").open("a") as log:
        log.write(f"attempt {attempt} from rung {reached}\n")
    for index in range(reached + 1, RUNGS + 1):
        if index == 3 and attempt == 0 and number < len(ENDS) and not falling:
            _end(ENDS[number])
        heartbeats.beat.remote(config["folder"])
        change = {"score": 0.9 - 0.05 * number} if falling else {}
        if number == 4 and index == 2 and not falling:
            change = {"score": float("nan")}
        with tempfile.TemporaryDirectory() as saved:
            (Path(saved) / "reached.json").write_text(json.dumps(index))
            checkpoint = tune.Checkpoint.from_directory(saved)
            rung = report(config["settings"], index, **change)
            tune.report({"report": rung.to_json()}, checkpoint=checkpoint)


def _end(how: str) -> None:
    if how == "raises":
        raise RuntimeError("boom")
    if how == "has no memory":
        raise MemoryError("tried to allocate 9 GiB")
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(600)


def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objectives: Mapping[str, str] = OBJECTIVES,
    falling: bool = False,
    slots: Callable[[], int] = lambda: 2,
    **change: Any,
) -> StudyRecord:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    directory = RunDirectory(tmp_path / "run")
    directory.root.mkdir()
    (tmp_path / "logs").mkdir()
    store = Store.at(directory.root)
    engine = engine_on(
        new_study(directory.root, objectives), sampler=Sampler(name="random"), **change
    )

    def discard(checkpoints: Sequence[str]) -> None:
        for path in checkpoints:
            store.delete(path)

    with connected(None, local=True):
        execute(
            alone(engine, directory.root),
            store,
            discard,
            worker,
            {"folder": str(tmp_path / "logs"), "falling": falling},
            {"CPU": 1},
            slots=slots,
            hang_minutes=20 / 60,
        )
    record = engine.record()
    # What the engine knows is what the study holds.
    again = directory.open_study()
    assert tuple(again.trials()) == record.trials
    return record


def test_trials_that_fail_in_any_way_go_on_from_their_last_rung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(
        tmp_path,
        monkeypatch,
        pruner=Pruner(name="none", rungs=RUNGS),
        budget=Budget(trials=7),
        failures=Failures(retries=1),
        now=time.time(),
    )
    assert len(record.trials) == 7
    reasons = {
        0: "RuntimeError: boom",
        1: "out of memory (CPU): tried to allocate 9 GiB",
        2: "its process died: killed from outside",
        3: "hung: it took no step for",
    }
    for number, reason in reasons.items():
        trial = record.trials[number]
        assert trial.state == "complete", trial.reason
        (told,) = trial.failures
        assert told.startswith(reason)
        log = (tmp_path / "logs" / f"{number}.log").read_text().splitlines()
        assert log == ["attempt 0 from rung 0", "attempt 1 from rung 2"]
    broken = record.trials[4]
    assert (broken.state, broken.reason, broken.failures) == ("failed", "score is nan", ())
    for number in (5, 6):
        assert (record.trials[number].state, record.trials[number].failures) == ("complete", ())
    for trial in record.in_state("complete"):
        assert [rung.index for rung in trial.rungs] == [1, 2, 3, 4]
        # Of all its checkpoints the last one is left.
        assert trial.rungs[-1].checkpoint is not None
        kept = list((tmp_path / "run" / "trials").glob(f"*/{trial.number:05d}-*/checkpoint_*"))
        assert [str(path.relative_to(tmp_path / "run")) for path in kept] == [
            trial.rungs[-1].checkpoint
        ]


def test_paused_trials_make_room_and_are_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(
        tmp_path,
        monkeypatch,
        {"score": "max"},
        falling=True,
        pruner=Pruner(rungs=RUNGS, start=0.0, keep=0.5, wait=2, promote=True),
        budget=Budget(trials=10),
        failures=Failures(retries=1),
        now=time.time(),
    )
    assert {trial.state for trial in record.trials} == {"complete", "pruned"}
    logs = {path.stem: path.read_text() for path in (tmp_path / "logs").iterdir()}
    promoted = [
        trial.number for trial in record.trials if len(logs[str(trial.number)].splitlines()) > 1
    ]
    assert promoted, logs
    for number in promoted:
        first, *others = logs[str(number)].splitlines()
        assert first == "attempt 0 from rung 0"
        assert all(not line.endswith("from rung 0") for line in others)
