"""What stock Ray Tune with Optuna gets wrong, and this engine does not.

Each test runs against both: it fails with the stock part, which is checked too, and passes with
ours. So it also tells when a new version of Ray has mended something.
"""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from search.engine.proposals import propose
from search.engine.ray_parts import EngineScheduler, EngineSearcher
from search.engine.study import SearchStudy
from search.spec.schema import Pruner, Sampler
from tests.search.engine.curves import TREE, alone, engine_on, new_study, report

NAMES = ["score", "trainable_params", "train_flops"]
GOOD = {"score": 0.9, "trainable_params": 10.0, "train_flops": 10.0}


class Stock:
    """OptunaSearch as Tune calls it."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.search = OptunaSearch(
            space=lambda trial: propose(trial._suggest, TREE) and None,
            metric=NAMES,
            mode=["max", "min", "min"],
            seed=seed,
        )

    def start(self, number: int) -> dict[str, Any]:
        settings = self.search.suggest(str(number))
        assert isinstance(settings, dict)
        return settings

    def rung(self, number: int, index: int, **measures: Any) -> None:
        self.search.on_trial_result(str(number), {"training_iteration": index, **measures})

    def stop(self, number: int, **measures: Any) -> None:
        """A scheduler stopped it: Tune tells the searcher the last result."""
        self.search.on_trial_complete(str(number), {"training_iteration": 1, **measures})

    end = stop

    @property
    def trials(self) -> list[tuple[str, list[float] | None]]:
        names = {
            TrialState.COMPLETE: "complete",
            TrialState.PRUNED: "pruned",
            TrialState.FAIL: "failed",
            TrialState.RUNNING: "running",
        }
        return [(names[t.state], t.values) for t in self.search._ot_study.trials]


class Ours:
    """The engine as its parts of Tune call it."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.engine = engine_on(
            new_study(folder), seed=seed, pruner=Pruner(rungs=4, start=0.0, keep=0.1, wait=2)
        )
        self.settings: dict[int, Any] = {}

    def start(self, number: int) -> dict[str, Any]:
        proposal = self.engine.ask(0.0)
        assert proposal is not None
        assert proposal.number == number
        self.settings[number] = proposal.settings
        return dict(proposal.settings)

    def rung(self, number: int, index: int, **measures: Any) -> None:
        self.engine.report(number, report(self.settings[number], index, **measures), 1.0)

    def stop(self, number: int, **measures: Any) -> None:
        """Its rung is dominated by another's."""
        self.engine.report(number, report(self.settings[number], 1, **measures), 1.0)

    def end(self, number: int, **measures: float) -> None:
        complete = report(self.settings[number], 4)
        kept = {n: v for n, v in complete.rung.measures.items() if n not in NAMES}
        rung = SimpleNamespace(**vars(complete.rung))
        whole = type(complete.rung)(**{**vars(rung), "measures": {**kept, **measures}})
        self.engine.report(number, type(complete)(whole, (), complete.total_steps), 2.0)

    @property
    def trials(self) -> list[tuple[str, list[float] | None]]:
        return [
            (t.state, None if t.values is None else list(t.values.values()))
            for t in self.engine.record().trials
        ]


Part = Callable[..., Any]


def stock(part: Any, raises: type[Exception] = AssertionError) -> Any:
    """A part of Ray or Optuna as it comes, which fails in this way."""
    return pytest.param(part, marks=pytest.mark.xfail(strict=True, raises=raises))


both = pytest.mark.parametrize("part", [stock(Stock), Ours])


@both
def test_a_stopped_trial_is_not_complete_with_its_truncated_values(
    part: Part, tmp_path: Path
) -> None:
    made = part(tmp_path)
    for number in (0, 1):
        made.start(number)
        made.rung(number, 1, **GOOD)
    made.start(2)
    made.stop(2, score=0.1, trainable_params=99.0, train_flops=99.0)
    assert made.trials[2] == ("pruned", None)


@both
@pytest.mark.parametrize("score", [math.nan, None])
def test_a_value_that_is_none_leaves_nothing_running(
    part: Part, tmp_path: Path, score: float | None
) -> None:
    made = part(tmp_path)
    made.start(0)
    values = GOOD if score is not None else {k: v for k, v in GOOD.items() if k != "score"}
    made.end(0, **(values | ({"score": score} if score is not None else {})))
    assert made.trials[0] == ("failed", None)


@both
def test_rungs_of_several_objectives_are_kept(part: Part, tmp_path: Path) -> None:
    made = part(tmp_path)
    made.start(0)
    made.rung(0, 1, **GOOD)
    if part is Stock:
        assert made.search._ot_study.trials[0].intermediate_values
    else:
        (rung,) = SearchStudy.open(tmp_path / "study.db").trials()[0].rungs
        assert rung.measures.items() >= GOOD.items()


@pytest.mark.parametrize("part", [stock(Stock, AttributeError), Ours])
def test_parts_can_be_pickled_whatever_the_space_is(part: Part, tmp_path: Path) -> None:
    made = part(tmp_path)
    made.start(0)
    if part is Stock:
        made.search.save(str(tmp_path / "searcher.pkl"))
    else:
        fleet = alone(made.engine, tmp_path)
        pickle.dumps(EngineSearcher(fleet, lambda: 1))
        pickle.dumps(EngineScheduler(fleet, "001", list[str]().extend))


def test_a_seed_of_zero_is_a_seed(tmp_path: Path) -> None:
    drawn = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        drawn.append(Ours(tmp_path / name, seed=0).start(0))
    assert drawn[0] == drawn[1]


def stock_scheduler(folder: Path) -> Callable[[], Callable[[int, float], str]]:
    def driver() -> Callable[[int, float], str]:
        scheduler = ASHAScheduler(
            time_attr="rung", metric="score", mode="max", grace_period=1, reduction_factor=2
        )

        def rung(number: int, score: float) -> str:
            trial = SimpleNamespace(trial_id=str(number))
            scheduler.on_trial_add(None, trial)
            told = scheduler.on_trial_result(None, trial, {"rung": 1, "score": score})
            return "stop" if told == TrialScheduler.STOP else "continue"

        return rung

    return driver


def our_scheduler(folder: Path) -> Callable[[], Callable[[int, float], str]]:
    new_study(folder, {"score": "max"}).close()

    def driver() -> Callable[[int, float], str]:
        pruner = Pruner(rungs=4, start=0.0, keep=0.5, wait=4)
        engine = engine_on(SearchStudy.open(folder / "study.db"), pruner=pruner)

        def rung(number: int, score: float) -> str:
            proposal = engine.ask(0.0)
            while proposal is not None and proposal.number != number:
                proposal = engine.ask(0.0)
            assert proposal is not None
            return engine.report(number, report(proposal.settings, 1, score=score), 1.0 + number)

        return rung

    return driver


@pytest.mark.parametrize(
    "scheduler",
    [stock(stock_scheduler), our_scheduler],
)
def test_a_resumed_search_judges_by_what_was_measured_before(
    scheduler: Callable[[Path], Any], tmp_path: Path
) -> None:
    drivers = scheduler(tmp_path)
    first = drivers()
    for number, score in enumerate((0.9, 0.91, 0.92, 0.93)):
        first(number, score)
    assert drivers()(4, 0.1) == "stop"


# A slow sampler, and who waits for it

entered, go = threading.Event(), threading.Event()


class Slow(optuna.samplers.RandomSampler):
    """Waits until it is told to go on."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if len(study.get_trials(deepcopy=False)) > 1:
            entered.set()
            go.wait(20)


def slow_stock(folder: Path) -> Callable[[], object]:
    made = Stock(folder)
    made.start(0)
    made.search._ot_study.sampler = Slow()
    return lambda: made.search.suggest("1")


def slow_ours(folder: Path) -> Callable[[], object]:
    engine = engine_on(new_study(folder), sampler=Sampler(name=f"{__name__}:Slow"))
    searcher = EngineSearcher(alone(engine, folder), lambda: 2)
    assert searcher.suggest("0") is not None
    return lambda: searcher.suggest("1")


@pytest.mark.parametrize("make", [stock(slow_stock), slow_ours])
def test_a_slow_sampler_does_not_keep_the_loop_waiting(
    make: Callable[[Path], Callable[[], object]], tmp_path: Path
) -> None:
    entered.clear()
    go.clear()
    suggest = make(tmp_path)
    loop = threading.Thread(target=suggest)
    loop.start()
    try:
        assert entered.wait(20)
        loop.join(1.0)
        assert not loop.is_alive()
    finally:
        go.set()
        loop.join(20)


# Optuna's own


def test_pruned_trials_with_rungs_do_not_break_tpe(tmp_path: Path) -> None:
    """Intermediate values together with PRUNED make multi-objective TPE raise."""
    engine = engine_on(
        new_study(tmp_path),
        trials=20,
        sampler=Sampler(startup=2),
        pruner=Pruner(name="threshold", rungs=4, start=0.0, lower=0.2),
    )
    for number in range(20):
        proposal = engine.ask(float(number))
        assert proposal is not None
        for index in (1, 2, 3, 4):
            if engine.report(number, report(proposal.settings, index), number + 0.5) != "continue":
                break
    assert engine.record().in_state("pruned")
