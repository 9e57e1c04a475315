"""What a user sees while a search runs, and when it has ended."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

from rich.console import Console

from search.console.live import LiveView, Watched
from search.console.plain import PlainView
from search.console.progress import Progress, overall, progress_of
from search.console.summary import print_overview, print_summary
from search.record import ConstantAnswer, Rung, StudyRecord, TrialRecord
from tests.search.records import study, trial

OBJECTIVES = ("score", "trainable_params", "train_seconds")


def running(number: int, *scores: float, started: float = 100.0) -> TrialRecord:
    rungs = tuple(
        Rung(i + 1, i + 1, (i + 1) / 4, {"score": s, "trainable_params": 12_300.0}, {}, at=0.0)
        for i, s in enumerate(scores)
    )
    return trial(number, "running", rungs=rungs, measures={}, started=started)


def kept(number: int, **change: Any) -> TrialRecord:
    return trial(number, adapter=f"adapters/{number}", **change)


def rendered(record: StudyRecord, ending: str | None = None, width: int = 140) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, height=60, force_terminal=False)
    view = LiveView(
        [Watched(lambda: record, lambda: ending, 12)], lambda: 2, "on this machine", console, 0.0
    )
    console.print(view.render(130.0))
    return out.getvalue()


def test_the_live_view_shows_progress_running_trials_and_the_front() -> None:
    seen = rendered(
        study(
            trial(0, score=0.9, params=331_776.0, mark="LoRA r=8"),
            trial(1, score=0.7, params=400_000.0, seconds=99.0, mark="AFLoRA, paper"),
            trial(2, "pruned"),
            running(3, 0.61, 0.64),
        )
    )
    assert "3 of 12 trials" in seen
    assert "2 complete, 1 pruned, 0 failed" in seen
    assert "left" in seen
    (row,) = [line for line in seen.splitlines() if "#3 lora r4" in line]
    assert "50%" in row
    assert "0.6400" in row
    assert "12.3\N{NO-BREAK SPACE}k" in row
    (row,) = [line for line in seen.splitlines() if "LoRA r=8" in line]
    assert "●" in row
    # What the user enqueued stays in sight although something dominates it.
    (row,) = [line for line in seen.splitlines() if "AFLoRA, paper" in line]
    assert "○" in row
    assert "Ctrl-C ends the search" in seen


def test_a_long_front_is_cut_and_what_is_left_out_is_counted() -> None:
    members = [trial(n, score=0.9 - n / 100, params=1000.0 - n) for n in range(30)]
    marked = dataclasses.replace(members[-1], mark="LoRA r=8")
    seen = rendered(study(*members[:-1], marked))
    table = seen[: seen.index("accuracy   ◆ knee #")]
    (row,) = [line for line in table.splitlines() if "LoRA r=8" in line]
    assert "●" in row
    shown = table.count("●") + table.count("◆")
    assert 10 < shown < 30
    assert table.count("◆") == 1
    assert f"front, {shown} of 30" in table


def test_the_live_view_asks_for_what_it_shows_once_each_time() -> None:
    asked: list[str] = []

    def slots() -> int:
        asked.append("slots")
        return 2

    def record_of(task: str) -> StudyRecord:
        asked.append(task)
        return study(trial(0), running(1), task=task)

    tasks = ("rte", "cola", "sst2")
    watched = [Watched(lambda t=t: record_of(t), lambda: None, 4) for t in tasks]  # type: ignore[misc]
    view = LiveView(watched, slots, "here", Console(file=io.StringIO()), 0.0)
    asked.clear()  # rich has it drawn once before anything is shown
    view.render(130.0)
    assert sorted(asked) == sorted([*tasks, "slots"])


def test_the_live_view_says_why_it_is_ending() -> None:
    assert "Ending: stopped by Ctrl-C." in rendered(study(running(0)), "stopped by Ctrl-C")


def test_text_of_the_user_is_not_taken_for_markup() -> None:
    seen = rendered(study(trial(0, mark="[red]mine[/red]"), name="[bold]x"))
    assert "[red]mine[/red]" in seen
    assert "[bold]x" in seen


def test_the_estimate_counts_what_remains_over_all_slots() -> None:
    ended = [trial(n, started=0.0, finished=40.0) for n in (0, 1)]
    left = progress_of(study(*ended, running(2, started=90.0)), 6, 2, now=100.0)
    # Three trials of 40 s to come, one with 30 s left, two at a time.
    assert (left.done, left.total, left.seconds_left) == (2, 6, (3 * 40 + 30) / 2)


def test_nothing_is_estimated_before_a_trial_has_ended() -> None:
    assert progress_of(study(running(0)), 6, 2, now=100.0).seconds_left is None


def test_the_plain_view_prints_a_line_an_event() -> None:
    out = io.StringIO()
    view = PlainView(OBJECTIVES, out=out)
    for state in (running(3), running(3, 0.6), trial(3, "pruned", reason="rung 1: dominated")):
        view.on_trial(0, state)
    view.on_trial(0, running(4))
    view.on_trial(0, trial(4, mark="mine"))
    lines = [line.split("] ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines[0] == "trial 3, lora r4: started"
    assert lines[1].startswith("trial 3, lora r4: 25% done, score 0.6000")
    assert lines[2] == "trial 3, lora r4: pruned, rung 1: dominated"
    assert lines[3] == "trial 4, lora r4: started"
    assert lines[4].startswith("trial 4, lora r4 (mine): complete, score 0.8000")


def test_the_plain_view_tells_once_that_training_has_begun() -> None:
    out = io.StringIO()
    view = PlainView(OBJECTIVES, out=out, since=0.0)
    for number in (0, 1):
        view.on_trial(0, running(number))
        view.on_step(0, running(number))
    lines = [line.split("] ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == [
        "trial 0, lora r4: started",
        "trial 0, lora r4: trains, the first step is taken",
        "trial 1, lora r4: started",
    ]


def summary(
    record: StudyRecord, ending: str | None = None, again: str | None = None, **size: int
) -> str:
    out = io.StringIO()
    console = Console(file=out, width=size.get("width", 120), height=size.get("height", 50),
                      force_terminal="height" in size, color_system=None)  # fmt: skip
    print_summary(record, Path("/runs/q"), "sqlite:///q/mlflow.db", ending, again, console)
    return out.getvalue()


def test_the_summary_says_what_came_out_and_where_it_lies() -> None:
    seen = summary(
        study(trial(0), trial(1, "pruned"), trial(2, "failed", reason="ValueError: [x]"))
    )
    assert "1 complete, 1 pruned, 1 failed; 1 on the front" in seen
    assert "First failure, trial 2: ValueError: [x]" in seen
    assert "report  /runs/q/report.html" in seen
    assert "MLflow  mlflow ui --backend-store-uri sqlite:///q/mlflow.db" in seen
    assert "go on" not in seen


def test_the_summary_tells_what_was_begun_from_what_was_not() -> None:
    left = [trial(1, "running"), trial(2, "paused"), trial(3, "waiting")]
    assert "1 complete, 2 unfinished, 1 not begun; 1 on the front" in summary(
        study(trial(0), *left)
    )


def test_the_summary_says_what_is_no_better_than_one_answer_to_all() -> None:
    record = study(trial(0, score=0.5), constant=ConstantAnswer("yes [/]", 0.5))
    told = "Nothing on the front scores better than answering always “yes [/]”"
    assert told in " ".join(summary(record).split())


def test_the_summary_ends_with_report_mlflow_and_the_export_of_the_knee() -> None:
    ends = [kept(0, score=0.9, params=90_000.0), kept(1, score=0.5, params=10.0)]
    *_, report, mlflow, export = summary(study(*ends, kept(2, score=0.89, params=100.0)),
                                         "a signal", "again").splitlines()  # fmt: skip
    assert report.startswith("report  ")
    assert mlflow.startswith("MLflow  ")
    assert export == "export  python -m search.export /runs/q --trial knee --out adapter"
    assert "--trial 0 --out adapter" in summary(study(*ends))
    assert "export" not in summary(study(trial(1, "pruned")))
    # Of a search that was killed nothing was kept yet.
    killed = summary(study(*(dataclasses.replace(one, adapter=None) for one in ends)))
    assert "search.export" not in killed
    assert "Its adapter is kept when the search ends." in killed


def test_what_is_to_be_typed_can_be_typed_where_a_folder_has_a_space() -> None:
    out = io.StringIO()
    store, root = "sqlite:////my runs/q/mlflow.db", Path("/my runs/q")
    print_summary(study(kept(0)), root, store, None, None, Console(file=out, width=120))
    assert f"MLflow  mlflow ui --backend-store-uri '{store}'\n" in out.getvalue()
    assert "export  python -m search.export '/my runs/q' --trial " in out.getvalue()


def test_a_tracking_server_is_an_address_to_open() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120)
    print_summary(study(trial(0)), Path("/runs/q"), "http://head:5000", None, None, console)
    assert "MLflow  http://head:5000\n" in out.getvalue()


def test_the_front_is_drawn_in_the_summary_where_all_of_it_is_seen_at_once() -> None:
    record = study(*(kept(n, score=0.9 - n / 100, params=1000.0 - n) for n in range(6)))
    assert "trainable parameters" in summary(record, height=40, width=80)
    assert "└──" in summary(record, height=40, width=80)
    assert "└──" not in summary(record, height=24, width=80)
    assert "└──" not in summary(record)


def test_a_search_that_ended_early_says_how_to_go_on() -> None:
    seen = summary(study(running(0)), "stopped by Ctrl-C", "python -m search.run q.yaml --resume")
    assert "Ended early: stopped by Ctrl-C." in seen
    assert "1 unfinished" in seen
    assert "go on   python -m search.run q.yaml --resume" in seen


def test_of_several_tasks_the_live_view_shows_the_progress_of_each() -> None:
    out = io.StringIO()
    console = Console(file=out, width=140, height=60, force_terminal=False)
    records = [
        study(trial(0, score=0.7), running(1, 0.5), task="rte"),
        study(trial(0, "pruned"), task="cola[b]"),
    ]
    endings = [None, "its trial seconds are spent"]
    watched = [
        Watched(lambda r=r: r, lambda e=e: e, 4)  # type: ignore[misc]
        for r, e in zip(records, endings, strict=True)
    ]
    console.print(LiveView(watched, lambda: 2, "on this machine", console, 0.0).render(130.0))
    seen = out.getvalue()
    assert "2 tasks" in seen
    assert "2 of 8 trials" in seen
    (rte,) = [line for line in seen.splitlines() if "rte" in line and "1 of 4" in line]
    assert "0.7000" in rte
    (cola,) = [line for line in seen.splitlines() if "cola[b]" in line]
    assert "its trial seconds are spent" in cola
    assert "rte #1 lora r4" in seen
    # One study that is over is no end of the search.
    assert "Ctrl-C ends the search" in seen


def test_the_time_left_is_that_of_all_tasks_together() -> None:
    parts = [Progress(1, 4, 30.0), Progress(2, 4, 12.0)]
    assert overall(parts) == Progress(3, 8, 42.0)
    assert overall([*parts, Progress(0, 4, None)]).seconds_left is None


def test_the_plain_view_tells_tasks_apart() -> None:
    out = io.StringIO()
    view = PlainView(OBJECTIVES, ("rte", "cola"), out)
    view.on_trial(0, running(3))
    view.on_trial(1, running(3))
    lines = [line.split("] ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == ["rte, trial 3, lora r4: started", "cola, trial 3, lora r4: started"]


def test_the_overview_names_the_best_of_each_task_and_what_failed() -> None:
    out = io.StringIO()
    records = [
        study(trial(0, score=0.7), kept(1, score=0.9, label="aflora r2"), task="rte",
              constant=ConstantAnswer("yes", 0.9)),
        study(trial(0, "failed", reason="ValueError: x"), task="cola"),
    ]  # fmt: skip
    console = Console(file=out, width=140)
    endings = [None, "all trials failed in the same way"]
    print_overview(records, Path("/runs/q"), 5, "sqlite:///m.db", endings, "again", console)
    seen = out.getvalue()
    (rte,) = [line for line in seen.splitlines() if line.startswith("rte ")]
    assert "#1 aflora r2" in rte
    assert "0.9000" in rte
    assert "cola ended early: all trials failed in the same way." in seen
    assert "First failure on cola, trial 0: ValueError: x" in seen
    assert "On rte nothing on the front scores better than answering always the same." in seen
    assert "go on   again" in seen
    assert "2 tasks; 5.00\N{NO-BREAK SPACE}B on disk" in seen
    assert "export  python -m search.export /runs/q --task rte --trial 1 --out adapter" in seen
