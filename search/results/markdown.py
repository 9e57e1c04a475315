"""Text in Markdown that stays text, whatever it holds."""

from __future__ import annotations

import re
from typing import Any

_MARKUP = re.compile(r"([\\`*_\[\]|~#])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def code(value: Any) -> str:
    """A value as code, on one line."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in _runs(text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text or ' '}{pad}{ticks}"


def plain(text: str) -> str:
    """A sentence, on one line, in which neither Markdown nor HTML means anything."""
    escaped = "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))
    return _MARKUP.sub(r"\\\1", escaped)


def fenced(language: str, lines: list[str]) -> list[str]:
    """Lines as a block of code, from which no backtick in them breaks out."""
    longest = max((len(run) for line in lines for run in _runs(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table; the cells are Markdown."""
    return [
        f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)
    ]  # fmt: skip


def _runs(text: str) -> list[str]:
    return [part for part in "".join(c if c == "`" else " " for c in text).split() if part]
