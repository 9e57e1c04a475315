"""Replay searches on recorded curves: what does a sampler or a pruner gain, in trial-seconds?

``python -m benchmarks.replay TABLE SPACE [--seeds 30] [--slots 2] [--out FILE] [--check]``

The engine is the one that searches, on a simulated clock and simulated slots; a proposal is
answered by the nearest configuration of TABLE that is still unused. Asked is how many trial-seconds
each way takes to reach the hypervolume that random search without pruning has after 60 complete
trials, and 95 and 99 % of it. Compared are random search, NSGA-II, TPE with and without Pareto
pruning, what SPACE asks for, stock ``OptunaSearch`` on all objectives and with ``ASHAScheduler`` on
the score, and random search with Syne Tune's MO-ASHA, left out unless ``pip install --no-deps
syne-tune`` put it here.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from optuna.storages import InMemoryStorage
from rich.console import Console
from scipy.stats import bootstrap

from benchmarks.alternatives import SyneTuneJudge, stock_search
from benchmarks.curve_table import CurveTable, Row
from benchmarks.goal import Goal, conclude, table_of
from search.engine.core import Engine
from search.engine.policy import Policy
from search.engine.pruners import Judge, make_judge
from search.engine.simulate import simulate
from search.engine.study import SearchStudy, StudyHeader
from search.pareto import hypervolume
from search.spec import LoadedSpace, load_space
from search.spec.objectives import OBJECTIVES
from search.spec.schema import Budget, Pruner, Sampler

TARGET_TRIALS = 60
# Stands for infinity in the bootstrap of a median.
_NEVER = 1e6
#: Parts of random search's hypervolume; the goals are about the last.
SHARES = (0.95, 0.99, 1.0)
OURS = "TPE, Pareto pruning"
#: What is to be beaten → by its name in short.
RIVALS = {
    "OptunaSearch, ASHA on the score": "those of OptunaSearch and ASHA",
    "OptunaSearch, all objectives": "those of OptunaSearch on all objectives",
    "random, Syne Tune's MO-ASHA": "those of Syne Tune's MO-ASHA",
}


@dataclass(frozen=True)
class Done:
    """A complete trial of a replay: trial-seconds of all trials up to its end, and its measures."""

    spent: float
    measures: dict[str, float]


@dataclass(frozen=True)
class Contest:
    """One space and table, on which ways of searching are compared."""

    loaded: LoadedSpace
    rows: list[Row]
    slots: int
    bound: list[float]

    @property
    def names(self) -> list[str]:
        return list(self.loaded.space.objectives)

    def points(self, done: Sequence[Done]) -> list[list[float]]:
        return [[OBJECTIVES[n].minimised(d.measures[n]) for n in self.names] for d in done]

    def volumes(self, done: Sequence[Done]) -> list[float]:
        """Hypervolume after each complete trial, non-decreasing."""
        points = self.points(done)
        found = [hypervolume(points[:count], self.bound) for count in range(1, len(done) + 1)]
        # But for rounding it never falls.
        return list(itertools.accumulate(found, max))

    def spent_until(self, done: Sequence[Done], volumes: Sequence[float]) -> list[float]:
        """Trial-seconds until each of ``volumes`` is reached; infinity where one never is."""
        reached = self.volumes(done)
        return [
            next(
                (d.spent for d, v in zip(done, reached, strict=True) if v >= volume * (1 - 1e-12)),
                math.inf,
            )
            for volume in volumes
        ]


Way = Callable[[Contest, int], tuple[list[Done], list[float]]]


def ours(sampler: Sampler, judge: Callable[[Contest], Judge | None], promote: bool = False) -> Way:
    """The project's engine with a sampler and a judge."""

    def way(contest: Contest, seed: int) -> tuple[list[Done], list[float]]:
        table = CurveTable(contest.rows, contest.loaded.tree)
        header = StudyHeader("replay", "", "", "", contest.loaded.space.objectives, {}, {})
        policy = Policy(
            tree=contest.loaded.tree,
            sampler=sampler,
            seed=seed,
            budget=Budget(trials=len(contest.rows)),
            promote=promote,
        )
        study = SearchStudy.create_in(InMemoryStorage(), header)
        engine = Engine(study, policy, judge(contest), 0.0)
        simulate(engine, table.curve, contest.slots)
        trials = engine.record().trials
        rungs = sorted(
            (rung.at, trial.number, index)
            for trial in trials
            for index, rung in enumerate(trial.rungs)
        )
        reached: dict[int, float] = {}
        done = []
        for _, number, index in rungs:
            trial = trials[number]
            reached[number] = trial.rungs[index].measures["total_seconds"]
            if trial.state == "complete" and index == len(trial.rungs) - 1:
                done.append(Done(sum(reached.values()), dict(trial.measures)))
        return done, table.distances

    return way


def stock(whole: bool) -> Way:
    """What Ray ships: OptunaSearch on all objectives, or on the score with ASHAScheduler."""

    def way(contest: Contest, seed: int) -> tuple[list[Done], list[float]]:
        table = CurveTable(contest.rows, contest.loaded.tree)
        objectives = contest.loaded.space.objectives if whole else None
        found = stock_search(contest.loaded.tree, table, contest.slots, seed, objectives)
        return [Done(spent, measures) for spent, measures in found], table.distances

    return way


def ways(space: LoadedSpace) -> dict[str, Way]:
    """What is compared, by name."""
    rungs = space.space.pruner.rungs
    # The defaults: of ten rungs they look at the first and the fourth.
    pareto = Pruner(rungs=rungs)
    random, tpe = Sampler(name="random"), Sampler()

    def judge(config: Pruner) -> Callable[[Contest], Judge | None]:
        return lambda contest: make_judge(config, contest.names)

    def none(contest: Contest) -> None:
        return None

    found = {
        "random": ours(random, none),
        "TPE": ours(tpe, none),
        # A population of a sixth of the budget; by default the first fifty would all be random.
        "NSGA-II": ours(Sampler(name="nsga2", population_size=20), none),
        "random, Pareto pruning": ours(random, judge(pareto)),
        "TPE, Pareto pruning": ours(tpe, judge(pareto)),
        "TPE, Pareto pruning, promotion": ours(tpe, judge(pareto), promote=True),
        "the space's own": ours(space.space.sampler, judge(space.space.pruner)),
        "OptunaSearch, ASHA on the score": stock(whole=False),
        "OptunaSearch, all objectives": stock(whole=True),
    }
    if find_spec("syne_tune") is None:
        print("Syne Tune is not installed: its MO-ASHA is left out")
    else:
        found["random, Syne Tune's MO-ASHA"] = ours(
            random, lambda contest: SyneTuneJudge(contest.names, rungs)
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", metavar="TABLE", type=Path, help="of benchmarks.record_curves")
    parser.add_argument("space", metavar="SPACE", help="the space that the table was drawn from")
    parser.add_argument("--seeds", type=int, default=30, metavar="N")
    parser.add_argument("--slots", type=int, default=2, metavar="N", help="trials at a time")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V")
    parser.add_argument("--only", action="append", default=[], metavar="WAY")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the targets are met")
    options = parser.parse_args(arguments)
    if options.check and not options.only and find_spec("syne_tune") is None:
        parser.error("--check compares with Syne Tune too: pip install --no-deps syne-tune")
    loaded = load_space(options.space, options.overrides)
    rows = CurveTable.read(options.table, loaded.tree)
    contest = Contest(loaded, rows, options.slots, _bound(rows, list(loaded.space.objectives)))
    target_trials = min(TARGET_TRIALS, len(rows))
    all_ways = ways(loaded)
    chosen = {n: w for n, w in all_ways.items() if not options.only or n in options.only}
    chosen = {"random": all_ways["random"], **chosen}
    print(f"{len(rows)} rows; target: random search after {target_trials} trials", flush=True)
    base: list[float] = []
    targets: list[float] = []
    for seed in range(options.seeds):
        done, _ = chosen["random"](contest, seed)
        base.append(done[target_trials - 1].spent)
        targets.append(contest.volumes(done[:target_trials])[-1])
    parts: dict[str, dict[float, list[float]]] = {}
    distances: dict[str, float] = {}
    for name, way in chosen.items():
        began, gaps, found = time.monotonic(), [], []
        for seed in range(options.seeds):
            done, gap = way(contest, seed)
            wanted = [share * targets[seed] for share in SHARES]
            found.append([spent / base[seed] for spent in contest.spent_until(done, wanted)])
            gaps += gap
        parts[name] = dict(zip(SHARES, map(list, zip(*found, strict=True)), strict=True))
        distances[name] = float(np.mean(gaps))
        print(_line(name, parts[name], distances[name], time.monotonic() - began), flush=True)
    reached = goals(parts)
    if reached:
        Console(width=110).print(table_of("goals", reached))
    record: dict[str, Any] = {
        "table": str(options.table),
        "space": options.space,
        "objectives": loaded.space.objectives,
        "rows": len(rows),
        "slots": options.slots,
        "trial_seconds_of_random": base,
        "hypervolume": targets,
        "part_of_random": {
            name: {
                share: [None if math.isinf(part) else part for part in values]
                for share, values in shares.items()
            }
            for name, shares in parts.items()
        },
        "gower_distance": distances,
    }
    return conclude(reached, options.out, options.check, record)


def _line(name: str, shares: dict[float, list[float]], distance: float, seconds: float) -> str:
    values = shares[1.0]
    low, high = _interval(values)
    early = ", ".join(
        f"{share:.0%} at {statistics.median(shares[share]):.3f}" for share in SHARES[:-1]
    )
    return (
        f"{name:32} {statistics.median(values):6.3f} of random's trial-seconds "
        f"(95 % of the median: {_written(low)} … {_written(high)}), "
        f"{sum(map(math.isinf, values))} of {len(values)} never; {early}; "
        f"distance {distance:.3f}; {seconds:.0f} s"
    )


def _bound(rows: Sequence[Row], names: Sequence[str]) -> list[float]:
    """The worst of the whole table plus a tenth of its range, in every objective."""
    values = np.array([[OBJECTIVES[n].minimised(row.measures[n]) for n in names] for row in rows])
    return list(values.max(axis=0) + 0.1 * np.ptp(values, axis=0))


def _written(part: float) -> str:
    """A part of random's trial-seconds; among medians of what never came there is none."""
    return "never" if part >= _NEVER / 4 else f"{part:.3f}"


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median, by bootstrap."""
    finite = np.array([min(value, _NEVER) for value in values])
    if len(set(finite)) < 2:
        return float(finite[0]), float(finite[0])
    found = bootstrap((finite,), np.median, method="percentile", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def goals(spent: Mapping[str, Mapping[float, Sequence[float]]]) -> list[Goal]:
    """What our search is to reach beside those that were run; none where it was not run itself.

    A rival is compared with where it comes furthest: at the largest part of the hypervolume that
    its median run reaches.

    Args:
        spent: name → share of the hypervolume → trial-seconds of every seed, infinite where it
            is never reached.
    """
    median = {
        name: {share: statistics.median(values) for share, values in shares.items()}
        for name, shares in spent.items()
    }
    if OURS not in median:
        return []
    ours = median[OURS]
    found = [Goal("trial-seconds / random's", ours[1.0], at_most=1 / 3)]
    for rival, name in ((r, n) for r, n in RIVALS.items() if r in median):
        theirs = median[rival]
        share = max((s for s in SHARES if math.isfinite(theirs[s])), default=min(SHARES))
        until = "" if share == 1.0 else f" until {share:.0%}"
        # Of what never comes so far everybody who does is ahead; of two such nobody is.
        ratio = ours[share] / theirs[share]
        found.append(Goal(f"trial-seconds / {name}{until}", ratio, at_most=1.0))
    return found


if __name__ == "__main__":
    sys.exit(main())
