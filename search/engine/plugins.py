"""Classes of Optuna by short name or ``module:Class``, and their arguments from a space file."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from optuna.exceptions import ExperimentalWarning

from search.spec.errors import did_you_mean

# What a space file calls what Optuna's classes call otherwise.
_INSTEAD = {"n_startup_trials": "say startup", "seed": "say seed, beside sampler"}


def class_of(name: str, known: Mapping[str, type[Any] | None], base: type[Any]) -> type[Any]:
    """The class that a name stands for.

    Raises:
        ValueError: there is no such class, or it is no ``base``.
    """
    if (found := known.get(name)) is not None:
        return found
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown name {name!r}; {did_you_mean(name, known)}, or module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{name!r} is no {base.__module__.split('.')[0]} {base.__name__}")
    return found


def check_arguments(cls: type[Any], options: Collection[str], ours: Collection[str]) -> None:
    """Refuse keys that are no arguments of a class, or that the search sets itself.

    Raises:
        ValueError: naming the key and what would be accepted.
    """
    known = [name for name in _parameters(cls) if name not in ours]
    if "n_startup_trials" in ours:
        known.insert(0, "startup")
    for key in options:
        if key in ours:
            instead = _INSTEAD.get(key, "leave it out")
            raise ValueError(f"{key} is set by the search itself; {instead}")
        if key not in known:
            hint = did_you_mean(key, known) if known else "it takes none"
            raise ValueError(f"{cls.__name__} has no argument {key!r}; {hint}")


def make(cls: type[Any], options: Mapping[str, Any], **ours: Any) -> Any:
    """An instance; of ``ours`` the arguments that the class takes.

    Raises:
        ValueError: the class refuses an argument.
    """
    taken = {name: value for name, value in ours.items() if name in _parameters(cls)}
    with warnings.catch_warnings():
        # Much of what a search needs of Optuna is called experimental; gamma is to go in Optuna 6.
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return cls(**(taken | dict(options)))
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from error


def _parameters(cls: type[Any]) -> list[str]:
    return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
