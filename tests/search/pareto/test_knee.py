"""The knee: what gives up least of everything."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.pareto.knee import knee, with_adapter
from search.record import TrialRecord

NAMES = ["score", "trainable_params"]


def members(*points: tuple[float, float]) -> list[TrialRecord]:
    return [
        TrialRecord(number, "complete", {}, "", values=dict(zip(NAMES, point, strict=True)))
        for number, point in enumerate(points)
    ]


def test_of_a_bend_it_is_the_corner() -> None:
    found = knee(members((0.9, 99_999.0), (0.89, 999.0), (0.5, 9.0)), NAMES)
    assert found is not None
    assert found.number == 1


def test_two_have_none_between_them() -> None:
    assert knee(members((0.9, 1000.0), (0.5, 10.0)), NAMES) is None
    assert knee([], NAMES) is None


def test_an_objective_in_which_all_are_alike_does_not_count() -> None:
    found = knee(members((0.5, 100.0), (0.9, 100.0), (0.7, 100.0)), NAMES)
    assert found is not None
    assert found.number == 1


def test_the_head_alone_is_no_knee_and_does_not_stretch_the_scale() -> None:
    points = [(0.9, 99_999.0), (0.88, 9_999.0), (0.7, 999.0)]
    # With the head at zero parameters, the others would all lie at the dear end.
    for head in ((0.69, 0.0), (0.1, 0.0)):
        found = knee(members(*points, head), NAMES)
        assert found is not None
        assert found.number == 1
    assert knee(members(*points[:2], (0.5, 0.0)), NAMES) is None


def test_where_parameters_were_not_counted_all_have_an_adapter() -> None:
    assert len(with_adapter([TrialRecord(0, "complete", {}, "", values={"score": 0.5})])) == 1


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 10**6)), min_size=3, max_size=12),
    st.floats(0.1, 10),
)
def test_no_other_is_nearer_the_ideal_whatever_unit_the_score_has(
    points: list[tuple[float, int]], unit: float
) -> None:
    found = knee(members(*((s * unit - 1, float(p)) for s, p in points)), NAMES)
    assert found is not None
    scores = np.array([score for score, _ in points])
    costs = np.log10(1 + np.array([count for _, count in points]))
    short = (scores.max() - scores) / (np.ptp(scores) or 1.0)
    dear = (costs - costs.min()) / (np.ptp(costs) or 1.0)
    distances = np.hypot(short, dear)
    assert distances[found.number] <= distances.min() + 1e-6
