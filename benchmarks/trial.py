"""One short trial on RTE through the whole program, beside a plain script of transformers.

``GLUE_DIR=… python -m benchmarks.trial [--steps 39] [--out FILE] [--check]``

The same AFLoRA training three times, on one thread each: by ``search.run``, by a script that pads
every row to 256 tokens as the method's authors do, and by the same script with each batch padded to
its longest row.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.goal import Goal, conclude, table_of
from search.engine.run_directory import RunDirectory

#: Training and evaluation of the script, as a multiple of the trial's.
GOALS = {"max_length": 4.0, "longest": 1.2}
VALIDATION_ROWS = 277


def ours(data: Path, steps: int, folder: Path) -> dict[str, float]:
    """Run the trial by a search of one; what it measured."""
    out = folder / "run"
    words = ["-m", "search.run", "benchmarks/trial.yaml", "--local", "--out", str(out)]
    words += [f"--set=data.dir={data}", f"--set=train.steps={steps}"]
    seconds = _run(words)
    study = RunDirectory(out).open_study()
    (trial,) = study.trials()
    study.close()
    names = ("score", "train_seconds", "eval_seconds", "total_seconds", "tokens_per_second")
    return {name: trial.measures[name] for name in names} | {"command_seconds": seconds}


def plain(data: Path, steps: int, padding: str, folder: Path) -> dict[str, Any]:
    """Run the script; what it measured."""
    out = folder / f"{padding}.json"
    words = ["-m", "benchmarks.plain_trial", str(data), str(out)]
    seconds = _run([*words, f"--padding={padding}", f"--steps={steps}"])
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found | {"command_seconds": seconds}


def _run(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=39, metavar="N", help="an epoch has 78")
    parser.add_argument("--padding", nargs="+", default=list(GOALS), choices=list(GOALS))
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the goals are met")
    options = parser.parse_args(arguments)
    if "GLUE_DIR" not in os.environ:
        parser.error("GLUE_DIR is not set: it names a folder with rte/train.parquet")
    data = Path(os.environ["GLUE_DIR"]).absolute()
    with tempfile.TemporaryDirectory(prefix="trial-") as name:
        folder = Path(name)
        here = ours(data, options.steps, folder)
        there = {
            padding: plain(data, options.steps, padding, folder) for padding in options.padding
        }
    # Ours with the loading of the model, the script's without.
    seconds = here["total_seconds"]
    print(
        f"search.run: {seconds:.1f} s the trial, score {here['score']:.3f}; "
        f"{here['command_seconds']:.1f} s the whole command"
    )
    reached = []
    for padding, found in there.items():
        goal = GOALS[padding]
        ratio = (found["train_seconds"] + found["eval_seconds"]) / seconds
        reached.append(Goal(f"padded to {padding} / search.run", ratio, at_least=goal))
        # Of two accuracies on these rows that differ by chance alone.
        apart = abs(found["score"] - here["score"])
        noise = 1.96 * math.sqrt(2 * found["score"] * (1 - found["score"]) / VALIDATION_ROWS)
        reached.append(Goal(f"score apart, padded to {padding}", apart, at_most=noise))
        print(
            f"padded to {padding}: score {found['score']:.3f}, "
            f"{found['command_seconds']:.1f} s the whole command"
        )
    Console(width=110).print(table_of("goals", reached))
    return conclude(reached, options.out, options.check, {"search.run": here, "plain": there})


if __name__ == "__main__":
    sys.exit(main())
