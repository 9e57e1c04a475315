"""A configuration as MLflow's parameters: few columns, by names that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from search.flat import exact
from search.record import TrialRecord
from search.results.catalogue import own_settings
from search.spec.characters import whole

# MLflow's limits, in characters.
NAME_LENGTH = 250
VALUE_LENGTH = 6000
TAG_LENGTH = 8000

_REFUSED = re.compile(r"[^\w. -]")


def parameters(trial: TrialRecord) -> dict[str, str]:
    """What a trial trains with, by short names: ``method``, ``rank``, ``freeze.start``.

    A setting that several methods have is one column. A value that is too long for MLflow is cut
    off; the trial's ``settings.json`` has it in full.
    """
    return named(own_settings(trial))


def named(settings: Mapping[str, Any]) -> dict[str, str]:
    """Leaves under names that MLflow takes, which keep apart what was apart."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = accepted(key)
        unique = name
        for number in count(2):
            if unique not in found:
                break
            unique = f"{name[: NAME_LENGTH - 8]}_{number}"
        found[unique] = stored(exact(value), VALUE_LENGTH)
    return found


def accepted(name: str) -> str:
    """A name without what MLflow refuses: it may be used as that of a file."""
    name = _REFUSED.sub("_", name)[:NAME_LENGTH]
    return f"_{name[1:]}" if not name or name.startswith(".") else name


def stored(text: str, most: int) -> str:
    """Text that every database takes: no longer than it may be, without NUL and half characters."""
    return whole(text).replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]
