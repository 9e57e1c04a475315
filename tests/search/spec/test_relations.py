"""Whatever is drawn, matrices have time to freeze between freeze.start and freeze.end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import aflora
from search.spec.distributions import Branch, Choice, Constant, Float, Group, Int, Leaf
from search.spec.relations import (
    Length,
    grid_of,
    release,
    restrict,
    schedule_mistakes,
    settings_mistakes,
    settle,
    unsettle,
)


def tree(**freeze: Leaf | Group) -> Group:
    own = Group({"freeze": Group(freeze)})
    return Group({"method": Branch({"aflora": own}, nested=True)})


def settings(**freeze: Any) -> dict[str, Any]:
    return {"method": {"aflora": {"freeze": freeze}}}


fractions = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda r: r[0] < r[1])
places = st.one_of(
    fractions.map(lambda r: Float(r[0], r[1])),
    fractions.map(lambda r: Float(r[0] + 0.01, r[1] + 0.01, log=True)).filter(
        lambda leaf: leaf.high <= 1
    ),
    st.tuples(fractions, st.sampled_from([0.01, 0.1, 0.3])).map(
        lambda r: Float(round(r[0][0], 2), round(r[0][1], 2), step=r[1])
    ),
    st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True).map(lambda o: Choice(tuple(o))),
    st.floats(0, 1).map(Constant),
)


def drawn(data: st.DataObject, leaf: Leaf) -> Any:
    if isinstance(leaf, Float) and leaf.step is None:
        return data.draw(st.floats(leaf.low, leaf.high))
    return data.draw(
        st.sampled_from(leaf.extremes() if isinstance(leaf, Constant) else grid_of(leaf))
    )


@given(places, places, st.integers(1, 60), st.integers(1, 4000), st.data())
def test_what_is_settled_has_room_and_stays_in_its_range(
    start: Leaf, end: Leaf, interval: int, steps: int, data: st.DataObject
) -> None:
    space = tree(start=start, end=end, interval=Constant(interval))
    length = Length(steps, 10)
    assume(not schedule_mistakes(space, length))
    raw = settings(start=drawn(data, start), end=drawn(data, end), interval=interval)
    settled = settle(raw, space, length)
    freeze = settled["method"]["aflora"]["freeze"]
    # The library itself says whether it fits.
    aflora.Schedule.of(aflora.FreezeConfig(**freeze), steps)
    assert start.contains(freeze["start"])
    assert end.contains(freeze["end"])
    assert not settings_mistakes(settled, length, "x")
    again = settle(unsettle(settled, space, length), space, length)
    for name in ("start", "end"):
        assert again["method"]["aflora"]["freeze"][name] == pytest.approx(freeze[name], abs=1e-6)


@given(places, places, st.integers(1, 60), st.integers(1, 400))
def test_a_space_without_room_is_refused_and_only_such(
    start: Leaf, end: Leaf, interval: int, steps: int
) -> None:
    space = tree(start=start, end=end, interval=Constant(interval))
    first, last = min(start.extremes()), max(end.extremes())
    try:
        config = aflora.FreezeConfig(start=first, end=last, interval=interval)
        aflora.Schedule.of(config, steps)
        fits = True
    except ValueError:
        fits = False
    assert bool(schedule_mistakes(space, Length(steps, 10))) is not fits


def test_ranges_that_leave_nothing_to_restrict_are_left_alone() -> None:
    space = tree(start=Float(0.0, 0.3), end=Float(0.4, 1.0))
    raw = settings(start=0.29, end=0.41)
    assert settle(raw, space, Length(1000, 10)) == raw


def test_epochs_and_fractions_are_compared_in_steps() -> None:
    space = tree(
        start=Group({"epochs": Float(0.0, 4.0)}), end=Float(0.2, 0.5), interval=Constant(10)
    )
    raw = settings(start={"epochs": 4.0}, end=0.2, interval=10)
    freeze = settle(raw, space, Length(100, 25))["method"]["aflora"]["freeze"]
    start = aflora.Epochs(freeze["start"]["epochs"])
    config = aflora.FreezeConfig(start=start, end=freeze["end"], interval=10)
    schedule = aflora.Schedule.of(config, 100, 25)
    assert (schedule.start_step, schedule.end_step) == (40, 50)


def test_an_epoch_past_the_training_is_refused() -> None:
    space = tree(start=Constant(0.0), end=Group({"epochs": Float(1.0, 9.0)}))
    (mistake,) = schedule_mistakes(space, Length(100, 25))
    assert "can come at step 225, but a trial has 100 steps" in mistake.what


def test_a_searched_interval_must_fit_at_its_longest() -> None:
    space = tree(start=Constant(0.1), end=Float(0.2, 0.5), interval=Int(1, 50))
    (mistake,) = schedule_mistakes(space, Length(100, 25))
    assert mistake.where == "search.method.aflora.freeze.interval"
    assert "can be 50 steps, longer than any schedule" in mistake.what
    assert not schedule_mistakes(space, Length(1000, 25))


@given(st.floats(1e-4, 1e-1), st.floats(1e-4, 1e-1), st.floats(1e-4, 1e-1))
def test_restricting_keeps_the_order_and_releasing_undoes_it(
    a: float, b: float, low: float
) -> None:
    leaf = Float(1e-4, 1e-1, log=True)
    one, other = (restrict(leaf, v, low, 9.0) for v in sorted((a, b)))
    assert low * (1 - 1e-9) <= one <= other * (1 + 1e-9)
    if low < 0.09:
        assert release(leaf, one, low, 9.0) == pytest.approx(min(a, b), rel=1e-6)


@pytest.mark.parametrize(
    ("leaf", "values"),
    [
        (Float(0.1, 0.3, step=0.1), [0.1, 0.2, 0.3]),
        (Float(0.0, 0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (Float(0.1, 0.5, step=0.3), [0.1, 0.4]),
        (Int(1, 8, 3), [1, 4, 7]),
        (Choice((3, 1)), [3, 1]),
    ],
)
def test_a_range_with_steps_holds_all_its_values(leaf: Leaf, values: list[Any]) -> None:
    assert grid_of(leaf) == values
    assert all(leaf.contains(value) for value in values)
    assert leaf.extremes() == (values if isinstance(leaf, Choice) else [values[0], values[-1]])


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.floats(0, 1), st.booleans())
def test_an_end_of_a_range_is_mapped_into_the_range(
    one: float, other: float, cut: float, log: bool
) -> None:
    low, high = sorted((one, other))
    assume(low < high)
    leaf = Float(low, high, log=log)
    bound = low + cut * (high - low)
    for value in (low, high):
        assert leaf.contains(restrict(leaf, value, low, bound))
        assert leaf.contains(restrict(leaf, value, bound, high))
        assert leaf.contains(release(leaf, restrict(leaf, value, low, bound), low, bound))
