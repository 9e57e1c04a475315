"""What takes part in the training of a trial: its heartbeat, its counts, its rungs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from search.record import Rung, RungReport
from search.trial.ledger import Ledger, Stopwatch
from search.trial.methods import Method

#: Called at every rung with the report and the folder that holds the checkpoint.
Reporter = Callable[[RungReport, Path], None]


class Beats(TrainerCallback):
    """Tells at every step of training and evaluation that the trial is alive."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._beat()

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._beat()


class CountedSteps(TrainerCallback):
    """Counts what trains at each step, and the seconds of training and of evaluation."""

    def __init__(self, ledger: Ledger, method: Method) -> None:
        self._ledger = ledger
        self._method = method
        self._stopwatch = Stopwatch()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self._stopwatch.running:
            self._stopwatch.start()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._ledger.count_step(self._method.trains_now(kwargs["model"], state.global_step))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if args.device.type == "cuda":
            torch.cuda.synchronize()
        self._ledger.train_seconds += self._stopwatch.stop()
        self._stopwatch.start()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._stopwatch.running:
            self._ledger.eval_seconds += self._stopwatch.stop()
        # Another split may follow.
        self._stopwatch.start()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # The next step starts it again; evaluation and checkpoint are not training.
        if self._stopwatch.running:
            self._stopwatch.stop()


class Rungs(TrainerCallback):
    """Evaluates, saves and reports at every rung.

    Args:
        method, ledger: of the trial.
        steps: of the whole training.
        at: the steps after which it is measured.
        after_freezing: no rung is to be judged before the freezing schedule has begun to act.
        report: told every rung.
        started: when the trial began, by ``time.perf_counter``.
        folder: that the trainer writes its checkpoints into.
    """

    def __init__(
        self,
        method: Method,
        ledger: Ledger,
        steps: int,
        at: Sequence[int],
        after_freezing: bool,
        report: Reporter,
        started: float,
        folder: Path,
    ) -> None:
        self._method = method
        self._ledger = ledger
        self._steps = steps
        self._after_freezing = after_freezing
        self._at = {step: index + 1 for index, step in enumerate(at)}
        self._report = report
        self._started = started - ledger.total_seconds
        self._folder = folder
        self._metrics: dict[str, float] = {}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step in self._at:
            control.should_evaluate = True
            control.should_save = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        bookkeeping = ("runtime", "samples_per_second", "steps_per_second", "epoch")
        self._metrics = {
            name.removeprefix("eval_"): float(value)
            for name, value in (metrics or {}).items()
            if not name.endswith(bookkeeping)
        }

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        ledger, step = self._ledger, state.global_step
        ledger.total_seconds = time.perf_counter() - self._started
        folder = self._folder / f"checkpoint-{step}"
        ledger.save(folder)
        expected = self._method.expected_trainable(kwargs["model"], step)
        own = self._method.measures(kwargs["model"])
        rung = Rung(
            index=self._at[step],
            step=step,
            fraction=step / self._steps,
            measures=self._metrics | ledger.measures() | own,
            projected=self._metrics | ledger.projected(self._steps, expected) | own,
            at=time.time(),
            judged=not self._after_freezing or self._method.has_begun_to_freeze(step),
            host=socket.gethostname(),
        )
        self._report(RungReport(rung, self._method.freezing(), self._steps), folder)
