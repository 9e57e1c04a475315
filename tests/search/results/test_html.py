"""The report as a file: whole, closed to the network, and its text harmless."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs_version

from search.pareto.front import front
from search.record import StudyRecord
from search.results.figures.thinning import MOST
from search.results.html import write_report
from search.results.tables import MOST_ROWS
from tests.search.results.conftest import make_search

Maker = Callable[..., Any]
EVIL = "<img src=x onerror=alert(1)>"


def report(study: StudyRecord, folder: Path) -> str:
    path = folder / "report.html"
    write_report(study, path)
    return path.read_text(encoding="utf-8")


def unpacked(page: str, name: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode()


class Page(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._quiet = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._quiet = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._quiet = False

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_one_file_under_five_megabytes(large_search: StudyRecord, tmp_path: Path) -> None:
    report(large_search, tmp_path)
    (only,) = tmp_path.iterdir()
    assert only.stat().st_size < 5_000_000


def test_nothing_in_it_points_elsewhere(whole_search: StudyRecord, tmp_path: Path) -> None:
    for tag, attributes in Page(report(whole_search, tmp_path)).elements:
        assert tag not in ("link", "iframe", "object", "img")
        assert not {"src", "href", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_the_policy_admits_only_the_two_scripts(whole_search: StudyRecord, tmp_path: Path) -> None:
    page = report(whole_search, tmp_path)
    policy = next(
        attributes["content"] or ""
        for tag, attributes in Page(page).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    (own,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in (own, unpacked(page, "plotly"))
    ]
    assert rules["script-src"] == [f"'sha256-{digest}'" for digest in digests]


def test_the_figures_are_inside(whole_search: StudyRecord, tmp_path: Path) -> None:
    page = report(whole_search, tmp_path)
    figures = json.loads(unpacked(page, "figures"))
    places = {a["data-figure"] for _, a in Page(page).elements if "data-figure" in a}
    assert set(figures) == places
    assert {"front", "trials", "curves", "slots", "volume-seconds", "volume-trials"} < places
    assert "plotly.js (cartesian" in unpacked(page, "plotly")[:100]


def test_the_library_is_the_one_that_the_figures_are_made_for(
    whole_search: StudyRecord, tmp_path: Path
) -> None:
    banner = unpacked(report(whole_search, tmp_path), "plotly")[:100]
    assert f"v{get_plotlyjs_version().split('.')[0]}." in banner


def test_ten_thousand_trials_make_no_larger_tables_and_plots_than_a_browser_can_draw(
    tmp_path: Path,
) -> None:
    study = make_search(3_000, seed=2)
    page = report(study, tmp_path)
    rows = [a for tag, a in Page(page).elements if tag == "tr" and "data-row" in a]
    members = front(study.trials, list(study.objectives))
    assert len(rows) == MOST_ROWS + len(members)
    assert {str(trial.number) for trial in members} < {
        row["data-row"] for row in rows[len(members) :]
    }
    assert "Of 3000 trials" in Page(page).text
    figures = json.loads(unpacked(page, "figures"))
    for name in ("front", "trials", "slots"):
        for trace in figures[name]["data"]:
            assert len(trace.get("customdata", ())) <= MOST
    assert len(json.loads(unpacked(page, "catalogue"))["number"]) == 3_000


def test_the_head_says_what_was_searched(whole_search: StudyRecord, tmp_path: Path) -> None:
    text = Page(report(whole_search, tmp_path)).text
    complete, pruned, failed = (
        len(whole_search.in_state(state)) for state in ("complete", "pruned", "failed")
    )
    members = front(whole_search.trials, list(whole_search.objectives))
    for part in ("task rte", "model microsoft/deberta-v3-base", "metric accuracy", "seed 0",
                 "started 2025-10-09 08:53 UTC", f"{complete} complete", f"{pruned} pruned",
                 f"{failed} failed", f"{len(members)} on the front", "commit 4f2a9c1d7e",
                 "versions.torch 2.8.0", "machine.gpu NVIDIA H100",
                 f"Trial {members[0].number} ("):  # fmt: skip
        assert part in text


def test_the_tables_have_the_front_and_every_trial(
    whole_search: StudyRecord, tmp_path: Path
) -> None:
    page = report(whole_search, tmp_path)
    rows = [a for tag, a in Page(page).elements if tag == "tr" and "data-row" in a]
    members = front(whole_search.trials, list(whole_search.objectives))
    first, rest = rows[: len(members)], rows[len(members) :]
    assert [row["data-row"] for row in first] == [str(trial.number) for trial in members]
    assert [row["data-row"] for row in rest] == [str(number) for number in range(48)]
    on_front = {row["data-row"] for row in rest if row.get("class") == "front"}
    assert on_front == {str(trial.number) for trial in members}
    assert f"adapters/{members[0].number}" in page
    assert "rung 3: dominated by 4 trials" in page


def test_a_provisional_hypervolume_is_called_so(trial: Maker, study: Maker, tmp_path: Path) -> None:
    point = {"score": 0.5, "trainable_params": 1e6, "train_seconds": 100.0}
    assert "provisional" in Page(report(study(trial(0)), tmp_path)).text
    assert "provisional" not in Page(report(study(trial(0), reference=point), tmp_path)).text


@pytest.mark.parametrize(
    "where", ["name", "task", "model", "metric", "label", "mark", "reason", "settings",
              "provenance", "adapter"],
)  # fmt: skip
def test_text_of_users_makes_no_element(
    where: str, trial: Maker, study: Maker, tmp_path: Path
) -> None:
    evil: Any = {EVIL: EVIL} if where in ("settings", "provenance") else EVIL
    if where in ("label", "mark", "reason", "settings", "adapter"):
        record = study(trial(0, **{where: evil}))
    else:
        record = study(trial(0), **{where: evil})
    page = report(record, tmp_path)
    assert html.escape(EVIL) in page
    assert EVIL not in page
    assert "<img" not in unpacked(page, "figures")


def test_an_empty_study_has_a_report(study: Maker, tmp_path: Path) -> None:
    text = Page(report(study(), tmp_path)).text
    assert "No trial is complete yet." in text
    # Nothing is explained that is not there.
    assert "On the front: every complete trial" not in text
    assert "How much of the space" not in text
    assert "No trial yet." in text


def test_without_scripts_the_reader_is_told(study: Maker, tmp_path: Path) -> None:
    found = re.search(r"<noscript>(.*?)</noscript>", report(study(), tmp_path), re.DOTALL)
    assert found is not None
    assert "JavaScript" in found[1]


def test_the_same_study_gives_the_same_file(whole_search: StudyRecord, tmp_path: Path) -> None:
    assert report(whole_search, tmp_path / "a") == report(whole_search, tmp_path / "b")


def test_half_a_character_costs_no_report(study: Maker, trial: Maker, tmp_path: Path) -> None:
    """A path on the command line, or in an error, may hold bytes that are no characters."""
    failed = trial(1, state="failed", reason="no /data/caf\udce9.csv")
    record = study(trial(0, mark="\ud800x"), failed, provenance={"command": "--out caf\udce9"})
    page = report(record, tmp_path)
    assert "--out caf?" in page
    assert "?x" in unpacked(page, "figures")
    assert "no /data/caf?.csv" in unpacked(page, "catalogue")
