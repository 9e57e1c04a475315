"""What a leaf of the search tree can be: a constant, or a range or set to choose from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from search.spec.errors import did_you_mean

Scalar = str | int | float | bool | None


class Leaf(ABC):
    """One setting."""

    @abstractmethod
    def extremes(self) -> list[Any]:
        """Values at which a check finds any mistake: bounds, every choice; the first is typical."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether the search could propose this value."""

    @abstractmethod
    def describe(self) -> str:
        """For people: ``log 0.0001 … 0.03``."""


@dataclass(frozen=True)
class Constant(Leaf):
    value: Any

    def extremes(self) -> list[Any]:
        return [self.value]

    def contains(self, value: Any) -> bool:
        if isinstance(self.value, list) and isinstance(value, list | tuple):
            return list(self.value) == list(value)
        return bool(self.value == value)

    def describe(self) -> str:
        if isinstance(self.value, list):
            return ", ".join(map(str, self.value))
        return str(self.value)


@dataclass(frozen=True)
class Choice(Leaf):
    options: tuple[Scalar, ...]

    def extremes(self) -> list[Any]:
        return list(self.options)

    def contains(self, value: Any) -> bool:
        return any(value == option and type(value) is type(option) for option in self.options)

    def describe(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


@dataclass(frozen=True)
class Int(Leaf):
    low: int
    high: int
    step: int = 1

    def values(self) -> list[int]:
        """Every value, in order."""
        return list(range(self.low, self.high + 1, self.step))

    def extremes(self) -> list[Any]:
        return [self.low, self.high - (self.high - self.low) % self.step]

    def contains(self, value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def describe(self) -> str:
        step = f" in steps of {self.step}" if self.step != 1 else ""
        return f"whole {self.low} … {self.high}{step}"


@dataclass(frozen=True)
class Float(Leaf):
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def values(self) -> list[float]:
        """Every value of a range with steps, in order; none lies outside, not even by rounding."""
        assert self.step is not None
        # In decimals, as Optuna does: 0.1 + 2 · 0.1 is more than 0.3.
        low, high, step = (Decimal(str(part)) for part in (self.low, self.high, self.step))
        return [float(low + index * step) for index in range(int((high - low) // step) + 1)]

    def extremes(self) -> list[Any]:
        # The last step may lie below the range's end.
        return [self.low, self.high if self.step is None else self.values()[-1]]

    def contains(self, value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.step is not None:
            steps = (value - self.low) / self.step
            if not math.isclose(steps, round(steps), abs_tol=1e-9):
                return False
        return self.low <= value <= self.high

    def describe(self) -> str:
        step = f" in steps of {self.step:g}" if self.step is not None else ""
        return f"{'log ' if self.log else ''}{self.low:g} … {self.high:g}{step}"


@dataclass(frozen=True)
class Subset(Leaf):
    options: tuple[Scalar, ...]
    minimum: int
    maximum: int

    def extremes(self) -> list[Any]:
        largest = [list(c) for c in combinations(self.options, self.maximum)][:1]
        return largest + [list(chosen) for chosen in combinations(self.options, self.minimum)]

    def contains(self, value: Any) -> bool:
        return (
            isinstance(value, list | tuple)
            and set(value) <= set(self.options)
            and len(set(value)) == len(value)
            and self.minimum <= len(value) <= self.maximum
        )

    def describe(self) -> str:
        return f"{self.minimum} to {self.maximum} of " + ", ".join(map(str, self.options))


@dataclass(frozen=True)
class Group:
    """Settings side by side."""

    children: Mapping[str, Node]


@dataclass(frozen=True)
class Branch:
    """One of several options, each with settings of its own: ``{choice: {paper: {}, …}}``.

    Attributes:
        options: option → its settings.
        nested: whether these lie below the option (``method: {aflora: {rank: 4}}``) or beside the
            setting that the branch draws (``rule: official`` and ``window: 4``).
    """

    options: Mapping[Any, Group]
    nested: bool = False


Node = Leaf | Group | Branch

_OPTIONS: Mapping[str, frozenset[str]] = {
    "choice": frozenset(),
    "subset": frozenset({"min", "max"}),
    "int": frozenset({"step"}),
    "float": frozenset({"step"}),
    "log": frozenset(),
}
DISTRIBUTIONS = tuple(_OPTIONS)


class LeafError(ValueError):
    """A node cannot be read; ``path`` is where, below the node that was parsed."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def parse(value: Any, errors: list[LeafError], path: tuple[str, ...] = ()) -> Node | None:
    """Read one node of the search tree as YAML gives it.

    A mapping with a distribution's name among its keys is a distribution, any other mapping a
    group, anything else a constant. Mistakes are added to ``errors``; None stands for a node that
    could not be read.
    """
    if not isinstance(value, Mapping):
        return Constant(value)
    named = [key for key in value if key in _OPTIONS]
    if not named:
        near = _looks_like_distribution(value)
        if near is not None:
            errors.append(LeafError(path, near))
            return None
        return _group(value, errors, path)
    try:
        return _distribution(value, named, errors, path)
    except ValueError as error:
        errors.append(LeafError(path, str(error)))
        return None


def _looks_like_distribution(value: Mapping[Any, Any]) -> str | None:
    """A single key with a pair of numbers is a distribution whose name is wrong."""
    if len(value) != 1:
        return None
    ((key, argument),) = value.items()
    if isinstance(argument, list) and key not in _LIST_SETTINGS:
        return f"unknown distribution {key!r}; {did_you_mean(key, DISTRIBUTIONS)}"
    return None


# Settings whose plain value is a list, so that a lone one in a group is no distribution.
_LIST_SETTINGS = frozenset({"modules", "layers", "head"})


def _group(value: Mapping[Any, Any], errors: list[LeafError], path: tuple[str, ...]) -> Group:
    children = {}
    for key, child in value.items():
        node = parse(child, errors, (*path, str(key)))
        if node is not None:
            children[str(key)] = node
    for key, node in children.items():
        if isinstance(node, Branch):
            opened = {name for group in node.options.values() for name in group.children}
            if twice := sorted(opened & children.keys()):
                what = f"opens {twice[0]}, which also stands beside it"
                errors.append(LeafError((*path, key), what))
    return Group(children)


def _distribution(
    value: Mapping[Any, Any],
    named: Sequence[str],
    errors: list[LeafError],
    path: tuple[str, ...],
) -> Node:
    if len(named) > 1:
        raise ValueError(f"names several distributions: {', '.join(named)}; one is accepted")
    kind = named[0]
    for key in value:
        if key != kind and key not in _OPTIONS[kind]:
            known = sorted(_OPTIONS[kind])
            accepted = did_you_mean(key, known) if known else f"{kind} takes none"
            raise ValueError(f"unknown option {key!r} of {kind}; {accepted}")
    argument = value[kind]
    if kind == "choice" and isinstance(argument, Mapping):
        if not argument:
            raise ValueError("choice is empty; at least one option is needed")
        return Branch(
            {
                name: _group(child or {}, errors, (*path, str(name)))
                for name, child in argument.items()
                if _is_group(child, errors, (*path, str(name)))
            }
        )
    if not isinstance(argument, list):
        raise ValueError(f"{kind} takes a list, got {argument!r}")
    if kind in {"choice", "subset"}:
        return _options(kind, argument, value)
    return _range(kind, argument, value.get("step"))


def _is_group(child: Any, errors: list[LeafError], path: tuple[str, ...]) -> bool:
    if child is None or isinstance(child, Mapping):
        return True
    errors.append(LeafError(path, f"takes settings (key: value), got {child!r}"))
    return False


def _options(kind: str, argument: list[Any], value: Mapping[Any, Any]) -> Leaf:
    if not argument:
        raise ValueError(f"{kind} is empty; at least one option is needed")
    for option in argument:
        if not isinstance(option, str | int | float | bool | None):
            raise ValueError(f"an option of {kind} must be a plain value, got {option!r}")
    if len({(type(option), option) for option in argument}) != len(argument):
        raise ValueError(f"{kind} lists an option twice: {argument!r}")
    if kind == "choice":
        return Choice(tuple(argument))
    minimum, maximum = value.get("min", 1), value.get("max", len(argument))
    for name, bound in (("min", minimum), ("max", maximum)):
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise ValueError(f"{name} of subset must be a whole number, got {bound!r}")
    if not 0 <= minimum <= maximum <= len(argument):
        raise ValueError(
            f"0 <= min <= max <= {len(argument)} must hold for a subset of {len(argument)} "
            f"options, got min {minimum} and max {maximum}"
        )
    return Subset(tuple(argument), minimum, maximum)


def _range(kind: str, argument: list[Any], step: Any) -> Leaf:
    if len(argument) != 2:
        raise ValueError(f"{kind} takes [low, high], got {argument!r}")
    for bound in [*argument, *([step] if step is not None else [])]:
        if not isinstance(bound, int | float) or isinstance(bound, bool):
            raise ValueError(f"{kind} takes numbers, got {bound!r}")
        if not math.isfinite(bound):
            raise ValueError(f"{kind} takes finite numbers, got {bound!r}")
        if kind == "int" and not isinstance(bound, int):
            raise ValueError(f"int takes whole numbers, got {bound!r}")
    low, high = argument
    if low > high:
        raise ValueError(f"the range is reversed: {low!r} is larger than {high!r}")
    if low == high:
        raise ValueError(f"the range from {low!r} to {high!r} is empty; write the constant {low!r}")
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"step must lie between 0 and {high - low!r}, got {step!r}")
    if kind == "log" and low <= 0:
        raise ValueError(f"log needs a range above 0, got {low!r}")
    if kind == "int":
        return Int(low, high, 1 if step is None else step)
    return Float(float(low), float(high), kind == "log", None if step is None else float(step))
