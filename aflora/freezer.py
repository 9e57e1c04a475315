"""Freezing while training: score → schedule → selection → apply."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aflora.adapter import (
    Projection,
    adapter_config,
    adapter_parameters,
    head_parameters,
    projections,
)
from aflora.config import FreezeConfig
from aflora.schedule import Schedule
from aflora.score import SmoothedScore, finite, importance, take_in
from aflora.selection import mean_scores, select_official, select_paper
from aflora.wrappers import allow_recompilation, refuse_sharding

logger = logging.getLogger(__name__)


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

    Call :meth:`step` once an optimizer step, after the last ``backward`` and before clipping and
    ``optimizer.step()``; under a GradScaler after ``scaler.unscale_(optimizer)``. A matrix chosen
    at step t gets no update at t: its gradient is dropped, ``requires_grad`` is turned off and the
    optimizer's state for it is released.

    Args:
        matrices: the projection matrices that train at first, in module order.
        config: score, schedule and rule.
        total_steps: T, optimizer steps of the whole training.
        steps_per_epoch: optimizer steps of an epoch; needed where the config counts in epochs.
        others: further parameters that train. A matrix may go without a gradient for a step, if
            its layer was dropped; a step in which nothing has one is a mistake.

    Attributes:
        frozen_at: name of a matrix → optimizer step at which it was chosen.
        skipped_gradients: gradients of a matrix at a step that held NaN or inf; none of them
            entered a score.

    Raises:
        ValueError: the config does not fit the number of steps, see :meth:`Schedule.of`.
    """

    def __init__(
        self,
        matrices: Sequence[Projection],
        config: FreezeConfig,
        total_steps: int,
        steps_per_epoch: float | None = None,
        others: Sequence[nn.Parameter] = (),
    ) -> None:
        self.config = config
        self._others = list(others)
        self.schedule = Schedule.of(config, total_steps, steps_per_epoch)
        self.matrices = list(matrices)
        self.frozen_at: dict[str, int] = {}
        self.skipped_gradients = 0
        self._last_step = -1
        self._had_gradient = False
        self._checked: torch.optim.Optimizer | None = None
        # The magnitude of a weight needs no memory of earlier steps.
        self._scores = {
            matrix.name: SmoothedScore(
                matrix.parameter, config.beta1, config.beta2, config.window_steps
            )
            for matrix in self.matrices
            if config.score != "magnitude"
        }

    @classmethod
    def for_model(
        cls, model: nn.Module, total_steps: int, steps_per_epoch: float | None = None
    ) -> Freezer:
        """The freezer of an adapted model, which may be wrapped in DDP or compiled.

        Raises:
            ValueError: the model is not adapted, or is sharded by ZeRO or FSDP, or its config does
                not fit the number of steps.
        """
        config, matrices = adapter_config(model), projections(model)
        if not matrices and config.trainable_projections != "none":
            logger.warning(
                "no projection matrix trains: trainable_projections is %r and modules are %s, so "
                "that there is nothing to freeze",
                config.trainable_projections,
                ", ".join(config.modules),
            )
        trained = {**adapter_parameters(model), **head_parameters(model)}
        return cls(matrices, config.freeze, total_steps, steps_per_epoch, [*trained.values()])

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

        A step may be left out, if its gradients were no use; a look that was due then is made up
        for at the next.

        Raises:
            ValueError: the step is no later than the one before, nothing has a gradient, no matrix
                has had one until it is time to freeze, a matrix was frozen by someone else, or the
                optimizer is DeepSpeed's, is LBFGS or holds none of the matrices.
        """
        refuse_sharding(optimizer)
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise ValueError(f"step counts optimizer steps from 0, got {step!r}")
        if step <= self._last_step:
            raise ValueError(
                f"step {step} comes after step {self._last_step}: call Freezer.step once for every "
                "optimizer step, with accumulated gradients after the last backward"
            )
        if step >= self.schedule.total_steps > self._last_step:
            logger.warning(
                "step %d lies beyond the %d steps of the schedule, which counts optimizer steps, "
                "not batches",
                step,
                self.schedule.total_steps,
            )
        live = self.live
        if live:
            self._check_optimizer(live, optimizer)
            self._take_in(live, step, optimizer)
        # A multiple of the interval, on this step or among those that were left out before it.
        looks = step // self.config.interval > self._last_step // self.config.interval
        self._last_step = step
        if not live:
            return []
        chosen = [live[position] for position in self._select(live, step, looks)]
        if chosen and not self._had_gradient:
            raise ValueError(
                f"no matrix has had a gradient until step {step}, when the first is to be frozen: "
                "nothing leads from the loss to the adapter (gradient checkpointing needs "
                "use_reentrant=False, or inputs that require a gradient)"
            )
        for matrix in chosen:
            self._freeze(matrix, step, optimizer)
        if chosen:
            allow_recompilation(len(chosen))
        return [matrix.name for matrix in chosen]

    def _check_optimizer(
        self, live: Sequence[Projection], optimizer: torch.optim.Optimizer | None
    ) -> None:
        """What nothing else would tell of: frozen matrices that move, or none that trains."""
        if optimizer is None or optimizer is self._checked:
            return
        if isinstance(optimizer, torch.optim.LBFGS):
            raise ValueError(
                "AFLoRA cannot train with LBFGS: it moves parameters that have no gradient, and so "
                "what was frozen"
            )
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(matrix.parameter) in held for matrix in live):
            raise ValueError(
                f"the optimizer holds none of the matrices that train, {live[0].name} for one: "
                "make it after aflora.adapt, of the parameters that require a gradient"
            )
        self._checked = optimizer

    def _take_in(
        self, live: Sequence[Projection], step: int, optimizer: torch.optim.Optimizer | None
    ) -> None:
        for matrix in live:
            if not matrix.parameter.requires_grad:
                raise ValueError(
                    f"{matrix.name} does not train, but this freezer has not frozen it: a model "
                    "that was frozen before needs load_state_dict of the freezer that did it"
                )
        flags = finite([matrix.parameter.grad for matrix in live])
        if not any(flag is not None for flag in flags) and not self._anything_trains(optimizer):
            raise ValueError(
                f"no matrix has a gradient at step {step}: call Freezer.step after backward and "
                "before zero_grad"
            )
        self._had_gradient = self._had_gradient or any(flag is not None for flag in flags)
        taken: list[Tensor | None] = []
        for matrix, flag in zip(live, flags, strict=True):
            if flag is False:
                if self.skipped_gradients == 0:
                    logger.warning(
                        "step %d: the gradient of %s holds NaN or inf and does not enter its "
                        "score; skipped_gradients counts how often that happens",
                        step,
                        matrix.name,
                    )
                self.skipped_gradients += 1
            taken.append(self._importance(matrix) if flag else None)
        if self.config.score != "magnitude":
            scores = [self._scores[matrix.name] for matrix in live]
            take_in(scores, taken, step, self._last_step)

    def _importance(self, matrix: Projection) -> Tensor | None:
        """I_t of a matrix that has a gradient; the magnitude of a weight is not smoothed."""
        gradient = matrix.parameter.grad
        if self.config.score == "magnitude" or gradient is None:
            return None
        found = importance(self.config.score, matrix.parameter, gradient)
        if self.config.rule == "official" and self.config.score == "gradient":
            # The authors' code has |sign(w)·g|.
            found.masked_fill_(matrix.parameter == 0, 0.0)
        return found

    def _anything_trains(self, optimizer: torch.optim.Optimizer | None) -> bool:
        groups = [] if optimizer is None else optimizer.param_groups
        parameters = chain(self._others, *(group["params"] for group in groups))
        return any(parameter.grad is not None for parameter in parameters)

    def _select(self, live: Sequence[Projection], step: int, looks: bool) -> list[int]:
        if self.config.rule == "paper":
            if not looks and step < self.schedule.end_step:
                return []
            means = mean_scores(self._elements(live))
            return select_paper(means, len(self.matrices), self.schedule.frozen_fraction(step))
        if not looks and step <= self.schedule.end_step:
            return []
        return select_official(self._elements(live), self.schedule.remaining_fraction(step))

    def _elements(self, live: Sequence[Projection]) -> list[Tensor]:
        """Scores of single elements, on one device."""
        device = live[0].parameter.device
        return [
            (
                matrix.parameter.abs()
                if self.config.score == "magnitude"
                else self._scores[matrix.name].elements()
            ).to(device)
            for matrix in live
        ]

    def _freeze(
        self, matrix: Projection, step: int, optimizer: torch.optim.Optimizer | None
    ) -> None:
        self.frozen_at[matrix.name] = step
        _stop_training(matrix.parameter)
        if optimizer is not None:
            optimizer.state.pop(matrix.parameter, None)
        self._scores.pop(matrix.name, None)

    def state_dict(self) -> dict[str, Tensor]:
        """Scores of what still trains, and the timeline as UTF-8 JSON; for safetensors.

        The tensors are the freezer's own, as in ``nn.Module.state_dict``.
        """
        about: dict[str, Any] = {
            "frozen_at": self.frozen_at,
            "skipped_gradients": self.skipped_gradients,
            "last_step": self._last_step,
            "settings": self._settings(),
        }
        encoded = bytearray(json.dumps(about).encode())
        return self._tensors() | {"about": torch.frombuffer(encoded, dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state: scores as they were, frozen matrices frozen again.

        Raises:
            ValueError: the state is damaged, or of other matrices, settings or steps; nothing has
                changed then.
        """
        frozen_at, skipped, last_step = self._read_about(state)
        scores = {
            matrix.name: SmoothedScore(
                matrix.parameter,
                self.config.beta1,
                self.config.beta2,
                self.config.window_steps,
            )
            for matrix in self.matrices
            if matrix.name not in frozen_at and self.config.score != "magnitude"
        }
        expected = {f"{kind}/{name}" for name, s in scores.items() for kind in s.state()}
        if wrong := (expected | {"about"}) ^ state.keys():
            raise ValueError(f"the freezer's state does not fit this model: {min(wrong)!r}")
        for name, score in scores.items():
            for kind, tensor in score.state().items():
                saved = state[f"{kind}/{name}"]
                if saved.shape != tensor.shape:
                    raise ValueError(
                        f"the freezer's state does not fit this model: {name!r} has shape "
                        f"{tuple(saved.shape)}, the model wants {tuple(tensor.shape)}"
                    )
                if not bool(saved.isfinite().all()):
                    raise ValueError(f"the freezer's state is damaged: {kind}/{name} is no number")
                tensor.copy_(saved)
        self._scores = scores
        self.frozen_at = frozen_at
        self.skipped_gradients = skipped
        self._last_step = last_step
        # That it was so before is not known, and is no reason to stop.
        self._had_gradient = True
        for matrix in self.matrices:
            if matrix.name in frozen_at:
                _stop_training(matrix.parameter)
            else:
                # It may have been frozen later on, before training went back to this state.
                matrix.parameter.requires_grad_(True)

    def _read_about(self, state: Mapping[str, Tensor]) -> tuple[dict[str, int], int, int]:
        """When what froze, how many gradients were skipped and the last step, checked."""
        if "about" not in state:
            raise ValueError("the freezer's state has no entry 'about'")
        try:
            about = json.loads(bytes(state["about"].tolist()).decode())
            frozen_at, skipped = dict(about["frozen_at"]), about["skipped_gradients"]
            last_step, settings = about["last_step"], dict(about["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the freezer's state is damaged: {error!r}") from None
        names = {matrix.name for matrix in self.matrices}
        if foreign := frozen_at.keys() - names:
            raise ValueError(f"the freezer's state does not fit this model: {min(foreign)!r}")
        counts = [("skipped_gradients", skipped, 0), ("last_step", last_step, -1)]
        for name, count, least in counts:
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise ValueError(f"the freezer's state is damaged: {name} is {count!r}")
        for name, step in frozen_at.items():
            whole = isinstance(step, int) and not isinstance(step, bool)
            if not (whole and 0 <= step <= last_step):
                raise ValueError(f"the freezer's state is damaged: {name} is {step!r}")
        for name, value in self._settings().items():
            if settings.get(name) != value:
                raise ValueError(
                    f"the freezer's state was saved with {name} = {settings.get(name)!r}, this "
                    f"freezer has {value!r}"
                )
        return frozen_at, skipped, last_step

    def _settings(self) -> dict[str, Any]:
        """What two freezers must agree on for one to go on where the other stopped."""
        config, schedule = self.config, self.schedule
        return {
            "rule": config.rule,
            "score": config.score,
            "beta1": config.beta1,
            "beta2": config.beta2,
            "interval": config.interval,
            "window": config.window_steps,
            **dataclasses.asdict(schedule),
        }

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{kind}/{name}": tensor
            for name, score in self._scores.items()
            for kind, tensor in score.state().items()
        }


def _stop_training(parameter: nn.Parameter) -> None:
    parameter.requires_grad_(False)
    parameter.grad = None
