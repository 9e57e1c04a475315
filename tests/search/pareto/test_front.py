import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto.front import (
    front,
    front_hypervolume,
    hypervolume_history,
    reference_point,
    worst_with_margin,
)
from tests.search.records import study, trial

NAMES = ["score", "trainable_params", "train_seconds"]


def numbers(*trials: object) -> list[int]:
    return [t.number for t in front(trials, NAMES)]  # type: ignore[arg-type]


def test_the_front_holds_what_no_complete_trial_beats() -> None:
    best = trial(0, score=0.9, params=1000)
    cheap = trial(1, score=0.7, params=10)
    beaten = trial(2, score=0.6, params=20)
    assert numbers(best, cheap, beaten) == [0, 1]


@pytest.mark.parametrize("state", ["pruned", "failed", "running", "waiting"])
def test_a_trial_that_is_not_complete_is_neither_member_nor_dominator(state: str) -> None:
    assert numbers(trial(0), trial(1, state, score=0.99, params=1, seconds=1)) == [0]


def test_seconds_within_a_step_of_five_per_cent_count_as_equal() -> None:
    assert numbers(trial(0, score=0.9, seconds=100.0), trial(1, score=0.8, seconds=100.9)) == [0]
    assert numbers(trial(0, score=0.9, seconds=100.0), trial(1, score=0.8, seconds=80.0)) == [0, 1]


def test_parameters_are_compared_exactly() -> None:
    assert numbers(trial(0, score=0.9, params=1000), trial(1, score=0.8, params=999)) == [0, 1]


def test_the_reference_is_the_worst_of_the_first_ten_and_a_tenth_of_their_range() -> None:
    ten = [
        trial(i, score=0.5 + 0.01 * i, params=10.0 ** (i % 3), seconds=10, finished=float(i))
        for i in range(10)
    ]
    assert reference_point(ten[:9], NAMES) is None
    point = reference_point([*ten, trial(11, score=0.0, finished=99.0)], NAMES)
    assert point is not None
    assert point["score"] == pytest.approx(0.5 - 0.1 * 0.09)
    logs = [2.0**0 * 0.30102999566, 2.00432137378]  # log10(1 + 1), log10(1 + 100)
    margin = 0.1 * (logs[1] - logs[0])
    assert point["trainable_params"] == pytest.approx(10 ** (logs[1] + margin) - 1)
    assert point["train_seconds"] == pytest.approx(10**1.1)


def test_hypervolume_is_measured_on_score_and_logarithms() -> None:
    reference = {"score": 0.5, "trainable_params": 999.0, "train_seconds": 100.0}
    one = trial(0, score=0.9, params=9, seconds=10)
    assert front_hypervolume([one], NAMES, reference) == pytest.approx(0.4 * 2 * 1)
    pruned = trial(1, "pruned", score=0.99, params=1, seconds=1)
    assert front_hypervolume([one, pruned], NAMES, reference) == pytest.approx(0.8)


def test_the_history_never_falls_and_follows_the_order_of_finishing() -> None:
    late = trial(0, score=0.9, finished=300.0)
    early = trial(1, score=0.6, params=10, finished=200.0)
    history = hypervolume_history(study(late, early))
    assert [at for at, _ in history] == [200.0, 300.0]
    assert history[0][1] <= history[1][1]
    assert hypervolume_history(study()) == []


def test_a_single_point_still_has_a_volume() -> None:
    one = [trial(0)]
    reference = worst_with_margin(one, NAMES)
    assert front_hypervolume(one, NAMES, reference) == pytest.approx(0.1**3)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_the_history_is_the_hypervolume_of_all_trials_so_far(
    drawn: list[tuple[int, int, int, bool]],
) -> None:
    trials = [
        trial(
            number, score=score / 10, params=10.0**params, seconds=2.0**seconds, feasible=feasible
        )
        for number, (score, params, seconds, feasible) in enumerate(drawn)
    ]
    reference = {"score": 0.1, "trainable_params": 1e8, "train_seconds": 2.0**8}
    history = hypervolume_history(study(*trials, reference=reference))
    expected = [
        front_hypervolume(trials[: index + 1], NAMES, reference) for index in range(len(trials))
    ]
    assert [volume for _, volume in history] == pytest.approx(expected)
