"""Output that stays legible where the terminal's encoding lacks the characters that we use."""

from __future__ import annotations

import codecs
import io
import sys

#: Of the way in which codecs write what an encoding lacks.
LEGIBLE = "search.legible"
# One for one, so that what is laid out stays so.
_PLAIN = str.maketrans(
    {
        "◆": "@", "●": "*", "○": "o", "▽": "v",
        "─": "-", "│": "|", "┤": "|", "└": "+", "┘": "+", "━": "-", "╸": "-", "╺": "-",
        "·": "-", "–": "-", "…": ".", "×": "x", "\N{NO-BREAK SPACE}": " ",
    }
)  # fmt: skip


def legible(error: UnicodeError) -> tuple[str, int]:
    """What codecs write in place of characters that an encoding lacks: one of ASCII for each."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(sign if sign.isascii() else "?" for sign in lacking), error.end


codecs.register_error(LEGIBLE, legible)


def make_legible() -> None:
    """Have standard output and standard error write what their encoding lacks as ASCII.

    By default a program would die of the first such character.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LEGIBLE)
