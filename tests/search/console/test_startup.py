"""What is said before the first trial."""

from __future__ import annotations

import io
import re
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from rich.console import Console

from search.console.encoding import LEGIBLE, legible
from search.console.startup import Startup
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[3]
SLOW = """
import sys, time
from rich.console import Console
from search.console.encoding import make_legible
from search.console.startup import Startup
make_legible()
startup = Startup(Console(file=sys.stdout))
with startup.step("starting Ray"):
    time.sleep(2.2)
with startup.step("comparing the nodes"):
    pass
print("over")
"""


def test_without_a_terminal_each_part_is_a_line_with_the_time_when_it_began() -> None:
    out = io.StringIO()
    startup = Startup(Console(file=out))
    startup.since -= 75
    # Ray is started with standard output turned away.
    with redirect_stdout(io.StringIO()), startup.step("starting Ray"):
        assert "starting Ray" in out.getvalue()
    with pytest.raises(KeyError), startup.step("comparing the nodes"):
        raise KeyError
    one, other = out.getvalue().splitlines()
    assert one == "[1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}15\N{NO-BREAK SPACE}s] starting Ray"
    assert other.endswith("] comparing the nodes")


def last_of(seen: str) -> str:
    """What was left standing of the first part, without colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    return plain[plain.rindex("starting Ray") - 2 :]


def test_in_a_terminal_the_line_moves_and_what_took_long_is_left_standing() -> None:
    terminal = Terminal([sys.executable, "-c", SLOW], ROOT, {"PATH": "", "LANG": "C.UTF-8"})
    started = time.monotonic()
    terminal.until_seen("starting Ray")
    assert time.monotonic() - started < 60
    assert terminal.end() == 0
    moved = terminal.seen.count("starting Ray")
    assert moved > 5
    # It is wiped, and one line with its whole time stays.
    assert "\r\n" in last_of(terminal.seen)
    assert re.search("· starting Ray  [2-9]\N{NO-BREAK SPACE}s", last_of(terminal.seen))
    assert terminal.seen.endswith("over\r\n")


def test_a_terminal_without_utf_8_shows_it_in_ascii() -> None:
    environment = {"PATH": "", "PYTHONIOENCODING": "ascii"}
    terminal = Terminal([sys.executable, "-c", SLOW], ROOT, environment)
    assert terminal.end() == 0
    assert terminal.seen.isascii()
    assert re.search("- starting Ray  [2-9] s", last_of(terminal.seen))
    assert "?" not in terminal.seen.replace("\x1b[?25", "")


def test_characters_that_an_encoding_lacks_become_one_of_ascii_each() -> None:
    assert "● ◆──┘ 4\N{NO-BREAK SPACE}k ρ".encode("ascii", LEGIBLE) == b"* @--+ 4 k ?"
    with pytest.raises(UnicodeDecodeError):
        legible(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))
