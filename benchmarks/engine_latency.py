"""How long the engine takes to judge, tell and propose, and what it holds in memory.

``python -m benchmarks.engine_latency [--trials 2000] [--out FILE] [--check]``

A search of made-up learning curves with ten rungs and the account of 144 matrices each, TPE and
Pareto pruning on three objectives, runs on a simulated clock with the study in an SQLite file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from search.engine.core import Engine
from search.engine.policy import Policy
from search.engine.pruners import make_judge
from search.engine.simulate import Step, simulate
from search.engine.study import SearchStudy, StudyHeader
from search.provenance import provenance
from search.record import FreezeEvent, Rung, RungReport, StudyRecord
from search.spec import load_space
from search.spec.schema import Budget, Pruner, Sampler
from search.writing import write_atomically

RUNGS = 10
GOALS = {"report": 0.050, "ask": 0.250}
GOAL_BYTES = 200e6
PROVENANCE = {"commit": "", "machine": "", "seed": 0, "study_id": "", "data": ""}
_EVENTS = tuple(
    FreezeEvent(layer, role, matrix, 100)
    for layer in range(12)
    for role in ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
    for matrix in ("A", "B")
)


def curve(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
    """A curve whose score grows with the parameters, and depends on the learning rate."""
    ((_, own),) = settings["method"].items()
    rate = settings.get("learning_rate") or own.get("learning_rate")
    params = 300.0 * own["rank"] * len(own["modules"])
    final = 0.9 - 0.05 * abs(math.log10(rate) + 2) - 1.0 / math.sqrt(params)
    # No two trials take as long: else time follows from the parameters, and the front stays small.
    whole = 60 * (1 + params / 1e5) * math.exp(np.random.default_rng(number).normal(0, 0.2))
    steps = []
    for index in range(1, RUNGS + 1):
        done = index / RUNGS
        measures = {
            "score": final * (1 - math.exp(-5 * done)),
            "trainable_params": params,
            "train_seconds": done * whole,
            "total_seconds": 7 / 6 * done * whole,
            **{f"measure_{i}": done for i in range(8)},
        }
        projected = measures | {"train_seconds": whole}
        rung = Rung(index, index * 10, done, measures, projected, 0.0)
        steps.append(Step(6.0, RungReport(rung, _EVENTS, 10 * RUNGS)))
    return steps


class Timed:
    """Calls a method of the engine and notes how long it took.

    Args:
        call: the method.
        answers: whether only calls count that were given an answer.
    """

    def __init__(self, call: Callable[..., Any], answers: bool = False) -> None:
        self._call = call
        self._answers = answers
        self.seconds: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        answer = self._call(*args, **kwargs)
        if answer is not None or not self._answers:
            self.seconds.append(time.perf_counter() - began)
        return answer


def _warm_up(folder: Path, header: StudyHeader) -> None:
    """Whatever is imported late belongs to the program and not to its trials."""
    tree = load_space("spaces/quickstart.yaml").tree
    policy = Policy(tree=tree, sampler=Sampler(startup=2), budget=Budget(trials=5))
    study = SearchStudy.create(folder / "warm.db", header)
    simulate(Engine(study, policy, None, 0.0), curve, 1)
    study.close()


def search(
    trials: int, slots: int, drawn: int = 0, startup: int = 1
) -> tuple[dict[str, Timed], int, StudyRecord]:
    """A whole search on a simulated clock.

    Args:
        trials: so many.
        slots: trials at a time.
        drawn: so many of them first, at random and not timed.
        startup: complete trials before TPE proposes.

    Returns:
        What each call of the engine took, the bytes by which memory grew, and the study.
    """
    loaded = load_space("spaces/quickstart.yaml")
    objectives = loaded.space.objectives
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        header = StudyHeader("latency", "", "", "", objectives, PROVENANCE, {})
        study = SearchStudy.create(Path(folder) / "study.db", header)

        def engine_of(sampler: Sampler, trials: int, now: float) -> Any:
            policy = Policy(tree=loaded.tree, sampler=sampler, budget=Budget(trials=trials))
            judge = make_judge(Pruner(rungs=RUNGS, start=0.1), list(objectives))
            return Engine(study, policy, judge, now)

        _warm_up(Path(folder), header)
        before = psutil.Process().memory_info().rss
        now = 0.0
        if drawn:
            now = simulate(engine_of(Sampler(name="random"), drawn, now), curve, slots)
        engine = engine_of(Sampler(startup=startup), trials, now)
        timed = {name: Timed(getattr(engine, name), answers=name == "ask") for name in GOALS}
        for name, call in timed.items():
            setattr(engine, name, call)
        simulate(engine, curve, slots, now=now)
        grown = psutil.Process().memory_info().rss - before
        record = study.record(engine.record().trials)
        study.close()
    return timed, grown, record


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000, metavar="N")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the goals are met")
    options = parser.parse_args(arguments)
    timed, grown, study = search(options.trials, slots=4, startup=10)
    states = [trial.state for trial in study.trials]
    percentiles = {n: float(np.percentile(t.seconds, 99)) for n, t in timed.items()}
    medians = {n: float(np.median(t.seconds)) for n, t in timed.items()}
    counts = {state: states.count(state) for state in sorted(set(states))}
    print(f"{len(states)} trials: {counts}")
    for name, goal in GOALS.items():
        print(
            f"{name:7} median {1e3 * medians[name]:.1f} ms, 99th percentile "
            f"{1e3 * percentiles[name]:.1f} ms (goal {1e3 * goal:.0f} ms)"
        )
    print(f"memory grew by {grown / 1e6:.0f} MB (goal {GOAL_BYTES / 1e6:.0f} MB)")
    if options.out is not None:
        record = {
            "provenance": provenance(0, "", ""),
            "trials": counts,
            "seconds_median": medians,
            "seconds_99th_percentile": percentiles,
            "bytes_grown": grown,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out, json.dumps(record, indent=1) + "\n")
    met = grown <= GOAL_BYTES and all(percentiles[n] <= goal for n, goal in GOALS.items())
    return 0 if met or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
