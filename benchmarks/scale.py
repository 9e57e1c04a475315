"""What a search costs its driver as trials and slots grow, and what its report weighs.

``python -m benchmarks.scale [--trials 100 1000 10000] [--slots 2 16 64 256] [--check]``

Searches on a simulated clock, as in ``benchmarks.engine_latency``: random configurations, and then
more by TPE, first as many as fill the slots and then the ``--asked`` that count. Then
front, hypervolume and the report of the longest of them, which is opened in Chromium if there is
one. ``--out FILE`` keeps the raw record.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.engine_latency import search
from benchmarks.goal import Goal, conclude, table_of
from benchmarks.pictures import BROWSERS, QUIET
from search.pareto.front import front, hypervolume_history
from search.record import StudyRecord
from search.results.html import write_report

ASKED = 50
#: Up to so many trials a report is to open in less time, in seconds.
FEW, OPENS_OF_FEW = 1000, 2.0
#: Trials at which slots are compared, and slots at which numbers of trials are.
TRIALS, SLOTS = 1000, 4
#: Name of a figure, the worst of all rows or that of the most trials → what it is, and its bound.
GOALS = {
    "report_seconds": ("judge and tell, s", 0.050),
    "ask_seconds": ("propose by TPE, s", 1.0),
    "front_seconds": ("front and hypervolume, s", 1.0),
    "open_seconds": ("report opens, s", 3.0),
    "report_bytes": ("report, bytes", 15e6),
}


def driver(trials: int, slots: int, asked: int) -> tuple[dict[str, Any], StudyRecord]:
    """99th percentiles of judging and telling, and of proposing, late in a search."""
    timed, grown, record = search(trials, slots, drawn=max(0, trials - asked - slots))
    late = {"ask": timed["ask"].seconds[-asked:], "report": timed["report"].seconds}
    found = {f"{name}_seconds": float(np.percentile(s, 99)) for name, s in late.items()}
    return {"trials": trials, "slots": slots, "bytes_grown": grown} | found, record


def results(record: StudyRecord, folder: Path) -> dict[str, float]:
    """What front, hypervolume and report of a study take."""
    began = time.perf_counter()
    members = front(record.trials, list(record.objectives))
    hypervolume_history(record)
    fronted = time.perf_counter()
    report = folder / "report.html"
    write_report(record, report)
    written = time.perf_counter()
    found = {
        "trials": len(record.trials),
        "front_members": len(members),
        "front_seconds": fronted - began,
        "write_seconds": written - fronted,
        "report_bytes": float(report.stat().st_size),
    }
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print("no browser was found: how long the report takes to open is not told")
        return found
    return found | {"open_seconds": opened(report, program)}


def opened(report: Path, program: str) -> float:
    """Seconds from going there until all that is seen of a report at first is drawn."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(report.absolute().as_uri())
        page.wait_for_selector("html[data-plots=drawn]", timeout=120_000)
        milliseconds: float = page.evaluate("performance.getEntriesByName('seen')[0].startTime")
        browser.close()
    return milliseconds / 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--slots", type=int, nargs="+", default=[2, 16, 64, 256])
    parser.add_argument("--asked", type=int, default=ASKED, help="proposals of TPE, at the end")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the goals are met")
    options = parser.parse_args(arguments)
    rows = []
    if options.asked >= min(options.trials):
        parser.error(f"--asked {options.asked} leaves nothing of {min(options.trials)} trials")
    of_trials = [(trials, SLOTS) for trials in sorted(options.trials)]
    most = min(TRIALS, of_trials[-1][0])
    plan = [(most, slots) for slots in options.slots if (most, slots) not in of_trials] + of_trials
    record = None
    for trials, slots in plan:
        # A process of its own: what an earlier search has freed would hide what this one takes.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            row, record = alone.submit(driver, trials, slots, options.asked).result()
        rows.append(row)
        print(
            f"{trials:6} trials, {slots:3} slots: judge and tell {1e3 * row['report_seconds']:.1f} "
            f"ms, propose {1e3 * row['ask_seconds']:.0f} ms (99th percentiles), "
            f"{row['bytes_grown'] / 1e6:.0f} MB",
            flush=True,
        )
    assert record is not None
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        found = results(record, Path(folder))
    # The driver's bounds hold for every number of trials and of slots.
    found |= {name: max(row[name] for row in rows) for name in ("report_seconds", "ask_seconds")}
    print(f"front of {found['front_members']}; report written in {found['write_seconds']:.1f} s")
    few = {"open_seconds": OPENS_OF_FEW} if found["trials"] <= FEW else {}
    reached = [
        Goal(what, found[name], at_most=few.get(name, bound))
        for name, (what, bound) in GOALS.items()
        if name in found
    ]
    Console(width=110).print(table_of(f"goals, {found['trials']} trials", reached))
    return conclude(reached, options.out, options.check, {"driver": rows, "results": found})


if __name__ == "__main__":
    sys.exit(main())
