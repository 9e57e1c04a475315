"""What the machine that leads a search is doing, for MLflow's page of system metrics."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlflow.environment_variables import (
    MLFLOW_SYSTEM_METRICS_NODE_ID,
    MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)

SAMPLE_SECONDS = 10.0
SAMPLES = 6
# A tracking store may be down for a week.
_MOST_READINGS = 7 * 24 * 60


@dataclass(frozen=True)
class Reading:
    """What was measured of a machine for a while, on average.

    Attributes:
        node: name of the machine.
        at: seconds since the epoch, at the end of that while.
        values: by MLflow's names, ``cpu_utilization_percentage``.
    """

    node: str
    at: float
    values: Mapping[str, float]


class SystemMetrics:
    """Reads CPU, memory, disk, network and GPUs of this machine, whoever uses them, in a thread.

    Nothing here talks to MLflow: a store that is down costs no reading. MLflow's own variables
    set the pace (``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` in seconds, six samples of ten
    seconds make a reading) and the name of the machine (``MLFLOW_SYSTEM_METRICS_NODE_ID``). GPUs
    are read where ``nvidia-ml-py`` is installed.
    """

    def __init__(self) -> None:
        self._seconds = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or SAMPLE_SECONDS
        self._samples = MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING.get() or SAMPLES
        self._node = MLFLOW_SYSTEM_METRICS_NODE_ID.get() or platform.node() or "machine"
        self._readings: deque[Reading] = deque(maxlen=_MOST_READINGS)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, told: Callable[[], None]) -> None:
        """Begin to read; ``told`` is called after every reading."""
        self._thread = threading.Thread(
            target=self._run, args=(told,), name="system metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Read no more; what was sampled since the last reading becomes one."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def after(self, moment: float) -> list[Reading]:
        """The readings that ended later, in order; the moment is in seconds since the epoch."""
        return [reading for reading in list(self._readings) if reading.at > moment]

    def _run(self, told: Callable[[], None]) -> None:
        monitors = list(_monitors())
        _sample(monitors)
        for monitor in monitors:
            # What the CPU did before is not known.
            monitor.clear_metrics()
        while not self._stop.is_set():
            for _ in range(self._samples):
                self._stop.wait(self._seconds)
                _sample(monitors)
                if self._stop.is_set():
                    break
            values: dict[str, float] = {}
            for monitor in monitors:
                values |= monitor.aggregate_metrics()
                monitor.clear_metrics()
            self._readings.append(Reading(self._node, time.time(), values))
            told()


def _sample(monitors: list[Any]) -> None:
    for monitor in monitors:
        # A driver of a GPU that answers no more must not end the others.
        with suppress(Exception):
            monitor.collect_metrics()


def _monitors() -> Iterator[Any]:
    """MLflow's readers of what this machine has."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

    # It would tell of every reading that a GPU does not have, into the middle of a live view.
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor, ROCMMonitor):
        # Without such a device, or the package that reads it.
        with suppress(Exception):
            yield kind()
