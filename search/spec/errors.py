"""Mistakes of the user's, told all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.spec.characters import whole


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        where: the key (``search.method.aflora.rank``), option (``--out``) or file.
        what: the bad value, and what would be accepted.
        line: line of the space file, counted from 1; 0: the command line said so.
    """

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        at = f" (line {self.line})" if self.line else " (--set)" if self.line == 0 else ""
        return f"{self.where}{at}: {self.what}"


class SpecError(Exception):
    """What the user asked for cannot be done; holds every mistake that was found.

    Args:
        source: file or command line that holds the mistakes.
        mistakes: at least one.
    """

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.mistakes) == 1:
            return f"{self.source}: {self.mistakes[0]}"
        lines = [f"{self.source}: {len(self.mistakes)} mistakes"]
        return "\n".join(lines + [f"  {mistake}" for mistake in self.mistakes])


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`` did you mean 'rank'? known: rank, modules`` — the hint alone where a word is near."""
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}accepted: {', '.join(known)}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not empty, or its type's name.

    It goes into files, and a path in it may hold bytes that are no characters: they become ``?``.
    """
    lines = (line.strip() for line in whole(str(error)).splitlines())
    return next(filter(None, lines), type(error).__name__)
