"""A configuration as flat text: one dotted key and one short value for each leaf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key, ``{"freeze": {"beta1": 0.8}}`` → ``{"freeze.beta1": 0.8}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def own_first(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves of a method's own settings, then of those that all methods share.

    What both have is the method's own, as in training: unless it is None, which stands for the
    shared value.
    """
    leaves = flattened(own)
    given = {key for key, value in leaves.items() if value is not None}
    return leaves | {key: v for key, v in flattened(shared).items() if key not in given}


def exact(value: Any) -> str:
    """A leaf as a machine reads it back: numbers in full, lists as JSON, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def legible(value: Any) -> str:
    """A leaf as a person reads it: four significant digits, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(legible(item) for item in value)
    return str(value)
