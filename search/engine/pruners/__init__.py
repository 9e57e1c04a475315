"""Who stops trials early: Pareto pruning over all objectives, or any pruner on the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.engine.pruners.judge import Judge
from search.engine.pruners.pareto import ParetoJudge, ParetoPruner
from search.engine.pruners.score import ScoreJudge, make_pruner
from search.spec.schema import Pruner

NONE = "none"
PARETO = "pareto"


def make_judge(config: Pruner, objectives: Sequence[str]) -> Judge | None:
    """The judge that a space file asks for; None stops nothing.

    Raises:
        ValueError: there is no such pruner, or it does not take the options.
    """
    if config.name == NONE:
        if config.options:
            raise ValueError(f"none has no argument {next(iter(config.options))!r}")
        return None
    if config.name == PARETO:
        return ParetoJudge(
            ParetoPruner(
                objectives, rungs=config.rungs, start=config.start, **_pareto(config.options)
            )
        )
    return ScoreJudge(make_pruner(config.name, config.options, config.rungs), config.start)


def _pareto(options: dict[str, Any]) -> dict[str, Any]:
    for key in options:
        if key not in {"keep", "wait"}:
            raise ValueError(f"pareto has no argument {key!r}; accepted: keep, wait")
    return options


__all__ = ["Judge", "ParetoPruner", "make_judge"]
