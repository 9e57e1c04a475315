"""The lines of a window are shared among the parts of the live view, and it never outgrows it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from search.console.encoding import LEGIBLE
from search.console.live import LiveView, Watched
from search.console.rows import LEAST_PLOT, share
from search.record import StudyRecord, TrialRecord
from tests.search.records import study, trial


@given(st.integers(0, 80), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_no_more_is_shown_than_fits_or_than_there_is(
    free: int, running: int, listed: int, plot: bool
) -> None:
    rows = share(free, running, listed, plot)
    assert rows.lines <= max(free, 1)
    assert rows.running <= running
    assert rows.listed <= listed
    assert rows.plot == 0 or (plot and rows.plot >= LEAST_PLOT)
    if free >= 4:
        assert bool(rows.running or rows.listed) == bool(running or listed)


def test_the_drawing_gives_way_first_and_grows_last() -> None:
    small, usual, large = (share(free, 2, 6, True) for free in (9, 19, 60))
    assert (small.running, small.listed, small.plot) == (2, 5, 0)
    assert (usual.running, usual.listed, usual.plot) == (2, 3, 5)
    assert (large.running, large.listed, large.plot) == (2, 6, 14)


def seen(records: list[StudyRecord], width: int, height: int, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors=LEGIBLE, newline="\n")
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    watched = [Watched(lambda r=r: r, lambda: None, 24) for r in records]  # type: ignore[misc]
    view = LiveView(watched, lambda: 2, "on this machine: --local was given", console, 0.0,
                    hears=True)  # fmt: skip
    console.print(view.render(130.0))
    out.flush()
    return raw.getvalue().decode(encoding).rstrip("\n").split("\n")


def begun(number: int) -> TrialRecord:
    return trial(number, "running", rungs=(), mark="AFLoRA, as in the paper", started=100.0)


FEW = study(*(trial(n, score=0.9 - n / 100, params=1000.0 - n, mark=f"m{n}") for n in range(5)),
            trial(5, "pruned"), begun(6), begun(7))  # fmt: skip
MANY = study(*(trial(n, score=0.9 - n / 100, params=1000.0 - n) for n in range(40)),
             *(begun(n) for n in range(40, 60)))  # fmt: skip


@pytest.mark.parametrize("record", [FEW, MANY, study(), study(begun(0)), study(trial(0, "failed"))])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [9, 12, 16, 20, 24, 31, 32, 40, 80])
def test_the_live_view_fits_its_window(record: StudyRecord, width: int, height: int) -> None:
    for records in ([record], [record] * 12):
        lines = seen(records, width, height)
        assert len(lines) <= height
        assert {len(line) for line in lines} == {width}


def test_a_usual_window_has_all_of_it() -> None:
    lines = "\n".join(seen([FEW], 80, 24))
    for part in ("6 of 24 trials", "#7 AFLoRA, as", "starting", "front, 3 of 5", "◆ knee #",
                 "trainable parameters", "Ctrl-C ends the search and says how to go on."):  # fmt: skip
        assert part in lines, part
    assert "trainable parameters" not in "\n".join(seen([FEW], 80, 14))


def test_where_the_encoding_is_not_utf_8_everything_is_ascii_and_as_wide() -> None:
    lines = seen([FEW], 80, 24, "ascii")
    text = "\n".join(lines)
    assert {len(line) for line in lines} == {80}
    assert "@ knee #" in text
    assert "* front" in text
    assert "v pruned" in text
    assert "?" not in text
    lines = seen([FEW], 80, 24, "latin-1")
    assert {len(line) for line in lines} == {80}


def test_a_trial_starts_until_it_takes_a_step_and_starts_again_when_it_failed() -> None:
    console = Console(file=io.StringIO(), width=120, height=40)
    now = [study(begun(0))]
    view = LiveView([Watched(lambda: now[0], lambda: None, 4)], lambda: 2, "here", console, 0.0,
                    hears=True)  # fmt: skip

    def row() -> str:
        with console.capture() as captured:
            console.print(view.render(130.0))
        (line,) = [line for line in captured.get().splitlines() if "#0" in line]
        return line

    assert "starting" in row()
    view.on_step(0, now[0].trials[0])
    assert "starting" not in row()
    now[0] = study(trial(0, "running", rungs=(), started=100.0, failures=("boom",)))
    assert "starting" in row()
