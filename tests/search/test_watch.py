"""A search is watched from another process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from search.engine.core import Engine
from search.engine.runs import Run, RunLock
from search.engine.study import SearchStudy, StudyHeader
from search.spec.schema import Pruner
from search.watch import main
from tests.search.engine.curves import OBJECTIVES, RUNGS, engine_on, report
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
SPACE = {"search": {"method": {"choice": {"aflora": {}, "lora": {}}}}, "budget": {"trials": 7}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path / "run", ("rte",))
    made.root.mkdir()
    made.directory.space.write_text(yaml.safe_dump({"tasks": ["rte"]}))
    provenance = {"seed": 0, "data": "x", "study_id": "s"}
    header = StudyHeader("n", "rte", "m", "accuracy", OBJECTIVES, provenance, SPACE)
    SearchStudy.create(made.directory.study, header).close()
    return made


def begun(run: Run) -> Engine:
    engine = engine_on(
        run.directory.open_study(), trials=7, pruner=Pruner(name="none", rungs=RUNGS)
    )
    proposal = engine.ask(0.0)
    assert proposal is not None
    engine.report(0, report(proposal.settings, 1), 1.0)
    return engine


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


def test_a_run_that_nobody_leads_and_a_folder_without_a_run_are_told(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(run)
    assert main([str(run.root)]) == 0
    told = capsys.readouterr().out
    assert "No driver works on this run; search.run --resume goes on with it." in told
    assert "1 unfinished" in told
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "holds no run" in capsys.readouterr().err
