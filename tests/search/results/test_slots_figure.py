"""The time line of slots: a bar for each stretch of work, where and when it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from search.record import StudyRecord
from search.results.figures import slots_caption, slots_figure
from search.results.figures.slots import MOST
from search.results.figures.style import STATES
from search.results.figures.timeline import timeline
from search.results.slots import segments_of
from tests.search.results.conftest import BEGAN, make_study
from tests.search.results.slot_runs import make_run, worked_trial

Maker = Callable[..., Any]
DAY = 86_400.0


def bars(study: StudyRecord) -> dict[int, list[tuple[float, float, float]]]:
    """Trial → start, end and row of each of its bars."""
    found: dict[int, list[tuple[float, float, float]]] = {}
    for trace in slots_figure(study).data:
        if trace.type == "bar":
            for number, base, length, row in zip(
                trace.customdata, trace.base, trace.x, trace.y, strict=True
            ):
                found.setdefault(number, []).append((base, base + length, row))
    return found


def caption(study: StudyRecord) -> str:
    return (slots_caption(study) or "").replace("\N{NO-BREAK SPACE}", " ")


def test_every_stretch_has_its_bar() -> None:
    study = make_run(30, ("a", "b"), 2, at_work=True)
    began = min(trial.started or BEGAN for trial in study.trials)
    found = bars(study)
    for trial in study.trials:
        expected = [
            pytest.approx([(s.start - began) / 60, (s.end - began) / 60], abs=0.05)
            for s in segments_of(trial)
        ]
        assert [[start, end] for start, end, _ in found.get(trial.number, [])] == expected
    assert {row for places in found.values() for _, _, row in places} == {0, 1, 2, 3}


def test_colour_and_symbol_tell_the_state() -> None:
    study = make_run(60, ("a",), 4, at_work=True)
    figure = slots_figure(study)
    for state in ("complete", "pruned", "failed", "running", "paused"):
        (marks,) = (t for t in figure.data if t.name == state and t.type == "scatter")
        drawn = {t.number for t in study.in_state(state) if segments_of(t)}
        assert set(marks.customdata) == drawn
        assert (marks.marker.color, marks.marker.symbol) == STATES[state]
        assert marks.showlegend is not False
        (strip,) = (t for t in figure.data if t.name == state and t.type == "bar")
        assert strip.showlegend is False
        ends = dict(
            zip(strip.customdata, map(sum, zip(strip.base, strip.x, strict=True)), strict=True)
        )
        assert dict(zip(marks.customdata, marks.x, strict=True)) == pytest.approx(ends)


def test_a_bar_tells_when_and_which_rungs() -> None:
    study = make_study(
        worked_trial(0, [("a", BEGAN + 5, BEGAN + 65), ("a", BEGAN + 300, BEGAN + 360), ("a", BEGAN + 360, BEGAN + 420)], handed_out=BEGAN),
    )  # fmt: skip
    bar = next(trace for trace in slots_figure(study).data if trace.type == "bar")
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in bar.hovertext] == [
        "5.00 s to 1 min 05 s after the start: rung 1, stretch 1 of 2",
        "5 min 00 s to 7 min 00 s after the start: rungs 2 to 3, stretch 2 of 2",
    ]


def test_slots_are_named_after_their_hosts_where_there_are_several() -> None:
    def names(*hosts: str) -> list[str]:
        return list(slots_figure(make_run(12, hosts, 1)).layout.yaxis.ticktext)

    assert names("vm") == ["slot 1"]
    assert names("n2.cluster.local", "n1.cluster.local") == ["n1 · slot 1", "n2 · slot 1"]
    assert names("n.east", "n.west") == ["n.east · slot 1", "n.west · slot 1"]
    assert names("10.0.0.1", "10.0.0.2") == ["10.0.0.1 · slot 1", "10.0.0.2 · slot 1"]
    assert names("a" * 30, "<b>") == ["&lt;b&gt; · slot 1", "aaaaaaa…aaaaaaa · slot 1"]


def test_a_long_interruption_is_cut_out() -> None:
    plain, cut = make_run(40, seed=3), make_run(40, seed=3, interrupted=[(20, 3 * DAY)])
    line = timeline(cut)
    assert line is not None
    ((start, end),) = line.cuts
    assert end - start == pytest.approx(3 * DAY, abs=30)
    uncut = timeline(plain)
    assert uncut is not None
    assert line.place(line.end) < 1.2 * uncut.place(uncut.end)
    long = slots_figure(cut).layout
    assert long.xaxis.title.text == "time since the start (h:min)"
    assert long.xaxis.ticktext[0] == "0:00"
    assert long.xaxis.ticktext[-1] == "74:00"
    texts = [t for t in slots_figure(cut).data if t.type == "scatter" and t.mode == "text"]
    assert [list(trace.text) for trace in texts] == [["3\N{NO-BREAK SPACE}d"]]
    assert "The axis is cut once, where no slot worked for long: 72 h 00 min." in caption(cut)
    assert "cut" not in caption(plain)


def test_the_axis_goes_on_in_order_across_cuts() -> None:
    line = timeline(make_run(60, seed=3, interrupted=[(15, 7_200.0), (30, 2 * DAY), (45, 900.0)]))
    assert line is not None
    assert len(line.cuts) == 3
    moments = [line.began + part / 999 * (line.end - line.began) for part in range(1_000)]
    places = [line.place(moment) for moment in moments]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(1.06 * line.shown)
    ticks = line.ticks("h", 3600.0)["tickvals"]
    assert ticks == sorted(ticks)
    for start, end in line.cuts:
        inside = [t for t in ticks if line.place(start) < float(t) * 3600 < line.place(end) - 1e-6]
        assert inside == []


def test_the_caption_tells_how_busy_and_what_is_missing() -> None:
    study = make_study(
        worked_trial(0, [("a", BEGAN, BEGAN + 100)]),
        worked_trial(1, [("a", BEGAN, BEGAN + 53)], "pruned"),
        worked_trial(2, [], "failed"),
        worked_trial(3, [], "waiting"),
    )
    assert caption(study) == (
        "From first to last the slots were at work 76 % of the time. "
        "1 trial came to no rung and cannot be drawn."
    )
    # Beside other tasks a slot that is blank here may have worked for them.
    assert "the slots were at work" not in (slots_caption(study, alone=False) or "")


def test_of_thousands_some_are_drawn_and_all_work_is_grey() -> None:
    study = make_run(3_000, ("a", "b"), 32, interrupted=[(900, DAY)])
    figure = slots_figure(study)
    drawn = sum(len(trace.x) for trace in figure.data if trace.type == "bar")
    assert MOST / 3 < drawn <= MOST
    cover = next(trace for trace in figure.data if trace.name == "other trials")
    worked = sum(s.seconds for trial in study.trials for s in segments_of(trial)) / 3600
    grey = sum(
        end - start for start, end in zip(cover.x[::3], cover.x[1::3], strict=True)
    )  # fmt: skip
    assert worked <= grey <= 1.2 * worked
    assert len(cover.x) <= 3_000
    assert figure.layout.height < 700
    placed = sum(bool(segments_of(trial)) for trial in study.trials)
    assert f"{drawn} of {placed} trials are in colour, the rest is grey." in caption(study)


@pytest.mark.parametrize("what", ["nothing", "waiting", "no seconds", "no length", "one moment"])
def test_it_survives_what_a_search_may_lack(what: str, trial: Maker, study: Maker) -> None:
    nothing = worked_trial(0, [("", BEGAN, BEGAN)])
    record = {
        "nothing": study(),
        "waiting": study(trial(0, "waiting")),
        "no seconds": study(trial(0, rungs=0), trial(1, "failed")),
        "no length": study(nothing),
        "one moment": study(nothing, worked_trial(1, [("", BEGAN + 400, BEGAN + 400)])),
    }[what]
    json.loads(slots_figure(record).to_json(), parse_constant=pytest.fail)
    assert (slots_caption(record) is None) == (what in ("nothing", "waiting", "no seconds"))
