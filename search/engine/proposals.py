"""From the search tree to Optuna's parameters and back to settings."""

from __future__ import annotations

from typing import Any, Protocol

from search.spec.distributions import (
    Branch,
    Choice,
    Constant,
    Float,
    Group,
    Int,
    Node,
    Subset,
)


class Suggestor(Protocol):
    """The part of ``optuna.Trial`` that draws values."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


def propose(trial: Suggestor, node: Node, path: tuple[str, ...] = ()) -> Any:
    """Draw a configuration below ``node``; names of parameters are dotted paths.

    A branch draws its option and then only what lies below that option. A subset draws one yes or
    no for each option; once as many are left as are still needed, or none more may be taken, the
    rest is settled and not drawn.
    """
    name = ".".join(path)
    if isinstance(node, Group):
        return {key: propose(trial, child, (*path, key)) for key, child in node.children.items()}
    if isinstance(node, Branch):
        options = list(node.options)
        chosen = options[0] if len(options) == 1 else trial.suggest_categorical(name, options)
        return {chosen: propose(trial, node.options[chosen], (*path, chosen))}
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Choice):
        return trial.suggest_categorical(name, list(node.options))
    if isinstance(node, Int):
        return trial.suggest_int(name, node.low, node.high, step=node.step)
    if isinstance(node, Float):
        return trial.suggest_float(name, node.low, node.high, step=node.step, log=node.log)
    assert isinstance(node, Subset)
    chosen_options: list[str] = []
    for index, option in enumerate(node.options):
        left = len(node.options) - index
        if len(chosen_options) == node.maximum:
            break
        forced = left == node.minimum - len(chosen_options)
        if forced or trial.suggest_categorical(f"{name}.{option}", [False, True]):
            chosen_options.append(option)
    return chosen_options
