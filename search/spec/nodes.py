"""Walking the search tree: its leaves, by the place that each has in a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from search.spec.distributions import Branch, Constant, Group, Leaf

Path = tuple[str, ...]


def method_of(settings: Mapping[str, Any]) -> str:
    """The method that a configuration trains with."""
    (name,) = settings["method"]
    return str(name)


def methods_of(tree: Group) -> Branch:
    """The branch between methods, which every search has."""
    methods = tree.children["method"]
    assert isinstance(methods, Branch)
    return methods


def shapes_of(node: Group) -> Iterator[dict[Path, Leaf]]:
    """For every combination of options of the branches: leaf by its path in a configuration.

    The option taken at a branch is a constant there, unless the branch nests.
    """
    parts: list[list[dict[Path, Leaf]]] = []
    for key, child in node.children.items():
        if isinstance(child, Leaf):
            parts.append([{(key,): child}])
        elif isinstance(child, Group):
            parts.append([_below((key,), shape) for shape in shapes_of(child)])
        elif child.nested:
            parts.append(
                [
                    _below((key, str(option)), shape)
                    for option, group in child.options.items()
                    for shape in shapes_of(group)
                ]
            )
        else:
            parts.append(
                [
                    {(key,): Constant(option), **shape}
                    for option, group in child.options.items()
                    for shape in shapes_of(group)
                ]
            )
    for combination in product(*parts):
        merged: dict[Path, Leaf] = {}
        for shape in combination:
            merged |= shape
        yield merged


def _below(prefix: Path, shape: Mapping[Path, Leaf]) -> dict[Path, Leaf]:
    return {(*prefix, *path): leaf for path, leaf in shape.items()}


def active_leaves(node: Group, settings: Mapping[str, Any]) -> dict[Path, Leaf]:
    """The leaves that a configuration was drawn from, by their path in it."""
    found: dict[Path, Leaf] = {}
    for key, child in node.children.items():
        if isinstance(child, Leaf):
            found[key,] = child
        elif isinstance(child, Group):
            found |= _below((key,), active_leaves(child, settings.get(key, {})))
        elif child.nested:
            (option,) = settings[key]
            below = active_leaves(child.options[option], settings[key][option])
            found |= _below((key, option), below)
        else:
            option = settings[key]
            found[key,] = Constant(option)
            found |= active_leaves(child.options[option], settings)
    return found


def is_conditional(node: Group) -> bool:
    """Whether some settings exist only for some values of others."""
    for child in node.children.values():
        if isinstance(child, Branch) and (len(child.options) > 1 or not child.nested):
            return True
        groups = child.options.values() if isinstance(child, Branch) else [child]
        if any(isinstance(group, Group) and is_conditional(group) for group in groups):
            return True
    return False
