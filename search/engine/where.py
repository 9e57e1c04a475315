"""Which Ray the trials run on."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import ray

from search.engine.cpus import cpus_here
from search.engine.ray_environment import prepare_environment
from search.spec.errors import Mistake, SpecError, first_line

_OURS = {"aflora-search/ends-with-its-search": "true"}
_ANSWER_SECONDS = 5.0
# Longer than a Ray of one's own takes to start.
_LEAVE_SECONDS = 20.0


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
def connecting(address: str | None, local: bool) -> Iterator[Future[Place]]:
    """Connect to Ray while the caller does something else, and leave it in the end.

    In this order: ``--local``; ``--address``; ``RAY_ADDRESS``; a Ray that runs on this machine;
    one that is started here. The Ray that another search has started for itself does not count: it
    ends with that search.

    Yields:
        The place, when it is known; SpecError is what an address where nothing answers comes to.
    """
    prepare_environment()
    place: Future[Place] = Future()
    over = threading.Event()

    def hold() -> None:
        try:
            place.set_result(_connect(address, local))
        except Exception as error:  # raised where the place is asked for
            place.set_exception(error)
        # Ray's processes end with the thread that started them.
        over.wait()
        ray.shutdown()

    # A daemon: a program that has failed ends also while Ray is still trying, which takes minutes.
    thread = threading.Thread(target=hold, name="ray", daemon=True)
    thread.start()
    patience = _LEAVE_SECONDS
    try:
        yield place
    except KeyboardInterrupt:
        patience = 0.0
        raise
    finally:
        over.set()
        # Who has failed or interrupts does not wait for a Ray that never answers.
        thread.join(None if place.done() else patience)


@contextmanager
def connected(address: str | None, local: bool) -> Iterator[Place]:
    """Connect to Ray as :func:`connecting` does, and wait for it.

    Raises:
        SpecError: an address was given and nothing answers there.
    """
    with connecting(address, local) as place:
        yield place.result()


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
    if _join_running():
        return Place("on the Ray that was running on this machine", own=False)
    _start()
    return Place("on this machine: no Ray was running here", own=True)


def _join_running() -> bool:
    try:
        _init(address="auto", runtime_env=_environment())
    except ConnectionError:
        return False
    if any(_OURS.items() <= node["Labels"].items() for node in ray.nodes()):
        ray.shutdown()
        return False
    return True


def _join(address: str, where: str) -> None:
    hint = ""
    try:
        _knock(address)
        if "RAY_AUTH_MODE" not in os.environ:
            # Ray finds its token by itself only where it finds the cluster by itself.
            hint = "; if it asks for a token, set RAY_AUTH_MODE=token"
        _init(address=address, runtime_env=_environment())
    except (OSError, ValueError, RuntimeError) as error:
        why = first_line(error)
        what = f"no Ray answers there ({why}); start one with ray start --head, or use --local"
        raise SpecError("command line", [Mistake(where, what + hint)]) from None


def _knock(address: str) -> None:
    """Where nobody listens Ray itself would try for minutes.

    Raises:
        OSError: nobody listens at ``[ray://]HOST:PORT``.
        ValueError: that is no address.
    """
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname is None or parts.port is None:
        raise ValueError("an address is HOST:PORT")
    socket.create_connection((parts.hostname, parts.port), timeout=_ANSWER_SECONDS).close()


def _start() -> None:
    # Otherwise Ray would take an address left in the environment over starting one.
    os.environ.pop("RAY_ADDRESS", None)
    # Its processes inherit what was prepared. An environment of the job's own, which says the same,
    # would keep the processes that Ray starts with from being used for anything.
    _init(address="local", include_dashboard=False, labels=_OURS, **_bound_cpus())


def _bound_cpus() -> dict[str, int]:
    """Ray counts the machine's CPUs, those that this process may not use included."""
    allowed = cpus_here()
    return {"num_cpus": allowed} if allowed < (os.cpu_count() or 1) else {}


def _environment() -> dict[str, object]:
    """What processes of a Ray that runs already are to find in theirs."""
    return {"env_vars": prepare_environment()}


def _init(**arguments: object) -> None:
    """Connect without Ray's own words on the terminal."""
    ray.init(
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
        **arguments,
    )
