"""Drivers that are killed between two writes, and what the next one makes of it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError

from search.engine.simulate import simulate
from search.engine.study import SearchStudy
from search.engine.worked import SAVE_SECONDS
from search.record import Rung, RungReport
from search.spec.distributions import Branch, Choice, Constant, Float, Group
from search.spec.relations import Length
from search.spec.schema import Budget, Failures, Pruner, Sampler, Stagnation
from tests.search.engine.curves import RUNGS, curve, engine_on, new_study, report, run, train

NONE = Pruner(name="none", rungs=RUNGS)


def reopened(folder: Path) -> SearchStudy:
    return SearchStudy.open(folder / "study.db")


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    "pruner", [NONE, Pruner(name="median", rungs=RUNGS, start=0.0, n_startup_trials=1)]
)
def test_a_trial_that_was_killed_after_its_last_rung_is_complete(
    tmp_path: Path, finished: bool, pruner: Pruner
) -> None:
    study = new_study(tmp_path)
    engine = engine_on(study, trials=3, pruner=pruner)
    now = run(engine, most=1)
    proposal = engine.ask(now)
    assert proposal is not None
    now = train(engine, 1, proposal.settings, now, range(1, RUNGS))
    last = report(proposal.settings, RUNGS)
    last = dataclasses.replace(last, rung=dataclasses.replace(last.rung, at=now + 1))
    study.rung(1, last, last.total_steps)
    if finished:
        study._put(1, finished=now + 1)
    after = engine_on(reopened(tmp_path), trials=3, pruner=pruner, now=now + 50)
    trial = after.record().trials[1]
    assert (trial.state, trial.finished, trial.reason) == ("complete", now + 1, None)
    assert trial.values == {name: trial.measures[name] for name in trial.values or {}}
    run(after, now + 50)
    assert {t.state for t in after.record().trials} <= {"complete", "pruned"}
    assert tuple(reopened(tmp_path).trials()) == after.record().trials


def test_a_trial_that_was_killed_before_its_last_rung_has_not_ended(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    engine = engine_on(study, trials=1, pruner=NONE)
    proposal = engine.ask(0.0)
    assert proposal is not None
    train(engine, 0, proposal.settings, 0.0, range(1, 3))
    # As if it was just being pruned.
    study._put(0, finished=9.0, reason="rung 2: dominated")
    after = engine_on(reopened(tmp_path), trials=1, pruner=NONE)
    trial = after.record().trials[0]
    assert (trial.state, trial.finished, trial.reason) == ("running", None, None)
    run(after, 10.0)
    assert after.record().trials[0].state == "complete"


def test_hours_that_were_worked_are_not_forgotten_when_a_driver_is_killed(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE)
    proposal = engine.ask(0.0)
    assert proposal is not None
    for index in (1, 2, 3):
        engine.report(0, report(proposal.settings, index), 900.0 * index)
    assert reopened(tmp_path).seconds >= 2700.0 - SAVE_SECONDS
    # The next rung is far away.
    for seconds in range(2700, 9000, 10):
        assert not engine.exhausted(float(seconds))
    assert reopened(tmp_path).seconds >= 8990.0 - SAVE_SECONDS


def test_stagnation_is_counted_the_same_after_a_resume(tmp_path: Path) -> None:
    budget = Budget(trials=40, stagnation=Stagnation(trials=8, epsilon=0.05))
    whole = engine_on(new_study(tmp_path), pruner=NONE, budget=budget)
    simulate(whole, curve, 1)
    count = len(whole.record().trials)
    assert count < 40
    for cut in (3, 6, count - 1):
        (tmp_path / str(cut)).mkdir()
        first = engine_on(new_study(tmp_path / str(cut)), pruner=NONE, budget=budget)
        now = run(first, most=cut)
        second = engine_on(reopened(tmp_path / str(cut)), pruner=NONE, budget=budget, now=now)
        simulate(second, curve, 1, now=now)
        assert len(second.record().trials) == count
        assert second.ending == whole.ending


def nan_at(settings: Any, index: int, **wrong: float) -> RungReport:
    told = report(settings, index)
    rung: Rung = told.rung
    return dataclasses.replace(
        told, rung=dataclasses.replace(rung, projected={**rung.projected, **wrong})
    )


def test_a_projection_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1)
    proposal = engine.ask(0.0)
    assert proposal is not None
    told = nan_at(proposal.settings, 1, train_flops=math.inf)
    assert engine.report(0, told, 1.0) == "stop"
    trial = engine.record().trials[0]
    assert (trial.state, trial.rungs) == ("failed", ())
    assert trial.reason == "train_flops, carried forward to the end, is inf"


def test_a_search_gives_up_when_every_trial_measures_nan(tmp_path: Path) -> None:
    failures = Failures(retries=0, give_up=3)
    engine = engine_on(new_study(tmp_path), trials=30, failures=failures)
    for number in range(3):
        proposal = engine.ask(float(number))
        assert proposal is not None
        engine.report(number, report(proposal.settings, 1, score=math.nan), float(number))
    assert engine.ending == "all trials failed in the same way: score is nan"
    assert engine.ask(9.0) is None


def test_ctrl_c_stands_whatever_ends_the_search_at_the_same_time(tmp_path: Path) -> None:
    budget = Budget(trials=9, trial_seconds=30)
    engine = engine_on(new_study(tmp_path), pruner=NONE, budget=budget)
    proposal = engine.ask(0.0)
    assert proposal is not None
    engine.end("stopped by Ctrl-C")
    engine.exhausted(1.0)
    train(engine, 0, proposal.settings, 1.0)
    assert engine.exhausted(5.0)
    assert engine.ending == "stopped by Ctrl-C"


PLACES = Group(
    {
        "method": Branch(
            {
                "aflora": Group(
                    {
                        "rank": Constant(1),
                        "modules": Constant(["query"]),
                        "freeze": Group(
                            {
                                "start": Choice((0.1, 0.2, 0.3, 0.4)),
                                "end": Float(0.2, 0.5, step=0.1),
                                "interval": Constant(1),
                            }
                        ),
                    }
                )
            },
            nested=True,
        ),
        "learning_rate": Constant(1e-3),
        "head_learning_rate": Constant(1e-3),
    }
)


@pytest.mark.parametrize("promote", [False, True])
def test_a_grid_holds_each_schedule_once_and_ends_like_any_search(
    tmp_path: Path, promote: bool
) -> None:
    engine = engine_on(
        new_study(tmp_path, {"score": "max"}),
        trials=64,
        tree=PLACES,
        sampler=Sampler(name="grid"),
        length=Length(100, 50),
        pruner=Pruner(rungs=RUNGS, start=0.0, keep=0.3, wait=2, promote=promote),
    )
    simulate(engine, curve, 2)
    record = engine.record()
    schedules = [
        (freeze["start"], freeze["end"])
        for trial in record.trials
        for freeze in [trial.settings["method"]["aflora"]["freeze"]]
    ]
    assert len(set(schedules)) == len(schedules)
    assert all(start < end for start, end in schedules)
    assert engine.spent == "every configuration of the grid was tried"
    assert engine.ending is None
    assert {trial.state for trial in record.trials} <= {"complete", "pruned"}


def test_a_database_that_is_away_between_rungs_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE)
    assert engine.ask(0.0) is not None

    def away(study: SearchStudy, seconds: float) -> None:
        raise StorageInternalError("server closed the connection unexpectedly")

    with monkeypatch.context() as change:
        change.setattr(SearchStudy, "seconds", property(lambda study: 0.0, away))
        for seconds in range(10, 200, 10):
            assert not engine.exhausted(float(seconds))
    for seconds in range(200, 300, 10):
        assert not engine.exhausted(float(seconds))
    assert reopened(tmp_path).seconds >= 290.0 - SAVE_SECONDS
