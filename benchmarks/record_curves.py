"""Write the trials of a run that were trained to the end, rung by rung, as a table to replay.

``python -m benchmarks.record_curves RUN TABLE``

The table is JSON lines: the first says where it comes from, each other one is a trial with its
settings and, for each rung, step, fraction and everything that was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.engine.run_directory import RunDirectory


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory")
    parser.add_argument("table", metavar="TABLE", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    study = RunDirectory(options.run).open_study()
    header = study.header
    lines: list[dict[str, Any]] = [
        {
            "task": header.task,
            "model": header.model,
            "objectives": header.objectives,
            "provenance": header.provenance,
            "space": header.space,
        }
    ]
    for trial in study.trials():
        if trial.state == "complete":
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
            lines.append({"trial": trial.number, "settings": trial.settings, "rungs": rungs})
    options.table.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    options.table.write_text(text, encoding="utf-8")
    print(f"{len(lines) - 1} trials in {options.table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
