"""``search.report`` with several runs: what it writes, says, and refuses before it writes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from search import report
from search.record import StudyRecord
from search.results.overlay_page import is_overlay_page
from search.side_by_side import distinct_names
from search.spec.objectives import Direction
from tests.search.records import study, trial
from tests.search.results.run_directories import write_run


def record(task: str = "rte", *scores: float, **change: object) -> StudyRecord:
    trials = [trial(n, score=s, params=100.0 + n) for n, s in enumerate(scores or (0.7, 0.8))]
    return study(*trials, trial(len(trials), "pruned"), task=task, **change)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.suffix == ".html"}
    assert report.main(arguments) == 2
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.suffix == ".html"}
    assert after == before
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_the_page_says_how_two_runs_differ(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "good", record("rte", 0.9, 0.95))
    write_run(folder / "bad", record("rte", 0.6, 0.7), space={"sampler": {"name": "random"}})
    before = {path for path in folder.rglob("*") if path.suffix != ".db"}
    assert report.main(["good", "bad"]) == 0
    assert capsys.readouterr().out == f"{folder / 'comparison.html'}\n"
    page = Path("comparison.html")
    assert is_overlay_page(page)
    text = page.read_text()
    assert "good dominates bad wholly" in text
    assert "<h1>good and bad</h1>" in text
    for cell in ("tpe", "random", "pareto", "here", "abc"):
        assert re.search(rf"<td[^>]*>(<details><summary>)?{cell}<", text), cell
    # A second time over itself, and the runs are left as they were.
    assert report.main(["good", "bad"]) == 0
    written = {path for path in folder.rglob("*") if path.suffix != ".db"}
    assert written - before == {folder / "comparison.html"}


def test_a_run_of_several_tasks_stands_beside_those_of_one(folder: Path) -> None:
    write_run(folder / "all", record("rte"), record("cola", metric="Matthews correlation"))
    write_run(folder / "x" / "one", record("cola", 0.9, metric="Matthews correlation"))
    write_run(folder / "y" / "one", record("rte"))
    assert report.main(["all", "x/one", "y/one", "--out", "deep/page.html"]) == 0
    text = Path("deep/page.html").read_text()
    assert "Of 2 tasks that runs have in common" in text
    assert {"<h2>rte</h2>", "<h2>cola</h2>"} <= set(re.findall("<h2>.*</h2>", text))
    assert "<h1>all, x/one and y/one</h1>" in text


def test_what_cannot_be_compared_is_told_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "a", record())
    write_run(folder / "f1", record(metric="f1"))
    write_run(folder / "cola", record("cola"))
    two: dict[str, Direction] = {"score": "max", "trainable_params": "min"}
    write_run(folder / "two", dataclasses.replace(study(), objectives=two))
    write_run(folder / "several", record("rte"), record("cola"))
    (folder / "empty").mkdir()
    assert "f1 cannot be laid over a: on rte it has the metric f1, a has accuracy" in refused(
        capsys, "a", "f1"
    )
    assert "two cannot be laid over a: on rte it has the objectives score (max)" in refused(
        capsys, "a", "two"
    )
    assert "a has no task in common" in refused(capsys, "a", "cola")
    assert refused(capsys, "a", "empty") == "empty: holds no run (no study.db)\n"
    assert "nowhere: holds no run" in refused(capsys, "a", "nowhere")
    assert "a: was named twice" in refused(capsys, "a", "a")
    (folder / "link").symlink_to("a")
    assert "link: was named the same directory as a" in refused(capsys, "a", "link")
    assert "is one task of the run" in refused(capsys, "a", "several/rte")
    (folder / "broken").mkdir()
    (folder / "broken" / "study.db").write_text("no database")
    assert refused(capsys, "a", "broken").startswith("broken: ")


def test_nothing_but_such_a_page_is_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "a", record())
    write_run(folder / "b", record())
    Path("notes.html").write_text("mine")
    assert report.main(["a"]) == 0
    capsys.readouterr()
    for other in ("notes.html", "a/report.html"):
        told = refused(capsys, "a", "b", "--out", other)
        assert f"--out {other}: is there and no page of runs side by side" in told
    assert "is a folder" in refused(capsys, "a", "b", "--out", "a")
    assert "notes.html/x.html: cannot be written" in refused(
        capsys, "a", "b", "--out", "notes.html/x.html"
    )
    assert Path("notes.html").read_text() == "mine"


def test_options_that_do_not_go_together_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "a", record())
    assert "--table takes one RUN" in refused(capsys, "a", "b", "--table", "glue")
    assert "--out is where a page of several runs goes" in refused(capsys, "a", "--out", "x.html")
    assert "leave out --figures" in refused(capsys, "a", "--table=glue", "--figures=x")


def test_another_backbone_is_named_and_not_refused(folder: Path) -> None:
    write_run(folder / "small", record())
    write_run(folder / "large", record(model="large/model"))
    assert report.main(["small", "large"]) == 0
    told = "The models on rte differ (small has tiny; large has large/model)"
    assert told in Path("comparison.html").read_text()


def test_a_name_that_is_markup_stays_text(folder: Path) -> None:
    for name in ("<i>a", "&b"):
        write_run(folder / name, record())
    assert report.main(["<i>a", "&b"]) == 0
    text = Path("comparison.html").read_text()
    assert "<i>a" not in text
    assert "&lt;i&gt;a" in text


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["/r/a", "/r/b"], ["a", "b"]),
        (["/x/rte", "/y/rte", "/y/cola"], ["x/rte", "y/rte", "cola"]),
        (["/p/x/rte", "/q/x/rte"], ["p/x/rte", "q/x/rte"]),
        (["/rte", "/x/rte"], ["/rte", "x/rte"]),
    ],
)
def test_runs_of_the_same_name_are_told_apart(places: list[str], names: list[str]) -> None:
    found = distinct_names([Path(place) for place in places])
    assert found == names
    assert len(set(found)) == len(found)
