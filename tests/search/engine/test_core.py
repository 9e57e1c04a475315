"""The engine on a study of its own, without Ray: honest states, resuming, repeating."""

import dataclasses
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers._tpe import sampler as tpe
from optuna.trial import TrialState

from search.engine.failures import Failure
from search.engine.proposals import params_of
from search.engine.proposer import Proposer
from search.engine.study import SearchStudy, Waiting
from search.pareto import non_dominated
from search.spec.schema import Budget, Pruner, Sampler
from tests.search.engine.curves import (
    OBJECTIVES,
    ROLES,
    STEPS,
    TREE,
    engine_on,
    new_study,
    report,
    run,
    train,
)


def test_states_are_honest(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path))
    run(engine)
    record = engine.record()
    assert len(record.trials) == 12
    assert {t.state for t in record.trials} == {"complete", "pruned"}
    for trial in record.in_state("complete"):
        assert trial.rungs[-1].step == STEPS
        assert trial.values == {name: trial.measures[name] for name in OBJECTIVES}
        assert trial.reason is None
    for trial in record.in_state("pruned"):
        assert trial.values is None
        assert trial.rungs[-1].step < STEPS
        assert trial.reason is not None
        assert trial.reason.startswith(f"rung {len(trial.rungs)}: dominated")


def test_a_trial_that_was_paused_and_went_on_has_no_reason_any_more(tmp_path: Path) -> None:
    pruner = Pruner(rungs=4, start=0.0, keep=0.5, wait=2, promote=True)
    engine = engine_on(new_study(tmp_path, {"score": "max"}), trials=8, pruner=pruner)
    for number in range(8):
        proposal = engine.ask(float(number))
        assert proposal is not None
        for index in (1, 2, 3, 4):
            score = 0.9 - 0.05 * proposal.number
            told = engine.report(
                proposal.number,
                report(proposal.settings, index, score=score),
                number + index / 9,
                f"{proposal.number}/{index}",
            )
            if told != "continue":
                break
    assert any(t.state == "complete" and t.number > 0 for t in engine.record().trials)
    assert tuple(SearchStudy.open(tmp_path / "study.db").trials()) == engine.record().trials


def test_the_study_holds_all_that_the_engine_knows(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path))
    run(engine)
    again = SearchStudy.open(tmp_path / "study.db")
    assert tuple(again.trials()) == engine.record().trials
    assert again.record(again.trials()).reference == engine.record().reference


def test_proposals_lie_in_the_space(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=30, sampler=Sampler(startup=3))
    run(engine)
    for trial in engine.record().trials:
        ((name, own),) = trial.settings["method"].items()
        assert own["rank"] in {"aflora": (1, 2, 4), "lora": (4, 8)}[name]
        assert set(own["modules"]) <= set(ROLES)
        assert len(own["modules"]) >= {"aflora": 1, "lora": 2}[name]
        assert 1e-4 <= trial.settings["learning_rate"] <= 1e-2


def test_the_same_seed_proposes_the_same(tmp_path: Path) -> None:
    settings = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        engine = engine_on(new_study(tmp_path / name))
        run(engine)
        settings.append([t.settings for t in engine.record().trials])
    assert settings[0] == settings[1]
    (tmp_path / "c").mkdir()
    other = engine_on(new_study(tmp_path / "c"), seed=8)
    run(other)
    assert [t.settings for t in other.record().trials] != settings[0]


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_resumed_search_goes_on_as_it_would_have(tmp_path: Path, cut: int) -> None:
    (tmp_path / "whole").mkdir()
    whole = engine_on(new_study(tmp_path / "whole"))
    run(whole)
    first = engine_on(new_study(tmp_path))
    now = run(first, most=cut)
    # Dies in the middle of a trial.
    proposal = first.ask(now)
    assert proposal is not None
    first.report(proposal.number, report(proposal.settings, 1), now + 1, "c/1")
    second = engine_on(SearchStudy.open(tmp_path / "study.db"))
    resumed = second.ask(now + 2)
    assert resumed is not None
    assert (resumed.number, resumed.settings) == (proposal.number, proposal.settings)
    if second.record().trials[proposal.number].state == "running":
        assert resumed.checkpoint == "c/1"
    train(second, resumed.number, resumed.settings, now + 2, range(2, 5))
    run(second, now + 9)
    left, right = second.record().trials, whole.record().trials
    assert [t.settings for t in left] == [t.settings for t in right]
    assert [t.state for t in left] == [t.state for t in right]
    assert [t.values for t in left] == [t.values for t in right]


def test_a_rung_told_twice_counts_once(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path))
    proposal = engine.ask(0.0)
    assert proposal is not None
    first = report(proposal.settings, 1)
    engine.report(0, first, 1.0)
    engine.report(0, dataclasses.replace(first), 2.0)
    (rung,) = engine.record().trials[0].rungs
    assert rung.at == 1.0
    train(engine, 0, proposal.settings, 2.0, range(2, 5))
    assert engine.report(0, report(proposal.settings, 4), 9.0) == "continue"
    assert engine.record().trials[0].finished == 5.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_a_failure(tmp_path: Path, value: float) -> None:
    engine = engine_on(new_study(tmp_path))
    proposal = engine.ask(0.0)
    assert proposal is not None
    assert engine.report(0, report(proposal.settings, 1, score=value), 1.0) == "stop"
    (trial,) = engine.record().trials
    assert (trial.state, trial.values, trial.rungs) == ("failed", None, ())
    assert trial.reason == f"score is {value}"
    run(engine, 2.0)
    assert not engine.record().in_state("running")


def test_a_failure_keeps_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=3)
    assert engine.ask(0.0) is not None
    engine.fail(0, Failure("ValueError: no luck"), 1.0)
    run(engine, 1.0)
    assert engine.record().trials[0].state == "failed"
    assert engine.record().trials[0].reason == "ValueError: no luck"
    assert len(engine.record().in_state("complete")) == 2


def test_enqueued_configurations_come_first_with_their_mark(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    settings = {
        "method": {"lora": {"rank": 8, "modules": ["query", "value"]}},
        "learning_rate": 1e-3,
        "head_learning_rate": 1e-3,
    }
    params, distributions = params_of(TREE, settings)
    study.enqueue(Waiting(settings, params, distributions, "lora r8", "LoRA r=8"))
    engine = engine_on(study)
    proposal = engine.ask(0.0)
    assert proposal is not None
    assert proposal.settings["method"] == {"lora": {"rank": 8, "modules": ["query", "value"]}}
    assert engine.record().trials[0].mark == "LoRA r=8"


def test_the_budget_of_hours_adds_up_over_drivers(tmp_path: Path) -> None:
    budget = Budget(trials=100, hours=1)
    first = engine_on(new_study(tmp_path), budget=budget)
    assert first.ask(10.0) is not None
    assert not first.exhausted(1800.0)
    second = engine_on(SearchStudy.open(tmp_path / "study.db"), budget=budget, now=10_000.0)
    assert second.ask(10_001.0) is not None
    assert second.ending is None
    assert second.ask(11_900.0) is None
    assert second.ending == "the budget of 1 hours is spent"


def test_the_reference_point_is_fixed_after_ten_and_never_moves(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=40, pruner=Pruner(name="none"))
    now = run(engine, most=9)
    assert engine.record().reference is None
    now = run(engine, now, most=1)
    fixed = engine.record().reference
    assert fixed is not None
    run(engine, now)
    assert engine.record().reference == fixed


@pytest.mark.parametrize("objectives", [["score"], ["score", "trainable_params"]])
def test_of_a_long_search_tpe_still_calls_complete_trials_good(
    objectives: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complete ones lie far back; what came last was pruned or broke a limit."""
    monkeypatch.setattr("search.engine.samplers.SEEN_MOST", 6)
    split = tpe._split_trials
    good: list[list[int]] = []

    def noted(*given: Any) -> Any:
        below, above = split(*given)
        good.append([trial.number for trial in below])
        assert len(below) + len(above) <= 6 + 2 * 5
        return below, above

    monkeypatch.setattr(tpe, "_split_trials", noted)
    proposer = Proposer(TREE, None, Sampler(startup=2), objectives, (), 0, [], {})
    for number in range(60):
        assert proposer.propose() is not None
        # The fourth dominates all the others.
        values = [5.0 if number == 3 else number / 10, 10.0 if number == 3 else 100.0]
        violations = {"x": 1.0 if 5 <= number < 50 else 0.0}
        complete = number < 50
        state = TrialState.COMPLETE if complete else TrialState.PRUNED
        measured = values[: len(objectives)] if complete else None
        proposer.ended(number, state, measured, {}, violations)
    good.clear()
    assert proposer.propose() is not None
    assert good
    # A tenth of the 50 that are complete, of which 5 keep to the limits.
    assert all(found == [0, 1, 2, 3, 4] for found in good)


def test_pruned_trials_never_count_among_tpe_s_good_ones(tmp_path: Path) -> None:
    """With 5 complete and 60 pruned trials the good ones are a part of the 5."""
    from search.engine.samplers import make_sampler

    def good(complete: int, feasible: int, front: int) -> int:
        config = Sampler(startup=4)
        sampler: Any = make_sampler(
            config, 0, 65, 0, complete=complete, feasible=feasible, front=front
        )
        return int(sampler._gamma(65))

    assert good(5, 5, 1) == 1
    # All of a front, never less than a tenth, never what breaks a limit.
    assert good(5, 5, 3) == 3
    assert good(40, 40, 1) == 4
    assert good(40, 2, 1) == 2
    assert good(400, 400, 60) == 25
    early = make_sampler(Sampler(startup=6), 0, 65, 0, complete=5, feasible=5, front=1)
    assert type(early).__name__ == "RandomSampler"


@given(
    st.lists(
        st.tuples(st.integers(0, 3).map(float), st.integers(0, 3).map(float), st.booleans()),
        max_size=15,
    )
)
def test_the_front_that_tpe_takes_for_good_is_the_front(found: list[Any]) -> None:
    proposer = Proposer(TREE, None, Sampler(), ["score", "trainable_params"], (), 0, [], {})
    for score, cost, feasible in found:
        trial_id = proposer._storage.create_new_trial(proposer._study_id)
        proposer._count(trial_id, [-score, cost], {"x": 0.0 if feasible else 1.0})
    kept = [[-score, cost] for score, cost, feasible in found if feasible]
    assert len(proposer._front) == (int(non_dominated(kept).sum()) if kept else 0)
    assert (proposer._complete, len(proposer._feasible)) == (len(found), len(kept))


@given(
    st.lists(
        st.none()
        | st.just("pruned")
        | st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()),
        max_size=14,
    ),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
    st.sampled_from(["tpe", "nsga2"]),
)
def test_tpe_sees_the_last_trials_and_the_good_ones(
    ends: list[str | tuple[int, int, bool] | None], most: int, order: random.Random, name: str
) -> None:
    """A trial runs (None), was pruned, or has a score, a count, and keeps to the limits or not."""
    config = Sampler(name=name, startup=100)
    complete: dict[int, list[float]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.engine.samplers.SEEN_MOST", most)
        patch.setattr("search.engine.proposer.GOOD_MOST", 2)
        proposer = Proposer(TREE, None, config, ["score", "trainable_params"], (), 0, [], {})
        # One that came to nothing has a number in the storage alone.
        nothing = proposer._storage.create_new_trial(proposer._study_id)
        proposer._storage.set_trial_state_values(nothing, TrialState.FAIL)
        for number in order.sample(range(len(ends)), len(ends)):
            while len(proposer._ids) <= number:
                assert proposer.propose() is not None
            end = ends[number]
            if isinstance(end, tuple):
                violations = {"x": 0.0 if end[2] else 1.0}
                values = [float(end[0]), 10.0 ** end[1]]
                proposer.ended(number, TrialState.COMPLETE, values, {}, violations)
                if end[2]:
                    complete[number] = [-float(end[0]), float(end[1])]
            elif end == "pruned":
                proposer.ended(number, TrialState.PRUNED, None, {}, {})
        proposer._take_in()
    seen = {trial.number - 1 for trial in proposer._storage.get_all_trials(0, deepcopy=False)}
    if name == "nsga2":
        assert seen == set(range(-1, len(ends)))
        return
    best = non_dominated([*complete.values()]).tolist() if complete else []
    front = {number for number, kept in zip(complete, best, strict=True) if kept}
    last = set(range(max(-1, len(ends) - most), len(ends)))
    assert seen == {*sorted(front)[-most:], *sorted(complete)[-2:]} | last
