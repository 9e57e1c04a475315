"""Searcher, scheduler and callback, called as Tune calls them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.engine.failures import Failure
from search.engine.ray_environment import RAY_ENVIRONMENT
from search.engine.ray_failures import failure_from
from search.engine.ray_parts import EngineScheduler, EngineSearcher, Supervision
from search.engine.study import SearchStudy
from search.spec.schema import Failures, Pruner
from tests.search.engine.curves import alone, engine_on, new_study, report


def suggested(searcher: EngineSearcher) -> dict[str, Any]:
    """What Tune gets, which asks again and again while the proposal is being drawn."""
    for _ in range(400):
        found = searcher.suggest("x")
        if isinstance(found, dict):
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_nothing_is_proposed_before_a_slot_is_free(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=3)
    searcher = EngineSearcher(alone(engine, tmp_path), lambda: 1)
    suggested(searcher)
    # Tune asks one ahead.
    assert searcher.suggest("b") is None
    assert len(engine.record().trials) == 1
    engine.fail(0, Failure("x"), 1.0)
    assert suggested(searcher)["number"] == 1


def test_where_nothing_trains_tune_is_not_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would sleep for a second."""
    engine = engine_on(new_study(tmp_path), trials=2, failures=Failures(retries=1))
    fleet = alone(engine, tmp_path)
    searcher = EngineSearcher(fleet, lambda: 1)
    ask, submit, active = fleet.ask, searcher._thread.submit, threading.Event()

    def slowly(now: float) -> Any:
        found = ask(now)
        active.set()  # the engine counts it as active, and it is not handed over yet
        time.sleep(0.2)
        return found

    def submitted(*called: Any) -> Any:
        active.clear()
        future = submit(*called)
        assert active.wait(20)
        return future

    monkeypatch.setattr(fleet, "ask", slowly)
    monkeypatch.setattr(searcher._thread, "submit", submitted)
    # Each fails once and is tried again.
    for number, attempt in ((0, 0), (0, 1), (1, 0), (1, 1)):
        found = searcher.suggest("a")
        assert isinstance(found, dict)
        assert (found["number"], found["attempt"]) == (number, attempt)
        engine.fail(number, Failure("x"), 1.0, attempt)
    searcher.close()


def test_tunes_loop_does_not_wait_while_a_trial_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = alone(engine_on(new_study(tmp_path), trials=2), tmp_path)
    searcher = EngineSearcher(fleet, lambda: 2)
    assert isinstance(searcher.suggest("a"), dict)
    ask, go_on = fleet.ask, threading.Event()

    def held(now: float) -> Any:
        assert go_on.wait(20)
        return ask(now)

    monkeypatch.setattr(fleet, "ask", held)
    try:
        assert searcher.suggest("b") is None
    finally:
        go_on.set()
    assert suggested(searcher)["number"] == 1
    searcher.close()


def test_the_search_is_not_finished_while_a_trial_may_have_to_be_tried_again(
    tmp_path: Path,
) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, failures=Failures(retries=1))
    searcher = EngineSearcher(alone(engine, tmp_path), lambda: 2)
    suggested(searcher)
    for _ in range(20):
        assert searcher.suggest("b") is None
        time.sleep(0.01)
    engine.fail(0, Failure("x"), 1.0)
    again = suggested(searcher)
    assert (again["number"], again["attempt"]) == (0, 1)
    engine.fail(0, Failure("x"), 2.0, attempt=1)
    assert searcher.suggest("c") == Searcher.FINISHED


def tune_trial(number: int, attempt: int, status: str = Trial.RUNNING, study: str = "rte") -> Any:
    folder = f"{number:05d}-{attempt}"
    return SimpleNamespace(
        config={"study": study, "number": number, "attempt": attempt, "folder": folder},
        status=status,
        is_finished=lambda: status in (Trial.ERROR, Trial.TERMINATED),
        pickled_error_file=None,
        temporary_state=SimpleNamespace(ray_actor=None),
    )


class Quiet:
    def newly_stepped(self) -> list[str]:
        return []

    def hanging(self, running: Any, now: float) -> list[str]:
        return []


@pytest.mark.parametrize("status", [Trial.ERROR, Trial.TERMINATED])
def test_trials_that_tune_ended_without_a_word_are_reconciled(tmp_path: Path, status: str) -> None:
    """With reused processes Tune can fail the next trial unrun and never tell the searcher."""
    engine = engine_on(new_study(tmp_path), failures=Failures(retries=0))
    assert engine.ask(0.0) is not None
    supervision = Supervision(alone(engine, tmp_path), Quiet(), 1.0)  # type: ignore[arg-type]
    supervision.on_step_end(1, [tune_trial(0, 0)])
    assert engine.active == {0}
    supervision.on_step_end(2, [tune_trial(0, 0, status)])
    assert engine.record().trials[0].state == "failed"


def test_the_first_step_of_a_trial_that_runs_is_told(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path))
    assert engine.ask(0.0) is not None
    trial, told = tune_trial(0, 0), []
    quiet = Quiet()
    quiet.newly_stepped = lambda: [trial.config["folder"], "of an attempt that is over"]  # type: ignore[method-assign]
    supervision = Supervision(
        alone(engine, tmp_path),
        quiet,  # type: ignore[arg-type]
        1.0,
        lambda study, number: told.append((study, number)),
    )
    supervision.on_step_end(1, [trial])
    assert told == [(trial.config["study"], 0)]


def test_the_scheduler_writes_the_rung_that_it_stops_a_trial_at(tmp_path: Path) -> None:
    """On a stop Tune does not call the searcher's on_trial_result."""
    pruner = Pruner(name="threshold", rungs=4, start=0.0, lower=0.5)
    engine = engine_on(new_study(tmp_path), pruner=pruner)
    proposal = engine.ask(0.0)
    assert proposal is not None
    scheduler = EngineScheduler(alone(engine, tmp_path), "001", list[str]().extend)
    told = report(proposal.settings, 1, score=0.1).to_json()
    result = {"report": told, "checkpoint_dir_name": "checkpoint_000000"}
    assert scheduler.on_trial_result(None, tune_trial(0, 0), result) == TrialScheduler.STOP
    (trial,) = SearchStudy.open(tmp_path / "study.db").trials()
    assert trial.state == "pruned"
    assert [rung.index for rung in trial.rungs] == [1]
    assert trial.rungs[0].checkpoint == "trials/001/00000-0/checkpoint_000000"


@pytest.mark.parametrize(
    ("error", "reason", "counted"),
    [
        (NodeDiedError("gone"), "its node was lost", False),
        (OutOfMemoryError("x"), "out of memory (CPU)", True),
        (ActorDiedError(), "its process died", True),
        (MemoryError("no room"), "out of memory (CPU): no room", True),
        (ValueError("wrong\nmore"), "ValueError: wrong", True),
        # A byte that is no character, which no file takes either.
        (ValueError("no /data/caf\udce9.csv"), "ValueError: no /data/caf?.csv", True),
    ],
)
def test_failures_are_named_and_the_loss_of_a_node_does_not_count(
    error: Exception, reason: str, counted: bool
) -> None:
    failure = failure_from(error)
    assert failure.reason.startswith(reason)
    assert failure.counted is counted


def test_memory_of_a_gpu_is_told_apart_and_what_is_no_number_is_final() -> None:
    import torch

    from search.metrics import MetricError

    assert failure_from(torch.OutOfMemoryError("9 GiB")).reason == "out of memory (GPU): 9 GiB"
    for told in (
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling",
    ):
        assert failure_from(RuntimeError(told)).reason == f"out of memory (GPU): {told}"
    assert failure_from(MetricError("NaN")).final


def test_a_stopped_trial_has_time_to_unwind() -> None:
    """Else the next trial on a reused process fails unrun."""
    assert float(RAY_ENVIRONMENT["TUNE_FUNCTION_THREAD_TIMEOUT_S"]) >= 60
