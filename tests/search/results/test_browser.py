"""The report in a real browser: it draws, sorts, and stays closed to hostile text and network."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.pareto.front import front
from search.record import ConstantAnswer, FreezeEvent, StudyRecord
from search.results import html
from search.results.html import write_overview_page, write_report
from tests.search.records import study
from tests.search.records import trial as lora
from tests.search.results.browsing import EVIL, Opener, Seen, point_at
from tests.waiting import until

Maker = Callable[..., Any]


@pytest.fixture(scope="module")
def whole(opened: Opener, whole_search: StudyRecord) -> Seen:
    """One page for the tests that look at different parts of it: opening it takes longest."""
    return opened(whole_search, color_scheme="light")


def test_every_plot_is_drawn_without_a_word_or_a_request(
    whole: Seen, whole_search: StudyRecord
) -> None:
    visible = whole.page.locator("[data-figure]:visible").count()
    assert whole.plots() == visible >= 5 + 6
    drawn = whole.page.locator("[data-figure=front] .point").count()
    scored = [t for t in whole_search.trials if t.state in ("complete", "pruned")]
    assert drawn == len(scored)
    assert whole.page.locator("[data-figure=front] .annotation").count() == 2
    assert whole.is_clean()


def test_the_page_over_several_tasks_draws_sorts_and_leads_to_each(
    opened: Opener, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def write(path: Path) -> None:
        tasks = [study(lora(0, score=0.7), task="rte"), study(lora(0, score=0.9), task="cola")]
        for record in tasks:
            (path.parent / record.task).mkdir()
            write_report(record, path.parent / record.task / "report.html")
        write_overview_page([(record, []) for record in tasks], path)

    seen = opened(write)
    assert seen.plots() == 2
    assert seen.column("tasks", 0) == ["rte", "cola"]
    seen.page.locator("table.tasks th button").first.click()
    assert seen.column("tasks", 0) == ["cola", "rte"]
    assert seen.is_clean()
    seen.page.locator("table.tasks a", has_text="rte").click()
    seen.page.wait_for_selector("html[data-plots=drawn]", timeout=30_000)
    assert seen.page.title() == "test: rte"
    assert not seen.trouble


def test_a_pointer_over_a_trial_shows_all_of_it(whole: Seen, whole_search: StudyRecord) -> None:
    number = point_at(whole.page, "front", 3)
    shown = whole.page.locator(".pointer").text_content()
    trial = next(t for t in whole_search.trials if t.number == number)
    for part in (f"Trial {number}", trial.label, f"accuracy{trial.measures['score']:.4f}",
                 "modulesffn_in, ffn_out", "freeze.rule"):  # fmt: skip
        assert part in shown
    whole.page.mouse.move(0, 0)
    until(lambda: bool(whole.page.locator(".pointer").is_hidden()))


def test_a_click_opens_a_trial_and_escape_closes_it(whole: Seen, whole_search: StudyRecord) -> None:
    number = point_at(whole.page, "front", 3)
    whole.page.mouse.down()
    whole.page.mouse.up()
    whole.page.wait_for_selector(f".drawer[data-trial='{number}']")
    trial = next(t for t in whole_search.trials if t.number == number)
    drawer = whole.page.locator(".drawer")
    assert drawer.locator(".state").text_content().startswith(trial.state)
    curves = "[...document.querySelectorAll('.drawer .plot')].map(p => p.data.map(t => t.y))"
    curve, parameters, *_ = whole.page.evaluate(curves)
    assert curve == [[rung.measures["score"] for rung in trial.rungs]]
    assert parameters[1] == [rung.measures["trainable_params_end"] for rung in trial.rungs]
    ringed = "document.querySelector('[data-figure=front]').data.find(t => t.meta === 'ring')"
    assert whole.page.evaluate(f"{ringed}.y") == [trial.measures["score"]]
    whole.page.keyboard.press("Escape")
    assert drawer.is_hidden()
    assert whole.page.evaluate(f"{ringed}.y") == []
    assert whole.is_clean()


def test_the_freezing_of_any_trial_is_drawn_when_it_is_opened(
    opened: Opener, study: Maker, trial: Maker
) -> None:
    events = (
        FreezeEvent(0, "query", "A", 100), FreezeEvent(0, "query", "B", None),
        FreezeEvent(1, "query", "A", 40),
    )  # fmt: skip
    seen = opened(study(trial(0), trial(7, "pruned", freezing=events)))
    seen.page.locator("table.all button.open", has_text="7").click()
    seen.page.wait_for_selector(".drawer[data-trial='7']")
    frozen, live = seen.page.evaluate(
        "[...document.querySelectorAll('.drawer .plot')].at(-1).data.map(t => t.z)"
    )
    assert frozen == [[100, 40], [None, None]]
    assert live == [[None, None], [-1, None]]
    assert seen.is_clean()


def test_the_front_is_drawn_on_the_axes_that_are_chosen(
    opened: Opener, whole_search: StudyRecord
) -> None:
    seen = opened(whole_search)
    seen.page.select_option("select[name=across]", "train_flops")
    seen.page.select_option("select[name=colour]", "method")
    flops = "document.querySelector('[data-figure=front]').layout.xaxis.title.text"
    until(lambda: bool(seen.page.evaluate(flops) == "training FLOPs"))
    until(lambda: int(seen.page.locator("[data-figure=front] .point").count()) > 0)
    drawn = {
        number: place
        for trace in seen.page.evaluate("document.querySelector('[data-figure=front]').data")
        if "customdata" in trace
        for number, *place in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    }
    for trial in whole_search.in_state("complete", "pruned"):
        course = trial.rungs[-1].projected
        assert drawn[trial.number] == pytest.approx([course["train_flops"], course["score"]])
    legend = seen.page.locator("[data-figure=front] .legendtext").all_text_contents()
    assert {"aflora", "lora"} <= set(legend)
    assert seen.is_clean()


def test_the_line_on_other_axes_is_the_best_at_each_place_or_better(
    opened: Opener, study: Maker, trial: Maker
) -> None:
    """Parameters upwards: fewer are better, and a higher score lies to the right."""
    seen = opened(
        study(
            trial(0, score=0.7, params=100),
            trial(1, score=0.8, params=1_000),
            trial(2, score=0.9, params=10_000),
            trial(3, score=0.75, params=50_000),
        )
    )
    seen.page.select_option("select[name=across]", "score")
    seen.page.select_option("select[name=up]", "trainable_params")
    line = "document.querySelector('[data-figure=front]').data.find(t => t.name === 'best at this or better')"
    until(lambda: bool(seen.page.evaluate(f"Boolean({line})")))
    corners = list(zip(*seen.page.evaluate(f"[{line}.x, {line}.y]"), strict=True))
    assert corners[:5] == [(0.9, 10_000), (0.8, 10_000), (0.8, 1_000), (0.7, 1_000), (0.7, 100)]
    assert seen.is_clean()


def test_the_line_of_one_answer_to_all_stands_where_scores_go_upwards(
    opened: Opener, study: Maker, trial: Maker
) -> None:
    two = trial(0, score=0.7, params=100), trial(1, score=0.8, params=1_000)
    seen = opened(study(*two, constant=ConstantAnswer("yes", 0.75)))
    figure = seen.page.locator("[data-figure=front]")
    until(lambda: "always yes" in figure.locator(".annotation-text").all_text_contents())
    assert figure.locator(".shapelayer path").count() == 1
    seen.page.select_option("select[name=across]", "train_flops")
    until(lambda: figure.locator(".xtitle").text_content() == "training FLOPs")
    assert figure.locator(".annotation-text").all_text_contents() == ["always yes"]
    assert figure.locator(".shapelayer path").count() == 1
    seen.page.select_option("select[name=up]", "trainable_params")
    until(lambda: figure.locator(".shapelayer path").count() == 0)
    assert figure.locator(".annotation-text").count() == 0
    assert seen.is_clean()


def test_an_open_trial_says_what_can_be_done_with_it(
    whole: Seen, whole_search: StudyRecord
) -> None:
    best = front(whole_search.trials, list(whole_search.objectives))[0].number
    whole.page.locator(f"table.members [data-trial='{best}']").click()
    whole.page.wait_for_selector(f".drawer[data-trial='{best}']")
    run = whole.address.removeprefix("file://").removesuffix("/report.html")
    commands = whole.page.locator(".drawer .command code").all_text_contents()
    assert commands[0] == f"python -m search.export {run} --trial {best} --out adapter-{best}"
    assert commands[2] == f"python -m search.confirm {run} --trials {best}"
    whole.page.keyboard.press("Escape")
    dominated = next(t.number for t in whole_search.trials if t.state == "pruned")
    whole.page.locator(f"table.all [data-trial='{dominated}']").click()
    whole.page.wait_for_selector(f".drawer[data-trial='{dominated}']")
    (again,) = whole.page.locator(".drawer .command code").all_text_contents()
    module, space, option, enqueue = shlex.split(again)[2:6]
    assert (module, space, option) == ("search.run", f"{run}/space.yaml", "--set")
    settings = whole_search.trials[dominated].settings
    assert json.loads(enqueue.removeprefix("enqueue=")) == [settings]
    whole.page.keyboard.press("Escape")
    assert whole.is_clean()


def test_a_click_on_the_hypervolume_opens_no_trial(whole: Seen) -> None:
    """Its points are counts of trials, not numbers."""
    plot = whole.page.locator("[data-figure=volume-trials]")
    plot.scroll_into_view_if_needed()
    spot = plot.evaluate(
        """plot => {
            const { xaxis, yaxis } = plot._fullLayout;
            const { x, y } = plot.data[0];
            const box = plot.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(x[10]), box.top + yaxis._offset + yaxis.d2p(y[10])];
        }"""
    )
    whole.page.mouse.move(*spot)
    whole.page.wait_for_selector("[data-figure=volume-trials] .hovertext")
    whole.page.mouse.down()
    whole.page.mouse.up()
    assert whole.page.locator(".pointer").is_hidden()
    assert whole.page.locator(".drawer").is_hidden()


def test_marks_keep_their_names_on_axes_that_are_chosen(
    opened: Opener, study: Maker, trial: Maker
) -> None:
    """Also one that is called as the ring around the open trial is."""
    marked = trial(0, mark="open", score=0.5)
    seen = opened(
        study(marked, trial(1, score=0.9, params=50_000), trial(2, "pruned", mark="pruned x"))
    )
    seen.page.select_option("select[name=colour]", "state")
    front_text = "[data-figure=front] .textpoint"
    until(lambda: int(seen.page.locator(front_text).count()) >= 2)
    assert set(seen.page.locator(front_text).all_text_contents()) == {"open", "pruned x"}
    seen.page.locator("table.all [data-trial='1']").click()
    seen.page.wait_for_selector(".drawer[data-trial='1']")
    drawn = seen.page.evaluate(
        "document.querySelector('[data-figure=front]').data.find(t => t.customdata && t.customdata[0] === 0).y"
    )
    assert drawn == [0.5]
    assert seen.is_clean()


def test_the_rows_with_some_words_are_found(whole: Seen) -> None:
    box = whole.page.locator("#filter")
    box.fill("pruned r8")
    rows = whole.page.locator("table.all tbody tr:visible").all_text_contents()
    assert rows
    assert all("pruned" in row and " r8 " in row for row in rows)
    assert whole.page.locator("#shown").text_content() == f"{len(rows)} of 48"
    box.fill("")
    assert whole.page.locator("table.all tbody tr:visible").count() == 48


def test_hostile_text_is_shown_and_does_nothing(opened: Opener, trial: Maker, study: Maker) -> None:
    seen = opened(
        study(
            trial(0, mark=EVIL, label=EVIL, settings={EVIL: EVIL}, adapter=EVIL),
            trial(1, "failed", reason=EVIL, label=EVIL),
            name=EVIL,
            task=EVIL,
            metric=EVIL,
            provenance={EVIL: EVIL, "seed": EVIL},
        )
    )
    assert seen.page.locator("h1").text_content() == EVIL
    shown = seen.page.locator("[data-figure=front] .annotation-text").text_content()
    assert shown == EVIL
    assert point_at(seen.page, "front", 0) == 0
    assert EVIL in (seen.page.locator(".pointer").text_content() or "")
    seen.page.locator("table.all button.open").first.click()
    seen.page.wait_for_selector(".drawer[data-trial='0']")
    assert EVIL in (seen.page.locator(".drawer").text_content() or "")
    assert EVIL in (seen.page.locator(".drawer .ytitle").first.text_content() or "")
    assert seen.page.locator("img").count() == 0
    assert seen.is_clean()


def test_a_column_is_sorted_by_pointer_then_the_other_way(whole: Seen) -> None:
    heading = whole.page.locator("table.all th", has_text="trainable parameters")
    heading.locator("button").click()
    keys = "[...document.querySelectorAll('table.all tbody tr')].map(r => r.cells[4].dataset.key)"
    rising = whole.page.evaluate(keys)
    known = [float(key) for key in rising if key]
    assert known == sorted(known)
    assert rising[len(known) :] == [""] * (48 - len(known)) != []
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    falling = whole.page.evaluate(keys)
    assert [float(key) for key in falling if key] == sorted(known, reverse=True)
    assert falling[-1] == ""
    assert heading.get_attribute("aria-sort") == "descending"


def test_a_column_is_sorted_by_keyboard(whole: Seen, whole_search: StudyRecord) -> None:
    best_first = whole.column("members", 0)
    members = front(whole_search.trials, list(whole_search.objectives))
    assert best_first == [str(trial.number) for trial in members]
    whole.page.locator("table.members th button").first.focus()
    whole.page.keyboard.press("Enter")
    assert whole.column("members", 0) == sorted(best_first, key=int) != best_first
    whole.page.keyboard.press("Tab")
    whole.page.keyboard.press("Space")
    labels = whole.column("members", 1)
    assert [text.split(" ")[1] for text in labels] == sorted(
        (text.split(" ")[1] for text in labels), key=lambda rank: int(rank[1:])
    )
    sorted_by = whole.page.locator("table.members th[aria-sort]")
    assert sorted_by.count() == 1


def test_an_empty_study_is_drawn(opened: Opener, study: Maker) -> None:
    seen = opened(study())
    assert seen.plots() == 6
    assert "No trial has a score yet." in seen.page.locator("[data-figure=front]").text_content()
    assert seen.is_clean()


def test_a_large_study_is_drawn(opened: Opener, large_search: StudyRecord) -> None:
    seen = opened(large_search)
    assert seen.page.locator("table.all tbody tr").count() == 200
    assert seen.is_clean()


def test_text_in_plots_follows_the_colour_scheme(whole: Seen) -> None:
    ink = "document.querySelector('[data-figure=front]')._fullLayout.font.color"
    light = whole.page.evaluate(ink)
    whole.page.emulate_media(color_scheme="dark")
    until(lambda: bool(whole.page.evaluate(ink) != light))
    assert (light, whole.page.evaluate(ink)) == ("#2a313a", "#dfe4ea")
    assert whole.is_clean()


@pytest.mark.parametrize("broken", ["front", "volume-trials"])
def test_a_plot_that_cannot_be_drawn_is_told_of_and_stops_no_other(
    broken: str, opened: Opener, study: Maker, trial: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at first nor when they are drawn anew, whether it is on the screen at once or not."""
    whole = html._as_json
    monkeypatch.setattr(
        html, "_as_json", lambda figures: json.dumps(json.loads(whole(figures)) | {broken: None})
    )

    seen = opened(study(trial(0), trial(1, score=0.8)), color_scheme="light")
    visible = seen.page.locator("[data-figure]:visible").count()
    assert seen.plots() == visible - 1
    notice = seen.page.locator("#trouble")
    until(lambda: bool(notice.is_visible()))
    assert notice.text_content().startswith("A plot could not be drawn: ")
    ink = "document.querySelector('[data-figure=trials]')._fullLayout.font.color"
    seen.page.emulate_media(color_scheme="dark")
    until(lambda: bool(seen.page.evaluate(ink) == "#dfe4ea"))
    seen.page.emulate_media(color_scheme="light")
    until(lambda: bool(seen.page.evaluate(ink) == "#2a313a"))


def test_on_a_phone_nothing_is_wider_than_the_screen(
    opened: Opener, whole_search: StudyRecord
) -> None:
    seen = opened(whole_search, width=390)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.page.locator("[data-figure=front] .annotation").count() == 0
    assert seen.is_clean()


def test_without_scripts_the_tables_are_there(opened: Opener, whole_search: StudyRecord) -> None:
    seen = opened(whole_search, java_script_enabled=False)
    assert seen.page.locator("noscript").text_content().strip().startswith("The plots need")
    assert seen.page.locator("table.all tbody tr").count() == 48


def test_a_script_that_slips_in_does_not_run(whole: Seen) -> None:
    whole.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }"""
    )
    assert whole.page.evaluate("window.ran") is None
    assert "Content Security Policy" in " ".join(whole.trouble)
    whole.trouble.clear()
