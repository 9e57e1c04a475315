"""Whole searches through Ray, Optuna and MLflow, small enough for a test."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

import aflora
from search import report
from search.confirm import main as confirm_main
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run, RunLock
from search.record import Rung
from search.results.catalogue import catalogue
from search.run import main as run_main
from search.spec import load_space
from search.spec.enqueue import enqueued
from search.spec.tasks import TASKS
from search.trial.backbone import load_classifier
from tests.integration.small_search import MODEL, ONE_AT_A_TIME, ROOT, command, search, table


def test_front_json_has_its_documented_shape(finished: Path) -> None:
    front = json.loads((finished / "front.json").read_text())
    assert front["schema"] == 1
    assert front["objectives"] == {
        "score": "max",
        "trainable_params": "min",
        "train_seconds": "min",
    }
    assert sum(front["trials"].values()) == 5
    assert front["trials"]["failed"] == 0
    assert front["front"]
    for member in front["front"]:
        assert all(math.isfinite(member["values"][name]) for name in front["objectives"])
        assert member["adapter"] == f"adapters/{member['trial']}"
        assert (finished / member["adapter"]).is_dir()
    kept = {path.name for path in (finished / "adapters").iterdir()}
    assert kept == {str(member["trial"]) for member in front["front"]}


def test_mlflow_says_what_the_table_says(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "quickstart"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    nested = {r.data.tags["search.trial"]: r for r in runs if r is not parents[0]}
    rows = table(finished)
    assert nested.keys() == {row["number"] for row in rows}
    for row in rows:
        run = nested[row["number"]]
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.tags["state"] == row["state"]
        assert run.data.tags["front"] == row["front"]
        for name in ("score", "trainable_params", "train_seconds", "accuracy"):
            assert run.data.metrics[name] == float(row[name])
        history = client.get_metric_history(run.info.run_id, "score")
        assert [m.step for m in history] == ([2, 4] if row["state"] == "complete" else [2])
    artifacts = {a.path for a in client.list_artifacts(parents[0].info.run_id)}
    assert {"front.json", "report.html", "trials.csv"} <= artifacts


def test_an_adapter_of_the_front_loads_into_a_fresh_model(finished: Path) -> None:
    folders = [
        p for p in (finished / "adapters").iterdir() if (p / aflora.checkpoint.CONFIG_FILE).exists()
    ]
    assert folders
    model = load_classifier(MODEL, TASKS["negation"], 0)
    aflora.load(model, folders[0])
    assert aflora.count_parameters(model).floor > 0


def test_the_report_command_writes_the_same_again(finished: Path) -> None:
    front, trials = finished / "front.json", finished / "trials.csv"
    before = front.read_bytes(), trials.read_bytes()
    front.unlink()
    trials.unlink()
    (finished / "report.html").unlink()
    assert report.main([str(finished)]) == 0
    assert (front.read_bytes(), trials.read_bytes()) == before
    assert (finished / "report.html").stat().st_size > 100_000


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_what_a_report_says_to_train_again_is_the_same_configuration(
    finished: Path,
) -> None:
    study = RunDirectory(finished).open_study()
    record = study.record(study.trials())
    study.close()
    found = catalogue(record)
    (text,) = (c["text"] for c in found["commands"] if "search.run" in c["text"])
    for number in (0, len(record.trials) - 1):
        given = {
            "{run}": str(finished),
            "{trial}": str(number),
            "{enqueue}": shlex.quote(f"enqueue={found['enqueue'][number]}"),
        }
        command = text
        for name, value in given.items():
            command = command.replace(name, value)
        words = shlex.split(command)
        module, space = words[2:4]
        assert (module, space) == ("search.run", str(finished / "space.yaml"))
        loaded = load_space(Path(space), words[5:10:2])
        assert loaded.space.budget.trials == 1
        (entry,) = loaded.space.enqueue
        made, wrong = enqueued(loaded.tree, entry, "enqueue")
        assert not wrong
        assert made.settings == record.trials[number].settings
        assert run_main([*words[3:], "--local", "--dry-run"]) == 0


def test_no_checkpoint_is_left_of_a_trial_that_ended(finished: Path) -> None:
    assert not list(finished.glob("trials/*/*/checkpoint_*"))


def test_a_finished_run_goes_on_with_a_larger_budget_and_is_confirmed(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = Path(shutil.copytree(finished, tmp_path / "run"))
    before = table(finished)
    more = ["--trials=6", "--resume", "--set=confirm={seeds: 3, top: 1}"]
    ended = search(finished, *more, ONE_AT_A_TIME)
    assert ended.returncode == 0, ended.stderr
    after = table(finished)
    assert len(after) == 6
    same = ("number", "state", "score", "train_seconds", "finished")
    assert [[r[k] for k in same] for r in after[:5]] == [[r[k] for k in same] for r in before]
    client = MlflowClient(f"sqlite:///{finished}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "quickstart"]
    assert len(client.search_runs([experiment.experiment_id])) == 7

    (content,) = json.loads((finished / "confirm.json").read_text())
    assert (content["split"], content["rows"], content["apart"]) == ("validation", 10, True)
    assert content["seeds"] == [1, 2, 3]
    runs = sorted((finished / "confirm").glob("*-seed*.json"))
    assert len(runs) == 3 * len(content["members"])
    first = json.loads(runs[0].read_text())
    assert len(first["predictions"]["validation"]) == 10
    assert "Confirmed with 3 fresh seeds" in (finished / "report.html").read_text()
    # One training is lost, and another configuration is wanted: only these are trained.
    runs[0].unlink()
    members = {member["trial"] for member in content["members"]}
    other = next(
        int(row["number"])
        for row in after
        if row["state"] == "complete" and int(row["number"]) not in members
    )
    again = [sys.executable, "-m", "search.confirm", str(finished), "--local", "--seeds=3"]
    again += [f"--trials={first['trial']},{other}"]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "Confirming 2 configurations" in done.stdout
    assert ": 4 trainings to do" in done.stdout
    assert json.loads(runs[0].read_text())["predictions"] == first["predictions"]
    (content,) = json.loads((finished / "confirm.json").read_text())
    assert {member["trial"] for member in content["members"]} == {*members, other}
    for change, told in (
        ("train.steps=5", "train: was"),
        # It would wait for a machine that has one.
        ("resources.cpu=1000", "a trial takes 1000 CPUs, this machine has "),
    ):
        assert confirm_main([*again[3:], f"--set={change}"]) == 2
        assert told in capsys.readouterr().err


def test_a_second_driver_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLock(Run.at(finished)):
        assert run_main([*command(finished)[3:], "--resume"]) == 2
    assert "another driver is working on this run" in capsys.readouterr().err


def test_another_space_is_refused_when_resuming(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main([*command(finished)[3:], "--resume", "--set=seed=3"]) == 2
    assert "seed: was 0 when the run was started, is now 3" in capsys.readouterr().err


def rungs_of(out: Path) -> dict[int, tuple[Rung, ...]]:
    study = RunDirectory(out).open_study()
    found = {trial.number: trial.rungs for trial in study.trials()}
    study.close()
    return found


def over(out: Path) -> str | None:
    """Why the search ended by itself, as whoever watches it is told."""
    study = RunDirectory(out).open_study()
    study.close()
    return study.over


def test_ctrl_c_keeps_what_is_done_and_resume_finishes_it(tmp_path: Path) -> None:
    out = tmp_path / "q"
    slower = ["--trials=4", "--set=train.steps=40", "--set=train.batch_size=8", ONE_AT_A_TIME]
    running = subprocess.Popen(
        command(out, *slower), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    told = []
    for line in running.stdout:
        told.append(line)
        if "50% done" in line:
            break
    os.kill(running.pid, signal.SIGINT)
    told += list(running.stdout)
    assert running.wait(60) == 130
    text = "".join(told)
    assert "Ended early: stopped by Ctrl-C." in text
    assert "--resume" in text
    assert (out / "front.json").exists()
    assert (out / "report.html").exists()
    before = rungs_of(out)
    assert any(before.values())
    assert over(out) is None
    ended = search(out, "--resume", *slower)
    assert ended.returncode == 0, ended.stderr
    assert over(out) == "its budget of trials is spent"
    rows = table(out)
    assert len(rows) == 4
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    after = rungs_of(out)
    assert all(after[number][: len(rungs)] == rungs for number, rungs in before.items())


def test_if_every_trial_fails_the_status_says_so(tmp_path: Path) -> None:
    out = tmp_path / "q"
    # So large a rate that the output overflows within the first steps.
    broken = "--set=search={method: {lora: {rank: 4, learning_rate: 1.0e+30}}, head_learning_rate: 1.0e+30}"
    options = [broken, "--set=enqueue=[]", "--set=train.clip=null", ONE_AT_A_TIME]
    ended = search(out, "--trials=1", *options)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    rows = table(out)
    assert [row["state"] for row in rows] == ["failed"]
    assert "MetricError: the model's output is NaN or infinite" in rows[0]["reason"]
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_two_runs_with_one_seed_are_the_same_bit_for_bit(tmp_path: Path) -> None:
    options = [
        "--trials=8",
        "--set=objectives={score: max, trainable_params: min, train_flops: min}",
        "--set=resources.cpu=2",
        "--set=sampler={name: tpe, startup: 4}",
        "--set=train.steps=10",
    ]
    rows = []
    for name in ("a", "b"):
        ended = search(tmp_path / name, *options)
        assert ended.returncode == 0, ended.stderr
        rows.append(table(tmp_path / name))
        time.sleep(1)
    clock = {
        "train_seconds",
        "eval_seconds",
        "total_seconds",
        "tokens_per_second",
        "started",
        "finished",
    }
    kept = [[{k: v for k, v in row.items() if k not in clock} for row in found] for found in rows]
    assert kept[0] == kept[1]
