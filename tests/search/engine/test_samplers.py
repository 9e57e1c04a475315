"""Samplers by name, and searches that are resumed with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.engine.rehearsal import rehearse
from search.engine.samplers import check_sampler, make_sampler
from search.engine.study import SearchStudy
from search.spec.distributions import Branch, Float, Group
from search.spec.schema import Pruner, Sampler
from tests.search.engine.curves import TREE, engine_on, new_study, report


def test_a_grid_takes_no_space_with_conditions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="grid takes no space in which a choice opens"):
        check_sampler(Sampler(name="grid"), TREE)
    flat = Group({"method": Branch({"lora": Group({})}, nested=True)})
    check_sampler(Sampler(name="grid"), flat)
    rates = Group({**flat.children, "learning_rate": Float(1e-4, 1e-2)})
    with pytest.raises(ValueError, match="grid needs steps: give learning_rate a step"):
        check_sampler(Sampler(name="grid"), rates)
    fine = Group({**flat.children, **{name: Float(0.0, 1.0, step=0.01) for name in "abc"}})
    with pytest.raises(ValueError, match="more than 100,000"):
        check_sampler(Sampler(name="grid"), fine)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ({"name": "tpee"}, "unknown name 'tpee'; did you mean 'tpe'?"),
        ({"name": "tpe", "n_startup_trials": 3}, "is set by the search itself"),
        ({"name": "tpe", "seed": 3}, "seed is set by the search itself"),
        ({"name": "nsga2", "population": 3}, "did you mean 'population_size'?"),
        ({"name": "nsga2", "population_size": 1}, "population_size"),
        ({"name": "grid", "seed": 3}, "grid has no argument 'seed'"),
        ({"name": "nowhere:Sampler"}, "cannot be imported"),
        ({"name": "optuna.pruners:MedianPruner"}, "is no optuna BaseSampler"),
    ],
)
def test_a_sampler_that_cannot_be_made_says_why(sampler: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
        check_sampler(Sampler(**sampler), TREE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "together"), [({}, False), ({"group": True}, True), ({"multivariate": True}, True)]
)
def test_settings_are_modelled_one_by_one_unless_asked_for(
    options: dict[str, Any], together: bool
) -> None:
    config = Sampler(name="tpe", startup=3, **options)
    sampler: Any = make_sampler(config, 0, 9, 0, complete=9, feasible=9, front=1)
    for directions in (["maximize"], ["maximize", "minimize"]):
        study = optuna.create_study(directions=directions)
        assert sampler._is_multivariate(study) is together


@pytest.mark.parametrize(
    ("name", "options", "seen"),
    [
        ("tpe", {}, 2000),
        ("tpe", {}, 3),
        ("tpe", {"group": True}, 3),
        ("random", {}, 3),
        ("nsga2", {"population_size": 3}, 3),
        ("nsga3", {"population_size": 3}, 3),
        ("qmc", {}, 3),
        ("gp", {}, 3),
    ],
)
@pytest.mark.parametrize("cut", [3, 7])
def test_a_resumed_search_proposes_as_it_would_have(
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    seen: int,
    cut: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where TPE sees but the last of the trials, too."""
    monkeypatch.setattr("search.engine.samplers.SEEN_MOST", seen)
    for module in ("proposer", "samplers"):
        monkeypatch.setattr(f"search.engine.{module}.GOOD_MOST", 2)
    change: dict[str, Any] = {
        "sampler": Sampler(name=name, startup=3, **options),
        "pruner": Pruner(name="none", rungs=4),
        "trials": 10,
    }

    def search(folder: Path, stops: tuple[int, ...]) -> list[Any]:
        engine = engine_on(new_study(folder), **change)
        for number in range(10):
            if number in stops:
                engine = engine_on(SearchStudy.open(folder / "study.db"), **change)
            proposal = engine.ask(float(number))
            assert proposal is not None
            for index in (1, 2, 3, 4):
                engine.report(number, report(proposal.settings, index), number + 0.5)
        return [trial.settings for trial in engine.record().trials]

    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    assert search(tmp_path / "cut", (cut,)) == search(tmp_path / "whole", ())


def test_a_study_whose_times_are_all_equal_is_read_back_the_same(tmp_path: Path) -> None:
    engine = engine_on(new_study(tmp_path), trials=3)
    began = time.time()
    for number in range(3):
        proposal = engine.ask(began)
        assert proposal is not None
        for index in (1, 2, 3, 4):
            engine.report(number, report(proposal.settings, index), began)
    again = engine_on(SearchStudy.open(tmp_path / "study.db"), trials=3)
    assert again.record() == engine.record()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ({"name": "tpe", "n_ei_candidates": 0}, "tpe cannot propose here"),
        ({"name": "tpe", "weights": "linear"}, "tpe cannot propose here"),
        ({"name": "optuna.samplers:CmaEsSampler"}, "multi-objective"),
        ({"name": "optuna.samplers:BruteForceSampler"}, "step must be given"),
        ({"name": ".x:Y"}, "cannot be imported"),
    ],
)
def test_what_a_sampler_would_take_amiss_later_is_said_at_once(
    sampler: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rehearse(Sampler(**sampler), TREE, ["score", "trainable_params"])


@pytest.mark.parametrize("name", ["tpe", "random", "nsga2", "qmc"])
def test_a_sampler_that_works_is_rehearsed_in_silence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearse(Sampler(name=name), TREE, ["score", "trainable_params"])
    assert capsys.readouterr() == ("", "")
