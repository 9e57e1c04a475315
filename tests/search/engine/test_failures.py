"""Trials that fail: tried again from their last rung, given up, never proposed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from search.engine.failures import Failure
from search.engine.simulate import Step, simulate
from search.engine.study import SearchStudy
from search.spec.distributions import Branch, Choice, Constant, Group
from search.spec.schema import Failures, Pruner, Sampler
from tests.search.engine.curves import FLAT, curve, engine_on, new_study, report

NONE = Pruner(name="none", rungs=4)
CRASH = Failure("RuntimeError: boom")


def failing(*plans: tuple[int, Failure]) -> Any:
    """Trial 0 fails with each plan in turn, after so many rungs of the attempt."""
    left = list(plans)

    def steps(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        whole = list(curve(settings, number))
        if number != 0 or not left:
            return whole
        reached, failure = left.pop(0)
        return [*whole[:reached], Step(1.0, failure=failure)]

    return steps


def test_a_trial_that_fails_goes_on_from_its_last_rung(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE, failures=Failures(retries=2))
    simulate(engine, failing((2, CRASH), (3, CRASH)), 1)
    (trial,) = engine.record().trials
    assert trial.state == "complete"
    assert trial.failures == ("RuntimeError: boom",) * 2
    # Two rungs at 5 s, 1 s to the crash; then from the second on, and so once more.
    assert [rung.at for rung in trial.rungs] == [5.0, 10.0, 16.0, 22.0]
    assert SearchStudy.open(tmp_path / "study.db").trials()[0].failures == trial.failures


def test_it_fails_once_its_retries_are_spent_and_keeps_its_reason(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=2, pruner=NONE, failures=Failures(retries=1))
    last = Failure("out of memory (GPU): tried to allocate 9 GiB")
    simulate(engine, failing((1, CRASH), (2, last)), 1)
    failed, other = engine.record().trials
    assert (failed.state, failed.reason, failed.values) == ("failed", last.reason, None)
    assert failed.failures == (CRASH.reason, last.reason)
    assert other.state == "complete"


def test_the_loss_of_a_node_does_not_count(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE, failures=Failures(retries=0))
    lost = Failure("its node was lost", counted=False)
    simulate(engine, failing((1, lost), (2, lost), (3, lost)), 1)
    (trial,) = engine.record().trials
    assert trial.state == "complete"
    assert trial.failures == ("(not counted) its node was lost",) * 3


def test_a_store_that_stays_away_ends_the_search_and_costs_no_trial(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=4, pruner=NONE, failures=Failures(retries=1))
    away = Failure("the store cannot be used: OSError: full", counted=False, of_store=True)

    def whole_then_away(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        return list(curve(settings, number)) if number == 0 else [Step(25.0, failure=away)]

    simulate(engine, whole_then_away, 1)
    engine.close(1e6)
    assert engine.ending == f"stopped by its store: {away.reason}"
    first, *others = engine.record().trials
    assert first.state == "complete"
    assert [(trial.state, len(trial.failures)) for trial in others] == [("paused", 4)]
    again = engine_on(SearchStudy.open(tmp_path / "study.db"), trials=4, pruner=NONE)
    simulate(again, curve, 1)
    assert [trial.state for trial in again.record().trials] == ["complete"] * 4


def test_a_store_that_comes_back_within_a_minute_ends_nothing(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE, failures=Failures(retries=0))
    away = Failure("the store cannot be used: OSError: busy", counted=False, of_store=True)
    simulate(engine, failing(*[(0, away)] * 20, *[(1, away)] * 51), 1)
    (trial,) = engine.record().trials
    assert (trial.state, len(trial.failures)) == ("complete", 71)


def test_what_an_interrupt_ended_in_the_study_alone_stays_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study(tmp_path)
    engine = engine_on(study, trials=1, pruner=NONE)
    first = engine.ask(0.0)
    assert first is not None
    finish = study.finish

    def finish_and_be_interrupted(*given: Any, **named: Any) -> None:
        finish(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "finish", finish_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.fail(first.number, Failure("MetricError: NaN", final=True), 1.0)
    engine.close(2.0)
    assert SearchStudy.open(tmp_path / "study.db").trials()[0].state == "failed"


def test_what_would_fail_again_is_not_tried_again(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=1, pruner=NONE, failures=Failures(retries=3))
    simulate(engine, failing((1, Failure("MetricError: NaN", final=True))), 1)
    (trial,) = engine.record().trials
    assert (trial.state, len(trial.failures)) == ("failed", 1)


def test_an_attempt_that_was_given_up_has_no_say_any_more(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), pruner=NONE, failures=Failures(retries=1))
    first = engine.ask(0.0)
    assert first is not None
    engine.report(0, report(first.settings, 1), 1.0, "0/1", attempt=first.attempt)
    engine.fail(0, Failure("hung"), 2.0, attempt=first.attempt)
    second = engine.ask(3.0)
    assert second is not None
    assert (second.number, second.checkpoint) == (0, "0/1")
    assert second.attempt != first.attempt
    # The process that hung dies at last, and had even got on with it.
    late = report(first.settings, 2)
    assert engine.report(0, late, 4.0, "old/2", attempt=first.attempt) == "stop"
    engine.fail(0, Failure("its process died"), 4.0, attempt=first.attempt)
    assert engine.active == {0}
    (trial,) = engine.record().trials
    assert (trial.state, len(trial.rungs), trial.failures) == ("running", 1, ("hung",))


def test_a_retry_survives_the_driver(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), pruner=NONE, failures=Failures(retries=1))
    proposal = engine.ask(0.0)
    assert proposal is not None
    engine.report(0, report(proposal.settings, 1), 1.0, "0/1")
    engine.fail(0, CRASH, 2.0)
    again = engine_on(
        SearchStudy.open(tmp_path / "study.db"), pruner=NONE, failures=Failures(retries=1)
    )
    retried = again.ask(3.0)
    assert retried is not None
    assert (retried.number, retried.checkpoint) == (0, "0/1")
    again.fail(0, CRASH, 4.0)
    assert again.record().trials[0].state == "failed"


@pytest.mark.parametrize(
    "reasons",
    [
        ["ValueError: row 0 is bad", "ValueError: row 1 is bad", "ValueError: row 12 is bad"],
        [
            "out of memory (GPU): Tried to allocate 9.00 GiB. Process 7 has 3.00 MiB in use.",
            "out of memory (GPU): Tried to allocate 512.00 MiB.",
            "out of memory (GPU): Tried to allocate 2.00 GiB. Process 8 has 1.00 GiB in use.",
        ],
    ],
)
def test_a_search_whose_trials_all_fail_alike_stops_and_says_why(
    reasons: list[str], tmp_path: Path
) -> None:
    engine = engine_on(new_study(tmp_path), trials=50, failures=Failures(retries=0, give_up=3))

    def steps(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        return [Step(1.0, failure=Failure(reasons[number]))]

    simulate(engine, steps, 1)
    record = engine.record()
    assert len(record.trials) == 3
    assert engine.ending == f"all trials failed in the same way: {reasons[0]}"


@pytest.mark.parametrize("kind", ["different", "one is complete"])
def test_a_search_goes_on_where_failures_differ_or_something_works(
    tmp_path: Path, kind: str
) -> None:
    engine = engine_on(new_study(tmp_path), trials=8, failures=Failures(retries=0, give_up=3))

    def steps(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        if kind != "different" and number == 0:
            return curve(settings, number)
        what = "x" * (number % 2) if kind == "different" else ""
        return [Step(1.0, failure=Failure(f"ValueError{what}: bad"))]

    simulate(engine, steps, 1)
    assert engine.ending is None
    assert len(engine.record().trials) == 8


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_configuration_that_failed_is_never_proposed_again(
    tmp_path: Path, sampler: str, resume: bool
) -> None:
    """Of twelve configurations one fails; drawn a hundred times, it comes up no more."""
    rank, rate = Choice((1, 2, 4)), Choice((1e-4, 1e-3, 3e-3, 1e-2))
    method = Group({"rank": rank, "modules": Constant(["query"])})
    methods = Branch({"aflora": method}, nested=True)
    tree = Group({"method": methods, "learning_rate": rate, "head_learning_rate": Choice((1e-3,))})
    change: dict[str, Any] = {
        "tree": tree,
        "sampler": Sampler(name=sampler, startup=3),
        "pruner": NONE,
        "failures": Failures(retries=0),
    }
    bad: list[dict[str, Any]] = []

    def steps(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        plain = dict(settings)
        if not bad:
            bad.append(plain)
        if plain == bad[0]:
            return [Step(1.0, failure=CRASH)]
        return curve(settings, number)

    engine = engine_on(new_study(tmp_path), trials=20 if resume else 100, **change)
    now = simulate(engine, steps, 1)
    if resume:
        engine = engine_on(SearchStudy.open(tmp_path / "study.db"), trials=100, now=now, **change)
        simulate(engine, steps, 1, now=now)
    found = [dict(trial.settings) for trial in engine.record().trials]
    assert len(found) == 100
    assert found.count(bad[0]) == 1


def test_when_only_failures_are_left_the_search_ends(tmp_path: Path) -> None:
    engine = engine_on(
        new_study(tmp_path),
        trials=50,
        tree=Group(
            {
                "method": FLAT.children["method"],
                "learning_rate": Choice((1e-3,)),
                "head_learning_rate": Choice((1e-3,)),
            }
        ),
        sampler=Sampler(name="random"),
        failures=Failures(retries=0, give_up=1000),
    )

    def steps(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
        return [Step(1.0, failure=CRASH)]

    simulate(engine, steps, 1)
    assert engine.spent == "what is proposed has failed before"
    assert engine.ending is None
    assert 10 < len(engine.record().trials) <= 21  # 3 ranks, 7 sets of modules
