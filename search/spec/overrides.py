"""What the command line changes in a space file: ``--set KEY=VALUE``, and ``methods``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from search.spec.errors import Mistake, did_you_mean
from search.spec.per_task import KEY
from search.spec.rivals import settle_rivals


class Loader(yaml.SafeLoader):
    """YAML 1.2 numbers: 1e-3 is one, as everyone who writes a learning rate expects, 1:30 none."""


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    # The loader's own takes a zero in front for a number to the base of eight.
    return int(str(loader.construct_scalar(node)).replace("_", ""))


_NUMBERS = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?[0-9][0-9_]*$"),
    list("-+0123456789"),
)
Loader.add_constructor("tag:yaml.org,2002:int", _whole)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def override(content: dict[str, Any], overrides: Sequence[str]) -> list[Mistake]:
    """Have ``KEY=VALUE`` pairs win over a space file's content, which is changed; what is wrong."""
    mistakes = []
    for given in overrides:
        key, equals, text = given.partition("=")
        where = f"--set {given}"
        if not equals or not key:
            mistakes.append(Mistake(where, "takes key=value, for example budget.trials=8"))
            continue
        try:
            value = yaml.load(text, Loader=Loader)  # noqa: S506 - Loader is a SafeLoader
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or error
            mistakes.append(Mistake(where, f"the value is not YAML: {problem}"))
            continue
        parts = key.split(".")
        place: Any = content
        for depth, part in enumerate(parts[:-1]):
            place = _below(place, part) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                what = f"{'.'.join(parts[: depth + 1])} holds no keys"
                mistakes.append(Mistake(where, what))
                break
        else:
            if value is not None:
                # Nothing is no rival: ``epochs=null`` beside ``steps=20`` takes back the epochs.
                settle_rivals(place, parts[2:] if parts[0] == KEY else parts)
            _section_of(place, parts[-1])[parts[-1]] = value
    return mistakes


def _below(place: dict[str, Any], part: str) -> Any:
    return _section_of(place, part).setdefault(part, {})


def _section_of(place: dict[str, Any], part: str) -> dict[str, Any]:
    """Where a key stands: errors name settings without the word ``choice`` around them."""
    choice = place.get("choice")
    return choice if part not in place and isinstance(choice, dict) and part in choice else place


def override_all(content: dict[str, Any], overrides: Sequence[str]) -> list[Mistake]:
    """Have ``KEY=VALUE`` pairs win over the file, also over what it changes for single tasks.

    What they say of one task, ``per_task.TASK.…``, wins over what they say of all.
    """
    of_one = [given for given in overrides if given.partition("=")[0].split(".")[0] == KEY]
    of_all = [given for given in overrides if given not in of_one]
    mistakes = override(content, of_all)
    if isinstance(changes := content.get(KEY), Mapping):
        for change in changes.values():
            if isinstance(change, dict):
                _override_task(change, of_all)
    return mistakes + override(content, of_one)


def _override_task(change: dict[str, Any], overrides: Sequence[str]) -> None:
    """Have the command line win over what the file changes for one task."""
    for given in overrides:
        section, *below = given.partition("=")[0].split(".")
        if section not in change:
            continue
        values = change[section]
        if not below or not isinstance(values, dict):
            del change[section]
            continue
        if len(below) == 1:
            settle_rivals(values, [section, *below])
            values.pop(below[0], None)
        elif below[0] in values:
            # What is wrong with it is told of the file's own section.
            override(change, [given])
        if not values:
            del change[section]


def only_methods(
    content: dict[str, Any], per_task: dict[str, Any], where: str = "methods"
) -> list[Mistake]:
    """``methods: [lora, head]`` leaves out the others, and what is enqueued of them.

    Args:
        content: of a space file, or as it stands for one task.
        per_task: what it changes for single tasks.
        where: the key stands, for what is wrong with it.
    """
    if "methods" not in content:
        return []
    wanted = content.pop("methods")
    mistakes = _keep_methods(content, content, wanted, where)
    for task, change in per_task.items():
        if "methods" in change:
            continue
        own = change if "search" in change and "method" in change["search"] else content
        mistakes += _keep_methods(change, own, wanted, f"{KEY}.{task}.methods")
    return list(dict.fromkeys(mistakes))


def _keep_methods(
    content: dict[str, Any], searched: Mapping[str, Any], wanted: Any, where: str
) -> list[Mistake]:
    """Leave out methods from what a content searches and enqueues."""
    search = searched.get("search")
    method = search.get("method") if isinstance(search, Mapping) else None
    there = method.get("choice", method) if isinstance(method, Mapping) else method
    if not isinstance(there, str | list | Mapping):
        return []  # what is wrong with it is said elsewhere
    named = [there] if isinstance(there, str) else list(there)
    if not isinstance(wanted, list) or not wanted:
        return [Mistake(where, f"takes a list of methods of the space, got {wanted!r}")]
    unknown = [name for name in wanted if name not in named]
    if unknown:
        what = f"{unknown[0]!r} is no method of this space; {did_you_mean(unknown[0], named)}"
        return [Mistake(where, what)]
    if searched is content:
        assert isinstance(search, Mapping)
        settings = there if isinstance(there, Mapping) else {name: {} for name in named}
        kept = {name: settings[name] for name in named if name in wanted}
        content["search"] = {**search, "method": {"choice": kept}}
    queue = content.get("enqueue")
    if isinstance(queue, list):
        content["enqueue"] = [entry for entry in queue if not _names_another(entry, wanted)]
    return []


def _names_another(entry: Any, wanted: Sequence[str]) -> bool:
    method = entry.get("method") if isinstance(entry, Mapping) else None
    return isinstance(method, Mapping) and not set(method) & set(wanted)
