"""Notices trials that hang: that take no step for longer than the search allows."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ASK_SECONDS = 5.0


@ray.remote(num_cpus=0)
class Heartbeats:
    """When each attempt at a trial last took a step, told by the workers; on the driver's node."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def beat(self, attempt: str) -> None:
        self._at[attempt] = time.monotonic()

    def silences(self) -> dict[str, float]:
        """Seconds since each attempt's last step."""
        now = time.monotonic()
        return {attempt: now - at for attempt, at in self._at.items()}


def start_heartbeats() -> Any:
    """The actor that workers tell of their steps."""
    here = ray.get_runtime_context().get_node_id()
    place = NodeAffinitySchedulingStrategy(here, soft=True)
    return Heartbeats.options(scheduling_strategy=place, max_restarts=-1).remote()  # type: ignore[attr-defined]


class Watchdog:
    """Tells which trials hang; never waits for the workers.

    Args:
        heartbeats: the actor.
        seconds: how long a trial may take no step.
    """

    def __init__(self, heartbeats: Any, seconds: float) -> None:
        self._heartbeats = heartbeats
        self._seconds = seconds
        self._heard: dict[str, float] = {}
        self._known: set[str] = set()
        self._stepped: set[str] = set()
        self._answer: Any = None
        self._asked = 0.0

    def newly_stepped(self) -> list[str]:
        """Attempts that were heard of for the first time since this was asked last."""
        stepped, self._stepped = sorted(self._stepped), set()
        return stepped

    def hanging(self, running: Collection[str], now: float) -> list[str]:
        """Attempts that hang.

        Args:
            running: attempts that run, by the names under which they beat.
            now: on a clock that does not jump.
        """
        self._heard = {attempt: self._heard.get(attempt, now) for attempt in running}
        self._listen(now)
        return [attempt for attempt, heard in self._heard.items() if now - heard > self._seconds]

    def _listen(self, now: float) -> None:
        if self._answer is not None:
            done, _ = ray.wait([self._answer], timeout=0)
            if not done:
                return
            answer, self._answer = self._answer, None
            try:
                silences = ray.get(answer)
            except ray.exceptions.RayActorError:
                return  # it is being started again; until then nobody has been heard
            self._stepped |= silences.keys() - self._known
            self._known |= silences.keys()
            for attempt, heard in self._heard.items():
                if attempt in silences:
                    self._heard[attempt] = max(heard, now - silences[attempt])
        elif now - self._asked > ASK_SECONDS:
            self._asked = now
            self._answer = self._heartbeats.silences.remote()
