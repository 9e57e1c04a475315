"""All benchmarks of speed, one after the other, and a table of what was to be reached.

``GLUE_DIR=… python -m benchmarks.all [--quick] [--out benchmarks/results] [--check]``

``--quick`` takes fewer rounds, trials and seeds. What needs data that is not there is told and left
out. Each benchmark's raw record is written below ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.goal import Goal, table_of

_SST2 = ("benchmarks/data/curves_sst2.jsonl", "benchmarks/curves_sst2.yaml")
_BATCHES = ("8x32", "32x32", "8x128", "32x128", "32x256")
_FIVE = ("limit", "LoRA r=4 (PEFT)", "AFLoRA live", "AFLoRA frozen", "ELoRA r=1024")
_STSB = ("benchmarks/data/curves_stsb.jsonl", "benchmarks/curves_stsb.yaml")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark and its options.

    Attributes:
        name: of its record.
        module: of ``benchmarks``.
        whole: options of the full run.
        quick: options of the quick one; None where that leaves it out.
        needs: environment variable that names its data.
        goals: how many it reports where nothing that it needs is missing.
    """

    name: str
    module: str
    whole: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()
    needs: str | None = None
    goals: int = 0


BENCHMARKS = (
    Benchmark("step", "step", ("--rounds", "25", "--profile"), ("--rounds", "4"), goals=8),
    Benchmark(
        "step_shapes",
        "step",
        ("--shape", "bert-base", "deberta-v3-base", "--batch", "8x32", "--rounds", "8"),
        None,
    ),
    Benchmark(
        "step_batches",
        "step",
        ("--batch", *_BATCHES, "--threads", "1", "2", "--rounds", "5", "--only", *_FIVE),
        None,
    ),
    Benchmark("trial", "trial", (), ("--steps", "4"), needs="GLUE_DIR", goals=4),
    Benchmark("makespan", "makespan", (), ("--trials", "6", "--steps", "15"), goals=4),
    Benchmark("replay_sst2", "replay", _SST2, (*_SST2, "--seeds", "3"), goals=4),
    Benchmark("replay_stsb", "replay", _STSB, None, goals=4),
    Benchmark("scale", "scale", (), ("--trials", "300", "--slots", "4", "--asked", "20"), goals=5),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, trials and seeds")
    parser.add_argument("--only", nargs="+", choices=[b.name for b in BENCHMARKS], metavar="NAME")
    parser.add_argument("--out", type=Path, metavar="DIR", help="raw records, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless all goals are met")
    options = parser.parse_args(arguments)
    console = Console(width=110)
    reached: list[Goal] = []
    failed = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        out = options.out or Path(scratch)
        for benchmark in BENCHMARKS:
            chosen = benchmark.quick if options.quick else benchmark.whole
            if chosen is None or (options.only and benchmark.name not in options.only):
                continue
            if benchmark.needs and benchmark.needs not in os.environ:
                console.print(f"{benchmark.name} is left out: {benchmark.needs} is not set")
                failed += [benchmark.name] if options.check else []
                continue
            record = out / f"{benchmark.name}.json"
            words = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *chosen]
            console.rule(benchmark.name)
            began = time.perf_counter()
            ended = subprocess.run([*words, "--out", str(record)], check=False)  # noqa: S603
            console.print(f"{benchmark.name} took {time.perf_counter() - began:.0f} s")
            if ended.returncode != 0:
                failed.append(benchmark.name)
                continue
            found = json.loads(record.read_text(encoding="utf-8"))["goals"]
            if len(found) < benchmark.goals:
                console.print(f"{benchmark.name}: {len(found)} of {benchmark.goals} goals")
                failed += [benchmark.name] if options.check else []
            reached += [
                Goal(**goal | {"what": f"{benchmark.name}: {goal['what']}"}) for goal in found
            ]
    console.rule()
    console.print(table_of("all goals", reached))
    for name in failed:
        console.print(f"{name} failed")
    missed = not all(goal.met for goal in reached)
    return 1 if failed or (missed and options.check) else 0


if __name__ == "__main__":
    sys.exit(main())
