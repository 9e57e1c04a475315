"""All benchmarks of speed, one after the other, and a table of what was to be reached.

``GLUE_DIR=… python -m benchmarks.all [--quick] [--out benchmarks/results] [--check]``

``--quick`` takes fewer rounds, trials and seeds, ten minutes on two slow CPUs: what it measures is
smaller than the goals are set for, so the table says of none whether it is met. What needs data
that is not there is told and left out. Each benchmark's raw record is written below ``--out``, that
of ``--quick`` under a name of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.goal import Goal, table_of
from benchmarks.step import NEEDED

#: A benchmark that takes longer hangs.
MOST_SECONDS = 7200.0
#: What it has started, a Ray among it, ends with it.
_LEAVE_SECONDS = 20.0
_SST2 = ("benchmarks/data/curves_sst2.jsonl", "benchmarks/curves_sst2.yaml")
_BATCHES = ("8x32", "32x32", "8x128", "32x128", "32x256")
_FIVE = ("limit", "LoRA r=4 (PEFT)", "AFLoRA live", "AFLoRA frozen", "ELoRA r=1024")
_SEVEN = (*_FIVE, "AFLoRA frozen, authors' way", "ELoRA r=1024, authors' way")
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
    Benchmark(
        "step",
        "step",
        ("--rounds", "20", "--profile"),
        ("--rounds", "3", "--only", *sorted(NEEDED)),
        goals=8,
    ),
    # A process for each shape: what one took is free before the next is built.
    *(
        Benchmark(
            f"step_{shape.replace('-', '_')}",
            "step",
            ("--shape", shape, "--batch", "8x32", "--rounds", "6", "--only", *_SEVEN),
            None,
        )
        for shape in ("bert-base", "deberta-v3-base")
    ),
    Benchmark(
        "step_batches",
        "step",
        ("--batch", *_BATCHES, "--threads", "1", "2", "--rounds", "3", "--only", *_FIVE),
        None,
    ),
    Benchmark(
        "step_compiled",
        "step",
        ("--compile", "--rounds", "10", "--only", *_FIVE[:-1]),
        None,
    ),
    Benchmark(
        "trial",
        "trial",
        (),
        ("--steps", "4", "--padding", "max_length"),
        needs="GLUE_DIR",
        goals=4,
    ),
    Benchmark(
        "makespan",
        "makespan",
        (),
        ("--trials", "4", "--steps", "10", "--rivals", "Ray Tune"),
        goals=4,
    ),
    Benchmark("replay_sst2", "replay", _SST2, None, goals=4),
    Benchmark("replay_stsb", "replay", _STSB, (*_STSB, "--seeds", "2"), goals=4),
    Benchmark("scale", "scale", (), ("--trials", "300", "--slots", "4", "--asked", "20"), goals=5),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, trials and seeds")
    parser.add_argument("--only", nargs="+", choices=[b.name for b in BENCHMARKS], metavar="NAME")
    parser.add_argument("--out", type=Path, metavar="DIR", help="raw records, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless all goals are met")
    options = parser.parse_args(arguments)
    if options.quick and options.check:
        parser.error("--check needs the whole benchmarks: --quick is smaller than the goals are")
    # Ended from outside, it ends what it has started and keeps what it has recorded.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=110)
    reached: list[Goal] = []
    failed = []
    short: dict[Benchmark, int] = {}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        try:
            for benchmark in BENCHMARKS:
                chosen = benchmark.quick if options.quick else benchmark.whole
                if chosen is None or (options.only and benchmark.name not in options.only):
                    continue
                if benchmark.needs and benchmark.needs not in os.environ:
                    console.print(f"{benchmark.name} is left out: {benchmark.needs} is not set")
                    failed += [benchmark.name] if options.check else []
                    continue
                # Written where it is wanted once it is made: the commit of the next record would be
                # that of a clone that was changed.
                record = Path(scratch) / f"{benchmark.name}{'_quick' if options.quick else ''}.json"
                words = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *chosen]
                console.rule(benchmark.name)
                began = time.perf_counter()
                ended = _run([*words, "--out", str(record)])
                console.print(f"{benchmark.name} took {time.perf_counter() - began:.0f} s")
                if ended != 0:
                    failed.append(benchmark.name)
                    continue
                found = json.loads(record.read_text(encoding="utf-8"))["goals"]
                if len(found) < benchmark.goals and not options.quick:
                    short[benchmark] = len(found)
                    failed += [benchmark.name] if options.check else []
                reached += [
                    Goal(**goal | {"what": f"{benchmark.name}: {goal['what']}"}) for goal in found
                ]
        finally:
            if options.out is not None:
                shutil.copytree(scratch, options.out, dirs_exist_ok=True)
    console.rule()
    title = "smaller than the goals are set for" if options.quick else "all goals"
    console.print(table_of(title, reached, verdicts=not options.quick))
    for name in failed:
        console.print(f"{name} failed")
    for benchmark, count in short.items():
        console.print(f"{benchmark.name}: {count} of {benchmark.goals} goals")
    missed = not all(goal.met for goal in reached)
    return 1 if failed or (missed and options.check) else 0


def _run(words: Sequence[str]) -> int:
    """Run a benchmark with all that it starts; its exit status, or 1 where it hung."""
    process = subprocess.Popen(words, start_new_session=True)  # noqa: S603 - our own code
    try:
        return process.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{' '.join(words)} did not end within {MOST_SECONDS:.0f} s", file=sys.stderr)
        return 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVE_SECONDS)
            # What it had started, too.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
