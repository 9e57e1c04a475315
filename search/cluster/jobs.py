"""Searches as jobs of a cluster: handed in, found again, followed and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.cluster.launcher import AT_HOME, Unreachable
from search.environment import INTERRUPTED
from search.spec.errors import Mistake, SpecError, first_line

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

#: Key of a job's metadata: which run it works on.
RUN = "aflora-search-run"
SPACE_FILE = "space.yaml"
#: A search that is told to stop lets its trials come to their next rung.
STOP_SECONDS = 3600
RETRY_SECONDS = 5.0
ANSWER_SECONDS = 60.0
_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
# They would win over the address of the tunnel.
_OTHER_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
# What Ray says of its own in front of what the job says.
_PREAMBLE = re.compile(
    r"^(.*\sINFO job_manager\.py:\d+ -- .*|Running entrypoint for job .*)\n", re.M
)
_ENTRYPOINT = f'space="$PWD"/{SPACE_FILE}; {AT_HOME} && exec python -m search.run "$space"'


@dataclass(frozen=True)
class Job:
    """A search on the cluster.

    Attributes:
        id: Ray's name for it.
        over: whether it has ended.
        status: exit status of the search; None while it runs, or where it was never told.
        message: what Ray says of it.
    """

    id: str
    over: bool
    status: int | None
    message: str


class ConnectionLost(Exception):
    """Nobody answers at the cluster's dashboard, for now."""


class Jobs:
    """The jobs of a cluster, by the address of its dashboard.

    Args:
        address: on this machine.

    Raises:
        SpecError: what it needs is not installed, or the dashboard refuses.
        ConnectionLost: it does not answer.
    """

    def __init__(self, address: str) -> None:
        with _told_in_words(), _without(*_OTHER_ADDRESSES):
            from ray.job_submission import JobSubmissionClient

            for chatty in _CHATTY:  # they set it themselves when they are imported
                logging.getLogger(chatty).setLevel(logging.WARNING)
            self._client: JobSubmissionClient = JobSubmissionClient(address)

    def submit(self, run: str, space: str, words: Sequence[str], again: str) -> str:
        """Hand in a search; the job's id.

        Args:
            run: name of the run.
            space: text of the space file.
            words: further words of the command.
            again: the command that goes on with the run, as the user would give it here.
        """
        with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder, _told_in_words():
            (Path(folder) / SPACE_FILE).write_text(space, encoding="utf-8")
            entrypoint = f"{_ENTRYPOINT} {shlex.join(words)}"
            at = time.strftime("%Y%m%d-%H%M%S")
            submitted: str = self._client.submit_job(
                entrypoint=f"bash -c {shlex.quote(entrypoint)}",
                submission_id=f"{run}-{at}-{uuid.uuid4().hex[:4]}",
                metadata={RUN: run},
                runtime_env={
                    "working_dir": folder,
                    "env_vars": {
                        "AFLORA_SEARCH_AGAIN": again,
                        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
                    },
                },
            )
        return submitted

    def of(self, run: str) -> list[Job]:
        """Jobs that work or worked on a run, the latest first."""
        with _told_in_words():
            jobs = self._client.list_jobs()
        found = [job for job in jobs if (job.metadata or {}).get(RUN) == run]
        return [_job(job) for job in sorted(found, key=lambda job: -(job.start_time or 0))]

    def get(self, job_id: str) -> Job:
        with _told_in_words():
            return _job(self._client.get_job_info(job_id))

    def stop(self, job_id: str) -> None:
        """Have a search end in order, as Ctrl-C does."""
        with _told_in_words():
            self._client.stop_job(job_id)

    def follow(self, job_id: str, say: Callable[[str], None], told: int) -> int:
        """Repeat what a job says until it is over or the connection is.

        Args:
            job_id: of the job.
            say: is given the text, piece by piece.
            told: so many characters have been repeated before.

        Returns:
            How many characters have been repeated now.
        """

        async def read() -> int:
            seen = 0
            async for piece in self._client.tail_job_logs(job_id):
                new = piece[max(0, told - seen) :]
                seen += len(piece)
                if new:
                    say(new)
            return max(seen, told)

        with _told_in_words():
            return asyncio.run(read())


def jobs_at(address: str) -> Jobs:
    """The jobs at an address that was just opened; a busy head may take its time to answer.

    Raises:
        SpecError: as :class:`Jobs` does.
        ConnectionLost: it has not answered for a minute.
    """
    last = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return Jobs(address)
        except ConnectionLost:
            if time.monotonic() > last:
                raise
        time.sleep(1)


@contextmanager
def _told_in_words() -> Iterator[None]:
    """What the client raises, as what a user can do about it: nothing but wait, or something."""
    try:
        import aiohttp
        import ray.job_submission  # noqa: F401 - its client needs more, and says so here
        import requests
        from ray.exceptions import AuthenticationError
    except ImportError as error:
        raise _refused(
            f"needs what `pip install -c constraints.txt -e '.[cluster]'` installs ({error})"
        ) from None
    try:
        yield
    except BrokenPipeError:
        raise  # of who reads what is said here
    except AuthenticationError as error:
        raise _refused(
            f"the cluster wants its token: export RAY_AUTH_MODE=token ({first_line(error)})"
        ) from None
    except (aiohttp.ClientError, requests.RequestException, OSError) as error:
        raise ConnectionLost(first_line(error)) from None
    except RuntimeError as error:
        # Ray says so for whatever the dashboard answers that is no success.
        if re.search(r"status code 4\d\d", str(error)):
            raise _refused(f"the head's dashboard refuses: {first_line(error)[:300]}") from None
        raise ConnectionLost(first_line(error)) from None


def _refused(what: str) -> SpecError:
    return SpecError("command line", [Mistake("--cluster", what)])


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Environment variables that would name another cluster are not there meanwhile."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _job(details: JobDetails) -> Job:
    over = details.status.is_terminal()
    status = details.driver_exit_code
    if details.status.name == "STOPPED":
        # Ray asks what it has stopped for no status.
        status = INTERRUPTED
    return Job(
        details.submission_id,
        over,
        int(status) if over and status is not None else None,
        details.message or "",
    )


def follow_to_the_end(
    tunnel: Callable[[], AbstractContextManager[str]],
    job_id: str,
    say: Callable[[str], None],
    note: Callable[[str], None],
) -> Job:
    """Repeat what a job says until it is over, through any number of lost connections.

    Args:
        tunnel: opens the way to the head.
        job_id: of the job.
        say: is given the job's text, piece by piece, each once.
        note: is given a line when the connection is lost.

    Raises:
        SpecError: the cluster does not know the job any more, or refuses to tell.
    """
    told, lost = 0, False

    def repeat(piece: str) -> None:
        nonlocal told
        told += len(piece)
        say(_PREAMBLE.sub("", piece))

    while True:
        try:
            with tunnel() as address:
                jobs = Jobs(address)
                job = jobs.get(job_id)
                if lost:
                    note("The connection is back.")
                    lost = False
                jobs.follow(job_id, repeat, told)
                job = jobs.get(job_id)
                if job.over:
                    # What it said last may have come after the connection had closed.
                    jobs.follow(job_id, repeat, told)
                    return job
        except (Unreachable, ConnectionLost) as error:
            if not lost:
                why = first_line(error)
                note(f"The connection is lost ({why}); the search goes on. Trying again.")
                lost = True
        time.sleep(RETRY_SECONDS)
