from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.pareto import crowding_distance, hypervolume, non_dominated, non_domination_rank

small = st.integers(0, 4).map(float)


def points(columns: int, most: int = 12) -> st.SearchStrategy[np.ndarray]:
    return st.integers(1, most).flatmap(lambda n: arrays(float, (n, columns), elements=small))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(st.integers(1, 4).flatmap(points))
def test_the_front_is_what_nothing_dominates(values: np.ndarray) -> None:
    expected = [not any(dominates(q, p) for q in values) for p in values]
    assert non_dominated(values).tolist() == expected


def test_values_without_bound_are_compared_as_well() -> None:
    worst, best = float("inf"), -float("inf")
    values = [[1.0, worst, 0.0], [best, worst, 1.0], [best, 2.0, worst], [1.0, worst, worst]]
    assert non_dominated(values).tolist() == [True, True, True, False]


@given(points(3))
def test_every_rank_is_the_front_of_what_is_left(values: np.ndarray) -> None:
    ranks = non_domination_rank(values)
    for rank in range(ranks.max() + 1):
        left = values[ranks >= rank]
        assert (non_dominated(left) == (ranks[ranks >= rank] == rank)).all()


@given(points(3, most=8))
def test_hypervolume_counts_the_unit_cells_that_are_dominated(values: np.ndarray) -> None:
    cells = np.indices((5, 5, 5)).reshape(3, -1).T
    covered = sum(any((p <= cell).all() for p in values) for cell in cells)
    assert hypervolume(values, [5, 5, 5]) == pytest.approx(covered)


@given(points(4, most=6))
def test_a_volume_of_four_objectives_is_counted_alike(values: np.ndarray) -> None:
    cells = np.indices((5, 5, 5, 5)).reshape(4, -1).T
    covered = (values[:, None, :] <= cells).all(axis=2).any(axis=0).sum()
    assert hypervolume(values, [5, 5, 5, 5]) == pytest.approx(covered)


@given(points(2, most=8), small, small)
def test_a_further_point_never_shrinks_the_hypervolume(
    values: np.ndarray, x: float, y: float
) -> None:
    more = np.vstack([values, [x, y]])
    assert hypervolume(more, [5, 5]) >= hypervolume(values, [5, 5])


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([[6.0, 0.0]], [5, 5]) == 0.0
    assert hypervolume([[-np.inf, 0.0, 0.0]], [5, 5, 5]) == np.inf
    assert hypervolume(np.empty((0, 2)), [5, 5]) == 0.0


def test_the_extremes_are_infinitely_far_and_equal_columns_do_not_count() -> None:
    distance = crowding_distance([[0, 1], [1, 1], [4, 1], [10, 1]])
    assert distance.tolist() == [np.inf, 0.4, 0.9, np.inf]


@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0, float("nan")]]])
def test_what_is_no_set_of_points_is_refused(values: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"points must have shape|point 0 holds NaN"):
        non_dominated(values)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12), st.randoms()
)
def test_crowding_does_not_hang_on_the_order_of_the_points(
    points: list[tuple[int, int]], random: Random
) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    plain, shuffled = crowding_distance(points), crowding_distance([points[i] for i in order])
    assert shuffled == pytest.approx([plain[i] for i in order])
