"""The search tree: every configuration a space can propose, checked before any is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from search.spec.distributions import (
    Branch,
    Constant,
    Float,
    Group,
    Leaf,
    LeafError,
    Node,
    Subset,
    parse,
)
from search.spec.errors import Mistake, did_you_mean
from search.spec.settings import METHODS, FreezeSettings, TrialSettings

Path = tuple[str, ...]


@dataclass(frozen=True)
class Enqueued:
    """A configuration the user wants tried first.

    Attributes:
        mark: what to call it in tables and plots; None if it has no name.
        settings: the whole configuration, shaped like ``search``.
        params: the same by the names of the search's distributions.
    """

    mark: str | None
    settings: dict[str, Any]
    params: dict[str, Any]


def parse_tree(search: Mapping[str, Any]) -> tuple[Group, list[Mistake]]:
    """Read ``search`` and check every value it can propose."""
    errors: list[LeafError] = []
    plain = dict(search)
    methods = _methods(plain.pop("method", None), errors)
    root = parse({**plain, "method": None}, errors, ("search",))
    assert isinstance(root, Group)
    tree = Group({"method": methods} | {k: v for k, v in root.children.items() if k != "method"})
    mistakes = [Mistake(".".join(error.path), str(error)) for error in errors]
    broken = {mistake.where for mistake in mistakes}
    mistakes += [m for m in _check(tree) if not _below(m.where, broken)]
    return tree, mistakes


def _methods(value: Any, errors: list[LeafError]) -> Branch:
    """Read ``method`` in any of its forms: a name, names, or names with settings."""
    here = ("search", "method")
    if value is None:
        errors.append(LeafError(here, f"is missing; {did_you_mean('', METHODS)}"))
        return Branch({})
    if isinstance(value, Mapping) and set(value) == {"choice"}:
        value = value["choice"]
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {name: {} for name in value if isinstance(name, str)}
    if not isinstance(value, Mapping) or not value:
        errors.append(LeafError(here, f"takes the name of a method, got {value!r}"))
        return Branch({})
    for name in value:
        if name not in METHODS:
            message = f"unknown method {name!r}; {did_you_mean(name, METHODS)}"
            errors.append(LeafError((*here, str(name)), message))
    known = {name: child for name, child in value.items() if name in METHODS}
    if not known:
        return Branch({})
    node = parse({"choice": known}, errors, here)
    return node if isinstance(node, Branch) else Branch({})


def _below(where: str, broken: set[str]) -> bool:
    return any(where == place or where.startswith(f"{place}.") for place in broken)


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Every leaf below a node with its path; options of a branch are part of the path."""
    if isinstance(node, Leaf):
        yield path, node
        return
    children = node.children if isinstance(node, Group) else node.options
    for name, child in children.items():
        yield from leaves(child, (*path, name))


def variants(
    tree: Group, method: str, counted: frozenset[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Settings of ``method`` at the extremes of its leaves.

    With ``counted`` all combinations of the extremes of those settings (first key below the
    method), everything else at its first value; without, the first values, and then one leaf at
    a time at each of its extremes.
    """
    own: Group = _branch(tree).options[method]
    outer = {name: node for name, node in tree.children.items() if name != "method"}
    found = [(("method", method, *path), leaf) for path, leaf in leaves(own)]
    found += list(leaves(Group(outer)))
    base: dict[Path, Any] = {path: _first(path, leaf) for path, leaf in found}
    if counted is None:
        yield _nest(base, method)
        for path, leaf in found:
            for value in leaf.extremes():
                yield _nest(base | {path: value}, method)
        return
    points = [base]
    for path, leaf in found:
        if path[0] == "method" and path[2] in counted:
            points = [point | {path: value} for point in points for value in leaf.extremes()]
    for point in points:
        yield _nest(point, method)


def _first(path: Path, leaf: Leaf) -> Any:
    # The widest schedule, so that start < end holds while one of the two is varied.
    values = leaf.extremes()
    place = path[:-1] if path[-1] == "epochs" else path
    if place[-2:] == ("freeze", "end") and all(isinstance(v, int | float) for v in values):
        return max(values)
    if place[-2:] == ("freeze", "start") and all(isinstance(v, int | float) for v in values):
        return min(values)
    return values[0]


def _nest(values: Mapping[Path, Any], method: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"method": {method: {}}}
    for path, value in values.items():
        place = settings
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return settings


def _branch(tree: Group) -> Branch:
    methods = tree.children["method"]
    assert isinstance(methods, Branch)
    return methods


def _check(tree: Group) -> list[Mistake]:
    found: dict[tuple[str, str], Mistake] = {}
    for method in _branch(tree).options:
        for settings in variants(tree, method):
            for mistake in check_settings(settings, "search"):
                found.setdefault((mistake.where, mistake.what.split(", got ")[0]), mistake)
        late = _check_schedule(tree, method)
        if late is not None:
            found.setdefault((late.where, late.what), late)
    return list(found.values())


def check_settings(settings: Mapping[str, Any], where: str) -> list[Mistake]:
    """What is wrong with a whole configuration; places are given below ``where``."""
    mistakes = []
    try:
        TrialSettings.model_validate(settings)
    except ValidationError as error:
        mistakes += pydantic_mistakes(error, TrialSettings, where)
    method = settings.get("method")
    if isinstance(method, Mapping) and len(method) == 1:
        name, own = next(iter(method.items()))
        if name not in METHODS:
            what = f"unknown method {name!r}; {did_you_mean(name, METHODS)}"
            return [*mistakes, Mistake(f"{where}.method", what)]
        try:
            METHODS[name].model_validate(own)
        except ValidationError as error:
            mistakes += pydantic_mistakes(error, METHODS[name], f"{where}.method.{name}")
        if isinstance(own, Mapping) and not {"learning_rate"} & {*settings, *own}:
            what = f"is missing; give it here or as search.method.{name}.learning_rate"
            mistakes.append(Mistake(f"{where}.learning_rate", what))
    elif method is not None:
        mistakes.append(Mistake(f"{where}.method", f"takes one method, got {method!r}"))
    return mistakes


def _check_schedule(tree: Group, method: str) -> Mistake | None:
    """``freeze.start`` must lie below ``freeze.end`` whatever values are drawn."""
    own = dict(leaves(_branch(tree).options[method]))
    if method != "aflora":
        return None
    default = FreezeSettings()
    in_epochs = [("freeze", name, "epochs") in own for name in ("start", "end")]
    if all(in_epochs):
        start, end = own["freeze", "start", "epochs"], own["freeze", "end", "epochs"]
    elif any(in_epochs):
        return None  # comparable only once the steps of an epoch are known
    else:
        start = own.get(("freeze", "start"), Constant(default.start))
        end = own.get(("freeze", "end"), Constant(default.end))
    values = [*start.extremes(), *end.extremes()]
    if not all(isinstance(value, int | float) for value in values):
        return None  # not numbers, which has been said already
    latest, earliest = max(start.extremes()), min(end.extremes())
    drawn = [leaf for leaf in (start, end) if isinstance(leaf, Float) and leaf.step is None]
    if latest < earliest or (latest == earliest and drawn):
        return None
    return Mistake(
        f"search.method.{method}.freeze.start",
        f"can be as large as {latest}, and freeze.end as small as {earliest}; start must stay "
        "below end",
    )


_ARMS = frozenset({"Holdout", "literal['validation']", "(fraction)", "(epochs)"})


def pydantic_mistakes(
    error: ValidationError, model: type[BaseModel], where: str = ""
) -> list[Mistake]:
    """Pydantic's findings in our words."""
    mistakes = []
    for finding in error.errors(include_url=False):
        location = [str(part) for part in finding["loc"]]
        # The arms of a union appear in the location; they are no keys of the file.
        location = [part for part in location if part not in _ARMS]
        if where and location and location[-1].isdigit():
            location.pop()  # the position in a drawn subset is not the position in the file
        place = ".".join([where, *location] if where else location) or "(file)"
        mistakes.append(Mistake(place, _words(finding, model, location)))
    return mistakes


def _words(finding: Any, model: type[BaseModel], location: list[str]) -> str:
    kind, value = finding["type"], finding.get("input")
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(location[-1], _known_keys(model, location[:-1]))}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(finding["ctx"]["error"])
    message = finding["msg"][0].lower() + finding["msg"][1:]
    message = message.removeprefix("input ")
    return f"{message}, got {value!r}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        for candidate in _models_of(field.annotation if field else None):
            model = candidate
    return list(model.model_fields)


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_of(part)]


def enqueued(tree: Group, entry: Mapping[str, Any], where: str) -> tuple[Enqueued, list[Mistake]]:
    """Read one configuration of ``enqueue`` and check that the space contains it."""
    plain = dict(entry)
    mark = plain.pop("mark", None)
    mistakes: list[Mistake] = []
    if mark is not None and not isinstance(mark, str):
        mistakes.append(Mistake(f"{where}.mark", f"takes a name, got {mark!r}"))
    params: dict[str, Any] = {}
    settings = _place(tree, plain, (), where, params, mistakes)
    if not mistakes:
        mistakes = check_settings(settings, where)
    return Enqueued(mark, settings, params), mistakes


def _place(
    node: Node, value: Any, path: Path, where: str, params: dict[str, Any], found: list[Mistake]
) -> Any:
    here = ".".join((where, *path))
    name = ".".join(path)
    if isinstance(node, Leaf):
        if value is _ABSENT and isinstance(node, Constant):
            return node.value
        if value is _ABSENT:
            found.append(Mistake(here, f"is missing; the space has {node.describe()}"))
        elif not node.contains(value):
            what = f"{value!r} is not in the space, which has {node.describe()}"
            found.append(Mistake(here, what))
        elif isinstance(node, Subset):
            params.update({f"{name}.{option}": option in value for option in node.options})
        elif not isinstance(node, Constant):
            params[name] = value
        return value
    if value is _ABSENT:
        value = {}
    if not isinstance(value, Mapping):
        found.append(Mistake(here, f"takes settings (key: value), got {value!r}"))
        return {}
    if isinstance(node, Branch):
        if len(value) != 1 or next(iter(value)) not in node.options:
            accepted = ", ".join(node.options)
            found.append(Mistake(here, f"takes one of {accepted}, got {', '.join(value) or None}"))
            return {}
        chosen = str(next(iter(value)))
        if len(node.options) > 1:
            params[name] = chosen
        own = value[chosen] if value[chosen] is not None else {}
        return {chosen: _place(node.options[chosen], own, (*path, chosen), where, params, found)}
    for key in value:
        if key not in node.children:
            what = f"is no setting of this space; {did_you_mean(key, node.children)}"
            found.append(Mistake(f"{here}.{key}", what))
    return {
        key: _place(child, value.get(key, _ABSENT), (*path, key), where, params, found)
        for key, child in node.children.items()
    }


class _Absent:
    pass


_ABSENT = _Absent()
