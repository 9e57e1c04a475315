"""Take a picture of a report's front, or of a trial opened in it, for the documentation.

``python -m benchmarks.pictures RUN/report.html OUT.png [--figure front | --part CSS | --trial N]``

Needs Chromium on the path. Of the page over several tasks ``--figure front-rte`` and so on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--figure", default="front", help="name of the figure (default: front)")
    what.add_argument("--part", metavar="CSS", help="any part of the page, as in '#parallel'")
    what.add_argument("--trial", type=int, metavar="N", help="the page beside this trial, opened")
    parser.add_argument("--width", type=int, default=1000, help="of the page in pixels")
    options = parser.parse_args(arguments)
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print(f"no browser found; looked for {', '.join(BROWSERS)}", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        page = browser.new_page(
            viewport={"width": options.width, "height": 900},
            color_scheme="light",
            device_scale_factor=1.5,
        )
        page.goto(options.report.absolute().as_uri())
        page.wait_for_selector("html[data-plots=drawn]", timeout=60_000)
        # The tool bar of a plot appears under the pointer alone.
        page.mouse.move(0, 0)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        place = page.locator(options.part or f"[data-figure='{options.figure}']")
        if options.trial is None:
            place.screenshot(path=options.out)
        else:
            page.locator(f"button[data-trial='{options.trial}']").first.click()
            page.wait_for_selector(f".drawer[data-trial='{options.trial}']")
            place.evaluate("plot => window.scrollTo(0, plot.offsetTop - 140)")
            page.wait_for_timeout(500)
            page.screenshot(path=options.out)
        browser.close()
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
