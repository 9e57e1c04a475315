"""One line an event, for a terminal that is none: a file, a pipe, a CI log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from search.record import TrialRecord
from search.results.units import duration, readable


def described(trial: TrialRecord) -> str:
    """``trial 3, aflora r4 ffn paper (AFLoRA, paper)``."""
    mark = f" ({trial.mark})" if trial.mark else ""
    return f"trial {trial.number}, {trial.label}{mark}"


def measured(measures: Mapping[str, float], objectives: tuple[str, ...]) -> str:
    """``score 0.912, trainable parameters 12.3 k``."""
    return ", ".join(
        f"{name} {readable(name, measures[name])}" for name in objectives if name in measures
    )


class PlainView:
    """Prints what happens to each trial.

    Args:
        objectives: whose values are shown.
        out: where to; standard output by default.
    """

    def __init__(self, objectives: tuple[str, ...], out: TextIO | None = None) -> None:
        self._objectives = objectives
        self._out = out if out is not None else sys.stdout
        self._since = time.monotonic()
        self._seen: dict[int, TrialRecord] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exit: object) -> None:
        return None

    def say(self, line: str) -> None:
        elapsed = duration(time.monotonic() - self._since)
        print(f"[{elapsed:>8}] {line}", file=self._out, flush=True)

    def on_trial(self, trial: TrialRecord) -> None:
        """A trial changed."""
        before = self._seen.get(trial.number)
        self._seen[trial.number] = trial
        if before is None:
            self.say(f"{described(trial)}: {'started' if not trial.rungs else 'goes on'}")
            return
        if trial.state == "complete":
            self.say(f"{described(trial)}: complete, {measured(trial.measures, self._objectives)}")
        elif trial.state in {"pruned", "failed", "paused"}:
            if trial.state != before.state:
                self.say(f"{described(trial)}: {trial.state}, {trial.reason}")
        elif len(trial.failures) > len(before.failures):
            self.say(f"{described(trial)}: an attempt failed, {trial.failures[-1]}")
        elif before.state == "paused":
            self.say(f"{described(trial)}: goes on")
        elif len(trial.rungs) > len(before.rungs):
            rung = trial.rungs[-1]
            values = measured(rung.measures, self._objectives)
            self.say(f"{described(trial)}: {rung.fraction:.0%} done, {values}")
