"""A study on a real PostgreSQL server, and a real dashboard that reads one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.engine.study import SearchStudy, StudyHeader
from search.record import TrialRecord
from search.spec.errors import SpecError
from search.spec.schema import Sampler
from tests.postgres import postgres_server
from tests.search.engine.curves import OBJECTIVES, PARETO, engine_on, new_study, run


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that listens on a socket in a folder of its own."""
    with postgres_server(tmp_path_factory.mktemp("pg") / "data") as url:
        yield url


def study_on(url: str, folder: Path) -> tuple[RunDirectory, SearchStudy]:
    directory = RunDirectory(folder)
    directory.root.mkdir()
    provenance = {"seed": 0, "data": "x", "study_id": folder.name}
    header = StudyHeader("n", "rte", "m", "accuracy", OBJECTIVES, provenance, {})
    return directory, directory.create_study(header, url)


def search_with_a_crash(study: SearchStudy, reopen: Any) -> tuple[TrialRecord, ...]:
    """Half a search, nothing closed in the middle of a trial, and the rest by another driver."""
    change: dict[str, Any] = {"trials": 10, "sampler": Sampler(startup=3), "pruner": PARETO}
    first = engine_on(study, **change)
    now = run(first, most=5)
    lost = first.ask(now)
    assert lost is not None
    again = engine_on(reopen(), **change)
    run(again, now)
    record = again.record()
    assert tuple(reopen().trials()) == record.trials
    return record.trials


def test_a_search_on_postgres_is_the_one_on_sqlite(postgres: str, tmp_path: Path) -> None:
    directory, study = study_on(postgres, tmp_path / "pg")
    assert not directory.study.exists()
    there = search_with_a_crash(study, directory.open_study)
    (tmp_path / "here").mkdir()
    here = search_with_a_crash(
        new_study(tmp_path / "here"), lambda: SearchStudy.open(tmp_path / "here" / "study.db")
    )
    assert there == here
    assert {trial.state for trial in there} == {"complete", "pruned"}


def test_a_server_that_is_gone_is_named_when_a_run_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with postgres_server(folder) as url:
        directory, study = study_on(url, tmp_path / "run")
        study.close()
    with pytest.raises(SpecError, match="cannot be opened") as caught:
        Run.at(directory.root).check_resumable()
    assert str(folder) in str(caught.value)


def answer(url: str) -> Any:
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"nothing answers at {url}")


def test_the_dashboard_of_optuna_reads_a_run_directory(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    engine = engine_on(study, trials=12)
    run(engine)
    record = engine.record()
    study.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), "--host", "127.0.0.1"]
    served = subprocess.Popen(
        [*command, "--port", str(port), f"sqlite:///{tmp_path / 'study.db'}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        (summary,) = answer(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert summary["study_name"] == "search"
        shown = answer(f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}")
    finally:
        served.terminate()
        served.wait(20)
    assert shown["directions"] == ["maximize", "minimize", "minimize"]
    assert shown["objective_names"] == list(OBJECTIVES)
    states = {"complete": "Complete", "pruned": "Pruned"}
    assert [trial["state"] for trial in shown["trials"]] == [
        states[trial.state] for trial in record.trials
    ]
    for told, trial in zip(shown["trials"], record.trials, strict=True):
        if trial.values is not None:
            assert told["values"] == pytest.approx(list(trial.values.values()))
        assert {param["name"] for param in told["params"]} >= {"learning_rate", "method"}
