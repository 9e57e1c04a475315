"""A real MLflow server, on SQLite and on PostgreSQL, as the head of a cluster starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from search.record import StudyRecord
from search.tracking import follower
from search.tracking.follower import Followed, Follower
from search.tracking.mlflow_store import MLflowStore
from tests.postgres import postgres_server
from tests.search.records import study, trial
from tests.search.tracking.test_mlflow_store import rungs, runs_of
from tests.waiting import until

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "start_mlflow.sh"


@dataclass
class Server:
    """The tracking server of ``deploy/start_mlflow.sh``.

    Attributes:
        home: where it keeps its files.
        store: where it records; None for its default.
        port: on loopback.
    """

    home: Path
    store: str | None
    port: int

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        given = {} if self.store is None else {"AFLORA_MLFLOW_STORE": self.store}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AFLORA_VENV": sys.prefix,
            "AFLORA_MLFLOW_PORT": str(self.port),
        }
        subprocess.run(["bash", str(SCRIPT)], check=True, env=environment | given)
        until(self.answers, 120)

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            if str(self.port) in (process.info["cmdline"] or []):
                for each in (*process.children(recursive=True), process):
                    each.kill()
        until(lambda: not self.answers(), 30)


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if request.param == "sqlite":
        made = Server(tmp_path, None, port)
        made.start()
        yield made
        made.kill()
        return
    with postgres_server(tmp_path / "data") as url:
        made = Server(tmp_path, url, port)
        made.start()
        yield made
        made.kill()


def test_what_a_server_missed_is_caught_up_with_each_once_and_when_it_was(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    now: list[StudyRecord] = [study(trial(0), trial(1, "running", rungs=rungs(0.4)))]
    following = Follower(
        [Followed(lambda: MLflowStore(server.uri, "glue", None, "s1"), lambda: now[0])]
    )
    following.start()
    following.release()
    following.wake()
    until(lambda: known(server), 60)
    server.kill()
    # The search goes on meanwhile, and nobody waits.
    later = rungs(0.4, 0.5, 0.6)
    now[0] = study(
        trial(0), trial(1, score=0.6, rungs=later), trial(2, "running", rungs=rungs(0.3))
    )
    began = time.monotonic()
    following.wake()
    assert time.monotonic() - began < 1
    until(lambda: following.problem is not None, 60)
    server.start()
    assert following.close() is None
    _, runs = runs_of(server.uri)
    assert set(runs) == {"0", "1", "2"}
    assert runs["1"].info.status == "FINISHED"
    history = MlflowClient(server.uri).get_metric_history(runs["1"].info.run_id, "score")
    assert [(m.step, m.value, m.timestamp) for m in history] == [
        (10, 0.4, 60_000),
        (20, 0.5, 61_000),
        (30, 0.6, 62_000),
    ]
    if server.store is not None:
        assert not (server.home / "mlflow" / "mlflow.db").exists()


def known(server: Server) -> bool:
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name("glue")
    return found is not None and len(client.search_runs([found.experiment_id])) == 3
