"""``python -m search.watch RUN``: watch a search that another process runs."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search import environment

environment.prepare()

from filelock import FileLock, Timeout  # noqa: E402 - see search.run
from rich.console import Console  # noqa: E402

from search.console.encoding import make_legible  # noqa: E402
from search.console.live import LiveView, Watched  # noqa: E402
from search.console.plain import PlainView  # noqa: E402
from search.console.summary import print_overview, print_summary  # noqa: E402
from search.console.terminal import console_on, redraws  # noqa: E402
from search.engine.runs import Run  # noqa: E402
from search.engine.study import SearchStudy  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.results.adapters import with_adapters  # noqa: E402
from search.results.confirmed import FILE as CONFIRMED  # noqa: E402
from search.spec import SpecError  # noqa: E402
from search.spec.schema import Budget  # noqa: E402
from search.tracking_place import shown_uri  # noqa: E402
from search.writing import shown  # noqa: E402

LOOK_SECONDS = 1.0
_HINT = "Ctrl-C leaves this view; the search goes on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 2 where there is no run, 130 after Ctrl-C.

    On a cluster's head: 0 after Ctrl-C as well, 1 where the head cannot be reached or has no run.
    """
    parser = argparse.ArgumentParser(prog="python -m search.watch", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument(
        "--cluster", metavar="FILE", help="watch the run of that name on this cluster's head"
    )
    options = parser.parse_args(arguments)
    if options.cluster is not None:
        return _watch_there(options.run, Path(options.cluster))
    make_legible()
    root = Path(options.run).absolute()
    console = console_on(sys.stdout)
    try:
        run = Run.at(root)
        if not run.begun:
            raise ValueError("holds no run (no study.db)")
        studies = [directory.open_study() for directory in run.begun.values()]
    except (SpecError, ValueError) as error:
        print(f"{options.run}: {error}", file=sys.stderr)
        return WRONG_INPUT
    try:
        _watch(run, studies, console)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"{options.run}: cannot tell whether a driver works on it: {error}", file=sys.stderr)
        return WRONG_INPUT
    _summarise(run, studies, console)
    return 0


def _summarise(run: Run, studies: Sequence[SearchStudy], console: Console) -> None:
    """What the run has come to, as its driver says it in the end."""
    size, place = run.directory.bytes, shown(run.root)
    records = [
        dataclasses.replace(with_adapters(_record(study), directory.root), disk_bytes=size)
        for study, directory in zip(studies, run.begun.values(), strict=True)
    ]
    again = None
    if None in _ends(run, studies):
        words = [f"{place}/{run.directory.space.name}", "--out", place, "--resume"]
        again = f"python -m search.run {shlex.join(words)}"
    uri = shown_uri(studies[0].header.space.get("tracking", {}).get("uri"), run.directory)
    if run.several:
        print_overview(records, run.root, size, uri, [None] * len(records), again, console)
    else:
        print_summary(records[0], run.root, uri, None, again, console)


def _watch_there(run: str, file: Path) -> int:
    """Show in this terminal what the same command shows on the head."""
    from search.cluster.launcher import AT_HOME, Launcher

    name = shlex.quote(Path(run).name)
    # Who leaves the view has not failed.
    watch = f"python -m search.watch runs/{name} || [ $? -eq {INTERRUPTED} ]"
    try:
        launcher = Launcher(file)
    except SpecError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    try:
        return 0 if launcher.show(f"{AT_HOME} && {{ {watch}; }}") else 1
    except KeyboardInterrupt:
        return 0  # before the terminal was the head's


def _watch(run: Run, studies: Sequence[SearchStudy], console: Console) -> None:
    """Show the search until its driver is gone."""
    if not _is_led(run):
        console.print(_how_it_stands(run, studies), markup=False, highlight=False)
        return
    if redraws(console):
        with _live_view(studies, console):
            while _is_led(run):
                time.sleep(LOOK_SECONDS)
        return
    objectives = tuple(studies[0].header.objectives)
    view = PlainView(objectives, [study.header.task for study in studies])
    known: dict[tuple[int, int], TrialRecord] = {}
    for index, trial in _changes(run, studies):
        for step in _steps(known.get((index, trial.number)), trial):
            view.on_trial(index, step)
        known[index, trial.number] = trial


def _live_view(studies: Sequence[SearchStudy], console: Console) -> LiveView:
    readers = [_Reader(study) for study in studies]
    return LiveView(
        [
            Watched(reader, lambda: None, _total(study))
            for reader, study in zip(readers, studies, strict=True)
        ],
        lambda: max(1, sum(len(reader().in_state("running")) for reader in readers)),
        "in another process",
        console,
        time.time() - max(study.seconds for study in studies),
        _HINT,
    )


def _changes(run: Run, studies: Sequence[SearchStudy]) -> Iterator[tuple[int, TrialRecord]]:
    """Every trial of every study, again and again, and once more when the driver is gone."""
    led = True
    while led:
        led = _is_led(run)
        for index, study in enumerate(studies):
            for trial in study.trials():
                yield index, trial
        if led:
            time.sleep(LOOK_SECONDS)


def _steps(before: TrialRecord | None, now: TrialRecord) -> Iterator[TrialRecord]:
    """What became of a trial since one looked last, a change at a time, as its driver saw it."""
    if now == before or now.started is None:
        return
    trains = dataclasses.replace(now, state="running", rungs=(), failures=(), reason=None)
    if before is None or before.started is None:
        yield trains
    else:
        trains = dataclasses.replace(trains, rungs=before.rungs, failures=before.failures)
        more = (now.rungs, now.failures) != (before.rungs, before.failures)
        if before.state == "paused" and (more or now.state == "running"):
            yield trains
    # One line of a log tells one thing: a failure and a rung at once would be told as one of them.
    for count in range(len(trains.failures) + 1, len(now.failures) + 1):
        trains = dataclasses.replace(trains, failures=now.failures[:count])
        yield trains
    for count in range(len(trains.rungs) + 1, len(now.rungs) + 1):
        yield dataclasses.replace(trains, rungs=now.rungs[:count])
    if now.state != "running":
        yield now


class _Reader:
    """A study as it is now, read no more often than it is worth."""

    def __init__(self, study: SearchStudy) -> None:
        self._study = study
        self._read = _record(study)
        self._at = time.monotonic()

    def __call__(self) -> StudyRecord:
        if time.monotonic() - self._at >= LOOK_SECONDS:
            self._read = _record(self._study)
            self._at = time.monotonic()
        return self._read


def _record(study: SearchStudy) -> StudyRecord:
    study.reread()
    return study.record(study.trials())


def _ends(run: Run, studies: Sequence[SearchStudy]) -> list[str | None]:
    """Why each came to its end by itself; None for one that can go on."""
    for study in studies:
        study.reread()
    # What was to be confirmed after the search may have been cut off.
    return [
        study.over
        if (place.root / CONFIRMED).is_file() or not study.header.space.get("confirm")
        else None
        for study, place in zip(studies, run.begun.values(), strict=True)
    ]


def _how_it_stands(run: Run, studies: Sequence[SearchStudy]) -> str:
    """What is said of a run that no driver works on."""
    ends = _ends(run, studies)
    if None in ends:
        return "No driver works on this run; search.run --resume goes on with it."
    return f"This search has ended: {'; '.join(dict.fromkeys(filter(None, ends)))}."


def _total(study: SearchStudy) -> int:
    """Trials in the budget that the study was started with; a resumed one may have more."""
    space = study.header.space
    methods = space["search"]["method"]
    several = isinstance(methods, dict) and "choice" in methods
    count = len(methods["choice"]) if several else 1
    begun = sum(trial.state != "waiting" for trial in study.trials())
    return max(Budget.model_validate(space["budget"]).total(count), begun)


def _is_led(run: Run) -> bool:
    """Whether a driver works on the run: it holds the lock.

    Raises:
        OSError: the lock cannot be tried.
    """
    if not run.directory.lock.exists():
        return False
    with _probing(FileLock(run.directory.lock)) as free:
        return not free


@contextmanager
def _probing(lock: FileLock) -> Iterator[bool]:
    """Whether a lock can be had; it is let go at once."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main())
