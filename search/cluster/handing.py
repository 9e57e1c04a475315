"""``search.run --cluster``: hand a search to the head of a cluster, watch it, bring it home."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.cluster.launcher import HOME, Launcher, Unreachable
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run, RunLock
from search.environment import INTERRUPTED, WRONG_INPUT
from search.results.confirmed import FOLDER as CONFIRMED
from search.spec import LoadedSpace, Mistake, SpecError
from search.stored import rungs_of

if TYPE_CHECKING:
    from search.cluster.jobs import Job, Jobs


@dataclass(frozen=True)
class Errand:
    """What is to be done on the cluster.

    Attributes:
        loaded: the space, checked as far as this machine can.
        root: run directory here; on the head it has the same name, below ``runs``.
        words: options of ``search.run`` for the head, without where to run.
        resume: whether the run has begun before.
        again: the command that goes on with it, as one would give it here.
    """

    loaded: LoadedSpace
    root: Path
    words: Sequence[str]
    resume: bool
    again: str

    @property
    def run(self) -> Run:
        return Run(self.root, self.loaded.space.task_names)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def there(self) -> str:
        """The run directory, as the head knows it."""
        return f"runs/{self.name}"


def hand_over(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Submit a search, follow it to its end and fetch what it came to; the exit status.

    Raises:
        SpecError: a search of that name runs there, or something else lies here.
    """
    if errand.resume:
        _check_home(errand)
    else:
        errand.run.check_new()
    with _in_reach(launcher) as jobs:
        busy = _running(jobs, errand.name)
        if busy is not None:
            what = f"is being searched there ({busy.id}); --attach shows it"
            raise SpecError("command line", [Mistake(errand.name, what)])
        space = Path(errand.loaded.source).read_text(encoding="utf-8")
        words = [*errand.words, "--out", errand.there]
        job_id = jobs.submit(errand.name, space, words, errand.again)
    say(
        f"Handed to the cluster of {launcher.file} as {job_id}.\n"
        f"The live view: python -m search.watch {errand.name} --cluster {launcher.file}\n"
    )
    return _see_through(errand, launcher, job_id, say)


def attach(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Follow a search that was handed over before; the exit status.

    Raises:
        SpecError: the cluster knows of none, or something else lies here.
    """
    _check_home(errand)
    with _in_reach(launcher) as jobs:
        known = jobs.of(errand.name)
    # One whose input was wrong has left the run as the one before had.
    known = [job for job in known if not (job.over and job.status == WRONG_INPUT)] or known
    if not known:
        what = f"no search of that name was handed to the cluster of {launcher.file}"
        raise SpecError("command line", [Mistake(f"--attach {errand.name}", what)])
    return _see_through(errand, launcher, known[0].id, say)


def stop(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Have a search end in order; the exit status.

    Raises:
        SpecError: none of that name runs.
    """
    with _in_reach(launcher) as jobs:
        busy = _running(jobs, errand.name)
        if busy is None:
            what = f"no search of that name runs on the cluster of {launcher.file}"
            raise SpecError("command line", [Mistake(f"--stop {errand.name}", what)])
        jobs.stop(busy.id)
    say(f"{busy.id} is being ended; --resume goes on with it from the last rungs of its trials.\n")
    return 0


@contextmanager
def _in_reach(launcher: Launcher) -> Iterator[Jobs]:
    """The cluster's jobs, for what cannot wait long: a head that does not answer is told."""
    from search.cluster.jobs import ConnectionLost, jobs_at

    try:
        with launcher.tunnel() as address:
            yield jobs_at(address)
    except ConnectionLost as error:
        what = f"the head's dashboard does not answer: {error}"
        raise SpecError("command line", [Mistake(f"--cluster {launcher.file}", what)]) from None


def _running(jobs: Jobs, name: str) -> Job | None:
    return next((job for job in jobs.of(name) if not job.over), None)


def _see_through(
    errand: Errand, launcher: Launcher, job_id: str, say: Callable[[str], None]
) -> int:
    from search.cluster.jobs import follow_to_the_end

    def note(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        job = follow_to_the_end(launcher.tunnel, job_id, say, note)
    except KeyboardInterrupt:
        note(
            f"\nThe search goes on as {job_id}. The same command with --attach in place of "
            "--resume shows it, with --stop ends it."
        )
        return INTERRUPTED
    if job.status == WRONG_INPUT:
        return job.status  # nothing was written there
    try:
        _bring_home(errand, launcher, say)
    except Unreachable as error:
        note(
            f"The search is over, and what it came to is not fetched: {error}\n--attach fetches it."
        )
        return 1
    if job.status is None:
        note(f"The search ended without saying how: {job.message}")
        return 1
    return job.status


def _check_home(errand: Errand) -> None:
    """Raise SpecError where something other than a run of these tasks lies at the run directory."""
    run = errand.run
    if not run.begun:
        run.check_new()
        return
    run.check_resumable()


def _bring_home(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> None:
    """Fetch the run directory; what lies here and is not the same run, or has more, stays as it is.

    Raises:
        Unreachable: it cannot be fetched.
        SpecError: another run lies here, or one that has more; what was fetched lies beside it.
    """
    errand.root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{errand.name}-", dir=errand.root.parent))
    try:
        launcher.fetch(f"{HOME}/{errand.there}", partial)
    except BaseException:
        shutil.rmtree(partial)
        raise
    fetched = Run(partial, errand.run.tasks)
    if not fetched.begun:
        shutil.rmtree(partial)
        return
    with RunLock(errand.run):
        why = _kept_by(errand.run, fetched)
        if why is not None:
            what = f"{why}; what the cluster found lies in {partial}"
            raise SpecError("command line", [Mistake(f"--out {errand.root}", what)])
        _move_in(fetched, errand.run)
    shutil.rmtree(partial)
    say(f"\nfetched  {errand.root}\nreport   {errand.run.directory.report}\n")


def _kept_by(here: Run, fetched: Run) -> str | None:
    """Why what lies here must not be replaced by what was fetched, or None."""
    for task, directory in here.begun.items():
        other = fetched.studies[task]
        if not other.holds_run:
            return f"holds {task}, which the cluster's run does not"
        if directory.elsewhere.exists() or other.elsewhere.exists():
            # The database that holds the study may answer the head alone.
            known = [
                d.elsewhere.read_text() if d.elsewhere.exists() else "" for d in (directory, other)
            ]
            if known[0] != known[1]:
                return "holds another run"
        elif _identity(directory) != _identity(other):
            return "holds another run"
        elif not rungs_of(directory.open_study()) <= rungs_of(other.open_study()):
            return "holds more of this run than the cluster does"
        confirmed = {path.name for path in (directory.root / CONFIRMED).glob("*")}
        if not confirmed <= {path.name for path in (other.root / CONFIRMED).glob("*")}:
            return "holds confirmations that the cluster's run does not"
    return None


def _move_in(fetched: Run, here: Run) -> None:
    """Put what was fetched into its place, file by file; the studies last."""
    studies = {found.study.relative_to(fetched.root) for found in fetched.studies.values()}
    files = [path.relative_to(fetched.root) for path in fetched.root.rglob("*") if path.is_file()]
    for directory in here.studies.values():
        # Left by a driver of this machine, they would be read as parts of the study that comes.
        for left in directory.root.glob(f"{directory.study.name}-*"):
            left.unlink()
    for path in sorted(files, key=lambda path: path in studies):
        if path.name != here.directory.lock.name:
            (here.root / path).parent.mkdir(parents=True, exist_ok=True)
            (fetched.root / path).replace(here.root / path)


def _identity(directory: RunDirectory) -> str:
    study = directory.open_study()
    found = str(study.header.provenance["study_id"])
    study.close()
    return found
