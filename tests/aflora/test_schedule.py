from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflora import FreezeConfig, Schedule

schedules = (
    st.integers(1, 400)
    .flatmap(
        lambda total: st.tuples(
            st.just(total), st.integers(0, total), st.integers(0, total), st.floats(0.5, 5)
        )
    )
    .map(lambda t: Schedule(t[0], min(t[1], t[2]), max(t[1], t[2]), t[3]))
)


@given(schedules)
def test_it_rises_from_zero_before_the_start_to_one_at_the_end(schedule: Schedule) -> None:
    values = [schedule.frozen_fraction(step) for step in range(schedule.total_steps + 1)]
    assert all(a <= b for a, b in pairwise(values))
    assert all(v == 0.0 for v in values[: schedule.start_step])
    assert all(v == 1.0 for v in values[schedule.end_step :])


def test_it_is_the_paper_s_cubic() -> None:
    schedule = Schedule(100, 10, 30)
    for step in range(10, 30):
        progress = (step - 10) / 20
        assert schedule.frozen_fraction(step) == pytest.approx(1 - (1 - progress) ** 3)
    assert schedule.frozen_fraction(20) == 0.875


def test_fractions_become_the_nearest_steps() -> None:
    schedule = Schedule.of(FreezeConfig(start=0.05, end=0.3), 130)
    assert (schedule.start_step, schedule.end_step) == (7, 39)


def test_a_start_and_end_on_the_same_step_is_a_jump() -> None:
    schedule = Schedule(10, 3, 3)
    assert [schedule.frozen_fraction(t) for t in (2, 3, 4)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("steps", [(0, 0, 0), (10, 5, 4), (10, 0, 11), (10, -1, 3)])
def test_steps_out_of_order_are_refused(steps: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Schedule(*steps)
