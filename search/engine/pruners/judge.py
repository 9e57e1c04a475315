"""What the engine asks at every rung: does this trial go on?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from search.record import Rung


class Judge(ABC):
    """Compares trials at rungs; told of every rung and every end, in the order they came."""

    @abstractmethod
    def add(self, number: int, rung: Rung, method: str = "") -> None:
        """A trial of a method has reached a rung."""

    @abstractmethod
    def verdict(self, number: int, rung: Rung) -> str | None:
        """Why the trial stops at a rung that was added, or None where it goes on."""

    def ended(self, number: int, complete: bool) -> None:  # noqa: B027 - most need not know
        """A trial ended, trained to its end or not."""


class MethodJudges(Judge):
    """A judge for every method: an expensive one is not stopped for what a cheap one costs.

    Where methods are to be compared, each must come to complete trials of its own.

    Args:
        make: the judge of one method.
    """

    def __init__(self, make: Callable[[], Judge]) -> None:
        self._make = make
        self._of_method: dict[str, Judge] = {}
        self._of_trial: dict[int, Judge] = {}

    def add(self, number: int, rung: Rung, method: str = "") -> None:
        if method not in self._of_method:
            self._of_method[method] = self._make()
        self._of_trial[number] = self._of_method[method]
        self._of_trial[number].add(number, rung, method)

    def verdict(self, number: int, rung: Rung) -> str | None:
        return self._of_trial[number].verdict(number, rung)

    def ended(self, number: int, complete: bool) -> None:
        self._of_trial[number].ended(number, complete)
