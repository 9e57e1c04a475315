"""Which Ray the trials run on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import ray

from search.engine.ray_tune import RAY_ENVIRONMENT, prepare_environment
from search.spec.errors import Mistake, SpecError


@dataclass(frozen=True)
class Place:
    """Where trials run.

    Attributes:
        why: one line for the user.
        own: whether this program started that Ray.
    """

    why: str
    own: bool


@contextmanager
def connected(address: str | None, local: bool) -> Iterator[Place]:
    """Connect to Ray, and leave it in the end.

    In this order: ``--local``; ``--address``; ``RAY_ADDRESS``; a Ray that runs on this machine;
    one that is started here.

    Raises:
        SpecError: an address was given and nothing answers there.
    """
    prepare_environment()
    place = _connect(address, local)
    try:
        yield place
    finally:
        ray.shutdown()


def _connect(address: str | None, local: bool) -> Place:
    if local:
        _start()
        return Place("on this machine: --local was given", own=True)
    if address is not None:
        _join(address, f"--address {address}")
        return Place(f"on {address}: --address was given", own=False)
    if os.environ.get("RAY_ADDRESS"):
        address = os.environ["RAY_ADDRESS"]
        _join(address, f"RAY_ADDRESS={address}")
        return Place(f"on {address}: RAY_ADDRESS is set", own=False)
    try:
        _init(address="auto")
    except ConnectionError:
        _start()
        return Place("on this machine: no Ray was running here", own=True)
    return Place("on the Ray that was running on this machine", own=False)


def _join(address: str, where: str) -> None:
    try:
        _init(address=address)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        first = str(error).strip().splitlines()[0]
        what = f"no Ray answers there ({first}); start one with ray start --head, or use --local"
        raise SpecError("command line", [Mistake(where, what)]) from None


def _start() -> None:
    # Otherwise Ray would take an address left in the environment over starting one.
    os.environ.pop("RAY_ADDRESS", None)
    _init(address="local", include_dashboard=False)


def _init(**arguments: object) -> None:
    """Connect without Ray's own words on the terminal."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            runtime_env={"env_vars": dict(RAY_ENVIRONMENT)},
            **arguments,
        )
