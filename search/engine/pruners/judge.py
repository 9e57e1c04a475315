"""What the engine asks at every rung: does this trial go on?"""

from __future__ import annotations

from abc import ABC, abstractmethod

from search.record import Rung


class Judge(ABC):
    """Compares trials at rungs; told of every rung and every end, in the order they came."""

    @abstractmethod
    def add(self, number: int, rung: Rung) -> None:
        """A trial has reached a rung."""

    @abstractmethod
    def verdict(self, number: int, rung: Rung) -> str | None:
        """Why the trial stops at a rung that was added, or None where it goes on."""

    def ended(self, number: int, complete: bool) -> None:  # noqa: B027 - most need not know
        """A trial ended, trained to its end or not."""
