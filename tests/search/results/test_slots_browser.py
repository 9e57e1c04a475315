"""The time line of slots in a real browser."""

from __future__ import annotations

from typing import Any

from search.record import StudyRecord
from search.results.slots import segments_of
from tests.search.results.browsing import Opener
from tests.search.results.slot_runs import make_run
from tests.waiting import until

INTERRUPTED = [(12, 2 * 86_400.0)]


def onto_bar(page: Any, number: int) -> None:
    """Move the pointer into the middle of the first bar of a trial."""
    place = page.locator("[data-figure=slots]")
    place.scroll_into_view_if_needed()
    spot = place.evaluate(
        """(plot, number) => {
            const { xaxis, yaxis } = plot._fullLayout;
            const box = plot.getBoundingClientRect();
            for (const { type, customdata, base, x, y } of plot.data) {
                const at = type === "bar" ? customdata.indexOf(number) : -1;
                if (at < 0) continue;
                return [box.left + xaxis._offset + xaxis.d2p(base[at] + x[at] / 2), box.top + yaxis._offset + yaxis.d2p(y[at])];
            }
        }""",
        number,
    )
    page.mouse.move(*spot)


def longest(study: StudyRecord, state: Any) -> int:
    trials = [trial for trial in study.in_state(state) if segments_of(trial)]
    return max(trials, key=lambda trial: sum(s.seconds for s in segments_of(trial))).number


def test_a_bar_tells_of_its_trial_and_opens_it(opened: Opener) -> None:
    study = make_run(24, ("a", "b"), 2, interrupted=INTERRUPTED)
    seen = opened(study)
    number = longest(study, "pruned")
    onto_bar(seen.page, number)
    seen.page.wait_for_selector(".pointer:not([hidden])")
    told = (seen.page.locator(".pointer").text_content() or "").replace("\N{NO-BREAK SPACE}", " ")
    trial = study.trials[number]
    for part in (f"Trial {number}", trial.label, trial.reason, " after the start: rung"):
        assert part in told
    seen.page.mouse.down()
    seen.page.mouse.up()
    seen.page.wait_for_selector(f".drawer[data-trial='{number}']")
    drawn = seen.page.locator("[data-figure=slots] .ytick text").all_text_contents()
    assert drawn == ["a · slot 1", "a · slot 2", "b · slot 1", "b · slot 2"]
    assert (
        "2\N{NO-BREAK SPACE}d"
        in seen.page.locator("[data-figure=slots] .textpoint").all_text_contents()
    )
    assert seen.is_clean()


def test_on_a_phone_it_fits_and_a_tap_opens_a_trial(opened: Opener) -> None:
    study = make_run(24, ("a", "b"), 2, interrupted=INTERRUPTED, at_work=True)
    seen = opened(study, width=390)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    drawn = seen.page.locator("[data-figure=slots] .ytick text").all_text_contents()
    assert drawn == ["a · 1", "a · 2", "b · 1", "b · 2"]
    number = longest(study, "complete")
    onto_bar(seen.page, number)
    seen.page.mouse.down()
    seen.page.mouse.up()
    until(lambda: bool(seen.page.locator(f".drawer[data-trial='{number}']").count()))
    assert seen.is_clean()
