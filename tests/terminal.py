"""A program in a terminal of its own, looked at and typed to as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Terminal:
    """Starts a program in a terminal.

    Args:
        words: the command.
        folder: where it runs.
        environment: of it.
        size: lines and columns.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        size: tuple[int, int] = (40, 120),
    ) -> None:
        self._outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._process = subprocess.Popen(
            words, cwd=folder, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            env={**environment, "TERM": "xterm"},
        )  # fmt: skip
        os.close(inner)
        self.seen = ""

    def until_seen(self, text: str, seconds: float = 60.0) -> None:
        """Read on until a text has appeared."""
        last = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < last, self.seen
            assert self._read(), self.seen

    def type(self, keys: str) -> None:
        os.write(self._outer, keys.encode())

    def end(self, seconds: float = 60.0) -> int:
        """Read to the end; the exit status."""
        last = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < last, self.seen
        os.close(self._outer)
        return self._process.wait(10)

    def _read(self) -> bool:
        """Take in what came within a second; whether there may be more."""
        if not select.select([self._outer], [], [], 1)[0]:
            return True
        try:
            self.seen += os.read(self._outer, 65536).decode(errors="replace")
        except OSError:  # its end of the terminal is closed
            return False
        return True
