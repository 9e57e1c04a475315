"""When a goal is met, and how it is told."""

from __future__ import annotations

import math

import pytest

from benchmarks.all import BENCHMARKS
from benchmarks.goal import Goal


@pytest.mark.parametrize(
    ("goal", "met", "verdict"),
    [
        (Goal("a", 1.0, at_most=1.0), True, "met"),
        (Goal("a", 1.25, at_most=1.0), False, "missed by 0.25"),
        (Goal("a", 4.5, at_least=4.0), True, "met"),
        (Goal("a", 3.5, at_least=4.0), False, "missed by 0.5"),
        (Goal("a", math.nan, at_most=1.0), False, "missed by nan"),
        (Goal("a", math.nan, at_least=1.0), False, "missed by nan"),
    ],
)
def test_a_goal_is_met_at_its_bound_and_never_by_what_is_no_number(
    goal: Goal, met: bool, verdict: str
) -> None:
    assert goal.met == met
    assert goal.verdict == verdict


def test_every_benchmark_has_a_record_of_its_own() -> None:
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert len(set(names)) == len(names)
