"""Who is stopped at a rung, in a search and in plain Optuna."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.engine.pruners import ParetoPruner, make_judge
from search.engine.pruners.score import make_pruner
from search.pareto import non_dominated
from search.pareto.ranking import Ranking
from search.record import Rung
from search.spec.objectives import OBJECTIVES
from search.spec.schema import Pruner

NAMES = ("score", "trainable_params")
PRUNER = ParetoPruner(NAMES, rungs=5, keep=0.5, wait=4, start=0.2)


def verdict_on(pruner: ParetoPruner, mine: Any, others: list[Any]) -> str | None:
    return pruner.verdict(Ranking([mine, *others]), 0)


points = st.tuples(st.integers(0, 5).map(float), st.integers(1, 5).map(float))


@given(points, st.lists(points, max_size=12))
def test_what_nothing_dominates_is_never_stopped(mine: Any, others: list[Any]) -> None:
    if non_dominated([mine, *others])[0]:
        assert verdict_on(PRUNER, mine, others) is None


@given(points, st.lists(points, max_size=12))
def test_a_stopped_trial_is_dominated_and_among_the_worst_part(
    mine: Any, others: list[Any]
) -> None:
    if verdict_on(PRUNER, mine, others) is not None:
        assert len(others) + 1 >= 4
        assert any(o[0] <= mine[0] and o[1] <= mine[1] and o != mine for o in others)
        # As many as go on are peeled off, front by front, no later than the trial itself.
        left, peeled = [mine, *others], 0
        while not non_dominated(left)[0]:
            front = non_dominated(left)
            peeled += int(front.sum())
            left = [point for point, first in zip(left, front, strict=True) if not first]
        peers = int(non_dominated(left).sum()) - 1
        assert peeled + peers >= math.ceil(0.5 * (len(others) + 1))


@given(st.lists(points, min_size=5, max_size=30), st.sampled_from([0.3, 0.5, 0.8]))
def test_at_least_the_part_to_keep_goes_on(found: list[Any], keep: float) -> None:
    pruner = ParetoPruner(NAMES, keep=keep, wait=2)
    kept = [
        verdict_on(pruner, point, found[:index] + found[index + 1 :]) is None
        for index, point in enumerate(found)
    ]
    assert sum(kept) >= int(keep * len(found))


GOOD = [[-0.9, float(i)] for i in range(1, 5)]
BAD = [-0.5, 100.0]


def test_the_worst_of_a_rung_stops_and_says_why() -> None:
    reason = verdict_on(PRUNER, BAD, GOOD)
    assert reason is not None
    assert reason == "dominated: place 5 of 5 at this rung, behind 4 fronts; the best 3 go on"
    level = [[-0.9 + i / 10, 100.0 - i] for i in range(4)]
    assert "place 5 of 5 at this rung, behind 1 front; " in str(verdict_on(PRUNER, BAD, level))


def test_nothing_is_judged_among_few() -> None:
    assert verdict_on(PRUNER, BAD, GOOD[:2]) is None
    assert verdict_on(PRUNER, BAD, GOOD[:3]) is not None


def test_a_cheap_trial_with_a_modest_score_goes_on() -> None:
    assert verdict_on(PRUNER, [-0.5, 0.5], GOOD) is None


@pytest.mark.parametrize(
    ("rungs", "keep", "start", "looks"),
    [
        (10, 0.5, 0.1, {1, 2, 4, 8}),
        (10, 0.5, 0.2, {2, 4, 8}),
        (10, 0.5, 0.25, {3, 5}),
        (9, 1 / 3, 1 / 9, {1, 3}),
        (5, 0.5, 0.0, {1, 2, 4}),
        (5, 0.9, 0.0, {1, 2, 3, 4}),
        (1, 0.5, 0.0, set()),
    ],
)
def test_looks_are_as_far_apart_as_successive_halving_has_them(
    rungs: int, keep: float, start: float, looks: set[int]
) -> None:
    assert ParetoPruner(NAMES, rungs=rungs, keep=keep, start=start).looks == looks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rungs": 0}, "rungs must be a whole number of at least 1, got 0"),
        ({"keep": 1.0}, "keep must lie between 0 and 1, got 1.0"),
        ({"keep": 0}, "got 0"),
        ({"wait": 1}, "wait must be a whole number of at least 2, got 1"),
        ({"wait": True}, "got True"),
        ({"start": 1.0}, "start must lie in"),
        ({"start": "x"}, "got 'x'"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        ParetoPruner(NAMES, **change)
    assert message in str(caught.value)


def rung(index: int, score: float, params: float = 1.0, **change: Any) -> Rung:
    values = {"score": score, "trainable_params": params}
    return Rung(index, index, index / 5, values, values, 0.0, **change)


# In plain Optuna


def plain_study(rungs: dict[int, tuple[float, float]]) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number, (accuracy, size) in rungs.items():
        trial = study.ask()
        assert trial.number == number
        trial.set_user_attr("rung:1", {"accuracy": accuracy, "size": size})
    return study


def test_it_prunes_in_plain_optuna_by_the_study_s_metric_names() -> None:
    study = plain_study({0: (0.9, 1.0), 1: (0.9, 2.0), 2: (0.9, 3.0), 3: (0.5, 9.0)})
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["accuracy", "size"])
    pruner = ParetoPruner(rungs=5, keep=0.5, wait=4)
    verdicts = [pruner.prune(study, trial) for trial in study.trials]
    assert verdicts == [False, False, True, True]
    assert not ParetoPruner(rungs=5, keep=0.5, wait=5).prune(study, study.trials[3])


def test_others_count_whatever_became_of_them_and_a_later_rung_is_another_matter() -> None:
    study = plain_study({0: (0.9, 1.0), 1: (0.9, 2.0), 2: (0.9, 3.0), 3: (0.5, 9.0)})
    study.tell(0, state=optuna.trial.TrialState.PRUNED)
    pruner = ParetoPruner(["accuracy", "size"], rungs=5, keep=0.5, wait=4)
    assert pruner.prune(study, study.trials[3])
    storage = study._storage
    storage.set_trial_user_attr(study.trials[3]._trial_id, "rung:2", {"accuracy": 0.5, "size": 9.0})
    assert not pruner.prune(study, study.trials[3])


def test_a_dip_at_one_rung_is_no_verdict_and_a_cost_counts_as_it_is() -> None:
    study = plain_study(dict.fromkeys(range(4), (0.9, 1.0)) | {4: (0.95, 0.5)})

    def write(number: int, index: int, accuracy: float, size: float) -> None:
        trial_id = study.trials[number]._trial_id
        values = {"accuracy": accuracy, "size": size}
        study._storage.set_trial_user_attr(trial_id, f"rung:{index}", values)

    for number in range(4):
        write(number, 2, 0.91, 1.0)
    write(4, 2, 0.6, 2.0)
    pruner = ParetoPruner(["accuracy", "size"], rungs=5, keep=0.5, wait=4)
    # Its best accuracy so far is 0.95, whatever the second rung measured.
    assert not pruner.prune(study, study.trials[4])
    write(4, 1, 0.9, 0.5)
    # Its size of 0.5 at the first rung is past.
    assert pruner.prune(study, study.trials[4])


def test_a_rung_without_an_objective_is_named() -> None:
    study = plain_study({0: (0.9, 1.0)})
    with pytest.raises(ValueError, match="rung:1 of trial 0 lacks 'seconds'"):
        ParetoPruner(["accuracy", "seconds"], wait=2).prune(study, study.trials[0])
    with pytest.raises(ValueError, match="metric names"):
        ParetoPruner(wait=2).prune(study, study.trials[0])


def test_a_whole_optimisation_in_plain_optuna_keeps_its_front() -> None:
    """Pruned by curves that never cross, the front is that of a search that prunes nothing."""
    names = ["score", "cost"]

    def front(pruner: ParetoPruner | None) -> tuple[set[tuple[float, ...]], int]:
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(3)
        )

        def objective(trial: optuna.Trial) -> tuple[float, float]:
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            for index in range(1, 6):
                trial.set_user_attr(f"rung:{index}", {"score": x * y * index / 5, "cost": x})
                if pruner is not None and pruner.prune(study, study.trials[trial.number]):
                    raise optuna.TrialPruned
            return x * y, x

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study.optimize(objective, n_trials=60)
        pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
        return {tuple(t.values) for t in study.best_trials}, len(pruned)

    whole, none = front(None)
    some, many = front(ParetoPruner(names, rungs=5))
    assert (none, many > 15) == (0, True)
    assert some == whole


# Inside the engine


def judged(judge: Any, scores: list[float], index: int = 2) -> list[bool]:
    verdicts = []
    for number, score in enumerate(scores):
        judge.add(number, rung(index, score))
        verdicts.append(judge.verdict(number, rung(index, score)) is not None)
    return verdicts


def test_the_best_score_so_far_is_judged() -> None:
    judge = make_judge(Pruner(rungs=5, start=0.4, keep=0.5, wait=2), NAMES)
    assert judge is not None
    for number, scores in enumerate([(0.9, 0.6), (0.7, 0.7), (0.5, 0.65)]):
        for index, score in enumerate(scores, start=1):
            judge.add(number, rung(index, score))
    verdicts = [judge.verdict(n, rung(2, s)) is not None for n, s in enumerate((0.6, 0.7, 0.65))]
    assert verdicts == [False, False, True]


def test_a_rung_is_not_judged_before_the_freezing_schedule_acts() -> None:
    judge = make_judge(Pruner(rungs=5, start=0.0, wait=2), NAMES)
    assert judge is not None
    for number in range(4):
        judge.add(number, rung(1, 0.9))
    judge.add(4, rung(1, 0.1))
    assert judge.verdict(4, rung(1, 0.1)) is not None
    assert judge.verdict(4, rung(1, 0.1, judged=False)) is None


@pytest.mark.parametrize(
    ("pruner", "scores", "stopped"),
    [
        ({"name": "median", "n_startup_trials": 2}, [0.9, 0.8, 0.5, 0.95], [0, 0, 1, 0]),
        (
            {"name": "percentile", "percentile": 50.0, "n_startup_trials": 2},
            [0.9, 0.8, 0.5, 0.95],
            [0, 0, 1, 0],
        ),
        ({"name": "threshold", "lower": 0.6}, [0.9, 0.5, 0.7], [0, 1, 0]),
        (
            {"name": "successive_halving", "reduction_factor": 2},
            [0.5, 0.9, 0.4, 0.95],
            [0, 0, 1, 0],
        ),
        (
            {"name": "optuna.pruners:MedianPruner", "n_startup_trials": 2},
            [0.9, 0.8, 0.5],
            [0, 0, 1],
        ),
        ({"name": "patient", "patience": 1, "wrapped": "median"}, [0.9, 0.8, 0.5], [0, 0, 0]),
        ({"name": "hyperband"}, [0.9, 0.8, 0.7], [0, 0, 1]),
        ({"name": "wilcoxon"}, [0.9, 0.8, 0.7], [0, 0, 0]),
    ],
)
def test_any_pruner_of_optuna_judges_the_score(
    pruner: dict[str, Any], scores: list[float], stopped: list[int]
) -> None:
    judge = make_judge(Pruner(rungs=5, start=0.0, **pruner), NAMES)
    assert judge is not None
    verdicts = []
    for number, score in enumerate(scores):
        judge.add(number, rung(1, score))
        verdicts.append(judge.verdict(number, rung(1, score)) is not None)
        if not verdicts[-1]:
            judge.add(number, rung(5, score))
            judge.ended(number, complete=True)
    assert verdicts == [bool(stop) for stop in stopped]


def test_the_score_alone_is_not_judged_before_its_start() -> None:
    judge = make_judge(Pruner(name="threshold", rungs=5, start=0.4, lower=0.6), NAMES)
    assert judge is not None
    judge.add(0, rung(1, 0.1))
    assert judge.verdict(0, rung(1, 0.1)) is None
    judge.add(0, rung(2, 0.1))
    assert judge.verdict(0, rung(2, 0.1)) is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "medain"}, "unknown name 'medain'; did you mean 'median'?"),
        ({"name": "median", "keep": 0.5}, "MedianPruner has no argument 'keep'"),
        ({"name": "none", "keep": 0.5}, "none has no argument 'keep'"),
        ({"name": "pareto", "kep": 0.5}, "pareto has no argument 'kep'"),
        ({"name": "pareto", "keep": 2}, "keep must lie between 0 and 1, got 2"),
        ({"name": "threshold"}, "ThresholdPruner"),
        ({"name": "percentile", "percentile": 200.0}, "Percentile must be between 0 and 100"),
        ({"name": "nowhere:Pruner"}, "'nowhere:Pruner' cannot be imported"),
        ({"name": "optuna.samplers:TPESampler"}, "is no optuna BasePruner"),
        ({"name": "patient", "wrapped": "median"}, "PatientPruner"),
        ({"name": "patient", "patience": 1, "wrapped": "medain"}, "did you mean 'median'?"),
    ],
)
def test_a_pruner_that_cannot_be_made_says_why(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make_judge(Pruner(rungs=5, **given), NAMES)
    assert message in str(caught.value) or message in type(caught.value).__name__


def test_hyperband_knows_the_number_of_rungs() -> None:
    pruner: Any = make_pruner("hyperband", {}, 9)
    assert (pruner._min_resource, pruner._max_resource) == (1, 9)


def test_a_judge_compares_what_trials_will_come_to() -> None:
    """What it costs to the end counts, not what it has cost so far."""
    judge = make_judge(Pruner(rungs=5, start=0.0, wait=2, keep=0.5), NAMES)
    assert judge is not None
    for number, params in enumerate((10.0, 20.0, 5.0)):
        measures = {"score": 0.5, "trainable_params": 100.0}
        projected = {"score": 0.5, "trainable_params": params}
        judge.add(number, Rung(1, 1, 0.2, measures, projected, 0.0))
    last = Rung(1, 1, 0.2, {}, {}, 0.0)
    assert judge.verdict(2, last) is None
    assert judge.verdict(1, last) is not None


def test_seconds_within_one_step_of_five_per_cent_are_the_same() -> None:
    seconds = OBJECTIVES["train_seconds"]
    assert seconds.comparable(98.0) == seconds.comparable(100.0)
    assert seconds.comparable(100.0) != seconds.comparable(110.0)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_s_own_direction_wins_over_what_a_name_means_here(direction: str) -> None:
    study = optuna.create_study(directions=[direction])
    pruner = ParetoPruner(["score"], rungs=5, start=0.0, keep=0.3, wait=2)
    verdicts = []
    for value in (1.0, 2.0, 0.5, 3.0):
        trial = study.ask()
        trial.set_user_attr("rung:1", {"score": value})
        verdicts.append(pruner.prune(study, study.trials[trial.number]))
    assert verdicts == (
        [False, True, False, True] if direction == "minimize" else [False, False, True, False]
    )


def test_nan_is_refused_at_the_trial_that_has_it() -> None:
    study = optuna.create_study(directions=["maximize"])
    pruner = ParetoPruner(["score"], rungs=5, start=0.0, wait=2)
    study.ask().set_user_attr("rung:1", {"score": 0.5})
    trial = study.ask()
    trial.set_user_attr("rung:1", {"score": math.nan})
    with pytest.raises(ValueError, match="rung:1 of trial 1: score is NaN"):
        pruner.prune(study, study.trials[1])
