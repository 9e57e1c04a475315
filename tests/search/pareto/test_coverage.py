"""How much of one front another dominates, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto import non_dominated
from search.pareto.coverage import dominated

Points = list[list[float]]


def points(most: int = 8) -> st.SearchStrategy[Points]:
    # Few values, so that many are equal in one column or in all.
    value = st.integers(0, 4).map(float)
    return st.lists(st.lists(value, min_size=3, max_size=3), max_size=most)


def by_definition(point: list[float], others: Points) -> bool:
    return any(
        all(b <= a for a, b in zip(point, other, strict=True)) and other != point
        for other in others
    )


@given(points(), points())
def test_it_is_what_the_definition_says(ours: Points, theirs: Points) -> None:
    assert dominated(ours, theirs).tolist() == [by_definition(p, theirs) for p in ours]


@given(points())
def test_of_a_set_by_itself_it_leaves_the_front(ours: Points) -> None:
    if ours:
        assert np.array_equal(~dominated(ours, ours), non_dominated(ours))


@given(points(), points())
def test_of_two_fronts_never_are_all_of_both_dominated(ours: Points, theirs: Points) -> None:
    lost, won = dominated(ours, theirs), dominated(theirs, ours)
    if ours and theirs:
        assert not (lost.all() and won.all())


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        dominated([[1.0, 2.0]], [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="NaN"):
        dominated([[1.0]], [[float("nan")]])
