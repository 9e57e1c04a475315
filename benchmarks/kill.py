"""Kill a search again and again and see whether anything is lost, doubled or wrong.

``python -m benchmarks.kill [--kills 30] [--space FILE] [--seed 0] [--out FILE] [--check]``

A search runs undisturbed once. Then the same search runs again and is killed with SIGKILL at random
moments: the driver alone, a worker, or all of Ray with the driver. After each kill of the driver it
is resumed. In the end every trial must have ended exactly once and honestly, trained once to the
end, with no rung and no point in MLflow missing or double, and its configurations and scores must
be those of the undisturbed run: the sampler is random, nothing is pruned, one trial runs at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from mlflow import MlflowClient

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.provenance import provenance
from search.record import StudyRecord
from search.writing import write_atomically

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("driver", "worker", "all of Ray")
# Clock-free, unpruned and one at a time, so that two runs can be compared bit for bit.
SETTINGS = (
    "sampler={name: random}",
    "objectives={score: max, trainable_params: min, train_flops: min}",
    "pruner={name: none, rungs: 4}",
    "failures={retries: 1000}",
)


@dataclass
class Killing:
    """One search that is disturbed.

    Attributes:
        space: file to search.
        out: run directory.
        overrides: as ``--set`` takes them.
        kills: what was killed when, in seconds since its driver had started.
    """

    space: str
    out: Path
    overrides: Sequence[str]
    kills: list[tuple[str, float]] = field(default_factory=list)

    def command(self, resume: bool) -> list[str]:
        words = [sys.executable, "-m", "search.run", self.space, "--local", "--out", str(self.out)]
        words += ["--resume"] if resume else []
        return words + [f"--set={override}" for override in self.overrides]

    def run(self, kills: int, seed: int, longest: float) -> None:
        """Run to the end, killing ``kills`` times on the way.

        Raises:
            RuntimeError: a driver that nobody killed failed.
        """
        draw = random.Random(seed)  # noqa: S311 - when to kill is no secret
        left = kills
        while True:
            resume = bool(Run.at(self.out).begun)
            began = time.monotonic()
            orphans: list[psutil.Process] = []
            hit = False
            with tempfile.TemporaryFile("w+") as told:
                driver = subprocess.Popen(  # noqa: S603
                    self.command(resume),
                    cwd=ROOT,
                    stdout=told,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                while left and driver.poll() is None:
                    target = draw.choice(TARGETS)
                    self._wait(driver, draw.uniform(2.0, longest))
                    ended = None
                    while ended is None and driver.poll() is None:
                        ended = kill(driver.pid, target)
                        if ended is None:
                            # Ray is still starting, or between two trials.
                            time.sleep(0.2)
                    if ended is None:
                        break
                    orphans += ended
                    left -= 1
                    self.kills.append((target, round(time.monotonic() - began, 2)))
                    if target != "worker":
                        hit = True
                        break
                status = driver.wait()
                told.seek(0)
                text = told.read()
            # A killed driver's Ray goes on for a while, and would take the slots of the next one.
            for orphan in orphans:
                _kill(orphan)
            if status == 0:
                return
            if not hit:
                raise RuntimeError(f"the driver ended by itself, with {status}:\n{text[-4000:]}")

    @staticmethod
    def _wait(driver: subprocess.Popen[bytes], seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and driver.poll() is None:
            time.sleep(0.02)


def kill(driver: int, target: str) -> list[psutil.Process] | None:
    """Kill a part of a search.

    Returns:
        What is to be ended before the search is resumed; None where there was nothing to kill.
    """
    try:
        below: list[psutil.Process] = psutil.Process(driver).children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    workers = [process for process in below if "ray::ImplicitFunc" in _title(process)]
    if target == "worker":
        if not workers:
            return None
        _kill(workers[0])
        return []
    if target == "all of Ray":
        for process in below:
            _kill(process)
    os.kill(driver, signal.SIGKILL)
    return below


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return  # it was quicker


def problems(out: Path, undisturbed: Path | None) -> list[str]:
    """What is wrong with a run that ended, as sentences."""
    run = Run.at(out)
    if not run.is_complete:
        return [f"of the tasks {run.tasks} only {list(run.begun)} were searched"]
    records = {task: _read(directory) for task, directory in run.begun.items()}
    found = [
        f"{task}: {problem}"
        for task, record in records.items()
        for problem in _of_study(record, yaml.safe_load(run.begun[task].space.read_text("utf-8")))
    ]
    found += _tracking(run.directory, list(records.values()))
    if undisturbed is not None:
        others = Run.at(undisturbed).studies
        for (task, record), directory in zip(records.items(), others.values(), strict=True):
            found += [f"{task}: {what}" for what in _differences(record, _read(directory))]
    return found


def _read(directory: RunDirectory) -> StudyRecord:
    study = directory.open_study()
    record = study.record(study.trials())
    study.close()
    return record


def _of_study(record: StudyRecord, space: Mapping[str, Any]) -> list[str]:
    rungs = space["pruner"]["rungs"]
    found = []
    numbers = [trial.number for trial in record.trials]
    if numbers != list(range(space["budget"]["trials"])):
        found.append(f"the trials are {numbers}")
    for trial in record.trials:
        if trial.state != "complete":
            found.append(f"trial {trial.number} is {trial.state}: {trial.reason}")
        indices = [rung.index for rung in trial.rungs]
        if indices != list(range(1, rungs + 1)):
            found.append(f"trial {trial.number} has the rungs {indices}")
    return found


def _tracking(directory: RunDirectory, records: Sequence[StudyRecord]) -> list[str]:
    client = MlflowClient(f"sqlite:///{directory.mlflow}")
    runs = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id], max_results=5000)
    ]
    by_trial = {
        (run.data.tags["task"], int(run.data.tags["search.trial"])): run
        for run in runs
        if "search.trial" in run.data.tags
    }
    expected = {(record.task, trial.number) for record in records for trial in record.trials}
    found = []
    if by_trial.keys() != expected or len(runs) != len(expected) + len(records):
        found.append(f"MLflow has {len(runs)} runs, of the trials {sorted(by_trial)}")
    for record in records:
        for trial in record.trials:
            run = by_trial.get((record.task, trial.number))
            if run is None:
                continue
            for name in trial.measures:
                points = client.get_metric_history(run.info.run_id, name)
                told = Counter((point.step, point.value) for point in points)
                wanted = Counter((rung.step, rung.measures[name]) for rung in trial.rungs)
                if told != wanted:
                    where = f"MLflow, {record.task}, trial {trial.number}"
                    found.append(f"{where}: {name} is {dict(told)}, not {dict(wanted)}")
    return found


def _differences(record: StudyRecord, undisturbed: StudyRecord) -> list[str]:
    found = []
    clock_free = ("score", "trainable_params", "train_flops")
    for mine, theirs in zip(record.trials, undisturbed.trials, strict=True):
        if mine.settings != theirs.settings:
            found.append(f"trial {mine.number} has other settings than undisturbed")
        found += [
            f"trial {mine.number}, rung {one.index}: {name} is {one.measures[name]}, undisturbed "
            f"{other.measures[name]}"
            for one, other in zip(mine.rungs, theirs.rungs, strict=False)
            for name in clock_free
            if one.measures[name] != other.measures[name]
        ]
        if mine.freezing != theirs.freezing:
            found.append(f"trial {mine.number} froze other matrices, or at other steps")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=30, metavar="N")
    parser.add_argument("--space", default="spaces/quickstart.yaml", metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=40.0, metavar="SECONDS", help="to a kill")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    parser.add_argument("--check", action="store_true", help="fail if anything is wrong")
    options = parser.parse_args(arguments)
    overrides = [*SETTINGS, *options.overrides]
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        calm, disturbed = Path(folder) / "calm", Path(folder) / "disturbed"
        Killing(options.space, calm, overrides).run(0, 0, 1.0)
        killing = Killing(options.space, disturbed, overrides)
        began = time.monotonic()
        killing.run(options.kills, options.seed, options.longest)
        found = problems(disturbed, calm)
        seconds = time.monotonic() - began
    counts = Counter(target for target, _ in killing.kills)
    print(f"{len(killing.kills)} kills in {seconds:.0f} s: {dict(counts)}")
    print("\n".join(found) or "nothing lost, doubled or changed")
    if options.out is not None:
        record: dict[str, Any] = {
            "provenance": provenance(options.seed, "", ""),
            "kills": killing.kills,
            "seconds": seconds,
            "problems": found,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out, json.dumps(record, indent=1) + "\n")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
