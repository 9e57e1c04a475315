"""Write the report of a recorded table of curves, as if its trials had been one search.

``python -m benchmarks.table_report TABLE.jsonl REPORT.html``

Prints what is learned of AFLoRA in words. The table's trials are random configurations, all trained
to the end, so that effects are not those of what a sampler chose; when each trial ran and what it
froze is not in a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from search.record import Rung, StudyRecord, TrialRecord
from search.results.html import write_report
from search.results.lessons import in_words, learn
from search.spec.settings import TrialSettings
from search.spec.tasks import METRIC_TITLES, TASKS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", metavar="TABLE", type=Path, help="made by record_curves")
    parser.add_argument("report", metavar="REPORT.html", type=Path)
    options = parser.parse_args(arguments)
    study = study_of(options.table)
    write_report(study, options.report)
    lessons = learn(study)
    for sentence in in_words(lessons, study.metric) if lessons else []:
        print(f"- {sentence}")
    print(options.report)
    return 0


def study_of(table: Path) -> StudyRecord:
    """The table as a search that is over."""
    first, *rows = (json.loads(line) for line in table.read_text("utf-8").splitlines())
    trials = []
    for number, row in enumerate(rows):
        rungs = tuple(Rung(**rung, at=0.0) for rung in row["rungs"])
        measures = rungs[-1].measures
        trials.append(
            TrialRecord(
                number,
                "complete",
                row["settings"],
                TrialSettings.model_validate(row["settings"]).label,
                values={name: measures[name] for name in first["objectives"]},
                measures=measures,
                rungs=rungs,
                total_steps=rungs[-1].step,
            )
        )
    return StudyRecord(
        name=table.stem,
        task=first["task"],
        model=first["model"],
        metric=METRIC_TITLES[TASKS[first["task"]].metric],
        objectives=first["objectives"],
        trials=tuple(trials),
        reference=None,
        provenance=first["provenance"],
    )


if __name__ == "__main__":
    sys.exit(main())
