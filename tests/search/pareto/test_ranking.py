"""Ranks of points that come one after the other are those of all of them sorted at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto import crowding_distance, non_domination_rank
from search.pareto.ranking import Ranking


def grown(points: Sequence[tuple[float, ...]]) -> Ranking:
    ranking = Ranking(points[:1])
    for point in points[1:]:
        ranking.add(point)
    return ranking


@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(st.tuples(*[st.integers(0, 4)] * k), min_size=1, max_size=40)
    )
)
def test_one_after_the_other_is_all_at_once(points: list[tuple[int, ...]]) -> None:
    for count in range(1, len(points) + 1):
        expected = non_domination_rank(points[:count]).tolist()
        assert grown(points[:count]).ranks.tolist() == expected
        assert Ranking(points[:count]).ranks.tolist() == expected


def test_a_chain_that_is_entered_at_its_head_moves_as_a_whole() -> None:
    ranking = grown([(float(i), float(i)) for i in range(1, 60)])
    ranking.add((0.0, 0.0))
    assert ranking.ranks.tolist() == [*range(1, 60), 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_before_a_point_come_lower_ranks_and_who_is_less_crowded(
    points: list[tuple[int, int]],
) -> None:
    ranking = grown(points)
    array, ranks = np.array(points), ranking.ranks
    for index in range(len(points)):
        same = ranks == ranks[index]
        crowding = crowding_distance(array[same])
        mine = crowding[int(same[:index].sum())]
        expected = (ranks < ranks[index]).sum() + (crowding > mine).sum()
        assert ranking.before(index) == expected


@pytest.mark.parametrize("point", [[1.0], [1.0, float("nan")]])
def test_what_is_no_point_is_refused(point: list[float]) -> None:
    ranking = grown([(1.0, 2.0)])
    with pytest.raises(ValueError, match="is no point of 2 objectives"):
        ranking.add(point)
    assert len(ranking) == 1
