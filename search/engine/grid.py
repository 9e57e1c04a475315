"""Every configuration of a space without conditions, in a seeded order."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np

from search.engine.proposals import Draw
from search.spec.distributions import Constant, Float, Group, Leaf, Subset
from search.spec.nodes import is_conditional, shapes_of
from search.spec.relations import grid_of

MOST = 100_000


class Grid:
    """The configurations of a space.

    Args:
        tree: the space.
        seed: draws the order.

    Raises:
        ValueError: some settings exist only for some values of others, a range has no steps, or
            there are more than 100,000 configurations.
    """

    def __init__(self, tree: Group, seed: int) -> None:
        if is_conditional(tree):
            raise ValueError(
                "grid takes no space in which a choice opens settings of its own; search one "
                "method, or use another sampler"
            )
        (shape,) = shapes_of(tree)
        self._leaves = {
            ".".join(path): leaf for path, leaf in shape.items() if not isinstance(leaf, Constant)
        }
        self._values = [_values(name, leaf) for name, leaf in self._leaves.items()]
        self.size = math.prod(len(values) for values in self._values)
        if self.size > MOST:
            raise ValueError(
                f"grid would have {self.size:,} configurations, more than {MOST:,}; give ranges "
                "larger steps, or use another sampler"
            )
        self._order = np.random.default_rng([seed]).permutation(self.size)

    def draw(self, place: int) -> Draw:
        """What draws the configuration at a place of the order, from 0 to ``size - 1``."""
        index = int(self._order[place])
        answers: dict[str, Any] = {}
        for (name, leaf), values in zip(self._leaves.items(), self._values, strict=True):
            index, position = divmod(index, len(values))
            if isinstance(leaf, Subset):
                chosen = values[position]
                answers |= {f"{name}.{option}": option in chosen for option in leaf.options}
            else:
                answers[name] = values[position]
        return lambda name, distribution: answers[name]


def _values(name: str, leaf: Leaf) -> list[Any]:
    if isinstance(leaf, Subset):
        sizes = range(leaf.minimum, leaf.maximum + 1)
        return [list(chosen) for size in sizes for chosen in combinations(leaf.options, size)]
    if isinstance(leaf, Float) and leaf.step is None:
        raise ValueError(f"grid needs steps: give {name} a step, or a choice")
    return grid_of(leaf)
