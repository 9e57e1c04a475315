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
from search.results.comparison import (  # noqa: E402
    as_markdown,
    compare_methods,
    write_comparison,
)
from search.results.confirmed import read_confirmations  # noqa: E402
from search.results.files import write_front, write_trials  # noqa: E402
from search.results.html import write_report  # noqa: E402
from search.tracking.relocation import relocate  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 where there is no run."""
    parser = argparse.ArgumentParser(prog="python -m search.report", description=__doc__)
    parser.add_argument(
        "run", metavar="RUN", help="a run directory, also while it runs, or a folder of some"
    )
    parser.add_argument(
        "--table",
        choices=["glue"],
        help="also compare the methods of all runs, as table.md and table.csv in RUN",
    )
    options = parser.parse_args(arguments)
    root = Path(options.run).absolute()
    try:
        if options.table is not None:
            return _table(root)
    except ValueError as error:
        print(f"{options.run}: {error}", file=sys.stderr)
        return 2
    directory = RunDirectory(root)
    if not directory.holds_run:
        print(f"{options.run}: holds no run (no study.db)", file=sys.stderr)
        return 2
    try:
        write_all(directory)
    except ValueError as error:
        print(f"{options.run}: {error}", file=sys.stderr)
        return 2
    print(directory.report)
    return 0


def _table(root: Path) -> int:
    """Compare what was confirmed in a run, or in the runs below a folder."""
    folders = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    runs = []
    for directory in map(RunDirectory, folders):
        if directory.holds_run:
            study = directory.open_study()
            record = study.record(study.trials())
            study.close()
            runs += [(record, found) for found in read_confirmations(directory.root)]
    comparison = compare_methods(runs)
    print(as_markdown(comparison), end="")
    for path in write_comparison(comparison, root):
        print(path)
    return 0


def write_all(directory: RunDirectory) -> None:
    """Write front, table and report of a run from its study.

    Raises:
        ValueError: the study is not there or damaged.
    """
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
    relocate(directory.mlflow, directory.artifacts)
    write_front(record, directory.root)
    write_trials(record, directory.root)
    write_report(record, directory.report, read_confirmations(directory.root))


if __name__ == "__main__":
    sys.exit(main())
