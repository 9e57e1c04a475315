"""A made-up search for tests: learning curves that depend on the settings alone."""

from __future__ import annotations

import functools
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.engine.core import Engine
from search.engine.fleet import Fleet, Lane
from search.engine.policy import Policy
from search.engine.pruners import make_judge
from search.engine.run_directory import RunDirectory
from search.engine.simulate import Step
from search.engine.storage import close_storage, open_storage
from search.engine.study import SearchStudy, StudyHeader
from search.record import FreezeEvent, Rung, RungReport
from search.spec.distributions import Branch, Choice, Float, Group, Subset
from search.spec.schema import Budget, Failures, Pruner, Sampler

OBJECTIVES = {"score": "max", "trainable_params": "min", "train_flops": "min"}
ROLES = ("query", "value", "ffn_in")
TREE = Group(
    {
        "method": Branch(
            {
                "aflora": Group({"rank": Choice((1, 2, 4)), "modules": Subset(ROLES, 1, 3)}),
                "lora": Group({"rank": Choice((4, 8)), "modules": Subset(ROLES, 2, 3)}),
            },
            nested=True,
        ),
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "head_learning_rate": Float(1e-4, 1e-2, log=True),
    }
)
# Without conditions, for samplers that take none.
FLAT = Group(
    {
        "method": Branch(
            {"aflora": Group({"rank": Choice((1, 2, 4)), "modules": Subset(ROLES, 1, 3)})},
            nested=True,
        ),
        "learning_rate": Choice((1e-4, 1e-3, 1e-2)),
        "head_learning_rate": Choice((1e-3,)),
    }
)
STEPS = 20
RUNGS = 4


@functools.cache
def _empty_database() -> tuple[Path, Any]:
    """As Optuna makes it, which takes longer than most tests; and the folder that it lies in."""
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "study.db"
    close_storage(open_storage(file, None))
    return file, folder


def new_study(folder: Path, objectives: Mapping[str, str] = OBJECTIVES) -> SearchStudy:
    shutil.copy(_empty_database()[0], folder / "study.db")
    provenance = {"seed": 0, "data": "x", "study_id": "s"}
    header = StudyHeader("n", "rte", "m", "accuracy", objectives, provenance, {})
    return SearchStudy.create(folder / "study.db", header)


PARETO = Pruner(rungs=RUNGS, start=0.3, keep=0.5, wait=4)


def engine_on(
    study: SearchStudy,
    trials: int = 12,
    pruner: Pruner = PARETO,
    now: float = 0.0,
    **change: Any,
) -> Engine:
    given: dict[str, Any] = {
        "tree": TREE,
        "sampler": Sampler(startup=4),
        "budget": Budget(trials=trials),
        "seed": 7,
        "failures": Failures(retries=0),
        "promote": pruner.promote,
    }
    policy = Policy(**(given | change))
    per_method = policy.budget.trials_per_method is not None
    judge = make_judge(pruner, list(study.header.objectives), per_method)
    return Engine(study, policy, judge, now)


def alone(engine: Engine, folder: Path) -> Fleet:
    """A fleet of one study, in a folder of its own."""
    return Fleet([Lane("rte", engine, RunDirectory(folder))])


def report(
    settings: Mapping[str, Any], index: int, of: int = RUNGS, **measures: float
) -> RungReport:
    """The rung of a made-up learning curve."""
    ((name, own),) = settings["method"].items()
    step = STEPS * index // of
    params = 100.0 * own["rank"] * len(own["modules"])
    skill = 0.5 + 0.04 * own["rank"] - abs(math.log10(settings["learning_rate"]) + 3) / 10
    values = {
        "score": skill * step / STEPS,
        "trainable_params": params,
        "train_flops": params * step,
        "total_seconds": float(step),
    } | measures
    projected = values | {"train_flops": params * STEPS}
    events = (FreezeEvent(0, "ffn_in", "A", 3),) if name == "aflora" else ()
    return RungReport(Rung(index, step, step / STEPS, values, projected, 0.0), events, STEPS)


def curve(settings: Mapping[str, Any], number: int) -> Sequence[Step]:
    return [Step(5.0, report(settings, index)) for index in range(1, RUNGS + 1)]


def train(
    engine: Engine,
    number: int,
    settings: Mapping[str, Any],
    now: float,
    rungs: range = range(1, RUNGS + 1),
) -> float:
    for index in rungs:
        now += 1
        told = engine.report(number, report(settings, index), now, f"c/{number}/{index}")
        if told != "continue":
            break
    return now


def run(engine: Engine, now: float = 0.0, most: int = 99) -> float:
    """One trial after another; the trials that were handed out are at most ``most``."""
    for _ in range(most):
        proposal = engine.ask(now)
        if proposal is None:
            break
        reached = proposal.checkpoint.rsplit("/", 1)[1] if proposal.checkpoint else 0
        now = train(
            engine, proposal.number, proposal.settings, now, range(int(reached) + 1, RUNGS + 1)
        )
    return now
