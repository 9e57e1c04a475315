"""The page of several runs in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.record import StudyRecord
from search.results.overlay import NamedRun, overlay_runs
from search.results.overlay_page import write_overlay_page
from tests.search.records import study
from tests.search.results.browsing import EVIL, Opener
from tests.search.results.conftest import make_search

Runs = list[tuple[str, StudyRecord]]


def page(*runs: tuple[str, StudyRecord]) -> Callable[[Path], None]:
    named = [NamedRun(name, {record.task: record}) for name, record in runs]
    return lambda path: write_overlay_page(named, overlay_runs(named), path)


@pytest.fixture(scope="module")
def runs() -> Runs:
    return [("first", make_search(48)), ("second", make_search(60, seed=1)), (EVIL, study())]


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"width": 390}])
def test_it_draws_without_a_word_or_a_request(
    opened: Opener,
    look: dict[str, Any],
    runs: Runs,
) -> None:
    records = [(name, record) for name, record in runs if record.trials]
    hostile = make_search(20, seed=2)
    seen = opened(page(*records, (EVIL, hostile)), **look)
    assert seen.plots() == 2
    keys = seen.page.locator("[data-figure=front-rte] .legendtext").all_text_contents()
    assert keys[:2] == ["first", "second"]
    assert len(keys) == 3
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.is_clean()
    # By the hypervolume, the column before the last.
    column = seen.page.locator("table.sides th").count() - 2
    seen.page.locator("table.sides th button").nth(column).click()
    volumes = [float(text) for text in seen.column("sides", column)]
    assert volumes == sorted(volumes)
    assert seen.is_clean()


def test_a_member_tells_of_itself_under_the_pointer(opened: Opener, runs: Runs) -> None:
    seen = opened(page(*runs[:2]))
    place = seen.page.locator("[data-figure=front-rte]")
    place.scroll_into_view_if_needed()
    box = place.locator(".scatterlayer .trace").nth(2).locator(".point").last.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = place.locator(".hoverlayer .hovertext")
    told.wait_for()
    assert "Trial" in (told.text_content() or "")
    assert seen.is_clean()


def test_without_a_complete_trial_it_says_so(opened: Opener) -> None:
    seen = opened(page(("a", study()), ("b", study())))
    assert "No trial is complete yet." in seen.page.locator(".headline").inner_text()
    assert seen.is_clean()


def test_the_page_is_the_same_each_time(tmp_path: Path, runs: Runs) -> None:
    for name in ("one.html", "two.html"):
        page(*runs[:2])(tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
