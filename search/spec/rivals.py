"""Keys that exclude one another: the one that is set last stays."""

from __future__ import annotations

from typing import Any

from search.spec.data import DATA_SOURCES


def settle_rivals(section: dict[str, Any], parts: list[str]) -> None:
    """Of keys that exclude one another the overriding one stays."""
    for group, rivals in (
        ("data", DATA_SOURCES),
        ("train", ("epochs", "steps")),
        ("budget", ("trials", "trials_per_method")),
    ):
        if len(parts) == 2 and parts[0] == group and parts[1] in rivals:
            for rival in rivals:
                section.pop(rival, None)
