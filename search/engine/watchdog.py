"""Notices trials that hang: that take no step for longer than the search allows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ASK_SECONDS = 5.0


@ray.remote(num_cpus=0)
class Heartbeats:
    """When each trial last took a step, told by the workers; on the driver's node."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}

    def beat(self, number: int) -> None:
        self._at[number] = time.monotonic()

    def silences(self) -> dict[int, float]:
        """Seconds since each trial's last step."""
        now = time.monotonic()
        return {number: now - at for number, at in self._at.items()}


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
        self._heard: dict[tuple[int, int], float] = {}
        self._answer: Any = None
        self._asked = 0.0

    def hanging(self, running: Mapping[int, int], now: float) -> list[int]:
        """Numbers of trials that hang.

        Args:
            running: number of each trial that runs → its attempt, which is heard anew.
            now: on a clock that does not jump.
        """
        self._heard = {key: self._heard.get(key, now) for key in running.items()}
        self._listen(now)
        return [key[0] for key, heard in self._heard.items() if now - heard > self._seconds]

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
            for key, heard in self._heard.items():
                if key[0] in silences:
                    self._heard[key] = max(heard, now - silences[key[0]])
        elif now - self._asked > ASK_SECONDS:
            self._asked = now
            self._answer = self._heartbeats.silences.remote()
