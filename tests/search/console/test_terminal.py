"""What is taken for a terminal, and who may set it."""

from __future__ import annotations

import io
import os
import pty
import sys
from pathlib import Path

import pytest
from rich.console import Console

from search.console.terminal import PLAIN_WIDTH, console_on, redraws

# A job that a shell has put into the background, and the shell, which tells what became of it.
SHELL = """
import os, sys
sys.path.insert(0, sys.argv[1])
from search.console.live import _without_echo_of_control_keys
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    with _without_echo_of_control_keys():
        pass
    os._exit(0)
_, status = os.waitpid(job, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else "went on", flush=True)
"""


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_file_is_no_terminal_whatever_the_environment_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    console = console_on(io.StringIO())
    assert not redraws(console)
    assert console.width == PLAIN_WIDTH


def test_a_terminal_is_one_and_a_dumb_one_cannot_be_written_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(theirs, "w") as stream:
        assert redraws(console_on(stream))
        monkeypatch.setenv("TERM", "dumb")
        assert not redraws(console_on(stream))
    os.close(ours)
    assert not redraws(Console(file=io.StringIO()))


def test_a_search_in_the_background_leaves_the_terminal_alone(tmp_path: Path) -> None:
    script = tmp_path / "shell.py"
    script.write_text(SHELL)
    root = str(Path(__file__).resolve().parents[3])
    shell, terminal = pty.fork()
    if shell == 0:
        os.execv(sys.executable, [sys.executable, str(script), root])
    told = b""
    while b"\n" not in told:
        told += os.read(terminal, 1000)
    os.waitpid(shell, 0)
    os.close(terminal)
    assert told.decode().strip() == "went on"
