"""Recorded curves as answers to proposals: the nearest configuration that is still unused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.engine.proposals import params_of
from search.engine.simulate import Step
from search.record import Rung, RungReport
from search.spec.distributions import Group
from search.spec.enqueue import enqueued


@dataclass(frozen=True)
class Row:
    """One recorded trial.

    Attributes:
        settings: its configuration.
        rungs: in order; ``total_seconds`` of each is the trial's clock.
        params: what would have to be drawn to propose it, by name.
        position: the same on scales from 0 to 1, None where values have no order.
    """

    settings: Mapping[str, Any]
    rungs: tuple[Rung, ...]
    params: Mapping[str, Any]
    position: Mapping[str, float | None]

    @property
    def measures(self) -> Mapping[str, float]:
        return self.rungs[-1].measures


class CurveTable:
    """Answers proposals from a table that ``benchmarks.record_curves`` has made.

    Each row is given away once. The distance between a proposal and its row is Gower's: over all
    parameters the mean of 0 or 1 for values without order, else of the distance on the parameter's
    scale; a parameter that only one of the two has counts as 1.
    """

    def __init__(self, rows: Sequence[Row], tree: Group) -> None:
        self._rows = list(rows)
        self._tree = tree
        self._free = set(range(len(self._rows)))
        self._given: dict[int, int] = {}
        self.distances: list[float] = []

    @staticmethod
    def read(path: Path, tree: Group) -> list[Row]:
        """Every row of a table.

        Raises:
            ValueError: the file is no table, or a row does not lie in the space.
        """
        rows = []
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            try:
                values = json.loads(line)
                if number == 0:
                    continue
                read, wrong = enqueued(tree, values["settings"], "settings")
                if wrong:
                    raise ValueError(str(wrong[0]))
                rungs = tuple(Rung(**rung, at=0.0) for rung in values["rungs"])
                params, distributions = params_of(tree, read.settings)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number + 1}: {error!r}") from error
            rows.append(Row(values["settings"], rungs, params, _positions(params, distributions)))
        return rows

    @property
    def left(self) -> int:
        """Rows that were not given away."""
        return len(self._free)

    def row_for(self, settings: Mapping[str, Any], number: int) -> Row:
        """The row that answers trial ``number``; the same whenever it is asked again."""
        if number not in self._given:
            params, distributions = params_of(self._tree, settings)
            position = _positions(params, distributions)
            distance, chosen = min(
                (_gower(params, position, self._rows[index]), index) for index in self._free
            )
            self._free.remove(chosen)
            self._given[number] = chosen
            self.distances.append(distance)
        return self._rows[self._given[number]]

    def curve(self, settings: Mapping[str, Any], number: int) -> list[Step]:
        """The steps of the row, for :func:`search.engine.simulate.simulate`."""
        rungs = self.row_for(settings, number).rungs
        before = [0.0, *(rung.measures["total_seconds"] for rung in rungs)]
        return [
            Step(
                rung.measures["total_seconds"] - before[index],
                RungReport(rung, (), rungs[-1].step),
            )
            for index, rung in enumerate(rungs)
        ]


def _positions(
    params: Mapping[str, Any], distributions: Mapping[str, Any]
) -> dict[str, float | None]:
    positions: dict[str, float | None] = {}
    for name, value in params.items():
        low = getattr(distributions[name], "low", None)
        if low is None:
            positions[name] = None
            continue
        high = distributions[name].high
        if distributions[name].log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        positions[name] = (value - low) / (high - low)
    return positions


def _gower(params: Mapping[str, Any], position: Mapping[str, float | None], row: Row) -> float:
    parts = []
    for name in {**params, **row.params}:
        if name not in params or name not in row.params:
            parts.append(1.0)
            continue
        mine, theirs = position[name], row.position[name]
        if mine is None or theirs is None:
            parts.append(float(params[name] != row.params[name]))
        else:
            parts.append(abs(mine - theirs))
    return float(np.mean(parts)) if parts else 0.0
