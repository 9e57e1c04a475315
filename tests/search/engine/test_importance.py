"""What decides about an objective is found; what does not is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.engine.importance import importances
from search.engine.simulate import Step, simulate
from search.spec.schema import Pruner, Sampler
from tests.search.engine.curves import engine_on, new_study, report


def curve(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
    """The score hangs on the learning rate alone, the parameters on the rank."""
    ((_, own),) = settings["method"].items()
    values = {
        "score": 1.0 - settings["learning_rate"] * 50,
        "trainable_params": 100.0 * own["rank"],
        "train_flops": 7.0,
    }
    return [Step(1.0, report(settings, index, **values)) for index in (1, 2, 3, 4)]


def test_each_objective_has_what_decides_it(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    change: dict[str, Any] = {
        "sampler": Sampler(name="random"),
        "pruner": Pruner(name="none", rungs=4),
    }
    simulate(engine_on(study, trials=60, **change), curve, 1)
    found = {(i.method, i.objective): i.parts for i in importances(study)}
    # What all trials have in common says nothing.
    assert {objective for _, objective in found} == {"score", "trainable_params"}
    for method in ("aflora", "lora"):
        score, params = found[method, "score"], found[method, "trainable_params"]
        assert abs(sum(score.values()) - 1) < 1e-6
        assert max(score, key=lambda name: score[name]) == "learning_rate"
        assert max(params, key=lambda name: params[name]) == f"method.{method}.rank"
        assert score["learning_rate"] > 0.6


def test_nothing_is_said_of_few_trials(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    change: dict[str, Any] = {
        "sampler": Sampler(name="random"),
        "pruner": Pruner(name="none", rungs=4),
    }
    simulate(engine_on(study, trials=9, **change), curve, 1)
    assert importances(study) == ()
