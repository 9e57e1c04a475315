"""What every sampler and every pruner keeps to, with one, two or three objectives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.engine.proposals import params_of
from search.engine.samplers import SAMPLERS
from search.engine.simulate import simulate
from search.engine.study import SearchStudy
from search.pareto.front import front
from search.spec.schema import Pruner, Sampler
from tests.search.engine.curves import FLAT, STEPS, TREE, curve, engine_on, new_study

OPTIONS = {"nsga2": {"population_size": 4}, "nsga3": {"population_size": 4}}
NAMES = [*SAMPLERS, "optuna.samplers:RandomSampler"]
PRUNERS = {
    "pareto": Pruner(rungs=4, start=0.2, wait=2),
    "promote": Pruner(rungs=4, start=0.2, wait=2, promote=True),
    "median": Pruner(name="median", rungs=4, n_startup_trials=2),
    "percentile": Pruner(name="percentile", rungs=4, percentile=40.0, n_startup_trials=2),
    "hyperband": Pruner(name="hyperband", rungs=4, start=0.0),
    "successive_halving": Pruner(name="successive_halving", rungs=4, start=0.0),
    "patient": Pruner(name="patient", rungs=4, patience=1, wrapped="median"),
    "wilcoxon": Pruner(name="wilcoxon", rungs=4),
    "threshold": Pruner(name="threshold", rungs=4, lower=0.1),
    "none": Pruner(name="none", rungs=4),
}
ALL = {"score": "max", "trainable_params": "min", "train_flops": "min"}
TRIALS, CUT = 9, 60.0
# Every two of the three meet, in a third of the tests that all combinations would take.
PAIRS = [
    (sampler, pruner, 1 + (row + column) % 3)
    for row, sampler in enumerate(NAMES)
    for column, pruner in enumerate(PRUNERS)
]


@pytest.mark.parametrize(("sampler", "pruner", "objectives"), PAIRS)
def test_sampler_and_pruner_keep_the_contract(
    tmp_path: Path, sampler: str, pruner: str, objectives: int
) -> None:
    names = dict(list(ALL.items())[:objectives])
    tree = FLAT if sampler == "grid" else TREE
    change: dict[str, Any] = {
        "tree": tree,
        "sampler": Sampler(name=sampler, startup=3, **OPTIONS.get(sampler, {})),
        "trials": TRIALS,
        "pruner": PRUNERS[pruner],
    }
    first = engine_on(new_study(tmp_path, names), **change)
    # The driver is killed on the way, and another one goes on with what the study holds.
    now = simulate(first, curve, 2, until=lambda now: now > CUT)
    before = {t.number: t for t in first.record().in_state("complete", "pruned", "failed")}
    second = engine_on(SearchStudy.open(tmp_path / "study.db"), now=now, **change)
    assert second.record() == first.record()
    simulate(second, curve, 2, now=now)

    record = second.record()
    assert [trial.number for trial in record.trials] == list(range(TRIALS))
    assert {trial.state for trial in record.trials} <= {"complete", "pruned"}
    for trial in record.trials:
        params, distributions = params_of(tree, trial.settings)
        assert all(d._contains(d.to_internal_repr(params[n])) for n, d in distributions.items())
        assert [rung.index for rung in trial.rungs] == list(range(1, len(trial.rungs) + 1))
        assert trial.number not in before or before[trial.number] == trial
        if trial.state == "complete":
            assert trial.rungs[-1].step == STEPS
            assert trial.values == {name: trial.measures[name] for name in names}
        else:
            assert trial.values is None
            assert trial.rungs[-1].step < STEPS
            assert trial.reason is not None
            assert trial.reason.startswith(f"rung {len(trial.rungs)}: ")
    members = front(record.trials, list(names))
    assert members
    assert all(trial.state == "complete" for trial in members)
    # Nothing is left to be rebuilt: a third driver finds what the second one knew.
    third = engine_on(SearchStudy.open(tmp_path / "study.db"), now=now, **change)
    assert third.record() == record
    assert third.ask(now) is None
    if sampler == "grid":
        found = [repr(trial.settings) for trial in record.trials]
        assert len(set(found)) == TRIALS
