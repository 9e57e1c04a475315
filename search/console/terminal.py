"""What is known of the terminal that a command writes to."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

#: Columns of what is no terminal, a file or another program.
PLAIN_WIDTH = 120


def console_on(stream: TextIO) -> Console:
    """A console that takes a stream for a terminal only where it is one.

    rich takes a file for one as well where FORCE_COLOR or TTY_COMPATIBLE is set, as many a CI does.
    """
    terminal = stream.isatty()
    return Console(file=stream, force_terminal=terminal, width=None if terminal else PLAIN_WIDTH)


def redraws(console: Console) -> bool:
    """Whether what was written there can be written over: in a dumb terminal nothing can."""
    return console.is_terminal and not console.is_dumb_terminal


def in_foreground() -> bool:
    """Whether the terminal of standard input is this process's to set.

    Who sets it from the background is stopped by the system until it is brought to the front.
    """
    if not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal that this process is not a job of stops nobody
        return True
