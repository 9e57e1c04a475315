from hypothesis import given
from hypothesis import strategies as st

from search.engine.pruner import ParetoPruner
from search.pareto import non_dominated
from search.spec.objectives import OBJECTIVES

NAMES = ("score", "trainable_params")
PRUNER = ParetoPruner(NAMES, keep=0.5, wait=4, start=0.2)

points = st.fixed_dictionaries(
    {
        "score": st.integers(0, 5).map(lambda v: v / 5),
        "trainable_params": st.integers(1, 5).map(float),
    }
)


@given(points, st.lists(points, max_size=12))
def test_what_nothing_dominates_is_never_stopped(mine: dict, others: list[dict]) -> None:
    values = [[OBJECTIVES[n].comparable(p[n]) for n in NAMES] for p in (mine, *others)]
    if non_dominated(values)[0]:
        assert PRUNER.judge(0.5, mine, others) is None


@given(points, st.lists(points, max_size=12))
def test_a_stopped_trial_is_not_among_the_best_half(mine: dict, others: list[dict]) -> None:
    reason = PRUNER.judge(0.5, mine, others)
    if reason is not None:
        better = sum(
            o["score"] >= mine["score"] and o["trainable_params"] <= mine["trainable_params"]
            for o in others
        )
        assert better >= 1
        assert len(others) + 1 >= 4


GOOD = [{"score": 0.9, "trainable_params": 10.0 * i} for i in range(1, 5)]
BAD = {"score": 0.5, "trainable_params": 100.0}


def test_the_worst_of_a_rung_stops_and_says_why() -> None:
    reason = PRUNER.judge(0.5, BAD, GOOD)
    assert reason is not None
    assert "place 5 of 5" in reason
    assert "the best 3 go on" in reason


def test_nothing_is_judged_early_or_among_few() -> None:
    assert PRUNER.judge(0.1, BAD, GOOD) is None
    assert PRUNER.judge(0.5, BAD, GOOD[:2]) is None


def test_a_cheap_trial_with_a_modest_score_goes_on() -> None:
    assert PRUNER.judge(0.5, {"score": 0.5, "trainable_params": 1.0}, GOOD) is None
