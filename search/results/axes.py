"""The axes on which the page draws settings beside what came of them, each trial as a line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from search.flat import legible
from search.record import StudyRecord
from search.results.figures.style import digits_at, log_floor, log_ticks, tick
from search.results.measured import final, projected
from search.results.units import GAP, title, unit

_STEPS = (1.0, 2.0, 5.0)
_STEPS_OF_TIME = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000,
                  72000, 180000, 360000)  # fmt: skip
_MOST_TICKS = 7
#: From this ratio of the greatest to the least value a logarithmic axis is considered.
_WIDE = 4.0


def axes(study: StudyRecord, settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings that differ among the trials with a score, then the score and the costs.

    Args:
        study: of which complete and pruned trials are looked at.
        settings: of each trial by key, as in :func:`search.results.catalogue.own_settings`.

    Returns:
        Empty where fewer than two trials have a score or no setting differs among them. Of a
        setting its ``title`` and ``values``, a column with None where a trial has none; of a
        measure ``measure``, the name under which the catalogue has its values, and its ``unit``.
        Numbers come with the ``low`` and ``high`` end of the axis, ``log``, and ``ticks``, pairs
        of place and text; anything else with ``kinds``, its texts from the top of the axis, of
        which the values are the places.
    """
    rows = [
        trial.state in ("complete", "pruned") and final(trial, "score") is not None
        for trial in study.trials
    ]
    if sum(rows) < 2:
        return []
    found = []
    for key in dict.fromkeys(key for own in settings for key in own):
        column = [own.get(key) if row else None for own, row in zip(settings, rows, strict=True)]
        present = [value for value in column if value is not None]
        if len({legible(value) for value in present}) > 1:
            scale = _numbers(column) if all(map(_number, present)) else _kinds(column)
            found.append({"title": key} | scale)
    if not found:
        return []
    for name in dict.fromkeys(["score", *study.objectives]):
        value = final if name == "score" else projected
        pairs = zip(study.trials, rows, strict=True)
        known = [v for trial, row in pairs if row and (v := value(trial, name)) is not None]
        if name == "score" or len(set(known)) > 1:
            axis = {"title": title(name, study.metric), "measure": name, "unit": unit(name)}
            found.append(axis | _scale(name, known))
    return found


def linear_ticks(name: str, low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers at even distances between two values, and how they are written."""
    if high <= low:
        return [(low, _text(name, low))]
    fewest = (high - low) / (_MOST_TICKS - 1)
    if name.endswith("_seconds") and 1 <= fewest <= _STEPS_OF_TIME[-1]:
        step = float(next(step for step in _STEPS_OF_TIME if step >= fewest))
    else:
        power = 10.0 ** math.floor(math.log10(fewest))
        step = next(factor * power for factor in (*_STEPS, 10.0) if factor * power >= fewest)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = [round(place * step, decimals) for place in places]
    if name not in ("", "score"):
        return [(value, _text(name, value, step)) for value in ticks]
    if decimals < 5:
        return [(value, f"{value:.{decimals}f}") for value in ticks]
    return [(value, f"{value:.{digits_at(value, step)}g}") for value in ticks]


def _numbers(column: Sequence[float | None]) -> dict[str, Any]:
    values = [float(f"{value:.5g}") if isinstance(value, float) else value for value in column]
    return {"values": values} | _scale("", [value for value in column if value is not None])


def _scale(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Ends and ticks of an axis for these values of a measure, or of a setting (no name)."""
    low, high = min(values), max(values)
    log = name != "score" and _log_suits(values)
    if log:
        low = max(low, log_floor(values))
    distinct = sorted(set(values))
    texts = list(map(legible, distinct))
    if not name and len(set(texts)) == len(texts) < _MOST_TICKS and _apart(distinct, log):
        ticks = [(max(value, low), text) for value, text in zip(distinct, texts, strict=True)]
    elif log:
        ticks = ([(low, "0")] if distinct[0] <= 0 else []) + _log_ticks(name, values)
    else:
        ticks = linear_ticks(name, low, high)
    return {"low": low, "high": high, "log": log, "ticks": [list(pair) for pair in ticks]}


def _log_suits(values: Sequence[float]) -> bool:
    """Whether the middle of the values, each counted once, is nearer that of a log axis."""
    positive = [value for value in values if value > 0]
    if min(values) < 0 or not positive or max(positive) < _WIDE * min(positive):
        return False
    low, middle, high = min(values), median(set(values)), max(values)
    linear = (middle - low) / (high - low)
    low, middle = max(low, log_floor(values)), max(middle, log_floor(values))
    return abs(math.log(middle / low) / math.log(high / low) - 0.5) < abs(linear - 0.5)


def _log_ticks(name: str, values: Sequence[float]) -> list[tuple[float, str]]:
    positive = [value for value in values if value > 0]
    places, _ = log_ticks(name, positive, most=100)
    if len(places) > _MOST_TICKS + 1 and not name.endswith("_seconds"):
        # Of many the powers of ten, which are the roundest.
        places = [place for place in places if f"{place:e}".startswith("1.000000e")] or places
    return [(place, _text(name, place)) for place in places[:: math.ceil(len(places) / 8)]]


def _apart(distinct: Sequence[float], log: bool) -> bool:
    """Whether each of the values can have its own label."""
    floor = log_floor(distinct)
    places = [math.log(max(value, floor)) if log else value for value in distinct]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    return min(gaps) > 0.05 * (places[-1] - places[0])


def _kinds(column: Sequence[Any]) -> dict[str, Any]:
    texts = {legible(value): value for value in column if value is not None}
    kinds = sorted(texts, key=lambda text: _rank(texts[text], text))
    place = {text: index for index, text in enumerate(kinds)}
    return {
        "kinds": kinds,
        "values": [None if value is None else place[legible(value)] for value in column],
    }


def _rank(value: Any, text: str) -> tuple[float, float, str]:
    """Short lists before long ones, numbers by what they are, the rest by the alphabet."""
    length = len(value) if isinstance(value, list | tuple) else 0
    return length, float(value) if _number(value) else math.inf, text


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(name: str, value: float, step: float | None = None) -> str:
    """The text of a tick; a round number needs no zeros that say how exact it is."""
    number, gap, sign = tick(name, value, step).partition(GAP)
    if "." in number and "e" not in number:
        number = number.rstrip("0").rstrip(".")
    return number + gap + sign
