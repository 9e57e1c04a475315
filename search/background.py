"""Work in a thread of its own that nobody waits for: done when woken, and again when it failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Between two tries of what must not be left undone at the end.
_INSIST_SECONDS = 1.0


class Background:
    """A thread that works whenever it is woken, until it is closed.

    Args:
        name: of the thread.
        work: is told whether it is the last time; gives what went wrong, or None. It never raises.
        rest: seconds until the next time, given what went wrong.
        insists: whether the last time is tried again until nothing goes wrong.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[bool], str | None],
        rest: Callable[[str | None], float],
        insists: bool = False,
    ) -> None:
        self._work = work
        self._rest = rest
        self._insists = insists
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._ended = False
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def end(self) -> None:
        """Called by the work itself: it is over, however it was meant to end."""
        self._ended = True

    def close(self, patience: Callable[[], float], gave_up: str) -> str | None:
        """Have it work a last time; what went wrong, or None.

        Args:
            patience: seconds for which it may still be waited for, asked again and again.
            gave_up: what went wrong where nothing is known but that it takes too long.
        """
        self._closing.set()
        self._wake.set()
        while self._thread.is_alive():
            left = patience()
            if left <= 0:
                return self.problem or gave_up
            self._thread.join(min(left, 0.2))
        return self.problem

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.is_set()
            self.problem = self._work(closing)
            done = closing and (self.problem is None or not self._insists)
            if self._ended or done:
                return
            if self.problem is not None:
                self._wake.set()
            if closing:
                time.sleep(min(_INSIST_SECONDS, self._rest(self.problem)))
            else:
                self._closing.wait(self._rest(self.problem))
