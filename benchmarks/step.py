"""What a training step costs, method beside method, in one run.

``python -m benchmarks.step [--shape minilm] [--batch 32x64] [--threads 1] [--rounds 15]``

A step is forward, backward, optimizer and, for AFLoRA, scoring and selecting. Methods take turns,
so that what else the machine does falls on all of them; told is the ratio of lower quartiles to
PEFT's LoRA, with its 95 % interval. ``--out FILE`` writes every step's seconds down; ``--check``
fails unless the goals for MiniLM, 32x64 on one thread are met. With ``--compile`` each is measured
once more with its model compiled; how long its first step took is told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.goal import Goal, conclude, table_of
from benchmarks.variants import COMPILED, SHAPES, VARIANTS, Variant, build

REFERENCE = "LoRA r=4 (PEFT)"
WARM_UP = 2
#: Every so many steps AFLoRA selects.
SELECTED = 10
MOST_OPERATORS = 12
LEAST_TOKEN, VOCABULARY = 1_000, 20_000


#: At MiniLM, 32x64, one thread, fp32.
#: What, to which other one, at most.
RATIOS = (
    ("AFLoRA live", REFERENCE, 0.88),
    ("AFLoRA frozen", REFERENCE, 0.83),
    ("AFLoRA frozen", "limit", 1.06),
    # ELoRA too is computed in a better way here than by its authors: both are told.
    ("AFLoRA live", "ELoRA r=1024", 1 / 3),
    ("AFLoRA live", "ELoRA r=1024, authors' way", 1 / 3),
    ("AFLoRA frozen", "AFLoRA frozen, authors' way", 1 / 1.15),
)
#: Variants that the goals are about.
NEEDED = {REFERENCE, *(name for what, to, _ in RATIOS for name in (what, to))}
MOST_SCORING = 0.01


@dataclass
class Measured:
    """What was measured of a variant.

    Attributes:
        seconds: of each step.
        scoring: seconds of each step that went into scores and selection.
        first_seconds: of its first step, in which a model is compiled.
        bytes_kept: what a step keeps from forward for backward, parameters excepted; not told of a
            compiled model.
        peak_bytes: on a GPU, the most that was allocated beside what lay there before.
    """

    seconds: list[float] = field(default_factory=list)
    scoring: list[float] = field(default_factory=list)
    first_seconds: float = 0.0
    bytes_kept: int | None = None
    peak_bytes: int | None = None


class Clock:
    """Seconds of what happens inside, which may be nothing."""

    _began = _ended = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._ended = time.perf_counter()

    def seconds(self) -> float:
        return self._ended - self._began


class DeviceClock(Clock):
    """The same on a GPU, which is not kept waiting for it; asked for once all is computed."""

    _events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None

    def __enter__(self) -> None:
        self._events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self._events[0].record()

    def __exit__(self, *error: object) -> None:
        assert self._events is not None
        self._events[1].record()

    def seconds(self) -> float:
        if self._events is None:
            return 0.0
        return 1e-3 * float(self._events[0].elapsed_time(self._events[1]))


class Bench:
    """One shape, batch and number of threads.

    Args:
        shape: of the backbone.
        rows, length: of the batch.
        device: it trains on.
        precision: ``fp32``, or ``bf16`` for autocast.
        names: variants that are measured.
    """

    def __init__(
        self, shape: str, rows: int, length: int, device: str, precision: str, names: Sequence[str]
    ) -> None:
        backbone = SHAPES[shape]()
        self._device = torch.device(device)
        self._precision = precision
        self.variants: dict[str, Variant] = {}
        for name in names:
            variant = build(name, backbone)
            variant.model.to(self._device)
            self.variants[name] = variant
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(LEAST_TOKEN, VOCABULARY, (rows, length), generator=generator)
        self._batch = {
            "input_ids": ids.to(self._device),
            "attention_mask": torch.ones_like(ids).to(self._device),
            "labels": torch.randint(0, 2, (rows,), generator=generator).to(self._device),
        }
        # The first step that is timed is one in which AFLoRA selects: of few rounds it is in them.
        self._at = dict.fromkeys(names, SELECTED - 1 - WARM_UP)
        self.measured = {name: Measured() for name in names}

    def run(self, rounds: int) -> None:
        """Let the variants take turns."""
        for name in self.variants:
            measured = self.measured[name]
            measured.first_seconds, _ = self._step(name)
            for _ in range(WARM_UP - 1):
                self._step(name)
            if not name.endswith(COMPILED):
                measured.bytes_kept = self._bytes_kept(name)
        names = list(self.variants)
        random = np.random.default_rng(0)
        for _ in range(rounds):
            # Nobody always comes after the same one.
            for name in random.permutation(names).tolist():
                seconds, scoring = self._step(name)
                self.measured[name].seconds.append(seconds)
                self.measured[name].scoring.append(scoring)

    def profile(self, name: str) -> list[tuple[str, float]]:
        """Operators of a step, and what part of its time each takes by itself, largest first."""
        with torch.profiler.profile() as profiler:
            self._step(name)
            self._wait()
        # On a GPU the time of a CPU is that of launching.
        where = "self_device_time_total" if self._on_gpu else "self_cpu_time_total"
        times = {event.key: float(getattr(event, where)) for event in profiler.key_averages()}
        whole = sum(times.values())
        parts = [(key, time / whole) for key, time in times.items()]
        return sorted(parts, key=lambda part: -part[1])

    def _loss(self, name: str) -> torch.Tensor:
        with contextlib.ExitStack() as held:
            if self._precision == "bf16":
                held.enter_context(torch.autocast(self._device.type, dtype=torch.bfloat16))
            loss: torch.Tensor = self.variants[name].model(**self._batch).loss
            return loss

    def _step(self, name: str) -> tuple[float, float]:
        variant = self.variants[name]
        self._at[name] += 1
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        self._wait()
        began = time.perf_counter()
        torch.autograd.backward(self._loss(name))
        scoring = self._clock()
        if variant.freezer is not None:
            with scoring:
                variant.freezer.step(self._at[name], variant.optimizer)
        variant.optimizer.step()
        variant.optimizer.zero_grad()
        self._wait()
        seconds = time.perf_counter() - began
        if self._on_gpu:
            self.measured[name].peak_bytes = torch.cuda.max_memory_allocated() - before
        return seconds, scoring.seconds()

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _clock(self) -> Clock:
        return DeviceClock() if self._on_gpu else Clock()

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()

    def _bytes_kept(self, name: str) -> int:
        """What forward keeps for backward, each storage once."""
        model = self.variants[name].model
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        own |= {b.untyped_storage().data_ptr() for b in model.buffers()}
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            # A tensor that a graph keeps by a hook, and that belongs to it, would never be freed.
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self._loss(name)
        del loss
        return sum(kept.values())


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of the lower quartiles, and its 95 % interval by bootstrap over rounds.

    What disturbs a step can only make it slower; a quarter of the steps is taken to be undisturbed.
    """
    seconds = np.stack([ours, theirs])
    rounds = np.random.default_rng(0).integers(seconds.shape[1], size=(2000, seconds.shape[1]))
    found = _quartile(seconds)
    low, high = np.quantile(_quartile(seconds[:, rounds]), [0.025, 0.975])
    return float(found), float(low), float(high)


def _quartile(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    ours, theirs = np.quantile(seconds, 0.25, axis=-1)
    return np.asarray(ours / theirs)


def goals(measured: dict[str, Measured]) -> list[Goal]:
    """What is to be reached at MiniLM, 32x64, one thread."""
    found = []
    for what, to, most in RATIOS:
        value, low, high = ratio(measured[what].seconds, measured[to].seconds)
        told = f"{what} / {to} ({low:.3f} … {high:.3f})"
        found.append(Goal(told, value, at_most=most, low=low, high=high))
    live, frozen = measured["AFLoRA live"], measured["AFLoRA frozen"]
    # Selecting falls on the first step that is timed and every tenth after it.
    selected = live.scoring[::SELECTED]
    others = [s for at, s in enumerate(live.scoring) if at % SELECTED] or selected
    scoring = np.mean(others) + (np.mean(selected) - np.mean(others)) / SELECTED
    share = float(scoring / np.mean(live.seconds))
    kept, by_reference = frozen.bytes_kept, measured[REFERENCE].bytes_kept
    assert kept is not None
    assert by_reference is not None
    return [
        *found,
        Goal("scoring and selecting, part of the step", share, at_most=MOST_SCORING),
        Goal("kept for backward, AFLoRA frozen / LoRA", kept / by_reference, at_most=1.0),
    ]


def _table(title: str, measured: dict[str, Measured]) -> Table:
    table = Table(title=title, title_justify="left")
    on_gpu = any(found.peak_bytes is not None for found in measured.values())
    memory_is = "most allocated, MB" if on_gpu else "kept, MB"
    for column in ("", "ms", f"ratio to {REFERENCE}", "95 %", memory_is):
        table.add_column(column, justify="left" if not column else "right")
    for name, found in measured.items():
        value, low, high = ratio(found.seconds, measured[REFERENCE].seconds)
        memory = found.bytes_kept if found.peak_bytes is None else found.peak_bytes
        table.add_row(
            name, f"{1e3 * float(np.quantile(found.seconds, 0.25)):.1f}", f"{value:.3f}",
            f"{low:.3f} … {high:.3f}", "" if memory is None else f"{memory / 1e6:.1f}",
        )  # fmt: skip
    return table


def _batch(text: str) -> tuple[int, int]:
    rows, _, length = text.partition("x")
    return int(rows), int(length)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", nargs="+", default=["minilm"], choices=list(SHAPES))
    parser.add_argument("--batch", nargs="+", type=_batch, default=[(32, 64)], metavar="BxL")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--compile", action="store_true", help="measure each compiled, too")
    parser.add_argument("--profile", action="store_true", help="also tell where the time goes")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the goals are met")
    options = parser.parse_args(arguments)
    if REFERENCE not in options.only:
        parser.error(f"--only leaves out what the others are measured against: {REFERENCE}")
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled = [name + COMPILED for name in options.only] if options.compile else []
    names = [*options.only, *compiled]
    console = Console(width=110)
    records: list[dict[str, Any]] = []
    reached: list[Goal] = []
    for shape in options.shape:
        for rows, length in options.batch:
            for threads in options.threads:
                torch.set_num_threads(threads)
                bench = Bench(shape, rows, length, options.device, options.precision, names)
                bench.run(options.rounds)
                title = f"{shape} {rows}x{length}, {options.precision}, {options.device}"
                title += f", {threads} thread{'s' * (threads > 1)}" * (options.device == "cpu")
                console.print(_table(title, bench.measured))
                for name in compiled:
                    seconds = bench.measured[name].first_seconds
                    console.print(f"{name}: the first step took {seconds:.1f} s")
                profiles = {}
                if options.profile:
                    profiles = {name: bench.profile(name)[:MOST_OPERATORS] for name in names}
                    for name, parts in profiles.items():
                        told = ", ".join(f"{key} {part:.1%}" for key, part in parts)
                        console.print(f"{name}: {told}")
                records.append(
                    {
                        "profiles": profiles,
                        "shape": shape,
                        "rows": rows,
                        "length": length,
                        "threads": threads,
                    }
                    | {"device": options.device, "precision": options.precision}
                    | {"measured": {name: vars(found) for name, found in bench.measured.items()}}
                )
                bench_is = (shape, rows, length, threads, options.device, options.precision)
                if bench_is == ("minilm", 32, 64, 1, "cpu", "fp32") and not (
                    NEEDED - set(options.only)
                ):
                    reached = goals(bench.measured)
                    console.print(table_of("goals", reached))
                # Else it lies there beside the next one while that is built, held by its cycles.
                del bench
                gc.collect()
    if options.check and not reached:
        parser.error(
            "--check needs minilm, 32x64, one thread, fp32 on a CPU, and the goals' variants"
        )
    return conclude(reached, options.out, options.check, {"benches": records})


if __name__ == "__main__":
    sys.exit(main())
