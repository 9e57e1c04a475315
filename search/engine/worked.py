"""How long drivers have worked on a study, which it remembers when they are killed."""

from __future__ import annotations

from optuna.exceptions import StorageInternalError

from search.engine.study import SearchStudy

# How much of the hours that were worked may be forgotten when a driver is killed.
SAVE_SECONDS = 30.0


class WorkedTime:
    """Wall-clock seconds spent on a study, those of earlier drivers included.

    Args:
        study: where they are written down.
        now: when this driver starts, in seconds since the epoch, as everywhere here.
    """

    def __init__(self, study: SearchStudy, now: float) -> None:
        self._study = study
        self._since = now
        self._before = study.seconds
        self._saved = now

    def seconds(self, now: float) -> float:
        """Seconds until now."""
        return self._before + now - self._since

    def is_due(self, now: float) -> bool:
        """Whether more would be forgotten than may be."""
        return now - self._saved >= SAVE_SECONDS

    def save(self, now: float) -> None:
        """Write them down; a moment before this driver started counts as its start."""
        self._study.seconds = self.seconds(max(now, self._since))
        self._saved = now

    def save_if_possible(self, now: float) -> None:
        """As :meth:`save`; a database that is away for a while is asked again later.

        What comes to an end while it is away cannot wait, and ends the search.
        """
        try:
            self.save(now)
        except StorageInternalError:
            self._saved = now
