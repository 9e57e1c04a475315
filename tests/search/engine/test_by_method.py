"""A search of its own for every method."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.engine.simulate import simulate
from search.engine.study import SearchStudy
from search.spec.schema import Budget, Pruner, Sampler
from tests.search.engine.curves import RUNGS, curve, engine_on, new_study

PER_METHOD: dict[str, Any] = {"budget": Budget(trials_per_method=6)}


def methods(study: SearchStudy) -> list[str]:
    return [next(iter(trial.settings["method"])) for trial in study.trials()]


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "nsga2"])
def test_every_method_gets_its_trials_in_turn(name: str, tmp_path: Path) -> None:
    study = new_study(tmp_path)
    engine = engine_on(study, sampler=Sampler(name=name, startup=3), **PER_METHOD)
    simulate(engine, curve, 2)
    found = methods(study)
    assert Counter(found) == {"aflora": 6, "lora": 6}
    # Never one more than another has had.
    ahead = [found[:n].count("aflora") - found[:n].count("lora") for n in range(len(found))]
    assert max(map(abs, ahead)) <= 1
    # As every other study has it: the method is a parameter.
    for trial in study.frozen_trials():
        assert trial.params["method"] == next(iter(trial.user_attrs["settings"]["method"]))
    assert len({str(trial.settings) for trial in study.trials()}) == 12


@pytest.mark.parametrize("name", ["tpe", "qmc"])
def test_a_resumed_search_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    change: dict[str, Any] = {"sampler": Sampler(name=name, startup=3), **PER_METHOD}
    (tmp_path / "whole").mkdir()
    whole = new_study(tmp_path / "whole")
    simulate(engine_on(whole, **change), curve, 1)
    (tmp_path / "cut").mkdir()
    cut = new_study(tmp_path / "cut")
    now = simulate(engine_on(cut, **change), curve, 1, until=lambda now: now > 90)
    cut.close()
    again = SearchStudy.open(tmp_path / "cut" / "study.db")
    simulate(engine_on(again, now=now, **change), curve, 1, now)
    assert [t.settings for t in again.trials()] == [t.settings for t in whole.trials()]


def test_a_method_that_has_had_its_trials_gets_no_more(tmp_path: Path) -> None:
    """Its configurations were enqueued; the others still get theirs, and no more than theirs."""
    study = new_study(tmp_path)
    engine = engine_on(study, sampler=Sampler(name="random"), **PER_METHOD)
    proposer: Any = engine._proposer
    for _ in range(12):
        draft = proposer.propose()
        assert draft is not None
    assert proposer.propose() is None
    had = [method for method, _ in proposer._places]
    assert Counter(had) == {"aflora": 6, "lora": 6}


def test_a_method_learns_from_its_own_trials_alone(tmp_path: Path) -> None:
    """What the one method is proposed does not change with what the other came to."""

    def proposed(folder: str, boost: float) -> list[Any]:
        (tmp_path / folder).mkdir()
        study = new_study(tmp_path / folder)

        def biased(settings: Any, number: int) -> Any:
            steps = curve(settings, number)
            if "lora" in settings["method"]:
                for step in steps:
                    assert step.report is not None
                    rung: Any = step.report.rung
                    rung.measures["score"] += boost * number
            return steps

        simulate(engine_on(study, sampler=Sampler(startup=2), **PER_METHOD), biased, 1)
        return [t.settings for t in study.trials() if "aflora" in t.settings["method"]]

    assert proposed("a", 0.0) == proposed("b", 0.02)


def test_a_method_is_pruned_among_its_own_trials_alone(tmp_path: Path) -> None:
    """Every trial of the one costs a thousand times more and scores less: it is still judged by
    its own kind, of which at least one comes to its end."""

    def dear(settings: Any, number: int) -> Any:
        steps = curve(settings, number)
        for step in steps if "lora" in settings["method"] else ():
            assert step.report is not None
            rung: Any = step.report.rung
            for values in (rung.measures, rung.projected):
                values["score"] /= 10
                values["trainable_params"] *= 1000
                values["train_flops"] *= 1000
        return steps

    def complete(folder: str, **change: Any) -> Counter[str]:
        (tmp_path / folder).mkdir()
        study = new_study(tmp_path / folder)
        pruner = Pruner(rungs=RUNGS, start=0.0, wait=2, keep=0.25, after_freezing=False)
        engine = engine_on(study, pruner=pruner, sampler=Sampler(name="random"), **change)
        simulate(engine, dear, 1)
        ended = [trial for trial in study.trials() if trial.state == "complete"]
        return Counter(next(iter(trial.settings["method"])) for trial in ended)

    assert complete("all", budget=Budget(trials=24))["lora"] == 0
    apart = complete("apart", budget=Budget(trials_per_method=12))
    assert apart["lora"] > 0
    assert apart["aflora"] > 0
