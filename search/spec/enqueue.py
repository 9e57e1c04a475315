"""Configurations to try before any is proposed: the user's own, or those of an earlier front."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from search.spec.characters import is_whole
from search.spec.distributions import Branch, Constant, Group, Leaf
from search.spec.errors import Mistake, did_you_mean
from search.spec.nodes import Path
from search.spec.tree import check_settings


@dataclass(frozen=True)
class Enqueued:
    """A configuration to try first.

    Attributes:
        mark: what to call it in tables and plots; None if it has no name.
        settings: the whole configuration, shaped like ``search``.
        where: the key that holds it.
    """

    mark: str | None
    settings: dict[str, Any]
    where: str


def enqueued(tree: Group, entry: Mapping[str, Any], where: str) -> tuple[Enqueued, list[Mistake]]:
    """Read one configuration of ``enqueue`` and check that the space contains it."""
    plain = dict(entry)
    mark = plain.pop("mark", None)
    mistakes: list[Mistake] = []
    if mark is not None and not isinstance(mark, str):
        mistakes.append(Mistake(f"{where}.mark", f"takes a name, got {mark!r}"))
    elif mark is not None and not is_whole(mark):
        what = f"{mark!r} holds half a character, which no file takes"
        mistakes.append(Mistake(f"{where}.mark", what))
    settings = _group(tree, plain, (), where, mistakes)
    if not mistakes:
        mistakes = check_settings(settings, where)
    return Enqueued(mark, settings, where), mistakes


def front_of(run: str, tree: Group) -> tuple[list[Enqueued], list[str], list[Mistake]]:
    """The front of an earlier run, as far as this space contains it.

    Returns:
        The configurations; what was left out and why, a line each; mistakes, where there is no
        front or none of it lies in the space.
    """
    path = FilePath(run) / "front.json"
    try:
        members = json.loads(path.read_text(encoding="utf-8"))["front"]
        entries = [(member["trial"], dict(member["params"])) for member in members]
    except (FileNotFoundError, NotADirectoryError):
        return [], [], [Mistake("warm_start", f"{run!r} holds no front ({path} does not exist)")]
    except (KeyError, TypeError, ValueError) as error:
        return [], [], [Mistake("warm_start", f"{path} is damaged: {error!r}")]
    except OSError as error:
        return [], [], [Mistake("warm_start", f"{path} cannot be read: {error.strerror}")]
    found, left_out = [], []
    for number, params in entries:
        mark = f"{FilePath(run).name} #{number}"
        read, wrong = enqueued(tree, {**params, "mark": mark}, f"{run} trial {number}")
        if wrong:
            left_out.append(f"{mark} is not in this space: {wrong[0]}")
        else:
            found.append(read)
    if not found:
        why = f"; {left_out[0]}" if left_out else ""
        what = f"{run!r} has no configuration on its front that lies in this space{why}"
        return [], [], [Mistake("warm_start", what)]
    return found, left_out, []


def _group(node: Group, value: Any, path: Path, where: str, found: list[Mistake]) -> dict[str, Any]:
    """The settings of a group, its constants filled in."""
    here = ".".join((where, *path))
    if not isinstance(value, Mapping):
        found.append(Mistake(here, f"takes settings (key: value), got {value!r}"))
        return {}
    children = dict(node.children)
    settings: dict[str, Any] = {}
    while children:
        key, child = next(iter(children.items()))
        del children[key]
        given = value.get(key, _ABSENT)
        if isinstance(child, Leaf):
            settings[key] = _leaf(child, given, f"{here}.{key}", found)
        elif isinstance(child, Group):
            below = {} if given is _ABSENT else given
            settings[key] = _group(child, below, (*path, key), where, found)
        elif child.nested:
            settings[key] = _method(child, given, (*path, key), where, found)
        elif given is not _ABSENT and _is_option(child, given):
            settings[key] = given
            children |= child.options[given].children
        else:
            accepted = ", ".join(map(str, child.options))
            got = "it is missing" if given is _ABSENT else f"got {given!r}"
            found.append(Mistake(f"{here}.{key}", f"takes one of {accepted}; {got}"))
            settings[key] = given
            children |= {k: c for g in child.options.values() for k, c in g.children.items()}
    for key in value:
        if key not in settings:
            known = [*settings]
            what = f"is no setting of this space; {did_you_mean(key, known)}"
            found.append(Mistake(f"{here}.{key}", what))
    return settings


def _is_option(branch: Branch, value: Any) -> bool:
    return any(value == option and type(value) is type(option) for option in branch.options)


def _method(
    node: Branch, value: Any, path: Path, where: str, found: list[Mistake]
) -> dict[str, Any]:
    here = ".".join((where, *path))
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in node.options:
        got = ", ".join(map(str, value)) if isinstance(value, Mapping) and value else None
        accepted = ", ".join(map(str, node.options))
        found.append(Mistake(here, f"takes one of {accepted}, got {got}"))
        return {}
    ((chosen, own),) = value.items()
    below = own if own is not None else {}
    return {chosen: _group(node.options[chosen], below, (*path, chosen), where, found)}


def _leaf(leaf: Leaf, value: Any, here: str, found: list[Mistake]) -> Any:
    if value is _ABSENT and isinstance(leaf, Constant):
        return leaf.value
    if value is _ABSENT:
        found.append(Mistake(here, f"is missing; the space has {leaf.describe()}"))
    elif not leaf.contains(value):
        what = f"{value!r} is not in the space, which has {leaf.describe()}"
        found.append(Mistake(here, what))
    return value


class _Absent:
    pass


_ABSENT = _Absent()
