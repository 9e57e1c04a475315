"""From the search tree to Optuna's parameters and back to settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.spec.distributions import Choice, Constant, Float, Group, Int, Leaf, Subset

#: Draws one parameter: its name and what it is drawn from → its value.
Draw = Callable[[str, BaseDistribution], Any]


def propose(draw: Draw, tree: Group, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Draw a configuration of ``tree``; names of parameters are dotted paths.

    A branch draws its option and then only what that option opens. A subset draws one yes or no
    for each option; once as many are left as are still needed, or none more may be taken, the rest
    is settled and not drawn.
    """
    settings: dict[str, Any] = {}
    for key, node in tree.children.items():
        here = (*path, key)
        if isinstance(node, Leaf):
            settings[key] = _leaf(draw, node, ".".join(here))
        elif isinstance(node, Group):
            settings[key] = propose(draw, node, here)
        else:
            chosen = _option(draw, list(node.options), ".".join(here))
            below = propose(draw, node.options[chosen], (*here, str(chosen)))
            settings |= {key: {chosen: below}} if node.nested else {key: chosen, **below}
    return settings


def params_of(
    tree: Group, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """What would have to be drawn to propose these settings: values and distributions by name."""
    answers = _answers(tree, settings, ())
    distributions: dict[str, BaseDistribution] = {}

    def draw(name: str, distribution: BaseDistribution) -> Any:
        distributions[name] = distribution
        return answers[name]

    propose(draw, tree)
    return {name: answers[name] for name in distributions}, distributions


def _answers(tree: Group, settings: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for key, node in tree.children.items():
        here, name = (*path, key), ".".join((*path, key))
        if isinstance(node, Subset):
            answers |= {f"{name}.{option}": option in settings[key] for option in node.options}
        elif isinstance(node, Leaf):
            answers[name] = settings[key]
        elif isinstance(node, Group):
            answers |= _answers(node, settings[key], here)
        else:
            (chosen,) = settings[key] if node.nested else (settings[key],)
            answers[name] = chosen
            below = settings[key][chosen] if node.nested else settings
            answers |= _answers(node.options[chosen], below, (*here, str(chosen)))
    return answers


def _option(draw: Draw, options: list[Any], name: str) -> Any:
    return options[0] if len(options) == 1 else draw(name, CategoricalDistribution(options))


def _leaf(draw: Draw, leaf: Leaf, name: str) -> Any:
    if isinstance(leaf, Constant):
        return leaf.value
    if isinstance(leaf, Choice):
        return _option(draw, list(leaf.options), name)
    if isinstance(leaf, Int):
        return draw(name, IntDistribution(leaf.low, leaf.high, step=leaf.step))
    if isinstance(leaf, Float):
        return draw(name, FloatDistribution(leaf.low, leaf.high, log=leaf.log, step=leaf.step))
    assert isinstance(leaf, Subset)
    chosen: list[Any] = []
    yes_or_no = CategoricalDistribution([False, True])
    for index, option in enumerate(leaf.options):
        left = len(leaf.options) - index
        if len(chosen) == leaf.maximum:
            break
        forced = left == leaf.minimum - len(chosen)
        if forced or draw(f"{name}.{option}", yes_or_no):
            chosen.append(option)
    return chosen
