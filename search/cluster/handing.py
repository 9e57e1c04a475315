"""``search.run --cluster``: hand a search to the head of a cluster, watch it, bring it home."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.environment import INTERRUPTED, WRONG_INPUT
from search.spec import LoadedSpace, Mistake, SpecError

if TYPE_CHECKING:
    from search.cluster.jobs import Job, Jobs
    from search.cluster.launcher import Launcher

# On the head, below the folder that deploy/setup.sh installs.
_HOME = "~/aflora-search"


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
    def name(self) -> str:
        return self.root.name

    @property
    def there(self) -> str:
        """The run directory, as the head knows it."""
        return f"runs/{self.name}"


def hand_over(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Submit a search, follow it to its end and fetch what it came to; the exit status.

    Raises:
        SpecError: a search of that name runs there, or lies here.
    """
    from search.cluster.jobs import Jobs

    if not errand.resume:
        Run(errand.root, errand.loaded.space.task_names).check_new()
    with launcher.tunnel() as address:
        jobs = Jobs(address)
        busy = _running(jobs, errand.name)
        if busy is not None:
            what = f"is being searched there ({busy.id}); --attach shows it"
            raise SpecError("command line", [Mistake(errand.name, what)])
        space = Path(errand.loaded.source).read_text(encoding="utf-8")
        words = [*errand.words, "--out", errand.there]
        job_id = jobs.submit(errand.name, space, words, errand.again)
    say(f"Handed to the cluster of {launcher.file} as {job_id}.\n")
    return _see_through(errand, launcher, job_id, say)


def attach(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Follow a search that was handed over before; the exit status.

    Raises:
        SpecError: the cluster knows of none.
    """
    from search.cluster.jobs import Jobs

    with launcher.tunnel() as address:
        jobs = Jobs(address)
        known = jobs.of(errand.name)
    if not known:
        what = f"no search of that name was handed to the cluster of {launcher.file}"
        raise SpecError("command line", [Mistake(f"--attach {errand.name}", what)])
    return _see_through(errand, launcher, known[0].id, say)


def stop(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> int:
    """Have a search end in order; the exit status.

    Raises:
        SpecError: none of that name runs.
    """
    from search.cluster.jobs import Jobs

    with launcher.tunnel() as address:
        jobs = Jobs(address)
        busy = _running(jobs, errand.name)
        if busy is None:
            what = f"no search of that name runs on the cluster of {launcher.file}"
            raise SpecError("command line", [Mistake(f"--stop {errand.name}", what)])
        jobs.stop(busy.id)
    say(f"{busy.id} ends at the next rungs of its trials; --attach shows it.\n")
    return 0


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
    _bring_home(errand, launcher, say)
    if job.status is None:
        note(f"The search ended without saying how: {job.message}")
        return 1
    return job.status


def _bring_home(errand: Errand, launcher: Launcher, say: Callable[[str], None]) -> None:
    """Fetch the run directory; one of another run stays as it is.

    Raises:
        SpecError: another run lies here; what was fetched lies beside it then.
    """
    errand.root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{errand.name}-", dir=errand.root.parent))
    launcher.fetch(f"{_HOME}/{errand.there}", partial)
    fetched = Run.at(partial)
    here = Run(errand.root, errand.loaded.space.task_names)
    if not fetched.begun:
        shutil.rmtree(partial)
        return
    if here.begun and _identities(here) != _identities(Run(partial, here.tasks)):
        what = f"holds another run; what the cluster found lies in {partial}"
        raise SpecError("command line", [Mistake(f"--out {errand.root}", what)])
    before = partial.with_name(f"{partial.name}-before")
    if errand.root.exists():
        errand.root.rename(before)
    partial.rename(errand.root)
    shutil.rmtree(before, ignore_errors=True)
    say(f"\nfetched  {errand.root}\nreport   {RunDirectory(errand.root).report}\n")


def _identities(run: Run) -> set[str]:
    found = set()
    for directory in run.begun.values():
        study = directory.open_study()
        found.add(str(study.header.provenance["study_id"]))
        study.close()
    return found
