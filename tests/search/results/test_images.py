"""Figures for print: what stays of them, the files they become, and what is told where not."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from search import report
from search.pareto.front import front
from search.pareto.knee import knee
from search.record import ConstantAnswer, Importance, StudyRecord
from search.results.figures import confirmed_figure, importance_figure, small_front_figure
from search.results.figures.printed import WIDTH, printed, with_knee
from search.results.html import report_figures
from search.results.images import SCALE, check_images, file_names, write_images
from tests.chromium import lacking
from tests.search.records import study, trial
from tests.search.results.run_directories import write_run
from tests.search.results.test_comparison import member, run

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawing(tmp_path: Path) -> None:
    try:
        check_images(tmp_path / "figures")
    except ValueError as error:
        lacking(str(error))


def test_a_figure_is_dark_on_white_and_keeps_what_it_says(whole_search: StudyRecord) -> None:
    for name, figure in report_figures(whole_search).items():
        before = figure.to_json()
        made = printed(figure)
        assert figure.to_json() == before, name
        assert [trace.name for trace in made.data] == [trace.name for trace in figure.data]
        for old, new in zip(figure.data, made.data, strict=True):
            for values in ("x", "y"):
                assert list(new[values] or ()) == list(old[values] or ()), name
        layout = made.layout
        assert layout.width == WIDTH
        assert layout.xaxis.title.text == figure.layout.xaxis.title.text
        for colour in (layout.template.layout.paper_bgcolor, layout.template.layout.plot_bgcolor):
            assert colour == "#ffffff"
        assert "pointer" not in made.to_json()
        assert not any(trace.hovertext for trace in made.data), name


def test_the_line_of_one_answer_to_all_keeps_its_name() -> None:
    record = study(trial(0), trial(1, score=0.7, mark="mine"), constant=ConstantAnswer("yes", 0.7))
    made = printed(report_figures(record)["front"])
    assert [annotation.text for annotation in made.layout.annotations] == ["always yes"]
    assert len(made.layout.shapes) == 1


def test_intervals_legend_and_messages_are_kept() -> None:
    record, confirmation = run("rte", member(1, "lora", 0.7), member(2, "aflora", 0.8, params=9.0))
    made = printed(confirmed_figure(record, confirmation))
    assert list(made.data[0].error_y.array) == pytest.approx([0.01])
    assert [trace.name for trace in made.data] == ["lora", "aflora", "in the search"]
    empty = printed(small_front_figure(study(), []))
    assert empty.layout.annotations[0].text == "No trial is complete yet."


def test_names_of_ticks_do_not_meet() -> None:
    costs = (0.0, 33_000.0, 41_000.0, 57_600.0, 64_000.0, 98_000.0)
    record = study(*(trial(n, score=0.6 + 0.01 * n, params=p) for n, p in enumerate(costs)))
    figure = report_figures(record)["front"]
    axis = printed(figure).layout.xaxis
    assert set(axis.ticktext) < set(figure.layout.xaxis.ticktext)
    assert axis.ticktext[0] == "0"
    assert len(axis.tickvals) == len(axis.ticktext) >= 2


def test_a_legend_of_many_entries_takes_no_room_from_the_plot() -> None:
    few, many = go.Figure(layout={"height": 400}), go.Figure(layout={"height": 400})
    for figure, count in ((few, 2), (many, 12)):
        for number in range(count):
            figure.add_scatter(x=[0], y=[0], name=f"a rather long name {number}")
    assert printed(many).layout.height > printed(few).layout.height + 80


def test_the_knee_is_named_where_it_lies(whole_search: StudyRecord) -> None:
    figure = report_figures(whole_search)["front"]
    named = with_knee(figure, whole_search)
    names = list(whole_search.objectives)
    found = knee(front(whole_search.trials, names), names)
    assert found is not None
    added = named.data[-1]
    assert (added.name, added.y[0]) == ("knee", (found.values or {})["score"])
    assert len(figure.data) == len(named.data) - 1
    assert with_knee(report_figures(study())["front"], study()).data == ()


@given(st.lists(st.text(max_size=6), unique=True, max_size=12))
def test_files_have_plain_names_of_their_own(names: list[str]) -> None:
    found = file_names(dict.fromkeys(names))
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]*", name) for name in found.values())


def test_every_plot_becomes_an_svg_and_a_png(
    drawing: None, whole_search: StudyRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_run(tmp_path / "run", whole_search)
    folder = tmp_path / "deep" / "figures"
    assert report.main([str(root), "--figures", str(folder)]) == 0
    told = capsys.readouterr().out.split()
    assert told == [str(root / "report.html"), *map(str, _files(folder, told))]
    assert {path.name for path in folder.iterdir()} == {Path(path).name for path in told[1:]}
    names = {path.stem for path in folder.iterdir()}
    assert {"front", "curves", "trials", "volume-seconds", "volume-trials"} < names
    assert any(name.startswith("freezing-") for name in names)
    for name in names:
        svg = ElementTree.parse(folder / f"{name}.svg").getroot()
        assert svg.tag == f"{SVG}svg"
        width, height = (round(float(svg.get(side) or 0)) for side in ("width", "height"))
        assert width == WIDTH
        assert not list(svg.iter(f"{SVG}script"))
        with Image.open(folder / f"{name}.png") as image:
            image.load()
            assert image.size == (SCALE * width, SCALE * height), name
            plain = image.convert("RGB")
        assert plain.getpixel((0, 0)) == (255, 255, 255)
        colours: list[Any] = [colour for _, colour in plain.getcolors(1 << 24) or []]
        assert len(colours) > 20, name
        assert any(sum(colour) < 150 for colour in colours), f"nothing dark in {name}"
    texts = {text.text for text in ElementTree.parse(folder / "front.svg").iter(f"{SVG}text")}
    assert {"accuracy", "knee", "front"} <= {text for text in texts if text} | _inner(folder)


def _files(folder: Path, told: list[str]) -> list[Path]:
    return [folder / Path(path).name for path in told[1:]]


def _inner(folder: Path) -> set[str]:
    spans = ElementTree.parse(folder / "front.svg").iter(f"{SVG}tspan")
    return {span.text.strip() for span in spans if span.text}


def test_what_says_nothing_is_drawn_too(drawing: None, tmp_path: Path) -> None:
    parts = {"learning_rate": 0.9, "rank": 0.1}
    record = study(importances=(Importance("lora", "score", parts),))
    figures = {
        "empty": small_front_figure(record, []),
        "a/b c": importance_figure(record, "lora"),
    }
    found = write_images(figures, tmp_path)
    assert [path.name for path in found] == ["empty.svg", "empty.png", "a-b-c.svg", "a-b-c.png"]
    assert sorted(tmp_path.iterdir()) == sorted(found)


def test_those_of_runs_side_by_side_are_drawn(drawing: None, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / n, study(trial(0, score=s))) for n, s in (("a", 0.7), ("b", 0.8))]
    out, folder = tmp_path / "page.html", tmp_path / "figures"
    given_ = [*map(str, runs), "--out", str(out), "--figures", str(folder)]
    assert report.main(given_) == 0
    assert {path.name for path in folder.iterdir()} == {
        f"{name}-rte.{kind}" for name in ("front", "volume") for kind in ("svg", "png")
    }


def refused(root: Path, capsys: pytest.CaptureFixture[str], folder: str = "figures") -> str:
    assert report.main([str(root), "--figures", str(root.parent / folder)]) == 2
    assert not (root / "report.html").exists()
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_run(tmp_path / "run", study(trial(0)))
    monkeypatch.setitem(sys.modules, "kaleido", None)
    told = refused(root, capsys)
    assert "pip install -c constraints.txt -e '.[figures]'" in told
    assert "kaleido" in told


def test_without_a_browser_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chromium = pytest.importorskip("choreographer.browsers.chromium")
    root = write_run(tmp_path / "run", study(trial(0)))
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    assert f"there is no browser at {tmp_path / 'nowhere'}" in refused(root, capsys)
    monkeypatch.setattr(chromium.Chromium, "find_browser", lambda **_: None)
    told = refused(root, capsys)
    assert "needs Chrome or Chromium on this machine; install it" in told


def test_a_file_is_no_folder_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_run(tmp_path / "run", study(trial(0)))
    (tmp_path / "figures").write_text("mine")
    assert "is a file; name a folder" in refused(root, capsys)
    assert (tmp_path / "figures").read_text() == "mine"


def test_a_browser_that_does_not_work_is_told_and_leaves_nothing(
    drawing: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "browser"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(broken))
    with pytest.raises(ValueError, match="the browser could not draw them: "):
        write_images({"a": go.Figure(layout={"height": 200})}, tmp_path / "figures")
    assert list((tmp_path / "figures").iterdir()) == []
