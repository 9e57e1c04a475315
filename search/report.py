"""``python -m search.report RUN``: write front, table and report of a run again.

With several runs: one page on which they stand side by side.
"""

from __future__ import annotations

import argparse
import dataclasses
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from search import environment

environment.prepare()

import plotly.graph_objects as go  # noqa: E402 - see search.run

from search.engine.importance import importances  # noqa: E402 - see search.run
from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run  # noqa: E402
from search.environment import WRONG_INPUT  # noqa: E402
from search.record import StudyRecord  # noqa: E402
from search.results.adapters import with_adapters  # noqa: E402
from search.results.comparison import (  # noqa: E402
    as_markdown,
    compare_methods,
    write_comparison,
)
from search.results.confirmed import FOLDER, Confirmation, read_confirmations  # noqa: E402
from search.results.figures.printed import with_knee  # noqa: E402
from search.results.files import write_front, write_trials  # noqa: E402
from search.results.html import (  # noqa: E402
    overview_figures,
    report_figures,
    write_overview_page,
    write_report,
)
from search.results.images import check_images, write_images  # noqa: E402
from search.results.overlay_page import overlay_figures, write_overlay_page  # noqa: E402
from search.side_by_side import PAGE, check_page, read_runs  # noqa: E402
from search.spec import SpecError  # noqa: E402
from search.tracking.relocation import relocate  # noqa: E402

_NO_RUN = "holds no run (no study.db)"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m search.report",
        description="Write front, table and report of a run again; of several runs one page on "
        "which they stand side by side.",
    )
    made.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run directory, also while it runs; or several"
    )
    made.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help=f"of several runs: where their page goes (default: {PAGE} in this folder)",
    )
    made.add_argument(
        "--table",
        choices=["glue"],
        help="compare the methods on all tasks, as table.md, table.tex (LaTeX) and table.csv in "
        "RUN; RUN may be a folder of runs",
    )
    made.add_argument(
        "--figures",
        metavar="DIR",
        type=Path,
        help="also write every plot into DIR as SVG and PNG, for print; needs the extra "
        "'figures' and Chrome or Chromium",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status.

    2 where there is no run, runs cannot be compared, or something cannot be read or written.
    """
    options = parser().parse_args(arguments)
    roots = [Path(run).absolute() for run in options.runs]
    try:
        _check_options(options)
        if len(roots) > 1:
            return _side_by_side([Path(run) for run in options.runs], options)
        if options.table is not None:
            return _table(roots[0])
        return _report(roots[0], options.figures)
    except (SpecError, ValueError) as error:
        # Of several runs an error names the one that it is about.
        told = str(error)
    except OSError as error:
        told = f"cannot be read or written: {error}"
    print(told if len(roots) > 1 else f"{options.runs[0]}: {told}", file=sys.stderr)
    return WRONG_INPUT


def _check_options(options: argparse.Namespace) -> None:
    """Raise ValueError where options do not go together, or figures cannot be drawn."""
    several = len(options.runs) > 1
    if options.out is not None and not several:
        raise ValueError("--out is where a page of several runs goes; this is one run")
    if options.table is not None and several:
        raise ValueError("--table takes one RUN, or the folder that the runs lie in")
    if options.figures is not None and options.table is not None:
        raise ValueError("--table draws nothing; leave out --figures")
    if options.figures is not None:
        check_images(options.figures)


def _report(root: Path, figures: Path | None) -> int:
    run = Run.at(root)
    if not run.begun:
        raise ValueError(_NO_RUN)
    if not write_reports(run):
        return WRONG_INPUT
    if figures is not None:
        _print_all(_figures(run), figures)
    return 0


def _side_by_side(roots: Sequence[Path], options: argparse.Namespace) -> int:
    page = options.out or Path(PAGE)
    check_page(page)
    runs, overlays = read_runs(roots)
    try:
        write_overlay_page(runs, overlays, page)
    except OSError as error:
        raise ValueError(f"--out {page}: cannot be written: {error}") from None
    print(page.absolute())
    if options.figures is not None:
        _print_all(overlay_figures(overlays), options.figures)
    return 0


def _figures(run: Run) -> dict[str, go.Figure]:
    """Every plot of the reports; of several tasks each begins with the name of its own."""
    read = {task: _read(directory) for task, directory in run.begun.items()}
    found: dict[str, go.Figure] = {}
    for task, (record, confirmations) in read.items():
        figures = report_figures(record, confirmations)
        figures["front"] = with_knee(figures["front"], record)
        before = f"{task}-" if run.several else ""
        found |= {f"{before}{name}": figure for name, figure in figures.items()}
    if run.several:
        found |= overview_figures([record for record, _ in read.values()])
    return found


def _print_all(figures: Mapping[str, go.Figure], folder: Path) -> None:
    for path in write_images(figures, folder):
        print(path.absolute())


def _table(root: Path) -> int:
    """Compare what was confirmed in a run, or in the runs below a folder."""
    runs = [Run.at(root)]
    if not runs[0].begun:
        runs = [Run.at(path) for path in sorted(root.glob("*")) if path.is_dir()]
    directories = [directory for run in runs for directory in run.begun.values()]
    if not directories:
        raise ValueError(_NO_RUN)
    read = [_read(directory) for directory in directories]
    begun = [directory.root.name for directory in directories if (directory.root / FOLDER).is_dir()]
    if begun and not any(found for _, found in read):
        raise ValueError(
            f"what is being confirmed on {', '.join(begun)} is not through; go on with python -m "
            "search.confirm RUN"
        )
    named = [
        ((record, confirmation), str(directory.root.relative_to(root)))
        for directory, (record, found) in zip(directories, read, strict=True)
        for confirmation in found
    ]
    comparison = compare_methods([run for run, _ in named], [place for _, place in named])
    print(as_markdown(comparison), end="")
    for path in write_comparison(comparison, root):
        print(path)
    return 0


def _read(directory: RunDirectory) -> tuple[StudyRecord, list[Confirmation]]:
    study = directory.open_study()
    record = dataclasses.replace(
        with_adapters(study.record(study.trials()), directory.root),
        importances=importances(study),
        disk_bytes=directory.bytes,
    )
    study.close()
    return record, read_confirmations(directory.root)


def write_reports(run: Run) -> bool:
    """Write all that :func:`write_all` and :func:`write_overview` write of a run, and tell it.

    Returns:
        Whether all was written. What stood in the way of one is told, and the others are written.
    """
    follow_artifacts(run.directory)
    writes = {directory.report: partial(write_all, directory) for directory in run.begun.values()}
    if run.several:
        writes[run.directory.report] = partial(write_overview, run)
    whole = True
    for path, write in writes.items():
        try:
            write()
        except (OSError, ValueError) as error:
            whole = False
            print(f"{path} is not written: {error}", file=sys.stderr)
        else:
            print(path)
    return whole


def write_all(directory: RunDirectory) -> None:
    """Write front, table and report of a study.

    Raises:
        ValueError: the study or what was confirmed is not there or damaged.
        OSError: a file cannot be written.
    """
    record, confirmations = _read(directory)
    write_front(record, directory.root)
    write_trials(record, directory.root)
    write_report(record, directory.report, confirmations, directory.whole is None)


def follow_artifacts(directory: RunDirectory) -> None:
    """Have MLflow find the artifacts of a run that was moved; a store that is damaged is told of.

    Reports need none of it, and are written all the same.
    """
    try:
        relocate(directory.mlflow, directory.artifacts)
    except sqlite3.Error as error:
        print(f"{directory.mlflow} cannot be read: {error}", file=sys.stderr)


def write_overview(run: Run) -> None:
    """Write the page over all tasks of a run, and the table of methods once some were confirmed.

    Raises:
        ValueError: a study or what was confirmed is damaged.
        OSError: a file cannot be written.
    """
    read = []
    for directory in run.begun.values():
        study = directory.open_study()
        record = study.record(study.trials())
        study.close()
        read.append((record, read_confirmations(directory.root)))
    write_overview_page(read, run.directory.report)
    confirmed = [(record, c) for record, found in read for c in found if c.members]
    if confirmed:
        write_comparison(compare_methods(confirmed), run.root)


if __name__ == "__main__":
    sys.exit(main())
