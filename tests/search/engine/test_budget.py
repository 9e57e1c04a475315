"""Whatever ends a search, trials end in order and it can go on with a larger budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from search.engine.simulate import Step, simulate
from search.engine.study import SearchStudy
from search.pareto.front import front
from search.record import TrialRecord
from search.spec.limits import parse_limits
from search.spec.schema import Budget, Pruner, Sampler, Stagnation
from tests.search.engine.curves import FLAT, OBJECTIVES, curve, engine_on, new_study, report

NONE = Pruner(name="none", rungs=4)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(trials=50, hours=42 / 3600), "the budget of 0.0116667 hours is spent"),
        (Budget(trials=50, trial_seconds=70), "the budget of 70 trial-seconds is spent"),
    ],
)
def test_trials_that_run_are_interrupted_and_go_on_with_a_larger_budget(
    tmp_path: Path, budget: Budget, reason: str
) -> None:
    first = engine_on(new_study(tmp_path), pruner=NONE, budget=budget)
    now = simulate(first, curve, 2)
    assert first.ending == reason
    record = first.record()
    assert not record.in_state("running")
    paused = record.in_state("paused")
    assert paused
    assert all(t.reason == f"interrupted: {reason}" for t in paused)
    complete = record.in_state("complete")

    second = engine_on(SearchStudy.open(tmp_path / "study.db"), trials=8, pruner=NONE, now=now)
    simulate(second, curve, 2, now=now)
    after = second.record()
    assert {trial.state for trial in after.trials} == {"complete"}
    assert len(after.trials) == 8
    assert after.trials[: len(complete)] == complete
    for trial in after.trials:
        assert [rung.index for rung in trial.rungs] == [1, 2, 3, 4]


def test_trial_seconds_add_up_over_all_trials(tmp_path: Path) -> None:
    engine = engine_on(
        new_study(tmp_path), pruner=NONE, budget=Budget(trials=50, trial_seconds=100)
    )
    simulate(engine, curve, 3)
    assert 100 <= engine.trial_seconds() < 100 + 3 * 20


def test_hours_count_only_while_a_driver_works(tmp_path: Path) -> None:
    budget = Budget(trials=50, hours=1)
    first = engine_on(new_study(tmp_path), budget=budget)
    first.close(1800.0)
    second = engine_on(SearchStudy.open(tmp_path / "study.db"), budget=budget, now=1e6)
    assert second.ask(1e6 + 1700) is not None
    assert second.ask(1e6 + 1801) is None


def test_a_stagnated_search_lets_its_trials_finish(tmp_path: Path) -> None:
    """Every configuration gives the same point: nothing grows after the first."""
    budget = Budget(trials=500, stagnation=Stagnation(trials=6, epsilon=0.01))

    def flat(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        same: dict[str, Any] = {"score": 0.5, "trainable_params": 10.0, "train_flops": 1e3}
        return [Step(5.0, report(settings, index, **same)) for index in (1, 2, 3, 4)]

    study = new_study(tmp_path)
    study.reference = {"score": 0.1, "trainable_params": 1e3, "train_flops": 1e5}
    engine = engine_on(study, pruner=NONE, budget=budget)
    simulate(engine, flat, 3)
    assert engine.ending == "the hypervolume has not grown by 1.00% over 6 trials"
    record = engine.record()
    assert {trial.state for trial in record.trials} == {"complete"}
    # The first one grew it, six more did not, and two were on their way.
    assert len(record.trials) == 9
    again = engine_on(SearchStudy.open(tmp_path / "study.db"), pruner=NONE, budget=budget)
    assert again.ask(0.0) is None


def test_a_stagnated_search_can_still_run_out_of_time(tmp_path: Path) -> None:
    budget = Budget(trials=500, hours=1, stagnation=Stagnation(trials=2, epsilon=0.01))
    study = new_study(tmp_path)
    study.reference = {"score": 0.1, "trainable_params": 1e3, "train_flops": 1e5}
    engine = engine_on(study, pruner=NONE, budget=budget)
    same: dict[str, Any] = {"score": 0.5, "trainable_params": 10.0, "train_flops": 1e3}
    proposals = [engine.ask(0.0) for _ in range(4)]
    for number, proposal in enumerate(proposals[:3]):
        assert proposal is not None
        for index in (1, 2, 3, 4):
            engine.report(number, report(proposal.settings, index, **same), 10.0)
    assert engine.ask(20.0) is None
    assert engine.ending == "the hypervolume has not grown by 1.00% over 2 trials"
    assert not engine.exhausted(3599.0)
    assert not engine.stopping
    assert engine.exhausted(3601.0)
    assert engine.stopping
    assert engine.ending == "the budget of 1 hours is spent"


def test_a_search_that_still_grows_does_not_stagnate(tmp_path: Path) -> None:
    budget = Budget(trials=14, stagnation=Stagnation(trials=3, epsilon=0.0))

    def growing(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        value: dict[str, Any] = {
            "score": 0.1 + 0.05 * number,
            "trainable_params": 10.0,
            "train_flops": 1e3,
        }
        return [Step(5.0, report(settings, index, **value)) for index in (1, 2, 3, 4)]

    study = new_study(tmp_path)
    study.reference = {"score": 0.0, "trainable_params": 1e3, "train_flops": 1e5}
    engine = engine_on(study, pruner=NONE, budget=budget)
    simulate(engine, growing, 1)
    assert engine.ending is None
    assert len(engine.record().trials) == 14


# Limits


def within(trial: TrialRecord) -> bool:
    return trial.measures["trainable_params"] <= 200


@pytest.mark.parametrize(
    ("sampler", "trials"), [("tpe", 60), ("nsga2", 60), ("nsga3", 60), ("gp", 44)]
)
def test_limits_keep_the_front_and_lead_the_sampler(
    tmp_path: Path, sampler: str, trials: int
) -> None:
    options = {"population_size": 6} if sampler.startswith("nsga") else {}
    engine = engine_on(
        new_study(tmp_path),
        trials=trials,
        pruner=NONE,
        tree=FLAT,  # nsga2, nsga3 and gp learn only about settings that every trial has
        sampler=Sampler(name=sampler, startup=6, **options),
        limits=parse_limits({"trainable_params": "<= 200", "score": ">= 0.2"}),
    )
    simulate(engine, curve, 1)
    record = engine.record()
    assert {trial.state for trial in record.trials} == {"complete"}
    for trial in record.trials:
        assert trial.feasible == (within(trial) and trial.measures["score"] >= 0.2)
    assert all(within(trial) for trial in front(record.trials, list(OBJECTIVES)))
    assert any(not trial.feasible for trial in record.trials)
    # Drawn at random, 45 of 100 keep to the limit.
    later = record.trials[20:]
    assert sum(within(trial) for trial in later) >= 0.55 * len(later)
    again = SearchStudy.open(tmp_path / "study.db").trials()
    assert [t.feasible for t in again] == [t.feasible for t in record.trials]


# Pausing and promoting


def test_a_paused_trial_is_promoted_once_it_is_among_the_best(tmp_path: Path) -> None:
    pruner = Pruner(rungs=4, start=0.0, keep=0.5, wait=2, promote=True)
    study = new_study(tmp_path, {"score": "max"})
    engine = engine_on(study, trials=5, pruner=pruner, sampler=Sampler(name="random"))

    def rung(number: int, index: int, score: float) -> str:
        settings = engine.record().trials[number].settings
        return engine.report(
            number, report(settings, index, score=score), 10.0 * number + index, f"{number}/{index}"
        )

    for number, (score, told) in enumerate(
        [(0.5, "continue"), (0.4, "pause"), (0.3, "pause"), (0.2, "pause")]
    ):
        proposal = engine.ask(float(number))
        assert proposal is not None
        # Among four, trial 1 with its 0.4 belongs to the best two and goes on first.
        if number == 3:
            assert (proposal.number, proposal.checkpoint) == (1, "1/1")
            break
        assert proposal.number == number
        assert rung(number, 1, score) == told
    record = engine.record()
    assert record.trials[1].state == "running"
    assert record.trials[2].state == "paused"
    assert record.trials[2].reason.startswith("rung 1: dominated")  # type: ignore[union-attr]


def test_a_promoting_search_ends_with_every_trial_complete_or_pruned(tmp_path: Path) -> None:
    pruner = Pruner(rungs=4, start=0.0, keep=0.5, wait=2, promote=True)
    engine = engine_on(new_study(tmp_path), trials=20, pruner=pruner)
    simulate(engine, curve, 3)
    record = engine.record()
    assert {trial.state for trial in record.trials} == {"complete", "pruned"}
    never = record.in_state("pruned")
    assert all("paused there and never promoted" in (trial.reason or "") for trial in never)


def test_without_a_checkpoint_nothing_is_paused(tmp_path: Path) -> None:
    pruner = Pruner(rungs=4, start=0.0, keep=0.5, wait=2, promote=True)
    engine = engine_on(new_study(tmp_path, {"score": "max"}), pruner=pruner)
    for number, score in enumerate([0.9, 0.2, 0.1]):
        proposal = engine.ask(0.0)
        assert proposal is not None
        told = engine.report(number, report(proposal.settings, 1, score=score), 1.0)
    assert told == "stop"
    assert engine.record().trials[2].state == "pruned"
