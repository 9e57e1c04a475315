"""What part of the slots' time is found to be used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.slot_time import Work, gaps, utilisation


def test_a_trial_s_first_step_lies_before_its_first_rung() -> None:
    assert Work.of([(110.0, 4.0), (120.0, 9.0)]) == Work(106.0, 120.0, 9.0)


def test_gaps_count_and_the_tail_with_fewer_trials_than_slots_does_not() -> None:
    always = [Work(0.0, 10.0, 10.0), Work(0.0, 10.0, 10.0)]
    assert utilisation(always, 2) == 1.0
    # One slot waits two of ten seconds for its next trial.
    assert utilisation([Work(0.0, 10.0, 10.0), Work(0.0, 4.0, 4.0), Work(6.0, 10.0, 4.0)], 2) == 0.9
    # Of a trial that goes on alone only the part beside the other counts.
    assert utilisation([Work(0.0, 10.0, 10.0), Work(0.0, 30.0, 30.0)], 2) == 1.0


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0.1, 1.0)), min_size=2, max_size=20))
def test_trials_that_follow_each_other_use_what_they_are_busy(
    trials: list[tuple[float, float]],
) -> None:
    at, made = 0.0, []
    for seconds, part in trials:
        made.append(Work(at, at + seconds, part * seconds))
        at += seconds
    busy = sum(seconds * part for seconds, part in trials)
    assert utilisation(made, 1) == pytest.approx(busy / at)


def test_a_trial_comes_into_the_slot_that_was_free_for_longest() -> None:
    made = [
        Work(0.0, 10.0, 9.0),
        Work(0.0, 12.0, 9.0),
        Work(13.0, 30.0, 9.0),
        Work(16.0, 20.0, 1.0),
    ]
    assert gaps(made, 2) == [3.0, 4.0]
    assert gaps(made[:2], 2) == []
    assert gaps([*made, Work(21.0, 40.0, 9.0)], 2) == [3.0, 4.0, 1.0]
