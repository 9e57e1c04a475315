"""A search is watched from another process."""

from __future__ import annotations

import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from search import watch
from search.console.plain import PlainView
from search.engine.core import Engine
from search.engine.runs import Run, RunLock
from search.engine.study import SearchStudy, StudyHeader
from search.record import Rung, TrialRecord
from search.spec.schema import Pruner
from search.watch import main
from tests.search import records
from tests.search.engine.curves import OBJECTIVES, RUNGS, engine_on, report
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
SPENT = "its budget of trials is spent"
SPACE = {"search": {"method": {"choice": {"aflora": {}, "lora": {}}}}, "budget": {"trials": 7}}


def made(root: Path, *tasks: str, space: dict[str, Any] = SPACE) -> Run:
    run = Run(root, tasks)
    run.root.mkdir()
    run.directory.space.write_text(yaml.safe_dump({"tasks": list(tasks)}))
    for task, directory in run.studies.items():
        directory.root.mkdir(exist_ok=True)
        provenance = {"seed": 0, "data": "x", "study_id": task}
        header = StudyHeader("n", task, "m", "accuracy", OBJECTIVES, provenance, space)
        SearchStudy.create(directory.study, header).close()
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return made(tmp_path / "run", "rte")


def begun(run: Run, task: str = "rte") -> Engine:
    engine = engine_on(
        run.studies[task].open_study(), trials=7, pruner=Pruner(name="none", rungs=RUNGS)
    )
    proposal = engine.ask(0.0)
    assert proposal is not None
    engine.report(0, report(proposal.settings, 1), 1.0)
    return engine


def finish(
    run: Run, engine: Engine, trials: int, task: str = "rte", why: str | None = SPENT
) -> None:
    """Bring so many trials to their end, and keep what the driver would keep of them."""
    for number in range(trials):
        proposal = engine.ask(2.0) if number else None
        settings = proposal.settings if proposal else engine.record().trials[0].settings
        for index in range(1 if number else 2, RUNGS + 1):
            engine.report(number, report(settings, index), 2.0 + index)
    for trial in engine.record().in_state("complete"):
        (run.studies[task].adapters / str(trial.number)).mkdir(parents=True)
    study = run.studies[task].open_study()
    study.over = why
    study.close()


def command(run: Run) -> list[str]:
    return [sys.executable, "-m", "search.watch", str(run.root)]


def test_what_happens_is_told_until_the_driver_is_gone(run: Run) -> None:
    with RunLock(run):
        engine = begun(run)
        watching = subprocess.Popen(command(run), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        assert "trial 0, " in watching.stdout.readline()
        assert "25% done" in watching.stdout.readline()
        proposal = engine.ask(2.0)
        assert proposal is not None
        for index in range(1, RUNGS + 1):
            engine.report(1, report(proposal.settings, index), 2.0 + index)
        told = [line.partition("] ")[2] for line in itertools.islice(watching.stdout, RUNGS + 2)]
    assert told[0].endswith(": started\n")
    parts = [f"{100 * index // RUNGS}% done" for index in range(1, RUNGS + 1)]
    assert [part in line for part, line in zip(parts, told[1:], strict=False)] == [True] * RUNGS
    assert ": complete, " in told[-1]
    assert {line.split(",")[0] for line in told} == {"trial 1"}
    rest, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert "1 complete, 1 unfinished; 1 on the front" in rest


def test_a_terminal_is_shown_the_live_view(run: Run) -> None:
    with RunLock(run):
        begun(run)
        watching = Terminal(command(run), ROOT, os.environ)
        watching.until_seen("the search goes on")
    assert "0 of 7 trials" in watching.seen
    assert watching.end() == 0
    assert "unfinished" in watching.seen


def test_a_small_terminal_is_shown_all_of_it_and_the_front_drawn(run: Run) -> None:
    with RunLock(run):
        engine = begun(run)
        finish(run, engine, 5, why=None)
        engine.ask(9.0)
        watching = Terminal(command(run), ROOT, os.environ, size=(24, 80))
        watching.until_seen("the search goes on")
        watching.until_seen("╯")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", watching.seen)
    view = shown[shown.index("╭") : shown.index("╯") + 1].splitlines()
    assert len(view) <= 24
    assert {len(line.strip("\r")) for line in view} == {80}
    text = "\n".join(view)
    for part in ("5 of 7 trials", "#5 ", "logarithmic", "● front"):
        assert part in text, part
    # Of a search in another process it is not known whether a trial takes steps.
    assert "starting" not in text
    assert watching.end() == 0


def test_of_a_finished_run_the_summary_is_shown_with_what_comes_next(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(run, begun(run), 7)
    assert main([str(run.root)]) == 0
    told = capsys.readouterr().out
    assert f"This search has ended: {SPENT}." in told
    assert "go on" not in told
    report, mlflow, export = told.splitlines()[-3:]
    assert report == f"report  {run.root}/report.html"
    assert mlflow.startswith("MLflow  mlflow ui --backend-store-uri sqlite:///")
    assert export.startswith(f"export  python -m search.export {run.root} --trial ")


def test_a_search_that_its_hours_ended_does_not_go_on_by_itself(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(run, begun(run), 3, why="the budget of 2 hours is spent")
    assert main([str(run.root)]) == 0
    told = capsys.readouterr().out
    assert "This search has ended: the budget of 2 hours is spent." in told
    assert "go on" not in told


def test_a_search_whose_trials_ended_but_not_its_driver_goes_on(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its results are not written yet."""
    finish(run, begun(run), 7, why=None)
    assert main([str(run.root)]) == 0
    assert "No driver works on this run; search.run --resume goes on with it." in (
        capsys.readouterr().out
    )


def test_a_search_that_was_not_confirmed_as_it_should_be_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run", "rte", space=SPACE | {"confirm": {"seeds": 3}})
    finish(run, begun(run), 7)
    assert main([str(run.root)]) == 0
    assert "go on   " in capsys.readouterr().out
    (run.root / "confirm.json").write_text("[]")
    assert main([str(run.root)]) == 0
    assert f"This search has ended: {SPENT}." in capsys.readouterr().out


def test_what_the_driver_learns_of_the_whole_study_is_seen_while_it_is_watched(run: Run) -> None:
    watched, led = (run.studies["rte"].open_study() for _ in range(2))
    assert watched.reference is None
    led.reference = {"score": 0.5}
    led.seconds = 30.0
    record = watch._record(watched)
    assert (record.reference, record.seconds) == ({"score": 0.5}, 30.0)


def test_of_several_tasks_each_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run", "rte", "cola")
    with RunLock(run):
        engines = {task: begun(run, task) for task in run.tasks}
        watching = Terminal(command(run), ROOT, os.environ, size=(24, 80))
        watching.until_seen("the search goes on")
    for part in ("2 tasks", "0 of 14 trials", "cola #0"):
        assert part in watching.seen, part
    assert watching.end() == 0
    finish(run, engines["cola"], 7, "cola")
    assert main([str(run.root)]) == 0
    told = capsys.readouterr().out
    assert "No driver works on this run" in told
    assert f"go on   python -m search.run {run.root}/space.yaml --out {run.root} --resume" in told
    assert f"export  python -m search.export {run.root} --task cola --trial " in told


def test_a_run_that_nobody_leads_and_a_folder_without_a_run_are_told(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(run)
    assert main([str(run.root)]) == 0
    told = capsys.readouterr().out
    assert f"MLflow  mlflow ui --backend-store-uri sqlite:///{run.root}/mlflow.db\n" in told
    assert "No driver works on this run; search.run --resume goes on with it." in told
    assert "1 unfinished" in told
    assert "search.export" not in told
    assert f"go on   python -m search.run {run.root}/space.yaml --out {run.root} --resume" in told
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_the_store_that_the_environment_names_is_told(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://head:5000")
    begun(run)
    assert main([str(run.root)]) == 0
    assert "MLflow  http://head:5000\n" in capsys.readouterr().out


def test_the_live_view_reads_each_study_no_more_often_than_it_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path / "run", "rte", "cola")
    for task in run.tasks:
        begun(run, task)
    studies = [directory.open_study() for directory in run.begun.values()]
    monkeypatch.setattr(watch, "LOOK_SECONDS", 3600.0)
    out = io.StringIO()
    view = watch._live_view(studies, Console(file=out, width=120, height=40))
    reads: list[SearchStudy] = []
    monkeypatch.setattr(SearchStudy, "trials", reads.append)
    for _ in range(3):
        Console(file=out, width=120, height=40).print(view.render(9.0))
    assert reads == []
    assert out.getvalue().count("2 at a time") == 3


def looked(*states: TrialRecord) -> list[str]:
    """What is told of a trial that was seen in these states, one after the other."""
    out = io.StringIO()
    view = PlainView(("score",), out=out)
    for before, now in zip((None, *states), states, strict=False):
        for step in watch._steps(before, now):
            view.on_trial(0, step)
    return [line.split(": ", 1)[1] for line in out.getvalue().splitlines()]


def seen(state: str, *scores: float, **change: Any) -> TrialRecord:
    rungs = tuple(
        Rung(i + 1, i + 1, (i + 1) / 5, {"score": s}, {}, at=0.0) for i, s in enumerate(scores)
    )
    return records.trial(3, state, **({"rungs": rungs, "measures": {}} | change))


def test_a_rung_is_told_of_a_trial_that_went_on_or_failed_before_one_looked_again() -> None:
    paused = seen("paused", 0.5, reason="rung 1: waits")
    first = ["started", "20% done, score 0.5000", "paused, rung 1: waits"]
    assert looked(paused, seen("running", 0.5, 0.6)) == [
        *first, "goes on", "40% done, score 0.6000"
    ]  # fmt: skip
    again = seen("paused", 0.5, 0.6, reason="rung 2: waits")
    assert looked(paused, again)[3:] == [
        "goes on", "40% done, score 0.6000", "paused, rung 2: waits"
    ]  # fmt: skip
    failed = seen("running", 0.5, 0.6, failures=("no luck", "nor now"))
    assert looked(paused, failed)[3:] == [
        "goes on",
        "an attempt failed, no luck",
        "an attempt failed, nor now",
        "40% done, score 0.6000",
    ]
    # Who is never promoted does not go on.
    assert looked(paused, seen("pruned", 0.5, reason="never"))[3:] == ["pruned, never"]


def test_a_failure_is_told_when_it_is_seen() -> None:
    before, now = seen("running", 0.5), seen("running", 0.5, failures=("no luck",))
    assert looked(before, now)[2:] == ["an attempt failed, no luck"]
    last = seen("failed", 0.5, failures=("no luck", "nor now"), reason="nor now")
    assert looked(before, now, last)[3:] == ["an attempt failed, nor now", "failed, nor now"]
