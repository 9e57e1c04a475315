"""A thread that keeps MLflow up to date without anyone waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from search.background import Background
from search.record import StudyRecord
from search.spec.errors import first_line

if TYPE_CHECKING:
    from search.tracking.mlflow_store import MLflowStore
    from search.tracking.system_metrics import SystemMetrics

RETRY_SECONDS = 5.0
FINISH_SECONDS = 60.0


@dataclass
class Followed:
    """A study that is written to a store.

    Attributes:
        open_store: makes the store; it may fail and is then tried again.
        record: gives the study as it is now.
        files: results, once there are some.
        ended: whether the study has come to its end.
    """

    open_store: Callable[[], MLflowStore]
    record: Callable[[], StudyRecord]
    files: Sequence[Path] = ()
    ended: bool = False
    _store: MLflowStore | None = field(default=None, init=False)
    _read_until: float = field(default=0.0, init=False)

    def write(self, finish: bool, system_metrics: SystemMetrics | None = None) -> None:
        """Bring the store up to date, or finish with it."""
        # A server that does not answer may have written all the same: what it holds is then read
        # again, or a run would be there twice.
        store, self._store = self._store or self.open_store(), None
        if finish:
            store.finish(self.record(), self.files, self.ended)
        else:
            store.sync(self.record())
        if system_metrics is not None:
            readings = system_metrics.after(self._read_until)
            store.read_machine(readings)
            self._read_until = readings[-1].at if readings else self._read_until
        self._store = store


class Follower:
    """Writes studies to a store in the background, one after the other.

    A store that is slow or down costs the search nothing: what could not be written is written
    the next time, and what is missing in the end is said.

    Args:
        studies: what is written.
        system_metrics: reads this machine meanwhile; None where nobody wants that.
    """

    def __init__(
        self, studies: Sequence[Followed], system_metrics: SystemMetrics | None = None
    ) -> None:
        self._studies = studies
        self._system_metrics = system_metrics
        self._changed: set[int] = set()
        self._held = True
        self._thread = Background(
            "tracking", self._write, lambda problem: RETRY_SECONDS if problem else 0.0
        )

    @property
    def problem(self) -> str | None:
        """What went wrong the last time something was written, or None."""
        return self._thread.problem

    def start(self) -> None:
        """Begin; nothing is written until :meth:`release`."""
        self._thread.start()
        if self._system_metrics is not None:
            self._system_metrics.start(self._wake_all)

    def _wake_all(self) -> None:
        for index in range(len(self._studies)):
            self.wake(index)

    def wake(self, index: int = 0) -> None:
        """The study at an index has changed."""
        self._changed.add(index)
        if not self._held:
            self._thread.wake()

    def release(self) -> None:
        """Write from now on: loading a store takes seconds of a CPU, and trials come first."""
        if self._held:
            self._held = False
            self._thread.wake()

    def close(self) -> str | None:
        """Write everything, the result files too; what went wrong, or None.

        Waits at most a minute for each study; a store that does not answer is left then.
        """
        if self._system_metrics is not None:
            self._system_metrics.stop()
        self._changed.update(range(len(self._studies)))
        seconds = FINISH_SECONDS * len(self._studies)
        last = time.monotonic() + seconds
        gave_up = f"it did not answer within {seconds:g} s"
        return self._thread.close(lambda: last - time.monotonic(), gave_up)

    def _write(self, closing: bool) -> str | None:
        problem = None
        for index in sorted(self._changed.copy()):
            # Before it is read: what changes meanwhile is written again.
            self._changed.discard(index)
            try:
                self._studies[index].write(closing, self._system_metrics)
            # Whatever a tracking store does wrong must not end the search; it is kept and told.
            except Exception as error:
                self._changed.add(index)
                problem = f"{type(error).__name__}: {first_line(error)[:300]}"
        return problem
