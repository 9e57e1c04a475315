"""Where models and data lie, found out without loading torch."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from search.spec.data import Data
from search.spec.errors import first_line

PACKAGE_PREFIX = "package:"
REACH_SECONDS = 10.0

# What is there first is taken: many hub models hold their weights twice.
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")

T = TypeVar("T")


class NotFound(Exception):
    """A model or data set cannot be found or reached; the message says how to go on."""


def locate(model: str) -> str:
    """Where a model of a space file lies: a local folder, or the name of a hub model.

    Raises:
        NotFound: the package is not installed, or the folder holds no model.
    """
    if model.startswith(PACKAGE_PREFIX):
        package, _, below = model.removeprefix(PACKAGE_PREFIX).partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            distribution = package.replace("_", "-")
            raise NotFound(
                f"{model!r}: the package {package!r} is not installed; "
                f"try pip install {distribution}"
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / below
    elif model.startswith(("/", "./", "../", "~")) or Path(model).exists():
        folder = Path(model).expanduser().resolve()
    else:
        return model
    if not (folder / "config.json").is_file():
        raise NotFound(f"{model!r}: {folder} holds no model (no config.json)")
    return str(folder)


def check_model(model: str) -> None:
    """A model of this machine must be there, with its weights; of the hub nothing is asked.

    Raises:
        NotFound: it is not.
    """
    folder = Path(locate(model))
    if folder.is_dir() and not any(any(folder.glob(weights)) for weights in WEIGHTS):
        raise NotFound(f"{model!r}: {folder} holds no weights ({' or '.join(WEIGHTS)})")


def patience_for(place: str) -> float | None:
    """Seconds that the hub is given to answer; None for what lies on this machine."""
    return None if Path(place).is_dir() else REACH_SECONDS


def within(seconds: float | None, what: str, hint: str, call: Callable[[], T]) -> T:
    """The result of a call that may need the hub, or NotFound once it takes too long.

    Args:
        seconds: it may take; None for what needs no hub.
        what: is looked for.
        hint: how to do without the hub.
        call: fetches it.

    Raises:
        NotFound: naming ``what`` and the ``hint`` how to do without the hub.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # handed to the caller's thread below
            errors.append(error)

    # Each of its retries would be a warning; what comes of them is told in one line below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # A daemon, so that a connection that hangs cannot keep the program from ending.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if not errors:
        raise NotFound(f"{what}: the hub could not be reached within {seconds:g} s; {hint}")
    error = errors[0]
    if isinstance(error, (OSError, ValueError, ConnectionError)) or _from_the_hub(error):
        first = first_line(error)
        raise NotFound(f"{what} cannot be found or the hub cannot be reached ({first}); {hint}")
    if isinstance(error, RuntimeError):  # as of a data set that is made by a script
        raise NotFound(f"{what} cannot be used ({first_line(error)}); {hint}")
    raise error


def _from_the_hub(error: Exception) -> bool:
    """HTTP clients raise errors of their own; what they have in common is where they come from."""
    origin = type(error).__module__.split(".")[0]
    clients = {"huggingface_hub", "httpx", "httpcore", "requests", "urllib3", "fsspec", "aiohttp"}
    return origin in {"datasets", *clients}


def parquet_of(directory: str, task: str, split: str) -> Path:
    """The file of a split in a folder that is laid out as ``TASK/SPLIT.parquet``.

    Raises:
        NotFound: there is none.
    """
    folder = Path(directory).expanduser() / task
    path = folder / f"{split}.parquet"
    if not path.is_file():
        there = sorted(p.name for p in folder.glob("*.parquet")) if folder.is_dir() else []
        found = f"there are {', '.join(there)}" if there else "there is no such data"
        raise NotFound(f"data.dir {directory!r}: {path} does not exist; {found}")
    return path


def given_file(name: str) -> Path:
    """A file of one's own data.

    Raises:
        NotFound: there is none.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise NotFound(f"{path} does not exist")
    return path


def check_data(data: Data, task: str) -> None:
    """What lies on this machine must be there; of the hub nothing is asked.

    Raises:
        NotFound: a file of one's own is missing, or the task's training split.
    """
    for name in (data.files or {}).values():
        given_file(name)
    if data.dir is not None:
        parquet_of(data.dir, task, "train")
