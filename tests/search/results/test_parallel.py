"""Settings and what came of them, as lines in a real browser: brushed, followed, opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.record import StudyRecord
from search.results.html import write_report
from tests.search.results.browsing import EVIL, Opener, Seen
from tests.search.results.conftest import make_study, make_trial
from tests.waiting import until

Maker = Callable[..., Any]
METHOD, RANK, BETA, SCORE = "method", "rank", "freeze.beta1", "accuracy"


def aflora(rank: int, beta1: float) -> dict[str, Any]:
    return {"method": {"aflora": {"rank": rank, "freeze": {"beta1": beta1}}}}


def lora(rank: int) -> dict[str, Any]:
    return {"method": {"lora": {"rank": rank}}}


def two_methods() -> StudyRecord:
    """Three of one method, two of another, one pruned, one failed."""
    return make_study(
        make_trial(0, score=0.70, params=1_000, settings=aflora(2, 0.5), label="aflora r2"),
        make_trial(1, score=0.75, params=2_000, settings=aflora(4, 0.7), label="aflora r4"),
        make_trial(2, score=0.80, params=4_000, settings=aflora(8, 0.9), label="aflora r8"),
        make_trial(3, score=0.85, params=30_000, settings=lora(4), label="lora r4"),
        make_trial(4, score=0.90, params=90_000, settings=lora(16), label="lora r16"),
        make_trial(5, "pruned", score=0.65, settings=aflora(16, 0.6), label="aflora r16"),
        make_trial(6, "failed", settings=lora(8), label="lora r8"),
    )


class Plot:
    """The lines of an open report, and all that follows what is brushed there."""

    def __init__(self, seen: Seen) -> None:
        self.seen, self.page = seen, seen.page
        self.page.locator("#parallel").scroll_into_view_if_needed()
        titles = self.page.locator(".titles > div").all_text_contents()
        self.titles = [title.split("↑")[0].split("↓")[0].strip() for title in titles]

    def axis(self, title: str) -> Any:
        return self.page.locator("#parallel .axis").nth(self.titles.index(title))

    def end(self, title: str, name: str) -> Any:
        return self.page.get_by_role("slider", name=f"{title}, {name} end", exact=True)

    def at(self, title: str, text: str) -> tuple[float, float]:
        """Where on the page a label of an axis points."""
        axis = self.axis(title)
        axis.scroll_into_view_if_needed()
        strip = axis.locator(".strip").bounding_box()
        label = axis.locator("text").filter(has_text=re.compile(f"^{text}$")).first.bounding_box()
        return strip["x"] + strip["width"] / 2, label["y"] + label["height"] / 2

    def drag(self, title: str, first: str, last: str, beyond: float = 6) -> None:
        """From a label to another below it, and a little more at both ends."""
        (x, top), (_, bottom) = self.at(title, first), self.at(title, last)
        self.page.mouse.move(x, top - beyond)
        self.page.mouse.down()
        self.page.mouse.move(x, (top + bottom) / 2)
        self.page.mouse.move(x, bottom + beyond)
        self.page.mouse.up()

    def lines(self) -> set[int]:
        """Trials whose lines are drawn in full."""
        numbers = "[...document.querySelectorAll('#parallel path[data-line]:not(.out)')].map(p => Number(p.dataset.line))"
        return set(self.page.evaluate(numbers))

    def on_the_front_plot(self) -> set[int]:
        """Trials whose points are drawn in full."""
        full = """document.querySelector('[data-figure=front]').data.filter(t => t.customdata)
            .flatMap(t => t.customdata.filter((_, i) => [].concat(t.marker.opacity ?? 1).at(i) === 1
                                                     || (t.marker.opacity ?? 1) === 1))"""
        return set(self.page.evaluate(full))

    def rows(self) -> set[int]:
        shown = "[...document.querySelectorAll('table.all tbody tr')].filter(r => !r.hidden).map(r => Number(r.dataset.row))"
        return set(self.page.evaluate(shown))

    def status(self) -> str:
        return str(self.page.locator("#chosen").text_content())

    def shows(self, *numbers: int) -> bool:
        wanted = set(numbers)
        return self.lines() == self.on_the_front_plot() == self.rows() == wanted

    def all_are_there(self) -> bool:
        scored = set(range(6))
        return self.lines() == self.on_the_front_plot() == scored and self.rows() == set(range(7))

    def spot_on(self, number: int, gap: int) -> tuple[float, float]:
        """The place on the page where a trial's line is midway between two axes."""
        path = self.page.locator(f"#parallel path[data-line='{number}']").get_attribute("d")
        corners = [[float(n) for n in corner.split()] for corner in path[1:].split("L")]
        (left, start), (right, end) = corners[gap : gap + 2]
        box = self.page.locator("#parallel svg").bounding_box()
        return box["x"] + (left + right) / 2, box["y"] + (start + end) / 2


@pytest.fixture(scope="module")
def page(opened: Opener) -> Seen:
    return opened(two_methods(), color_scheme="light")


@pytest.fixture
def plot(page: Seen) -> Plot:
    """The one page, with nothing brushed, filtered or open."""
    if page.page.locator(".drawer").is_visible():
        page.page.locator(".drawer .close").click()
    page.page.locator("#filter").fill("")
    if page.page.locator("#clear").is_visible():
        page.page.locator("#clear").click()
    plot = Plot(page)
    until(plot.all_are_there)
    return plot


def test_every_scored_trial_is_a_line_over_what_differs(plot: Plot) -> None:
    assert plot.titles == [METHOD, RANK, BETA, SCORE, "trainable parameters"]
    assert plot.status() == "6 trials"
    front = plot.page.locator("#parallel path.member")
    assert {int(p.get_attribute("data-line")) for p in front.all()} == {0, 1, 2, 3, 4}
    assert plot.page.locator("#parallel path.pruned").get_attribute("data-line") == "5"
    assert plot.seen.is_clean()


def test_brushes_of_several_axes_together_choose_for_lines_front_and_table(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    assert plot.status() == "3 of 6 trials"
    assert plot.page.locator("#shown").text_content() == "3 of 7, within the brushes"
    x, y = plot.at(METHOD, "aflora")
    plot.page.mouse.move(x, y - 20)
    plot.page.mouse.down()
    plot.page.mouse.move(x, y + 20)
    plot.page.mouse.up()
    until(lambda: plot.shows(1, 2))
    assert plot.status() == "2 of 6 trials"
    assert plot.page.locator("#parallel path.out").count() == 4
    plot.page.locator("#clear").click()
    until(plot.all_are_there)
    assert plot.status() == "6 trials"
    assert plot.page.locator("#clear").is_hidden()
    assert plot.seen.is_clean()


def test_who_lacks_a_setting_is_brushed_at_its_own_spot(plot: Plot) -> None:
    plot.drag(BETA, "none", "none")
    until(lambda: plot.shows(3, 4))
    assert plot.end(BETA, "upper").get_attribute("aria-valuetext") == "none"


def test_an_interval_is_moved_and_an_end_is_dragged(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    (x, four), (_, eight) = plot.at(RANK, "4"), plot.at(RANK, "8")
    middle = (four + eight) / 2
    plot.page.mouse.move(x, middle)
    plot.page.mouse.down()
    plot.page.mouse.move(x, middle + four - eight, steps=3)
    plot.page.mouse.up()
    until(lambda: plot.shows(0, 1, 3))
    box = plot.end(RANK, "upper").locator(".knob").bounding_box()
    plot.page.mouse.move(x, box["y"] + box["height"] / 2)
    plot.page.mouse.down()
    plot.page.mouse.move(x, plot.at(RANK, "16")[1] + 8, steps=3)
    plot.page.mouse.up()
    until(lambda: plot.lines() == {0, 1, 2, 3, 4, 5})


def test_ends_are_moved_by_keys_and_say_where_they_are(plot: Plot) -> None:
    lower = plot.end(SCORE, "lower")
    lower.focus()
    assert lower.get_attribute("aria-valuetext") == "0.618"
    plot.page.keyboard.press("ArrowUp")
    plot.page.keyboard.press("ArrowUp")
    until(lambda: plot.shows(1, 2, 3, 4))
    assert lower.get_attribute("aria-valuetext") == "0.75"
    assert (lower.get_attribute("aria-valuenow"), lower.get_attribute("aria-valuemax")) == (
        "2",
        "5",
    )
    plot.page.keyboard.press("ArrowDown")
    until(lambda: plot.shows(0, 1, 2, 3, 4))
    plot.page.keyboard.press("End")
    until(lambda: plot.shows(4))
    plot.page.keyboard.press("Home")
    until(plot.all_are_there)
    upper = plot.end(METHOD, "upper")
    upper.focus()
    plot.page.keyboard.press("ArrowDown")
    until(lambda: plot.shows(3, 4))
    assert upper.get_attribute("aria-valuetext") == "lora"


def test_escape_clears_the_axis_in_focus_else_all(plot: Plot) -> None:
    plot.end(METHOD, "lower").focus()
    plot.page.keyboard.press("ArrowUp")
    plot.end(RANK, "upper").focus()
    plot.page.keyboard.press("ArrowDown")
    until(lambda: plot.shows(0, 1, 2))
    plot.page.keyboard.press("Escape")
    until(lambda: plot.shows(0, 1, 2, 5))
    plot.page.keyboard.press("ArrowDown")
    until(lambda: plot.shows(0, 1, 2))
    plot.page.locator("#axes select").first.focus()
    plot.page.keyboard.press("Escape")
    assert plot.shows(0, 1, 2)
    plot.page.locator("table.all button.open").first.focus()
    plot.page.keyboard.press("Escape")
    until(plot.all_are_there)


def test_a_click_clears_the_brush_it_falls_on(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    (x, four), (_, eight) = plot.at(RANK, "4"), plot.at(RANK, "8")
    plot.page.mouse.click(x, (four + eight) / 2)
    until(plot.all_are_there)
    assert plot.page.locator(".drawer").is_hidden()


def test_a_brush_and_words_together_leave_rows(plot: Plot) -> None:
    plot.page.locator("#filter").fill("aflora")
    assert plot.rows() == {0, 1, 2, 5}
    plot.drag(RANK, "8", "4")
    until(lambda: plot.rows() == {1, 2})
    assert plot.on_the_front_plot() == {1, 2, 3}
    plot.page.locator("#filter").fill("")
    assert plot.rows() == {1, 2, 3}


def test_what_faded_on_the_front_stays_so_when_it_is_drawn_anew(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    title = "document.querySelector('[data-figure=front]').layout.xaxis.title.text"
    plot.page.select_option("select[name=across]", "train_flops")
    until(lambda: plot.page.evaluate(title) == "training FLOPs")
    assert plot.shows(1, 2, 3)
    plot.page.select_option("select[name=colour]", "method")
    until(
        lambda: "lora" in plot.page.locator("[data-figure=front] .legendtext").all_text_contents()
    )
    assert plot.shows(1, 2, 3)
    ink = "document.querySelector('[data-figure=front]')._fullLayout.font.color"
    hue = "document.querySelector('#parallel path[data-line=\"3\"]').style.stroke"
    light = plot.page.evaluate(hue)
    plot.page.emulate_media(color_scheme="dark")
    until(lambda: plot.page.evaluate(ink) == "#dfe4ea")
    assert plot.shows(1, 2, 3)
    assert plot.page.evaluate(hue) != light
    plot.page.emulate_media(color_scheme="light")
    until(lambda: plot.page.evaluate(ink) == "#2a313a")
    plot.page.locator("#clear").click()
    until(plot.all_are_there)
    assert plot.seen.is_clean()


def test_a_line_tells_of_its_trial_and_opens_it(plot: Plot) -> None:
    plot.page.mouse.move(*plot.spot_on(2, 1))
    plot.page.wait_for_selector(".pointer:not([hidden])")
    assert plot.page.locator(".pointer strong").text_content() == "Trial 2"
    core = plot.page.locator("#parallel path.core")
    line = plot.page.locator("#parallel path[data-line='2']").get_attribute("d")
    assert core.get_attribute("d") == line
    plot.page.mouse.down()
    plot.page.mouse.up()
    plot.page.wait_for_selector(".drawer[data-trial='2']")
    plot.page.mouse.move(2, 2)
    assert core.get_attribute("d") == line
    # Escape closes what lies above first, and leaves the brushes.
    plot.page.keyboard.press("Escape")
    assert plot.page.locator(".drawer").is_hidden()
    assert core.count() == 0


def test_escape_closes_the_drawer_before_it_clears(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    plot.page.locator("table.all button.open:visible").first.click()
    plot.page.wait_for_selector(".drawer[data-trial]")
    plot.page.keyboard.press("Escape")
    assert plot.page.locator(".drawer").is_hidden()
    assert plot.shows(1, 2, 3)
    plot.page.keyboard.press("Escape")
    until(plot.all_are_there)


def test_a_trial_that_faded_is_not_pointed_at(plot: Plot) -> None:
    spot = plot.spot_on(2, 2)
    plot.page.mouse.move(*spot)
    plot.page.wait_for_selector(".pointer:not([hidden])")
    assert plot.page.locator(".pointer strong").text_content() == "Trial 2"
    plot.drag(METHOD, "lora", "lora")
    until(lambda: plot.shows(3, 4))
    plot.page.mouse.move(*spot)
    assert plot.page.locator(".pointer").is_hidden()


def test_paper_has_what_was_chosen_without_controls(plot: Plot) -> None:
    plot.drag(RANK, "8", "4")
    until(lambda: plot.shows(1, 2, 3))
    plot.page.emulate_media(media="print")
    until(lambda: plot.page.locator("#clear").is_hidden())
    assert plot.page.locator("#chosen").is_visible()
    assert plot.axis(RANK).locator(".knob").first.is_visible()
    assert plot.axis(METHOD).locator(".knob").first.is_hidden()
    plot.page.emulate_media(media="screen")
    until(lambda: plot.page.locator("#clear").is_visible())


def test_a_finger_brushes_and_opens_on_a_phone(opened: Opener) -> None:
    seen = opened(two_methods(), width=390, has_touch=True, is_mobile=True)
    plot = Plot(seen)
    sizes = seen.page.evaluate(
        "[document.documentElement.scrollWidth, document.getElementById('parallel').scrollWidth]"
    )
    assert sizes[0] == 390 < sizes[1]
    (x, top), (_, bottom) = plot.at(RANK, "8"), plot.at(RANK, "4")
    fingers = seen.page.context.new_cdp_session(seen.page)

    def touch(kind: str, *y: float) -> None:
        points = [{"x": x, "y": place} for place in y]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", top - 8)
    for part in range(1, 9):
        touch("touchMove", top - 8 + part * (bottom - top + 16) / 8)
    touch("touchEnd")
    until(lambda: plot.shows(1, 2, 3))
    seen.page.touchscreen.tap(*plot.spot_on(1, 0))
    seen.page.wait_for_selector(".drawer[data-trial='1']")
    assert seen.is_clean()


def test_hostile_names_are_text(opened: Opener) -> None:
    def evil(value: Any) -> dict[str, Any]:
        return {"method": {EVIL: {EVIL: value}}, "other": value}

    seen = opened(
        make_study(
            make_trial(0, score=0.8, settings=evil(EVIL), label=EVIL),
            make_trial(1, score=0.9, settings=evil("</script><b>"), label=EVIL),
            metric=EVIL,
        )
    )
    plot = Plot(seen)
    assert plot.titles == [EVIL, "other", EVIL]
    full = seen.page.locator("#parallel text title").all_text_contents()
    assert EVIL in full
    upper = seen.page.get_by_role("slider", name="other, upper end", exact=True)
    lower = seen.page.get_by_role("slider", name="other, lower end", exact=True)
    told = {end.get_attribute("aria-valuetext") for end in (upper, lower)}
    assert told == {EVIL, "</script><b>"}
    assert seen.page.locator("img").count() == 0
    assert seen.is_clean()


def test_of_thousands_the_lines_that_can_be_told_apart_are_drawn(opened: Opener) -> None:
    """And of few that are chosen among them all."""
    trials = [
        make_trial(
            n, score=0.5 + (n * 37 % 997) / 2000, params=1_000 + n * 53 % 4_001, freezes=False,
            settings={"method": {"lora": {"rank": 2 ** (n % 5), "dropout": (n * 7 % 1009) / 1009}}},
        )
        for n in range(1_500)
    ]  # fmt: skip
    plot = Plot(opened(make_study(*trials)))
    drawn = len(plot.lines())
    members = plot.page.locator("#parallel path.member").count()
    assert members < drawn <= 300 + members
    assert plot.status() == f"1500 trials, {drawn} of them drawn"
    lower = plot.end(SCORE, "lower")
    lower.focus()
    plot.page.keyboard.press("End")
    # An end does not pass the other.
    plot.end(SCORE, "upper").focus()
    plot.page.keyboard.press("ArrowDown")
    lower.focus()
    for _ in range(20):
        plot.page.keyboard.press("ArrowDown")
    best = sorted({trial.measures["score"] for trial in trials})[-21]
    wanted = {trial.number for trial in trials if trial.measures["score"] >= best}
    until(lambda: plot.lines() == wanted)
    assert plot.status() == f"{len(wanted)} of 1500 trials"
    assert plot.seen.is_clean()


def test_the_section_is_absent_where_there_is_nothing_to_show(
    opened: Opener, tmp_path: Path
) -> None:
    heading = "Settings and what came of them"
    for name, record in {
        "empty": make_study(), "one": make_study(make_trial(0)),
        "alike": make_study(make_trial(0), make_trial(1)),
        "failed": make_study(make_trial(0), make_trial(1, "failed", settings=lora(2))),
    }.items():  # fmt: skip
        write_report(record, tmp_path / name)
        assert heading not in (tmp_path / name).read_text()
    write_report(two_methods(), tmp_path / "both")
    assert heading in (tmp_path / "both").read_text()
    seen = opened(make_study(make_trial(0), make_trial(1)))
    seen.page.keyboard.press("Escape")
    assert seen.is_clean()
