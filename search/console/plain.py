"""One line an event, for a terminal that is none: a file, a pipe, a CI log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from search.record import TrialRecord
from search.results.units import duration, readable


def described(trial: TrialRecord) -> str:
    """``trial 3, aflora r4 ffn paper (AFLoRA, paper)``."""
    mark = f" ({trial.mark})" if trial.mark else ""
    return f"trial {trial.number}, {trial.label}{mark}"


def measured(measures: Mapping[str, float], objectives: Sequence[str]) -> str:
    """``score 0.912, trainable parameters 12.3 k``."""
    return ", ".join(
        f"{name} {readable(name, measures[name])}" for name in objectives if name in measures
    )


def stamped(seconds: float, line: str) -> str:
    """A line with the time since the start in front."""
    return f"[{duration(round(seconds, 1)):>8}] {line}"


class PlainView:
    """Prints what happens to each trial.

    Args:
        objectives: whose values are shown.
        tasks: what each study is called; of one nothing is said.
        out: where to; standard output by default.
        since: when the search began, in seconds since the epoch; now by default.
    """

    def __init__(
        self,
        objectives: Sequence[str],
        tasks: Sequence[str] = ("",),
        out: TextIO | None = None,
        since: float | None = None,
    ) -> None:
        self._objectives = objectives
        self._tasks = tasks
        self._out = out if out is not None else sys.stdout
        self._since = time.time() if since is None else since
        self._seen: dict[tuple[int, int], TrialRecord] = {}
        self._trains = False

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exit: object) -> None:
        return None

    def say(self, line: str) -> None:
        print(stamped(time.time() - self._since, line), file=self._out, flush=True)

    def on_trial(self, index: int, trial: TrialRecord) -> None:
        """A trial of the study at an index changed."""
        before = self._seen.get((index, trial.number))
        self._seen[index, trial.number] = trial
        told = self._told(trial, before)
        if told is not None:
            self.say(f"{self._task(index)}{described(trial)}: {told}")

    def on_step(self, index: int, trial: TrialRecord) -> None:
        """A trial of the study at an index took its first step; told once for the whole search.

        Until then workers start, which takes long only the first time.
        """
        if not self._trains:
            self._trains = True
            self.say(f"{self._task(index)}{described(trial)}: trains, the first step is taken")

    def _task(self, index: int) -> str:
        return f"{self._tasks[index]}, " if len(self._tasks) > 1 else ""

    def _told(self, trial: TrialRecord, before: TrialRecord | None) -> str | None:
        if before is None:
            return "goes on" if trial.rungs else "started"
        if trial.state == "complete":
            return f"complete, {measured(trial.measures, self._objectives)}"
        if trial.state in {"pruned", "failed", "paused"}:
            return f"{trial.state}, {trial.reason}" if trial.state != before.state else None
        if len(trial.failures) > len(before.failures):
            return f"an attempt failed, {trial.failures[-1]}"
        if before.state == "paused":
            return "goes on"
        if len(trial.rungs) > len(before.rungs):
            rung = trial.rungs[-1]
            return f"{rung.fraction:.0%} done, {measured(rung.measures, self._objectives)}"
        return None
