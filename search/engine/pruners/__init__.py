"""Who stops trials early: Pareto pruning over all objectives, or any pruner on the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from search.engine.pruners.judge import Judge, MethodJudges
from search.engine.pruners.pareto import ParetoJudge, ParetoPruner
from search.engine.pruners.score import ScoreJudge, make_pruner
from search.spec.schema import Pruner

NONE = "none"
PARETO = "pareto"


def make_judge(config: Pruner, objectives: Sequence[str], per_method: bool = False) -> Judge | None:
    """The judge that a space file asks for; None stops nothing.

    Args:
        config: the pruner and its options.
        objectives: of the search.
        per_method: a trial is compared with those of its own method alone.

    Raises:
        ValueError: there is no such pruner, or it does not take the options.
    """
    make = _maker(config, objectives)
    if make is None:
        return None
    return MethodJudges(make) if per_method else make()


def _maker(config: Pruner, objectives: Sequence[str]) -> Callable[[], Judge] | None:
    if config.name == NONE:
        if config.options:
            raise ValueError(f"none has no argument {next(iter(config.options))!r}")
        return None
    if config.name == PARETO:
        options = _pareto(config.options)
        pareto = ParetoPruner(objectives, rungs=config.rungs, start=config.start, **options)
        return lambda: ParetoJudge(pareto)
    on_score = make_pruner(config.name, config.options, config.rungs)
    return lambda: ScoreJudge(on_score, config.start)


def _pareto(options: dict[str, Any]) -> dict[str, Any]:
    for key in options:
        if key not in {"keep", "wait"}:
            raise ValueError(f"pareto has no argument {key!r}; accepted: keep, wait")
    return options


__all__ = ["Judge", "ParetoPruner", "make_judge"]
