"""``python -m search.report RUN``: write front, table and report of a run again."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from search import environment

environment.prepare()

from search.engine.importance import importances  # noqa: E402 - see search.run
from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run  # noqa: E402
from search.environment import WRONG_INPUT  # noqa: E402
from search.record import StudyRecord  # noqa: E402
from search.results.comparison import (  # noqa: E402
    as_markdown,
    compare_methods,
    write_comparison,
)
from search.results.confirmed import FOLDER, Confirmation, read_confirmations  # noqa: E402
from search.results.files import write_front, write_trials  # noqa: E402
from search.results.html import write_overview_page, write_report  # noqa: E402
from search.spec import SpecError  # noqa: E402
from search.tracking.relocation import relocate  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 where there is no run."""
    parser = argparse.ArgumentParser(prog="python -m search.report", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, also while it runs")
    parser.add_argument(
        "--table",
        choices=["glue"],
        help="also compare the methods on all tasks, as table.md and table.csv in RUN; RUN may be "
        "a folder of runs",
    )
    options = parser.parse_args(arguments)
    root = Path(options.run).absolute()
    try:
        if options.table is not None:
            return _table(root)
        run = Run.at(root)
        if not run.begun:
            raise ValueError("holds no run (no study.db)")
        for directory in run.begun.values():
            write_all(directory)
            print(directory.report)
        if run.several:
            write_overview(run)
            print(run.directory.report)
    except (SpecError, ValueError) as error:
        print(f"{options.run}: {error}", file=sys.stderr)
        return WRONG_INPUT
    return 0


def _table(root: Path) -> int:
    """Compare what was confirmed in a run, or in the runs below a folder."""
    runs = [Run.at(root)]
    if not runs[0].begun:
        runs = [Run.at(path) for path in sorted(root.glob("*")) if path.is_dir()]
    read = [_read(directory) for run in runs for directory in run.begun.values()]
    begun = [d.root.name for run in runs for d in run.begun.values() if (d.root / FOLDER).is_dir()]
    if begun and not any(found for _, found in read):
        raise ValueError(
            f"what is being confirmed on {', '.join(begun)} is not through; go on with python -m "
            "search.confirm RUN"
        )
    comparison = compare_methods([(record, c) for record, found in read for c in found])
    print(as_markdown(comparison), end="")
    for path in write_comparison(comparison, root):
        print(path)
    return 0


def _read(directory: RunDirectory) -> tuple[StudyRecord, list[Confirmation]]:
    study = directory.open_study()
    trials = [
        dataclasses.replace(trial, adapter=f"adapters/{trial.number}")
        if (directory.adapters / str(trial.number)).is_dir()
        else trial
        for trial in study.trials()
    ]
    record = dataclasses.replace(
        study.record(trials), importances=importances(study), disk_bytes=directory.bytes
    )
    study.close()
    return record, read_confirmations(directory.root)


def write_all(directory: RunDirectory) -> None:
    """Write front, table and report of a study.

    Raises:
        ValueError: the study is not there or damaged.
    """
    record, confirmations = _read(directory)
    relocate(directory.mlflow, directory.artifacts)
    write_front(record, directory.root)
    write_trials(record, directory.root)
    write_report(record, directory.report, confirmations)


def write_overview(run: Run) -> None:
    """Write the page over all tasks of a run, and the table of methods once some were confirmed.

    Raises:
        ValueError: a study is damaged.
    """
    read = []
    for directory in run.begun.values():
        study = directory.open_study()
        read.append((study.record(study.trials()), read_confirmations(directory.root)))
        study.close()
    write_overview_page(read, run.directory.report)
    confirmed = [(record, c) for record, found in read for c in found if c.members]
    if confirmed:
        write_comparison(compare_methods(confirmed), run.root)


if __name__ == "__main__":
    sys.exit(main())
