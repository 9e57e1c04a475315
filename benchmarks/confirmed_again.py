"""Make the intervals of a recorded search anew, from the predictions that were kept of it.

``python -m benchmarks.confirmed_again RECORD SPACE.yaml --set data.dir=/path/to/glue``

RECORD is a folder with ``front.json``, ``trials.csv`` and the trainings of ``search.confirm`` in
``confirm/``, as they lie below docs/results; ``confirm.json`` and the tables of methods there are
written again. The labels are those of SPACE's data: each training must score on them as recorded.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import yaml

from search.loading import prepare_data, read_task
from search.metrics import measures_of
from search.record import State, StudyRecord, TrialRecord
from search.results.comparison import as_markdown, compare_methods, write_comparison
from search.results.confirmed import FOLDER, LABELS, compare, write_confirmations
from search.spec import load_space
from search.spec.tasks import METRIC_TITLES, Task
from search.trial.data import TaskData

_SETTINGS = "settings."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("record", metavar="RECORD", type=Path)
    parser.add_argument("space", metavar="SPACE.yaml", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args(arguments)
    front = json.loads((options.record / "front.json").read_text("utf-8"))
    loaded = load_space(options.space, [*options.overrides, f"tasks=[{front['task']}]"])
    loaded = loaded.for_task(front["task"])
    task = read_task(loaded)
    study = StudyRecord(
        name=front["study"],
        task=task.name,
        model=loaded.space.model,
        metric=METRIC_TITLES[task.metric],
        objectives=front["objectives"],
        trials=tuple(trials_of(options.record / "trials.csv", list(front["objectives"]))),
        reference=front["reference_point"],
        provenance=front["provenance"],
    )
    data = prepare_data(loaded, task)
    check_scores(options.record, task, data)
    with tempfile.TemporaryDirectory(prefix="confirmed-") as folder:
        shutil.copytree(options.record / FOLDER, Path(folder) / FOLDER)
        labels = {split: rows.labels.tolist() for split, rows in data.tests.items()}
        about = {"metric": task.metric, "apart": bool(data.tests), "labels": labels}
        (Path(folder) / FOLDER / LABELS).write_text(json.dumps(about), encoding="utf-8")
        found = compare(study, Path(folder))
    write_confirmations(found, options.record)
    comparison = compare_methods([(study, confirmation) for confirmation in found])
    write_comparison(comparison, options.record)
    print(as_markdown(comparison), end="")
    return 0


def trials_of(table: Path, objectives: Sequence[str]) -> list[TrialRecord]:
    """Trials as ``trials.csv`` tells of them: how each ended, with which measures and settings."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        assert row["state"] in get_args(State), row["state"]
        settings = _settings(row)
        measures = {key: n for key, text in row.items() if (n := _number(text)) is not None}
        complete = row["state"] == "complete"
        found.append(
            TrialRecord(
                int(row["number"]),
                cast(State, row["state"]),
                settings,
                row["label"],
                measures=measures,
                values={name: measures[name] for name in objectives} if complete else None,
            )
        )
    return found


def _settings(row: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, text in row.items():
        if key.startswith(_SETTINGS) and text:
            *above, last = key.removeprefix(_SETTINGS).split(".")
            place = made
            for name in above:
                place = place.setdefault(name, {})
            place[last] = yaml.safe_load(text)
    # One without settings has no column.
    return {"method": {row["label"].split()[0]: {}}} | made


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def check_scores(record: Path, task: Task, data: TaskData) -> None:
    """Refuse labels on which a training does not score what was recorded.

    Raises:
        SystemExit: with the training's file.
    """
    for path in sorted((record / FOLDER).glob("*-seed*.json")):
        run = json.loads(path.read_text("utf-8"))
        for split, rows in data.tests.items():
            predicted = np.array(run["predictions"][split])
            now = measures_of(task, predicted, rows.labels)["score"]
            was = run["scores"][split]["score"]
            if not math.isclose(now, was, abs_tol=1e-9):
                raise SystemExit(f"{path}: scores {now} on these labels, {was} was recorded")


if __name__ == "__main__":
    sys.exit(main())
