"""Searches as jobs of a cluster: handed in, found again, followed and stopped."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.spec.errors import Mistake, SpecError, first_line

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

#: Key of a job's metadata: which run it works on.
RUN = "aflora-search-run"
SPACE_FILE = "space.yaml"
#: A search that is told to stop lets its trials come to their next rung.
STOP_SECONDS = 600
RETRY_SECONDS = 5.0
_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
# What Ray says of its own in front of what the job says.
_PREAMBLE = re.compile(
    r"^(.*\sINFO job_manager\.py:\d+ -- .*|Running entrypoint for job .*)\n", re.M
)
# Where deploy/setup.sh puts this project on every node.
_ENTRYPOINT = (
    'space="$PWD"/{space}; source ~/aflora-search/deploy/env.sh && cd "$AFLORA_HOME" '
    '&& exec python -m search.run "$space" {words}'
)


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


class Jobs:
    """The jobs of a cluster, by the address of its dashboard.

    Args:
        address: on this machine.

    Raises:
        SpecError: what it needs is not installed, or the dashboard refuses.
    """

    def __init__(self, address: str) -> None:
        try:
            from ray.job_submission import JobSubmissionClient

            for chatty in _CHATTY:
                logging.getLogger(chatty).setLevel(logging.WARNING)
            self._client: JobSubmissionClient = JobSubmissionClient(address)
        except ImportError as error:
            what = f"needs what `pip install -c constraints.txt -e '.[cluster]'` installs ({error})"
            raise SpecError("command line", [Mistake("--cluster", what)]) from None
        except (ConnectionError, RuntimeError) as error:
            what = f"the head's dashboard refuses: {first_line(error)}"
            raise SpecError("command line", [Mistake("--cluster", what)]) from None

    def submit(self, run: str, space: str, words: Sequence[str], again: str) -> str:
        """Hand in a search; the job's id.

        Args:
            run: name of the run.
            space: text of the space file.
            words: further words of the command.
            again: the command that goes on with the run, as the user would give it here.
        """
        with tempfile.TemporaryDirectory(prefix="aflora-search-") as folder:
            (Path(folder) / SPACE_FILE).write_text(space, encoding="utf-8")
            entrypoint = _ENTRYPOINT.format(space=SPACE_FILE, words=shlex.join(words))
            submitted: str = self._client.submit_job(
                entrypoint=f"bash -c {shlex.quote(entrypoint)}",
                submission_id=f"{run}-{time.strftime('%Y%m%d-%H%M%S')}",
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
        found = [job for job in self._client.list_jobs() if (job.metadata or {}).get(RUN) == run]
        return [_job(job) for job in sorted(found, key=lambda job: -(job.start_time or 0))]

    def get(self, job_id: str) -> Job:
        return _job(self._client.get_job_info(job_id))

    def stop(self, job_id: str) -> None:
        """Have a search end in order, as Ctrl-C does."""
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

        return asyncio.run(read())


def _job(details: JobDetails) -> Job:
    over = details.status.is_terminal()
    status = details.driver_exit_code
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
    """
    import aiohttp
    import requests

    lost_connections = (
        SpecError,
        OSError,
        RuntimeError,
        aiohttp.ClientError,
        requests.RequestException,
    )
    told, lost = 0, False
    while True:
        try:
            with tunnel() as address:
                jobs = Jobs(address)
                if lost:
                    note("The connection is back.")
                    lost = False

                def repeat(piece: str) -> None:
                    nonlocal told
                    told += len(piece)
                    say(_PREAMBLE.sub("", piece))

                jobs.follow(job_id, repeat, told)
                job = jobs.get(job_id)
                if job.over:
                    # What it said last may have come after the connection had closed.
                    jobs.follow(job_id, repeat, told)
                    return job
        except lost_connections as error:
            if not lost:
                why = first_line(error)
                note(f"The connection is lost ({why}); the search goes on. Trying again.")
                lost = True
        time.sleep(RETRY_SECONDS)
