"""The account of what a trial's training steps cost: parameters, FLOPs, tokens, seconds."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

LEDGER_FILE = "ledger.json"


@dataclass
class Ledger:
    """Sums over the optimizer steps done so far.

    Attributes:
        steps: optimizer steps.
        parameter_steps: trainable adapter parameters (head excluded) added up over steps.
        params_start: trainable adapter parameters at the first step.
        params_end: the same at the last step so far.
        head_params: parameters of the head.
        flops: analytic FLOPs of forward and backward.
        tokens: tokens that went through, padding excluded.
        train_seconds: wall-clock seconds of training steps, without start-up and evaluation.
        eval_seconds: wall-clock seconds of evaluation.
        total_seconds: wall-clock seconds of the whole trial so far.
    """

    steps: int = 0
    parameter_steps: int = 0
    params_start: int = 0
    params_end: int = 0
    head_params: int = 0
    flops: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    total_seconds: float = 0.0

    def count_step(self, trainable: int) -> None:
        """One more optimizer step in which ``trainable`` adapter parameters trained."""
        if self.steps == 0:
            self.params_start = trainable
        self.params_end = trainable
        self.steps += 1
        self.parameter_steps += trainable

    def measures(self) -> dict[str, float]:
        """Everything by the names that objectives and tables use."""
        return {
            "trainable_params": self.parameter_steps / self.steps,
            "trainable_params_start": float(self.params_start),
            "trainable_params_end": float(self.params_end),
            "head_params": float(self.head_params),
            "train_seconds": self.train_seconds,
            "eval_seconds": self.eval_seconds,
            "total_seconds": self.total_seconds,
            "tokens_per_second": self.tokens / self.train_seconds,
            "train_flops": float(self.flops),
        }

    def projected(self, total_steps: int, expected_trainable: float) -> dict[str, float]:
        """The measures carried forward to the full length.

        Args:
            total_steps: optimizer steps of the full length.
            expected_trainable: trainable adapter parameters expected on average over the steps
                that remain.
        """
        whole = total_steps / self.steps
        left = total_steps - self.steps
        params = (self.parameter_steps + left * expected_trainable) / total_steps
        return self.measures() | {
            "trainable_params": params,
            "train_seconds": self.train_seconds * whole,
            "eval_seconds": self.eval_seconds * whole,
            "total_seconds": self.total_seconds * whole,
            "train_flops": self.flops * whole,
        }

    def save(self, folder: Path) -> None:
        (folder / LEDGER_FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Ledger:
        return cls(**json.loads((folder / LEDGER_FILE).read_text(encoding="utf-8")))


class Stopwatch:
    """Seconds between start and stop, added up."""

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def running(self) -> bool:
        return self._since is not None

    def start(self) -> None:
        self._since = time.perf_counter()

    def stop(self) -> float:
        """Seconds since the start."""
        assert self._since is not None
        seconds = time.perf_counter() - self._since
        self._since = None
        return seconds
