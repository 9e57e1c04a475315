from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflora import Epochs, FreezeConfig, Schedule
from aflora.config import Fraction

exponents_of: st.SearchStrategy[Fraction] = st.sampled_from(["remaining", "frozen"])
schedules = (
    st.integers(1, 400)
    .flatmap(
        lambda total: st.tuples(
            st.just(total),
            st.integers(0, total),
            st.integers(0, total),
            st.floats(0.5, 5),
            exponents_of,
        )
    )
    .filter(lambda t: t[1] != t[2])
    .map(lambda t: Schedule(t[0], min(t[1], t[2]), max(t[1], t[2]), t[3], t[4]))
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


def test_the_authors_variant_for_gsm8k_freezes_slowly_at_first() -> None:
    config = FreezeConfig("official", start=0.3, end=0.7, exponent=2, exponent_of="frozen")
    schedule = Schedule.of(config, 1000)
    for step in range(300, 700):
        assert schedule.frozen_fraction(step) == pytest.approx(((step - 300) / 400) ** 2)
    assert schedule.frozen_fraction(500) == 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 0.5, "end": Epochs(5)}, r"start \(0.5, step 50\) must come before freeze.end"),
        (
            {"start": 0.1, "end": 0.2, "interval": 11},
            "interval is 11 steps, longer than the schedule: it has 10, from step 10",
        ),
        (
            {"start": 0.5, "end": Epochs(4)},
            r"start \(0.5, step 50\) must come before freeze.end \(4 epochs, step 40\)",
        ),
        ({"end": Epochs(11)}, "end is 11 epochs, step 110, but the training has 100 steps"),
    ],
)
def test_a_schedule_that_does_not_fit_the_training_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule.of(FreezeConfig(**change), 100, steps_per_epoch=10)


def test_the_bounds_themselves_are_allowed() -> None:
    assert Schedule.of(FreezeConfig(end=Epochs(10)), 100, steps_per_epoch=10).end_step == 100
    assert Schedule.of(FreezeConfig(start=0.0, end=1.0, interval=1), 1) == Schedule(1, 0, 1)
    for wrong in (0, 10.5):
        with pytest.raises(ValueError, match=f"total_steps must be a whole number .* got {wrong}"):
            Schedule.of(FreezeConfig(), wrong)  # type: ignore[arg-type]


def test_an_interval_may_be_as_long_as_the_schedule() -> None:
    assert Schedule.of(FreezeConfig(start=0.1, end=0.2, interval=10), 100).end_step == 20


def test_fractions_become_the_nearest_steps() -> None:
    schedule = Schedule.of(FreezeConfig(start=0.05, end=0.3), 130)
    assert (schedule.start_step, schedule.end_step) == (7, 39)


@pytest.mark.parametrize("steps", [(0, 0, 0), (10, 5, 4), (10, 5, 5), (10, 0, 11), (10, -1, 3)])
def test_steps_out_of_order_are_refused(steps: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Schedule(*steps)


def test_a_window_that_would_never_be_over_is_refused() -> None:
    config = FreezeConfig("official", start=0.0, end=0.5, interval=2, window=13)
    with pytest.raises(ValueError, match=r"freeze.window is 13 steps, but .* from step 12"):
        Schedule.of(config, 24)
    assert Schedule.of(FreezeConfig("official", start=0.0, end=0.5, window=12), 24).end_step == 12
