"""Which Ray the trials run on, with real ones."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.run import main

CONNECT = """
import sys
from search import environment
environment.prepare()
from search.engine.where import connected
import ray
with connected(sys.argv[1] or None, sys.argv[2] == "local") as place:
    print(place.why, place.own, ray.get_runtime_context().gcs_address, sep="|", flush=True)
    sys.stdin.readline()
"""

RAY_START = [
    *(sys.executable, "-m", "ray.scripts.scripts"),
    *("start", "--head", "--block", "--port=0", "--num-cpus=1"),
    *("--include-dashboard=false", "--disable-usage-stats"),
]


@contextmanager
def connecting(address: str = "", local: bool = False, **env: str) -> Iterator[list[str]]:
    """Why, own and address of what another process connects to, while it stays connected."""
    with subprocess.Popen(
        [sys.executable, "-c", CONNECT, address, "local" if local else ""],
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().split("|")
        process.communicate("\n", timeout=60)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Any]]]:
    """Address of a Ray started as a user would, and the environment in which it is found."""
    # Sockets live below this folder; their paths must be short.
    env = {
        "RAY_TMPDIR": f"/tmp/ray-{os.getpid()}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    with subprocess.Popen(
        RAY_START,
        env=os.environ | env,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = address = ""
        for line in process.stdout:
            said += line
            if "will now block" in line:
                break
            found = re.search(r"--address='(.+)'", line)
            address = found[1] if found else address
        assert address, said
        yield address, env
        os.killpg(process.pid, signal.SIGKILL)


def test_a_given_address_wins_over_what_else_is_there(head: tuple[str, dict[str, Any]]) -> None:
    address, env = head
    with connecting(address, RAY_ADDRESS="127.0.0.1:1", **env) as told:
        assert told == [f"on {address}: --address was given", "False", address]


def test_the_environment_names_a_ray(head: tuple[str, dict[str, Any]]) -> None:
    address, env = head
    with connecting(RAY_ADDRESS=address, **env) as told:
        assert told == [f"on {address}: RAY_ADDRESS is set", "False", address]


def test_a_ray_that_runs_here_is_taken(head: tuple[str, dict[str, Any]]) -> None:
    address, env = head
    with connecting(**env) as told:
        assert told == ["on the Ray that was running on this machine", "False", address]


def test_local_starts_its_own_whatever_is_there(head: tuple[str, dict[str, Any]]) -> None:
    address, env = head
    with connecting(local=True, RAY_ADDRESS=address, **env) as told:
        assert told[:2] == ["on this machine: --local was given", "True"]
        assert told[2] != address


def test_the_ray_of_another_search_is_left_alone() -> None:
    """It ends with that search."""
    env: dict[str, Any] = {"RAY_TMPDIR": f"/tmp/ray-{os.getpid()}-other"}
    with connecting(local=True, **env) as first, connecting(**env) as second:
        assert second[:2] == ["on this machine: no Ray was running here", "True"]
        assert second[2] != first[2]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1", "an address is HOST:PORT"),
        ("127.0.0.1:port", "Port could not be cast"),
    ],
)
def test_an_address_where_nothing_answers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, why: str
) -> None:
    space = "spaces/quickstart.yaml"
    out = tmp_path / "out"
    assert main([space, "--out", str(out), "--address", address]) == 2
    told = capsys.readouterr().err
    assert f"--address {address}: no Ray answers there" in told
    assert why in told
    assert "Traceback" not in told
    assert not out.exists()


def test_who_interrupts_does_not_wait_for_a_ray_that_never_answers() -> None:
    """Somebody listens there and says nothing; Ray itself asks for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-c", CONNECT, address, ""],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            silent.accept()
            time.sleep(2)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(timeout=20) != 0
            finally:
                process.kill()


@pytest.mark.slow
def test_a_ray_that_asks_for_a_token_says_how_to_give_it(
    head: tuple[str, dict[str, Any]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    out = tmp_path / "out"
    assert main(["spaces/quickstart.yaml", "--out", str(out), "--address", head[0]]) == 2
    told = capfd.readouterr().err
    assert f"--address {head[0]}: no Ray answers there" in told
    assert "if it asks for a token, set RAY_AUTH_MODE=token" in told
    assert not out.exists()


BEGAN_WITH = """
from search import environment
environment.prepare()
from search.engine.where import connected
import ray

@ray.remote
def began_with():
    return open("/proc/self/environ").read().split("\\0")

with connected(None, True):
    print([entry for entry in ray.get(began_with.remote()) if entry.startswith("MALLOC")])
"""


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"MALLOC_ARENA_MAX": "3"}, "3")])
def test_processes_of_trials_begin_with_one_heap_for_all_threads(
    given: dict[str, str], expected: str
) -> None:
    """Read when a process starts: later it would be too late."""
    ended = subprocess.run(
        [sys.executable, "-c", BEGAN_WITH],
        env=os.environ | given, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert ended.stdout.strip() == f"['MALLOC_ARENA_MAX={expected}']"
