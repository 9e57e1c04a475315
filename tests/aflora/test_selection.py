import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from aflora.selection import official_threshold, select_official, select_paper


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 10), st.floats(0, 1))
def test_paper_freezes_the_lowest_up_to_the_scheduled_count(
    scores: list[float], frozen: int, fraction: float
) -> None:
    initial = len(scores) + frozen
    chosen = select_paper(scores, initial, fraction)
    wanted = math.floor(fraction * initial + 1e-9)
    assert len(chosen) == max(0, wanted - frozen)
    assert chosen == sorted(set(chosen))
    left = [score for i, score in enumerate(scores) if i not in chosen]
    if chosen and left:
        assert max(scores[i] for i in chosen) <= min(left)


def test_paper_breaks_ties_by_module_order() -> None:
    assert select_paper([0.5, 0.5, 0.5, 0.1], 4, 0.5) == [0, 3]


def test_paper_counts_what_is_frozen_already() -> None:
    assert select_paper([0.3, 0.2], 4, 0.5) == []
    assert select_paper([0.3, 0.2], 4, 0.75) == [1]


def test_paper_forgives_a_rounding_error_of_the_fraction() -> None:
    assert len(select_paper([1.0] * 10, 10, 0.3 - 1e-12)) == 3


def test_official_compares_means_with_an_element() -> None:
    # One large element lifts a mean above most elements: that matrix survives.
    even, tailed = torch.full((10,), 1.0), torch.tensor([0.1] * 9 + [100.0])
    assert official_threshold([even, tailed], 0.5) == 1.0
    assert select_official([even, tailed], 0.5) == []
    low = torch.full((10,), 0.5)
    assert select_official([low, tailed], 0.1) == []
    assert select_official([low, tailed, even], 0.3) == [0]


def test_official_freezes_nothing_while_k_is_zero() -> None:
    assert official_threshold([torch.ones(3)], 1.0) is None
    assert official_threshold([torch.ones(3)], 0.7) is None
    assert official_threshold([torch.ones(3)], 0.6) == 1.0
    assert select_official([], 0.5) == []


def test_official_freezes_all_at_the_end() -> None:
    parts = [torch.tensor([0.1, 0.3]), torch.tensor([0.2, 5.0])]
    assert select_official(parts, 0.0) == [0, 1]
