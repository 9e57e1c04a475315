"""A thread that keeps MLflow up to date without anyone waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from search.record import StudyRecord
from search.spec.errors import first_line
from search.tracking.mlflow_store import MLflowStore

RETRY_SECONDS = 5.0
FINISH_SECONDS = 60.0


class Follower:
    """Writes the study to a store in the background.

    A store that is slow or down costs the search nothing: what could not be written is written
    the next time, and what is missing in the end is said.

    Args:
        open_store: makes the store; it may fail and is then tried again.
        record: gives the study as it is now.
    """

    def __init__(
        self, open_store: Callable[[], MLflowStore], record: Callable[[], StudyRecord]
    ) -> None:
        self._open_store = open_store
        self._record = record
        self._store: MLflowStore | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._files: Sequence[Path] = ()
        self._ended = False
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="tracking", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """The study has changed."""
        self._wake.set()

    def close(self, files: Sequence[Path], ended: bool) -> str | None:
        """Write everything, the result files too; what went wrong, or None.

        Waits at most a minute: a store that does not answer is not waited for longer.
        """
        self._files = files
        self._ended = ended
        self._closing.set()
        self._wake.set()
        self._thread.join(FINISH_SECONDS)
        if self._thread.is_alive():
            return self.problem or f"it did not answer within {FINISH_SECONDS:g} s"
        return self.problem

    def _follow(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.is_set()
            try:
                if self._store is None:
                    self._store = self._open_store()
                if closing:
                    self._store.finish(self._record(), self._files, self._ended)
                else:
                    self._store.sync(self._record())
                self.problem = None
            # Whatever a tracking store does wrong must not end the search; it is kept and told.
            except Exception as error:
                self.problem = f"{type(error).__name__}: {first_line(error)[:300]}"
                if not closing:
                    self._closing.wait(RETRY_SECONDS)
                    self._wake.set()
            if closing:
                return
