"""Freezing while training: score → schedule → selection → apply."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aflora.adapter import Projection, adapter_config, projections
from aflora.config import FreezeConfig
from aflora.schedule import Schedule
from aflora.score import SmoothedScore, windowed
from aflora.selection import select_official, select_paper


@dataclass(frozen=True)
class TimelineEntry:
    """When one projection matrix froze.

    Attributes:
        name: path of the parameter.
        layer: index of the transformer block, counted from 0.
        role: role of the adapted module.
        matrix: ``A`` or ``B``.
        step: optimizer step (0-based) at which it was chosen; None while it trains.
    """

    name: str
    layer: int
    role: str
    matrix: Literal["A", "B"]
    step: int | None


class Freezer:
    """Scores projection matrices at every step and freezes them by schedule.

    Call :meth:`step` once an optimizer step, after ``backward`` and before clipping and
    ``optimizer.step()``. A matrix chosen at step t gets no update at t: its gradient is dropped,
    ``requires_grad`` is turned off and the optimizer's state for it is released.

    Args:
        matrices: the projection matrices that train at first, in module order.
        config: score, schedule and rule.
        total_steps: T, optimizer steps of the whole training.
    """

    def __init__(
        self, matrices: Sequence[Projection], config: FreezeConfig, total_steps: int
    ) -> None:
        self.config = config
        self.schedule = Schedule.of(config, total_steps)
        self.matrices = list(matrices)
        self.frozen_at: dict[str, int] = {}
        self.skipped_gradients = 0
        self._scores = {
            matrix.name: SmoothedScore(matrix.parameter, config.beta1, config.beta2)
            for matrix in self.matrices
        }
        self._windows = (
            {m.name: torch.zeros_like(m.parameter, requires_grad=False) for m in self.matrices}
            if config.rule == "official"
            else {}
        )

    @classmethod
    def for_model(cls, model: nn.Module, total_steps: int) -> Freezer:
        """The freezer of an adapted model.

        Raises:
            ValueError: the model is not adapted.
        """
        return cls(projections(model), adapter_config(model).freeze, total_steps)

    @property
    def live(self) -> list[Projection]:
        """The matrices that still train, in module order."""
        return [matrix for matrix in self.matrices if matrix.name not in self.frozen_at]

    @property
    def timeline(self) -> list[TimelineEntry]:
        """One entry a matrix, in module order."""
        return [
            TimelineEntry(m.name, m.layer, m.role, m.matrix, self.frozen_at.get(m.name))
            for m in self.matrices
        ]

    @torch.no_grad()
    def step(self, step: int, optimizer: torch.optim.Optimizer | None = None) -> list[str]:
        """Take in this step's gradients, freeze what is due.

        Args:
            step: t, the optimizer step about to be made, counted from 0.
            optimizer: whose state for frozen matrices is released.

        Returns:
            Names of the matrices frozen now.
        """
        live = self.live
        if not live:
            return []
        for matrix in live:
            self._take_in(matrix, step)
        chosen = [live[position] for position in self._select(live, step)]
        for matrix in chosen:
            self._freeze(matrix, step, optimizer)
        return [matrix.name for matrix in chosen]

    def _take_in(self, matrix: Projection, step: int) -> None:
        gradient = matrix.parameter.grad
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            self.skipped_gradients += 1
            gradient = None
        score = self._scores[matrix.name]
        if self.config.rule == "paper":
            if gradient is not None:
                score.update(gradient.abs())
            return
        position = step % self.config.interval
        window = self._windows[matrix.name]
        if position == 0:
            score.update(window)
        if gradient is not None:
            importance = (matrix.parameter.sign() * gradient).abs_()
            self._windows[matrix.name] = windowed(window, importance, position)
        elif position == 0:
            window.zero_()

    def _select(self, live: Sequence[Projection], step: int) -> list[int]:
        if self.config.rule == "paper":
            if step % self.config.interval and step < self.schedule.end_step:
                return []
            means = [self._scores[matrix.name].mean() for matrix in live]
            return select_paper(means, len(self.matrices), self.schedule.frozen_fraction(step))
        if step % self.config.interval and step <= self.schedule.end_step:
            return []
        elements = [self._scores[matrix.name].elements() for matrix in live]
        return select_official(elements, self.schedule.remaining_fraction(step))

    def _freeze(
        self, matrix: Projection, step: int, optimizer: torch.optim.Optimizer | None
    ) -> None:
        self.frozen_at[matrix.name] = step
        matrix.parameter.requires_grad_(False)
        matrix.parameter.grad = None
        if optimizer is not None:
            optimizer.state.pop(matrix.parameter, None)
        del self._scores[matrix.name]
        self._windows.pop(matrix.name, None)

    def state_dict(self) -> dict[str, Tensor]:
        """Scores of what still trains, and the timeline as UTF-8 JSON; for safetensors."""
        tensors = {}
        for name, score in self._scores.items():
            tensors[f"sensitivity/{name}"] = score.sensitivity
            tensors[f"uncertainty/{name}"] = score.uncertainty
        for name, window in self._windows.items():
            tensors[f"window/{name}"] = window
        about: dict[str, Any] = {
            "frozen_at": self.frozen_at,
            "skipped_gradients": self.skipped_gradients,
        }
        encoded = bytearray(json.dumps(about).encode())
        return tensors | {"about": torch.frombuffer(encoded, dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state: scores as they were, frozen matrices frozen again.

        Raises:
            ValueError: the state is of other matrices or of another rule.
        """
        if "about" not in state:
            raise ValueError("the freezer's state has no entry 'about'")
        about = json.loads(bytes(state["about"].tolist()).decode())
        frozen_at: dict[str, int] = about["frozen_at"]
        names = {matrix.name for matrix in self.matrices}
        live = names - frozen_at.keys()
        kinds = ["sensitivity", "uncertainty"]
        if self.config.rule == "official":
            kinds.append("window")
        expected = {f"{kind}/{name}" for kind in kinds for name in live} | {"about"}
        if wrong := expected.symmetric_difference(state) | (frozen_at.keys() - names):
            raise ValueError(f"the freezer's state does not fit this model: {min(wrong)!r}")
        self.frozen_at = dict(frozen_at)
        self.skipped_gradients = int(about["skipped_gradients"])
        for matrix in self.matrices:
            if matrix.name in frozen_at:
                matrix.parameter.requires_grad_(False)
                matrix.parameter.grad = None
                self._scores.pop(matrix.name, None)
                self._windows.pop(matrix.name, None)
                continue
            score = self._scores[matrix.name]
            score.sensitivity.copy_(state[f"sensitivity/{matrix.name}"])
            score.uncertainty.copy_(state[f"uncertainty/{matrix.name}"])
            if matrix.name in self._windows:
                self._windows[matrix.name].copy_(state[f"window/{matrix.name}"])
