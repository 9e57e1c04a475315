"""Relations between settings that hold by construction, however they are drawn.

The one there is: matrices freeze between ``freeze.start`` and ``freeze.end``, with room for at
least one ``freeze.interval`` in between. The search draws both from the ranges in the space file;
:func:`settle` maps what was drawn onto what fits, :func:`unsettle` maps it back. Where a draw fits
as it is, and the ranges leave nothing to restrict, nothing changes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.spec.distributions import Choice, Constant, Float, Group, Int, Leaf
from search.spec.errors import Mistake
from search.spec.nodes import Path, active_leaves, shapes_of
from search.spec.settings import FreezeSettings

_FREEZING = "aflora"
_DEFAULT = FreezeSettings()
_SLACK = 1e-6  # steps; what a rounding error may take


@dataclass(frozen=True)
class Length:
    """How long every trial of a search trains.

    Attributes:
        steps: optimizer steps.
        steps_per_epoch: optimizer steps of an epoch.
    """

    steps: int
    steps_per_epoch: float


#: For checks before the data is known: so long that an interval takes no room.
NOMINAL = Length(10**7, 10**6)


@dataclass(frozen=True)
class _Place:
    """``freeze.start`` or ``freeze.end`` of one configuration."""

    path: Path
    leaf: Leaf
    unit: float  # optimizer steps that a value of 1 stands for

    def step(self, value: float) -> int:
        return math.floor(value * self.unit + 0.5)

    def first_at(self, step: int) -> float:
        """The smallest value that is rounded to this step or a later one."""
        return (step - 0.5 + _SLACK) / self.unit

    def last_before(self, step: int) -> float:
        """The largest value that is rounded to this step or an earlier one."""
        return (step + 0.5 - _SLACK) / self.unit

    @property
    def earliest(self) -> int:
        return self.step(min(self.leaf.extremes()))

    @property
    def latest(self) -> int:
        return self.step(max(self.leaf.extremes()))


def settle(settings: Mapping[str, Any], tree: Group, length: Length) -> dict[str, Any]:
    """The settings with freeze.start and freeze.end moved to where the schedule fits."""
    return _moved(settings, tree, length, restrict)


def unsettle(settings: Mapping[str, Any], tree: Group, length: Length) -> dict[str, Any]:
    """What had to be drawn for :func:`settle` to give these settings."""
    return _moved(settings, tree, length, release)


def _moved(settings: Mapping[str, Any], tree: Group, length: Length, move: Any) -> dict[str, Any]:
    moved = copy.deepcopy(dict(settings))
    leaves = active_leaves(tree, settings)
    places = _places(leaves, length)
    if places is None:
        return moved
    start, end = places
    settled = moved if move is restrict else copy.deepcopy(dict(settings))
    gap = _interval(settings)
    if gap is None:
        return moved
    drawn = _get(settings, start.path, start.leaf)
    _set(moved, start, move(start.leaf, drawn, -math.inf, start.last_before(end.latest - gap)))
    begun = start.step(_get(settled, start.path, start.leaf))
    drawn = _get(settings, end.path, end.leaf)
    _set(moved, end, move(end.leaf, drawn, end.first_at(begun + gap), math.inf))
    return moved


def schedule_mistakes(tree: Group, length: Length) -> list[Mistake]:
    """Combinations of choices that leave no room for any schedule."""
    found: dict[str, Mistake] = {}
    for shape in shapes_of(tree):
        for mistake in _mistakes_of(shape, length):
            found.setdefault(mistake.where, mistake)
    return list(found.values())


def _mistakes_of(leaves: Mapping[Path, Leaf], length: Length) -> list[Mistake]:
    places = _places(leaves, length)
    if places is None:
        return []
    start, end = places
    where = f"search.method.{_FREEZING}.freeze"
    if end.latest > length.steps:
        what = f"can come at step {end.latest:,}, but a trial has {length.steps:,} steps"
        return [Mistake(f"{where}.end", what)]
    interval = leaves.get(("method", _FREEZING, "freeze", "interval"), Constant(_DEFAULT.interval))
    if not all(isinstance(value, int) for value in interval.extremes()):
        return []  # no numbers, which is said elsewhere
    longest = max(interval.extremes())
    room = end.latest - start.earliest
    if length is NOMINAL:
        if room > 0:
            return []
        what = (
            f"is never smaller than {min(start.leaf.extremes())}, freeze.end never larger than "
            f"{max(end.leaf.extremes())}; start must stay below end"
        )
        return [Mistake(f"{where}.start", what)]
    if room >= longest:
        return []
    what = (
        f"can be {longest} steps, longer than any schedule: a trial has {length.steps:,} steps, "
        f"and at most {max(room, 0):,} of them lie between freeze.start and freeze.end; give the "
        f"method a smaller freeze.interval, or trials more steps"
    )
    return [Mistake(f"{where}.interval", what)]


def settings_mistakes(settings: Mapping[str, Any], length: Length, where: str) -> list[Mistake]:
    """Whether one whole configuration has room for its schedule."""
    constants = {
        path: Constant(value)
        for path, value in _flat(settings)
        if path[:3] == ("method", _FREEZING, "freeze")
    }
    if _FREEZING not in settings.get("method", {}):
        return []
    return [
        Mistake(mistake.where.replace("search", where, 1), mistake.what)
        for mistake in _mistakes_of(constants, length)
    ]


def _flat(settings: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    if not isinstance(settings, Mapping):
        return [(path, settings)]
    return [pair for key, value in settings.items() for pair in _flat(value, (*path, key))]


def _places(leaves: Mapping[Path, Leaf], length: Length) -> tuple[_Place, _Place] | None:
    if not any(path[:2] == ("method", _FREEZING) for path in leaves):
        return None
    found = []
    for name in ("start", "end"):
        path: Path = ("method", _FREEZING, "freeze", name)
        leaf, unit = leaves.get(path), float(length.steps)
        if leaf is None and (*path, "epochs") in leaves:
            path = (*path, "epochs")
            leaf, unit = leaves[path], length.steps_per_epoch
        if leaf is None:
            leaf = Constant(getattr(_DEFAULT, name))
        if isinstance(leaf, Constant) and isinstance(leaf.value, Mapping):
            leaf, unit = Constant(leaf.value["epochs"]), length.steps_per_epoch
        if not all(isinstance(v, int | float) for v in leaf.extremes()):
            return None  # not numbers, which has been said already
        found.append(_Place(path, leaf, unit))
    if length is NOMINAL and found[0].unit != found[1].unit:
        return None  # a fraction and epochs can be compared only once the data is known
    return found[0], found[1]


def _interval(settings: Mapping[str, Any]) -> int | None:
    """None where it is no number, which is said elsewhere."""
    freeze = settings["method"][_FREEZING].get("freeze", {})
    interval = freeze.get("interval", _DEFAULT.interval) if isinstance(freeze, Mapping) else None
    return interval if isinstance(interval, int) else None


def _get(settings: Mapping[str, Any], path: Path, leaf: Leaf) -> Any:
    if isinstance(leaf, Constant):
        return leaf.value
    value: Any = settings
    for key in path:
        value = value[key]
    return value


def _set(settings: dict[str, Any], place: _Place, value: Any) -> None:
    if isinstance(place.leaf, Constant):
        return
    group: Any = settings
    for key in place.path[:-1]:
        group = group[key]
    group[place.path[-1]] = value


def restrict(leaf: Leaf, drawn: Any, low: float, high: float) -> Any:
    """Map a draw onto the part of its range between ``low`` and ``high``, keeping its order.

    Continuous ranges are mapped linearly (in the logarithm, for ``log``), grids and choices by
    position. A range that lies within the bounds maps to itself.
    """
    bounds = _bounds(leaf, low, high)
    if isinstance(bounds, list):
        options = grid_of(leaf)
        return bounds[options.index(_nearest(options, drawn)) * len(bounds) // len(options)]
    if bounds is None:
        return drawn
    assert isinstance(leaf, Float)
    return _mapped(drawn, (leaf.low, leaf.high), bounds, leaf.log)


def release(leaf: Leaf, value: Any, low: float, high: float) -> Any:
    """The inverse of :func:`restrict`."""
    bounds = _bounds(leaf, low, high)
    if isinstance(bounds, list):
        options = grid_of(leaf)
        if value not in bounds:
            return value
        return options[math.ceil(bounds.index(value) * len(options) / len(bounds))]
    if bounds is None:
        return value
    assert isinstance(leaf, Float)
    return _mapped(value, bounds, (leaf.low, leaf.high), leaf.log)


def _bounds(leaf: Leaf, low: float, high: float) -> tuple[float, float] | list[Any] | None:
    """What is left of a range: two ends, the options that fit, or None where nothing is cut."""
    if isinstance(leaf, Constant) or (low <= min(leaf.extremes()) and max(leaf.extremes()) <= high):
        return None
    if isinstance(leaf, Float) and leaf.step is None:
        return min(max(low, leaf.low), leaf.high), max(min(high, leaf.high), leaf.low)
    slack = 1e-9
    fitting = [option for option in grid_of(leaf) if low - slack <= option <= high + slack]
    return fitting or [min(grid_of(leaf), key=lambda o: max(low - o, o - high))]


def grid_of(leaf: Leaf) -> list[Any]:
    """Every value of a choice, or of a range with steps, in order."""
    if isinstance(leaf, Choice):
        return list(leaf.options)
    assert isinstance(leaf, Int | Float)
    return list(leaf.values())


def _nearest(options: list[Any], drawn: Any) -> Any:
    return min(options, key=lambda option: abs(option - drawn))


def _mapped(
    value: float, source: tuple[float, float], target: tuple[float, float], log: bool
) -> float:
    scale, inverse = (math.log, math.exp) if log else (float, float)
    low, high = (scale(bound) for bound in target)
    span = scale(source[1]) - scale(source[0])
    part = (scale(value) - scale(source[0])) / span if span > 0 else 0.0
    found = inverse(low + min(max(part, 0.0), 1.0) * (high - low))
    # Rounding must not carry a value out of its range.
    return min(max(found, target[0]), target[1])
