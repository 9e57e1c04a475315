"""What was spent and what pruning saved: sums that never fall, and nothing made up."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.record import State, TrialRecord
from search.results.figures import hypervolume_figure
from search.results.saving import Spending, saving_in_words, spending, spent_by
from tests.search.results.conftest import make_study
from tests.search.results.slot_runs import make_run, worked_trial

Maker = Callable[..., Any]
states: st.SearchStrategy[State] = st.sampled_from(
    ["complete", "pruned", "failed", "running", "paused"]
)


@st.composite
def searches(draw: st.DrawFn, kinds: st.SearchStrategy[State] = states) -> list[TrialRecord]:
    trials = []
    for number in range(draw(st.integers(0, 12))):
        lengths = draw(st.lists(st.floats(0.1, 300.0), min_size=0, max_size=5))
        now, stretches = 1_000.0 + draw(st.floats(0.0, 1_000.0)), []
        for length in lengths:
            stretches.append(("a", now, now + length))
            now += length
        state: State = draw(kinds) if stretches else "failed"
        trials.append(worked_trial(number, stretches, state))
    return trials


@given(searches())
def test_both_sums_rise_and_end_with_all_that_was_spent(trials: list[TrialRecord]) -> None:
    account = spending(trials)
    for before, after in itertools.pairwise([Spending(-math.inf, 0.0, 0.0), *account]):
        assert before.at <= after.at
        assert before.spent <= after.spent
        assert 0.0 <= before.saved <= after.saved
    if not account:
        return
    assert account[-1].spent == pytest.approx(
        sum(trial.measures.get("total_seconds", 0.0) for trial in trials)
    )
    saved = [
        t.rungs[-1].projected["total_seconds"] - t.measures["total_seconds"]
        for t in trials
        if t.state == "pruned"
    ]
    assert account[-1].saved == pytest.approx(sum(saved))


@given(searches(st.sampled_from(["complete", "failed", "running", "paused"])))
def test_without_pruned_trials_nothing_is_saved(trials: list[TrialRecord]) -> None:
    assert all(entry.saved == 0.0 for entry in spending(trials))
    assert saving_in_words(trials) == ""


@given(searches(), st.floats(0.0, 5_000.0), st.floats(0.0, 5_000.0))
def test_the_account_of_a_later_moment_is_no_smaller(
    trials: list[TrialRecord], one: float, other: float
) -> None:
    account = spending(trials)
    early, late = (spent_by(account, moment) for moment in sorted([one, other]))
    assert early.spent <= late.spent
    assert early.saved <= late.saved


def test_work_counts_at_its_rung_and_what_is_saved_at_the_last_one() -> None:
    whole = worked_trial(
        0, [("a", 0, 10), ("a", 10, 20), ("a", 20, 30), ("a", 30, 40), ("a", 40, 50)]
    )
    pruned = worked_trial(1, [("a", 0, 12), ("a", 12, 24)], "pruned")
    assert spending([whole, pruned]) == [
        (10, 10, 0), (12, 22, 0), (20, 32, 0), (24, 32, 36), (24, 44, 36), (30, 54, 36), (40, 64, 36), (50, 74, 36),
    ]  # fmt: skip
    assert spent_by(spending([whole, pruned]), 24.0) == (24, 44, 36)
    assert spent_by(spending([whole, pruned]), 9.0) == (9, 0, 0)
    assert (
        saving_in_words([whole, pruned])
        .replace("\N{NO-BREAK SPACE}", " ")
        .startswith("Pruning saved 33 %: 36.0 s of the 1 min 50 s ")
    )


@pytest.mark.parametrize("projected", [{}, {"total_seconds": 1.0}, {"total_seconds": math.nan}])
def test_what_was_not_projected_is_not_saved(projected: dict[str, float]) -> None:
    trial = worked_trial(0, [("a", 0, 12)], "pruned")
    rung = dataclasses.replace(trial.rungs[0], projected=projected)
    assert spending([dataclasses.replace(trial, rungs=(rung,))])[-1].saved == 0.0


def lines(study: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in hypervolume_figure(study, "seconds").data}


def test_the_fainter_line_reaches_the_same_hypervolume_no_sooner() -> None:
    study = make_run(40)
    found = lines(study)
    spent, whole = found["spent"], found["had nothing been pruned, projected"]
    assert list(spent.y) == list(whole.y)
    assert all(s <= w for s, w in zip(spent.x, whole.x, strict=True))
    assert spent.x[-1] < whole.x[-1]
    for line in (spent, whole):
        assert list(line.x) == sorted(line.x)
        assert list(line.y) == sorted(line.y)
    account = spending(study.trials)[-1]
    assert spent.x[-1] * 3600 == pytest.approx(account.spent)
    assert whole.x[-1] * 3600 == pytest.approx(account.spent + account.saved)
    assert whole.line.dash != spent.line.dash


def test_without_pruned_trials_there_is_one_line() -> None:
    study = make_run(40)
    kept = make_study(*study.in_state("complete", "failed"))
    (line,) = hypervolume_figure(kept, "seconds").data
    assert line.showlegend is False


def test_without_recorded_seconds_the_figure_says_so(trial: Maker, study: Maker) -> None:
    figure = hypervolume_figure(study(trial(0, rungs=0)), "seconds")
    assert [note.text for note in figure.layout.annotations] == [
        "No trial's seconds were recorded."
    ]
