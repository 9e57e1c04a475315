"""Several studies that share the slots of one cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.engine.core import Engine
from search.engine.policy import Proposal
from search.engine.run_directory import RunDirectory


@dataclass(frozen=True)
class Lane:
    """One study among them.

    Attributes:
        name: of the task; no two lanes share it.
        engine: decides for the study.
        directory: of the study.
    """

    name: str
    engine: Engine
    directory: RunDirectory


class Fleet:
    """Hands out the trials of all studies, so that no slot idles while one has work.

    Args:
        lanes: of the studies; at least one.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = {lane.name: lane for lane in lanes}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __getitem__(self, name: str) -> Lane:
        return self._lanes[name]

    @property
    def active(self) -> int:
        """How many trials train now."""
        return sum(len(lane.engine.active) for lane in self)

    def exhausted(self, now: float) -> bool:
        """Whether nothing will be handed out any more, whatever the trials that run come to."""
        # Every one is asked: an engine notices here that its hours are over.
        exhausted = [lane.engine.exhausted(now) for lane in self]
        return all(exhausted)

    def over(self, now: float) -> bool:
        """Whether every trial that still trains is to be stopped."""
        return self.exhausted(now) and any(lane.engine.stopping for lane in self)

    def ask(self, now: float) -> tuple[Lane, Proposal] | None:
        """The next configuration, of the study that has begun the smallest part of its budget.

        Where that has none now, of the next; so all studies get on alike, and the last trials of
        one are no reason to wait for the others.
        """
        for lane in sorted(self, key=lambda lane: lane.engine.share_begun):
            if lane.engine.exhausted(now):
                continue
            proposal = lane.engine.ask(now)
            if proposal is not None:
                return lane, proposal
        return None
