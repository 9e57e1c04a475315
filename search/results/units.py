"""Measures as people write them: 12.3 k, 21.4 s, 3.10 TFLOPs, each with its name in words."""

from __future__ import annotations

import math

from search.spec.objectives import OBJECTIVES

# A number and its unit stay on one line.
GAP = "\N{NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
# End of a measure's name → what its values count, where that has a sign.
_UNITS = {"_seconds": "s", "_flops": "FLOPs", "_bytes": "B"}


def unit(name: str) -> str:
    """What is written behind a value of this measure; empty for scores and plain counts."""
    return next((sign for end, sign in _UNITS.items() if name.endswith(end)), "")


def readable(name: str, value: float | None, digits: int = 3) -> str:
    """The value of a measure with its unit; scores with four places.

    Args:
        name: of the measure; its ending says what it counts (``_params``, ``_seconds``,
            ``_flops``, ``_bytes``).
        value: in the measure's own unit; None or not finite gives a dash.
        digits: that are significant; of scores and times it says nothing.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if name == "score":
        return f"{value:.4f}"
    if "_params" in name:
        return _count(value, digits)
    if name.endswith("_per_second"):
        return f"{_count(value, digits)}/s"
    if name.endswith("_seconds"):
        return duration(value)
    if sign := unit(name):
        return _with_prefix(value, sign, digits)
    return f"{value:.{max(4, digits)}g}"


def duration(seconds: float) -> str:
    """``21.4 s``, ``3 min 24 s`` or ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{significant(seconds)}{GAP}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{GAP}min{GAP}{whole % 60:02d}{GAP}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{GAP}h{GAP}{minutes % 60:02d}{GAP}min"


def running_time(seconds: float) -> str:
    """``21 s``, else as :func:`duration`: of a time that goes on fractions would only flicker."""
    whole = float(math.floor(seconds))
    return duration(whole) if whole >= 60 else f"{whole:.0f}{GAP}s"


def ratio(value: float) -> str:
    """``10.1×``: how many times as much."""
    return f"{significant(value)}×" if value < 1000 else f"{value:,.0f}×"


def title(name: str, metric: str = "score") -> str:
    """A measure's name in words; ``score`` is called what it is in this study."""
    if name == "score":
        return metric
    if name in OBJECTIVES:
        return OBJECTIVES[name].title
    return name.replace("_", " ")


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, ``12.3``, and with all those before its point."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits}g}")
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(0, decimals)}f}"


def _count(value: float, digits: int) -> str:
    if abs(value) < 1000 and value == int(value):
        return str(int(value))
    return _with_prefix(value, "", digits).rstrip(GAP)


def _with_prefix(value: float, sign: str, digits: int) -> str:
    power = 0
    # 999.5 would be written as 1000 with three digits, so it already takes the next prefix.
    most = 1000.0 - 0.5 * 10.0 ** (3 - digits)
    while abs(value) >= most and power < len(_PREFIXES) - 1:
        value /= 1000.0
        power += 1
    return f"{significant(value, digits)}{GAP}{_PREFIXES[power]}{sign}"
