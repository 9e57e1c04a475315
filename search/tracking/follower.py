"""A thread that keeps MLflow up to date without anyone waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from search.record import StudyRecord
from search.spec.errors import first_line
from search.tracking.mlflow_store import MLflowStore

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

    def write(self, finish: bool) -> None:
        """Bring the store up to date, or finish with it."""
        # A server that does not answer may have written all the same: what it holds is then read
        # again, or a run would be there twice.
        store, self._store = self._store or self.open_store(), None
        if finish:
            store.finish(self.record(), self.files, self.ended)
        else:
            store.sync(self.record())
        self._store = store


class Follower:
    """Writes studies to a store in the background, one after the other.

    A store that is slow or down costs the search nothing: what could not be written is written
    the next time, and what is missing in the end is said.

    Args:
        studies: what is written.
    """

    def __init__(self, studies: Sequence[Followed]) -> None:
        self._studies = studies
        self._changed: set[int] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="tracking", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, index: int = 0) -> None:
        """The study at an index has changed."""
        self._changed.add(index)
        self._wake.set()

    def close(self) -> str | None:
        """Write everything, the result files too; what went wrong, or None.

        Waits at most a minute for each study; a store that does not answer is left then.
        """
        self._changed.update(range(len(self._studies)))
        self._closing.set()
        self._wake.set()
        seconds = FINISH_SECONDS * len(self._studies)
        self._thread.join(seconds)
        if self._thread.is_alive():
            return self.problem or f"it did not answer within {seconds:g} s"
        return self.problem

    def _follow(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.is_set()
            self._write(closing)
            if closing:
                return
            if self.problem is not None:
                self._closing.wait(RETRY_SECONDS)
                self._wake.set()

    def _write(self, closing: bool) -> None:
        self.problem = None
        for index in sorted(self._changed.copy()):
            # Before it is read: what changes meanwhile is written again.
            self._changed.discard(index)
            try:
                self._studies[index].write(closing)
            # Whatever a tracking store does wrong must not end the search; it is kept and told.
            except Exception as error:
                self._changed.add(index)
                self.problem = f"{type(error).__name__}: {first_line(error)[:300]}"
