"""MLflow's own pages in a real browser, as somebody sees them who compares what a search found."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from search.record import StudyRecord
from search.tracking.follower import Followed, Follower
from tests.chromium import chromium
from tests.search.records import study, trial
from tests.search.tracking.test_mlflow_store import runs_of, store
from tests.waiting import until

EVIL = "<img src=x onerror=alert(1)>"
BOX = ".ag-pinned-left-cols-container .ag-selection-checkbox input"


def found() -> StudyRecord:
    """A small search of two methods, two of whose trials are on the front."""
    freeze = {"rule": "paper", "start": 0.05}
    aflora = {"method": {"aflora": {"rank": 4, "freeze": freeze}}, "learning_rate": 0.01}
    lora = {"method": {"lora": {"rank": 8, "learning_rate": 0.001}}}
    return study(
        trial(0, score=0.9, params=332_000.0, seconds=50.0, settings=lora, label="lora r8", mark=EVIL),
        trial(1, score=0.8, params=33_000.0, seconds=40.0, settings=aflora, label="aflora r4 paper"),
        trial(2, score=0.7, params=400_000.0, seconds=60.0, settings=lora, label="lora r8"),
        trial(3, "failed", settings=lora, label="lora r8", reason=EVIL, failures=(EVIL,)),
    )  # fmt: skip


@dataclass
class Pages:
    """MLflow's pages on a search, and what they did that they should not."""

    page: Any
    address: str
    uri: str
    elsewhere: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def run(self, number: str | None) -> str:
        """What is read on the page of a trial's run; of the parent's where None."""
        parent, runs = runs_of(self.uri)
        run = parent if number is None else runs[number]
        place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        # Another page in between, or this one keeps what was opened before.
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{place}")
        self.page.get_by_role("heading", name=run.info.run_name).wait_for()
        self.page.get_by_text("Show more").first.click()
        return self.read()

    def read(self) -> str:
        text: str = self.page.locator("body").inner_text()
        return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("pages")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    report = folder / "report.html"
    report.write_text("<p>All trials in full.</p>")
    followed = Followed(lambda: store(uri, folder), found, [report], ended=True)
    follower = Follower([followed])
    follower.start()
    assert follower.close() is None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(address), 240)
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1500, "height": 1200})
            page.set_default_timeout(60_000)
            made = Pages(page, address, uri)
            page.on("request", lambda request: _note(request.url, made))
            page.on(
                "dialog", lambda dialog: (made.dialogs.append(dialog.message), dialog.dismiss())
            )
            page.goto(f"{address}/#/experiments")
            page.get_by_text("Model training", exact=True).click()
            yield made
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _note(url: str, pages: Pages) -> None:
    if not url.startswith((pages.address, "data:", "blob:", "about:")):
        pages.elsewhere.append(url)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/health", timeout=2).close()
    except OSError:
        return False
    return True


def test_the_front_is_compared_as_the_documentation_says(pages: Pages) -> None:
    page = pages.page
    page.goto(f"{pages.address}/#/experiments")
    page.get_by_role("link", name="glue", exact=True).click()
    search = page.get_by_placeholder("metrics.rmse", exact=False)
    search.fill('tags.front = "true"')
    search.press("Enter")
    page.get_by_role("button", name="Sort: Created").click()
    page.get_by_text("score", exact=True).first.click()
    page.keyboard.press("Escape")
    # Sorted by a metric it is a list without parents: the front and nothing else.
    until(lambda: page.locator(BOX).count() == 2, 120)
    names = page.locator(".ag-pinned-left-cols-container a").all_inner_texts()
    assert set(names) == {"lora r8 #0", "aflora r4 paper #1"}
    for index in range(2):
        page.locator(BOX).nth(index).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="Comparing 2 Runs").wait_for()
    page.get_by_text("train_seconds", exact=True).first.wait_for(state="attached")

    lines = pages.read().splitlines()
    # Two methods have a rank and a learning rate each: one row of them, one of the method.
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines if "\t" in line}
    names = ("method", "rank", "learning_rate")
    columns = set(zip(*(rows[name] for name in names), strict=True))
    assert columns == {("aflora", "4", "0.01"), ("lora", "8", "0.001")}
    assert {"freeze.rule", "freeze.start"} <= rows.keys()
    for name in ("score", "trainable_params", "train_seconds", "0.9", "332000", "50"):
        assert name in lines
    # The page fails where only some of the runs have files; so all have this one.
    page.get_by_text("settings.json", exact=True).first.wait_for(state="attached")
    assert "Something went wrong" not in pages.read()

    # Score is what its first plot begins with; the second has what one chooses.
    page.locator(".axis-title", has_text="score").wait_for()
    page.get_by_role("tab", name="Scatter Plot").click()
    for axis, name in (("X-axis", "trainable_params"), ("Y-axis", "score")):
        choose(page, axis, name)
    page.locator(".xtitle", has_text="trainable_params").wait_for()
    page.locator(".ytitle", has_text="score").wait_for()
    until(lambda: drawn(page) == {(332_000.0, 0.9), (33_000.0, 0.8)}, 60)
    choose(page, "X-axis", "train_seconds")
    page.locator(".xtitle", has_text="train_seconds").wait_for()
    until(lambda: drawn(page) == {(50.0, 0.9), (40.0, 0.8)}, 60)


def drawn(page: Any) -> set[tuple[float, float]]:
    """The points of the scatter plot."""
    plot = "[...document.querySelectorAll('.js-plotly-plot')].at(-1).data[0]"
    x, y = page.evaluate(f"[Array.from({plot}.x), Array.from({plot}.y)]")
    return set(zip(map(float, x), map(float, y), strict=True))


def choose(page: Any, axis: str, name: str) -> None:
    """Choose a measure for an axis of the scatter plot."""
    page.get_by_label(axis).click()
    page.get_by_role("option", name=name, exact=True).click()


def test_the_parent_holds_headline_front_hypervolume_and_report(pages: Pages) -> None:
    text = pages.run(None)
    assert "has the best accuracy, 0.9000" in text
    assert "0 lora r8" in " ".join(text.split())
    assert "332 k" in text
    assert "hypervolume_provisional" in text
    page = pages.page
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report.html").first.click()
    page.frame_locator("iframe").get_by_text("All trials in full.").wait_for()


def test_a_trial_says_what_it_is_and_hostile_text_is_text(pages: Pages) -> None:
    text = pages.run("0")
    assert "On the front: accuracy 0.9000, trainable parameters 332 k" in text
    assert "python -m search.export RUN --trial 0 --out adapter-0" in text
    assert EVIL in text
    assert EVIL in pages.run("3")
    assert pages.page.locator("img[src=x]").count() == 0
    assert pages.dialogs == []


def test_the_pages_ask_nobody_else(pages: Pages) -> None:
    pages.run(None)
    assert pages.elsewhere == []
