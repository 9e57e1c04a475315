"""Fewer points: never too many, and none far from where there was one."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from search.record import TrialRecord
from search.results.figures.thinning import every, thinned


def trials(count: int) -> list[TrialRecord]:
    return [TrialRecord(number, "complete", {}, "") for number in range(count)]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=300),
    st.integers(4, 100),
)
def test_no_more_than_wanted_and_every_trial_has_one_near(
    points: list[tuple[float, float]], most: int
) -> None:
    places = dict(enumerate(points))
    kept = thinned(trials(len(points)), places, most)
    assert len(kept) <= max(most, 1)
    if len(points) <= most:
        assert len(kept) == len(points)
    numbers = [trial.number for trial in kept]
    assert numbers == sorted(numbers)
    # A cell of the coarsest grid is a part of the span; its corners lie no farther apart.
    grid = int(most**0.5)
    for axis in (0, 1):
        values = [place[axis] for place in points]
        cell = (max(values) - min(values)) / grid + 1e-9
        for place in points:
            assert any(abs(places[number][axis] - place[axis]) <= cell for number in numbers)


@given(st.integers(0, 500), st.integers(1, 200))
def test_evenly_spaced_begins_with_the_first(count: int, most: int) -> None:
    kept = [trial.number for trial in every(trials(count), most)]
    assert len(kept) <= most
    assert kept[:1] == list(range(count))[:1]
    gaps = {later - one for one, later in itertools.pairwise(kept)}
    assert len(gaps) <= 1
