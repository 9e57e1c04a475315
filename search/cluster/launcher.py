"""What Ray's launcher knows of a cluster that was brought up from here, and the way to its head."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from search.spec.errors import Mistake, SpecError, first_line

DASHBOARD_PORT = 8265
CONNECT_SECONDS = 60.0
ANSWER_SECONDS = 5.0
# The launcher reads and prints much; it runs in a process of its own, whose output is kept.
_TUNNEL = """
import sys
from ray.autoscaler.sdk import run_on_cluster
here, there = int(sys.argv[2]), int(sys.argv[3])
run_on_cluster(sys.argv[1], cmd="sleep infinity", port_forward=[(here, there)])
"""
_ADDRESS = """
import sys
from ray.autoscaler.sdk import get_head_node_ip
print("\\n" + get_head_node_ip(sys.argv[1]))
"""
_SHOW = """
import sys
from ray.autoscaler.sdk import run_on_cluster
run_on_cluster(sys.argv[1], cmd=sys.argv[2])
"""
_FETCH = """
import sys
from ray.autoscaler.sdk import rsync
rsync(sys.argv[1], source=sys.argv[2], target=sys.argv[3], down=True)
"""


DEFAULT = Path("cluster.yaml")
#: Where deploy/setup.sh has this project on every node; runs are below it.
HOME = "~/aflora-search"
#: A shell has its environment and its place after this.
AT_HOME = f'source {HOME}/deploy/env.sh && cd "$AFLORA_HOME"'


def cluster_of(file: str | None, elsewhere: bool) -> tuple[Launcher, str] | None:
    """The cluster that a search is to be handed to, and why; None where it runs without one.

    Args:
        file: the cluster file that was named.
        elsewhere: whether the user has said to run somewhere else.

    Raises:
        SpecError: the file that was named is no cluster file.
    """
    if file is not None:
        return Launcher(Path(file)), f"--cluster {file} was given"
    if elsewhere or not DEFAULT.is_file():
        return None
    try:
        launcher = Launcher(DEFAULT)
    except SpecError:
        return None  # a file that happens to have that name
    if not launcher.brought_up_here():
        return None
    print(f"Looking for the head of the cluster of {DEFAULT} …", file=sys.stderr, flush=True)
    if not launcher.answers():
        print("It does not answer.", file=sys.stderr, flush=True)
        return None
    return launcher, f"{DEFAULT} was brought up from this machine"


class Unreachable(SpecError):
    """The head of a cluster does not answer."""


class Launcher:
    """Ray's launcher and a cluster file.

    Args:
        file: the cluster file, as it was given to ``ray up``.

    Raises:
        SpecError: the file cannot be read or is no cluster file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        where = f"--cluster {file}"
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SpecError("command line", [Mistake(where, first_line(error))]) from None
        if not isinstance(content, dict) or not {"cluster_name", "provider"} <= content.keys():
            what = "is no cluster file: it has no cluster_name or no provider"
            raise SpecError("command line", [Mistake(where, what)])
        self._name = content["cluster_name"]

    def brought_up_here(self) -> bool:
        """Whether this machine has brought the cluster up: the launcher leaves a note of it."""
        for note in Path(tempfile.gettempdir()).glob("ray-config-*"):
            try:
                known = json.loads(note.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if not isinstance(known, dict) or not isinstance(known.get("config"), dict):
                continue
            if known["config"].get("cluster_name") == self._name:
                return True
        return False

    def answers(self) -> bool:
        """Whether the head takes connections, and says so at once."""
        try:
            address = self._run(_ADDRESS, timeout=ANSWER_SECONDS * 4).splitlines()[-1]
            socket.create_connection((address, 22), timeout=ANSWER_SECONDS).close()
        except (SpecError, OSError, subprocess.TimeoutExpired):
            return False
        return True

    def show(self, command: str) -> bool:
        """Run a command of the head in this terminal; whether it went well.

        Ctrl-C is the command's.
        """
        ended = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", _SHOW, str(self.file), command], check=False, env=_environment()
        )
        return ended.returncode == 0

    def fetch(self, source: str, target: Path) -> None:
        """Bring a folder of the head here.

        Raises:
            Unreachable: it cannot be brought.
        """
        target.mkdir(parents=True, exist_ok=True)
        self._run(_FETCH, f"{source}/", f"{target}/")

    @contextmanager
    def tunnel(self) -> Iterator[str]:
        """The head's dashboard, at an address on this machine's loopback.

        Raises:
            Unreachable: the head cannot be reached.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with tempfile.TemporaryFile("w+") as output:
            words = [sys.executable, "-c", _TUNNEL, str(self.file), str(port), str(DASHBOARD_PORT)]
            process = subprocess.Popen(  # noqa: S603 - our own code
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, env=_environment(),
            )  # fmt: skip
            try:
                self._until_open(process, port, output)
                yield f"http://127.0.0.1:{port}"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()

    def _until_open(self, process: subprocess.Popen[bytes], port: int, output: Any) -> None:
        last = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if process.poll() is None and time.monotonic() < last:
                    time.sleep(0.2)
                    continue
            output.seek(0)
            raise self._unreachable(output.read())

    def _run(self, code: str, *words: str, timeout: float | None = None) -> str:
        ended = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code, str(self.file), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=timeout, env=_environment(),
        )  # fmt: skip
        if ended.returncode != 0:
            raise self._unreachable(ended.stdout + ended.stderr)
        return ended.stdout

    def _unreachable(self, output: str) -> Unreachable:
        told = [line.strip() for line in output.splitlines() if line.strip()]
        why = told[-1][:300] if told else "no answer"
        what = f"the head cannot be reached ({why}); has `ray up {self.file}` been run from here?"
        return Unreachable("command line", [Mistake(f"--cluster {self.file}", what)])


def _environment() -> dict[str, str]:
    return {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
