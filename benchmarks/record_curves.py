"""Train random configurations of a space to the end, by the search itself, and keep their curves.

``python -m benchmarks.record_curves SPACE TABLE --trials 12 [--set KEY=VALUE …]``

Each call adds so many configurations to the table and can be stopped and called again: what a table
holds is never trained twice. The table is JSON lines: the first says where it comes from, each
other one is a trial with its settings and, for each rung, step, fraction and all that was measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from search.engine.proposer import Proposer
from search.engine.run_directory import RunDirectory
from search.record import TrialRecord
from search.spec import LoadedSpace, load_space
from search.spec.schema import Sampler
from search.writing import write_atomically


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("space", metavar="SPACE", type=Path)
    parser.add_argument("table", metavar="TABLE", type=Path, help="JSON lines; made or added to")
    parser.add_argument("--trials", type=int, default=12, metavar="N", help="how many to add")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V")
    options = parser.parse_args(arguments)
    loaded = load_space(options.space, options.overrides)
    lines = options.table.read_text("utf-8").splitlines() if options.table.exists() else []
    held = [json.loads(line)["settings"] for line in lines[1:]]
    with tempfile.TemporaryDirectory(prefix="curves-") as folder:
        run = Path(folder) / "run"
        content = loaded.resolved() | {
            "enqueue": drawn(loaded, held, options.trials),
            "budget": {"trials": options.trials},
            "pruner": {"name": "none", "rungs": loaded.space.pruner.rungs},
        }
        space = Path(folder) / "space.yaml"
        space.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "search.run", str(space), "--local", "--out", str(run)]
        status = subprocess.run(command, check=False).returncode  # noqa: S603
        if not RunDirectory(run).holds_run:
            return status
        study = RunDirectory(run).open_study()
        header = study.header
        if not lines:
            about = {
                "task": header.task,
                "model": header.model,
                "objectives": header.objectives,
                "provenance": {k: v for k, v in header.provenance.items() if k != "command"},
                # As the file has it: what was overridden is where the data lies on this machine.
                "space": load_space(options.space).resolved(),
            }
            lines.append(json.dumps(about))
        complete = [trial for trial in study.trials() if trial.state == "complete"]
        lines += [json.dumps(row(t, len(held) + index)) for index, t in enumerate(complete)]
        study.close()
    options.table.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.table, "\n".join(lines) + "\n")
    print(f"{len(lines) - 1} trials in {options.table}")
    return status


def drawn(
    loaded: LoadedSpace, held: Sequence[Mapping[str, Any]], count: int
) -> list[dict[str, Any]]:
    """The first configurations of the space's random sequence that are not held already."""
    random, seed = Sampler(name="random"), loaded.space.seed
    proposer = Proposer(loaded.tree, None, random, list(loaded.space.objectives), (), seed, [], {})
    found: list[dict[str, Any]] = []
    while len(found) < count and (draft := proposer.propose()) is not None:
        if draft.settings not in held:
            found.append(draft.settings)
    return found


def row(trial: TrialRecord, number: int) -> dict[str, Any]:
    """One line of a table."""
    rungs = [
        {
            "index": rung.index,
            "step": rung.step,
            "fraction": rung.fraction,
            "measures": rung.measures,
            "projected": rung.projected,
        }
        for rung in trial.rungs
    ]
    return {"trial": number, "settings": trial.settings, "rungs": rungs}


if __name__ == "__main__":
    sys.exit(main())
