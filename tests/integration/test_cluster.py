"""A search on a cluster of several hosts, brought up, used and mistreated as hosts are."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.engine.failures import UNCOUNTED
from search.engine.run_directory import RunDirectory
from search.record import TrialRecord
from tests import hosts as network
from tests.hosts import ROOT, Host, hosts
from tests.ray_cluster import Laptop, install, laptop
from tests.terminal import Terminal
from tests.waiting import until

MISSING = network.what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

TRIALS = 7
# Nothing in it hangs on the clock or on what else runs, so that it can be told what it comes to.
SETTINGS = [
    f"budget.trials={TRIALS}",
    "sampler={name: random}",
    "pruner={name: none, rungs: 4}",
    "objectives={score: max, trainable_params: min, train_flops: min}",
    "train.steps=150",
    "train.batch_size=8",
    "search.method.choice.aflora.freeze.interval=1",
    "data.generated={train: 100, validation: 20}",
]


@dataclass
class Cluster:
    """Three hosts that Ray runs on, and the machine that brought it up."""

    laptop: Laptop
    head: Host
    workers: tuple[Host, Host]
    shared: Path

    def on_head(self, command: str) -> str:
        words = ["bash", "-c", f"source ~/aflora-search/deploy/env.sh; {command}"]
        ended = self.head.run(*words)
        return ended.stdout + ended.stderr

    def search(self, out: Path, *options: str, cpu: float) -> list[str]:
        words = [sys.executable, "-m", "search.run", "spaces/quickstart.yaml", "--out", str(out)]
        settings = [*SETTINGS, f"resources.cpu={cpu}"]
        return [*words, *(f"--set={each}" for each in settings), *options]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with hosts() as net:
        head, one, two = (net.boot(*each) for each in (("head", 1), ("one", 2), ("two", 3)))
        for host in (head, one, two):
            install(host)
        user = laptop(net, head, (one, two))
        up = user.command("ray", "up", "-y", str(user.cluster))
        assert up.returncode == 0, up.stdout
        made = Cluster(user, head, (one, two), net.folder / "shared")
        until(lambda: "0.0/6.0 CPU" in made.on_head("ray status"), 180)
        yield made
        down = user.command("ray", "down", "-y", str(user.cluster))
        assert down.returncode == 0, down.stdout


# Tries everything that answers at an address, as somebody would who has no token.
INTRUDER = """
import json, os, sys, urllib.request
os.environ.pop("RAY_AUTH_MODE", None)
address, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
found = {}
for port in ports:
    for path in ("/api/version", "/api/jobs/", "/api/job_agent/jobs/", "/api/cluster_status",
                 "/api/local_raylet_healthz", "/metrics", "/api/v0/logs", "/"):
        try:
            answer = urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=5)
            found[path] = answer.read().decode()
        except Exception:  # refused, or no HTTP at all
            pass
print(json.dumps(found))
"""
JOIN = """
import ray, sys
try:
    ray.init(address=sys.argv[1], log_to_driver=False)
    print("joined", len(ray.nodes()))
except BaseException as error:
    print("refused", type(error).__name__, error)
"""


def ports_of(host: Host) -> set[int]:
    """Ports of a host that are open to its network."""
    lines = host.run("ss", "-Hlnt").stdout.splitlines()
    local = [line.split()[3] for line in lines]
    assert local
    return {
        int(place.rsplit(":", 1)[1])
        for place in local
        if not place.startswith(("127.0.0.1:", "[::ffff:127.0.0.1]:", "[::1]:"))
    } - {22}


def test_without_the_token_nothing_can_be_reached(cluster: Cluster) -> None:
    stranger = cluster.laptop.net.boot("stranger", 9)

    def tries(host: Host) -> None:
        ports = ports_of(host)
        # Above 32768 Ray draws ports at random: what is wrong there shows by what it answers.
        assert not {8265, 5000, 8080} & ports
        for closed in (8265, 5000):
            told = stranger.run("bash", "-c", f"exec 3<>/dev/tcp/{host.address}/{closed}")
            assert "refused" in told.stderr
        told = stranger.run(
            sys.executable, "-c", INTRUDER, host.address, *(str(port) for port in sorted(ports))
        )
        # All that a node says to everybody is that it lives.
        answers = json.loads(told.stdout)
        assert answers in ({}, {"/api/local_raylet_healthz": "success"}), answers

    def joins(address: str) -> None:
        told = stranger.run("timeout", "90", sys.executable, "-c", JOIN, address)
        assert "joined" not in told.stdout, told.stdout

    with ThreadPoolExecutor() as pool:
        doors = (f"{cluster.head.address}:6379", f"ray://{cluster.head.address}:10001")
        both = [pool.map(tries, (cluster.head, *cluster.workers)), pool.map(joins, doors)]
        for found in both:
            list(found)
    stranger.kill()


class Watching:
    """A command on the laptop, whose lines are read as they come."""

    def __init__(self, user: Laptop, words: list[str]) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=user.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def until_said(self, pattern: str, times: int = 1) -> None:
        """Read on until so many lines match."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            times -= re.search(pattern, line) is not None
            if times <= 0:
                return
        raise AssertionError(f"{pattern} was never said:\n{self.said}")

    def end(self) -> int:
        rest, _ = self.process.communicate(timeout=600)
        self.said += rest
        return self.process.returncode


def trains(host: Host) -> bool:
    return "ray::ImplicitFunc.train" in host.run("ps", "-eo", "args").stdout


def hosts_of(trials: list[TrialRecord]) -> set[str]:
    """Where rungs of the trials were measured."""
    return {rung.host for trial in trials for rung in trial.rungs}


def outcome(out: Path) -> list[TrialRecord]:
    study = RunDirectory(out).open_study()
    found = study.trials()
    study.close()
    return found


def test_a_search_outlives_lost_hosts_a_lost_laptop_a_lost_server_and_its_driver(
    cluster: Cluster, tmp_path: Path
) -> None:
    user, (one, two) = cluster.laptop, cluster.workers
    out, alone = user.home / "runs" / "hard", user.home / "runs" / "easy"
    place = ["--cluster", str(user.cluster), "--storage", str(cluster.shared)]

    undisturbed = user.command(*cluster.search(alone, "--local", cpu=1))
    assert undisturbed.returncode == 0, undisturbed.stdout

    # With one and a half of two CPUs there is one trial a host, and one thread as before.
    first = Watching(user, cluster.search(out, *place, cpu=1.5))
    led = cluster.head.home / "aflora-search" / "runs" / "hard"
    first.until_said(r"trial \d.* 25% done")
    until(lambda: two.name in hosts_of(outcome(led)) and trains(two), 180)
    # The cable of one is pulled in the middle of a trial, and the tracking server goes down.
    two.cut_off()
    assert cluster.on_head("pkill -f 'mlflow server'; sleep 1; ss -Hlnt").count(":5000 ") == 0
    # The laptop goes to sleep.
    first.process.send_signal(signal.SIGINT)
    assert first.end() == 130
    assert "--attach in place of --resume shows it" in first.said
    again = Watching(user, cluster.search(out, *place, "--attach", cpu=1.5))
    again.until_said(r"trial \d.* 25% done", times=2)
    # Somebody looks on for a while.
    watch = [sys.executable, "-m", "search.watch", out.name, "--cluster", str(user.cluster)]
    view = Terminal(watch, ROOT, user.environment)
    view.until_seen(f"of {TRIALS} trials", 120)
    view.type("\x03")
    assert view.end() == 0, view.seen
    # Another one burns.
    until(lambda: trains(one), 120)
    one.kill()
    cluster.on_head("bash ~/aflora-search/deploy/start_mlflow.sh")
    # The driver finds out, and has its trials go on elsewhere.
    until(lambda: any(trial.failures for trial in outcome(led)), 240)
    # The driver is killed with no time for a word.
    assert cluster.on_head("pkill -9 -f -- '-m search.run'") == ""
    assert again.end() not in (0, 130)

    last = Watching(user, cluster.search(out, *place, "--resume", cpu=1.5))
    assert last.end() == 0, last.said

    trials, wanted = outcome(out), outcome(alone)
    assert [trial.state for trial in trials] == ["complete"] * TRIALS
    assert [trial.settings for trial in trials] == [trial.settings for trial in wanted]
    assert [trial.values for trial in trials] == [trial.values for trial in wanted]
    for trial in trials:
        # Each rung once, and what was lost did not count against the trial.
        assert [rung.index for rung in trial.rungs] == [1, 2, 3, 4]
        assert all(why.startswith(UNCOUNTED) for why in trial.failures), trial.failures
    assert any(trial.failures for trial in trials)
    assert hosts_of(trials) == {cluster.head.name, one.name, two.name}
    assert {path.name for path in (out / "adapters").iterdir()}

    # In the folder of the cluster file nothing needs to be named; the last job is told once more.
    words = [sys.executable, "-m", "search.run", str(ROOT / "spaces" / "quickstart.yaml")]
    told = user.command(*words, "--out", str(out), "--attach", folder=user.home)
    assert told.returncode == 0, told.stdout
    assert "cluster.yaml was brought up from this machine" in told.stdout
    assert f"{TRIALS} complete" in told.stdout

    # The tracking server missed a part, and has it all, each once.
    store = f"sqlite:///{cluster.head.home}/mlflow/mlflow.db"
    client = MlflowClient(store)
    (experiment,) = [e for e in client.search_experiments() if e.name == "quickstart"]
    runs = client.search_runs([experiment.experiment_id])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert sorted(int(run.data.tags["search.trial"]) for run in nested) == list(range(TRIALS))
    for run in nested:
        history = client.get_metric_history(run.info.run_id, "score")
        assert len(history) == 4
        assert run.info.status == "FINISHED"
        assert (
            run.data.metrics["score"]
            == trials[int(run.data.tags["search.trial"])].measures["score"]
        )


def test_a_search_is_stopped_in_order_from_another_terminal(cluster: Cluster) -> None:
    user = cluster.laptop
    out = user.home / "runs" / "stopped"
    place = ["--cluster", str(user.cluster), "--storage", str(cluster.shared)]
    words = cluster.search(out, *place, "--trials=1", "--set=train.steps=800", cpu=1)
    watching = Watching(user, words)
    watching.until_said(r"trial 0.*: 25% done")
    again = user.command(*words)
    assert again.returncode == 2
    assert "is being searched there" in again.stdout
    told = user.command(*words, "--stop")
    assert told.returncode == 0, told.stdout
    assert watching.end() == 130, watching.said
    # What the trial came to is kept, and it can go on from there.
    trial = outcome(out)[0]
    assert trial.state == "paused", watching.said
    assert 1 <= len(trial.rungs) < 4, watching.said
    assert user.command(*words, "--stop").returncode == 2
