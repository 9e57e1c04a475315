"""The search tree: every configuration a space can propose, checked before any is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from search.spec.distributions import Branch, Group, Leaf, LeafError, parse
from search.spec.errors import Mistake, did_you_mean
from search.spec.nodes import Path, methods_of, shapes_of
from search.spec.relations import NOMINAL, schedule_mistakes, settle
from search.spec.settings import METHODS, TrialSettings, has_learning_rate


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
        return Branch({}, nested=True)
    if isinstance(value, Mapping) and set(value) == {"choice"}:
        value = value["choice"]
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {name: {} for name in value if isinstance(name, str)}
    if not isinstance(value, Mapping) or not value:
        errors.append(LeafError(here, f"takes the name of a method, got {value!r}"))
        return Branch({}, nested=True)
    for name in value:
        if name not in METHODS:
            message = f"unknown method {name!r}; {did_you_mean(name, METHODS)}"
            errors.append(LeafError((*here, str(name)), message))
    known = {name: child for name, child in value.items() if name in METHODS}
    if not known:
        return Branch({}, nested=True)
    node = parse({"choice": known}, errors, here)
    return Branch(node.options if isinstance(node, Branch) else {}, nested=True)


def _below(where: str, broken: set[str]) -> bool:
    return any(where == place or where.startswith(f"{place}.") for place in broken)


def variants(
    tree: Group, method: str, counted: frozenset[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Settings of ``method`` at the extremes of its leaves, for every combination of options.

    With ``counted`` all combinations of the extremes of those settings (first key below the
    method), everything else at its first value; without, the first values, and then one leaf at
    a time at each of its extremes.
    """
    for shape in shapes_of(_only(tree, method)):
        base: dict[Path, Any] = {path: _first(path, leaf) for path, leaf in shape.items()}
        if counted is None:
            yield _nest(base, method)
            for path, leaf in shape.items():
                for value in leaf.extremes():
                    yield _nest(base | {path: value}, method)
            continue
        points = [base]
        for path, leaf in shape.items():
            if path[0] == "method" and path[2] in counted:
                points = [point | {path: value} for point in points for value in leaf.extremes()]
        for point in points:
            yield _nest(point, method)


def _only(tree: Group, method: str) -> Group:
    one = Branch({method: methods_of(tree).options[method]}, nested=True)
    return Group({**tree.children, "method": one})


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


def _check(tree: Group) -> list[Mistake]:
    found = {(m.where, m.what): m for m in schedule_mistakes(tree, NOMINAL)}
    for method in methods_of(tree).options:
        for settings in variants(tree, method):
            # Varied one at a time, start and end may cross; what is drawn never does.
            settled = settings if found else settle(settings, tree, NOMINAL)
            for mistake in check_settings(settled, "search"):
                found.setdefault((mistake.where, mistake.what.split(", got ")[0]), mistake)
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
        rates = [s.get("learning_rate") for s in (settings, own) if isinstance(s, Mapping)]
        if has_learning_rate(name) and isinstance(own, Mapping) and rates == [None, None]:
            what = f"is missing; give it here or as search.method.{name}.learning_rate"
            mistakes.append(Mistake(f"{where}.learning_rate", what))
    elif method is not None:
        mistakes.append(Mistake(f"{where}.method", f"takes one method, got {method!r}"))
    return mistakes


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
        position = location and location[-1].isdigit() and finding["type"] != "extra_forbidden"
        if where and position:
            location.pop()  # the position in a drawn subset is not the position in the file
        place = ".".join([where, *location] if where else location) or "(file)"
        mistakes.append(Mistake(place, _words(finding, model, location)))
    return mistakes


def _words(finding: Any, model: type[BaseModel], location: list[str]) -> str:
    kind, value = finding["type"], finding.get("input")
    if kind == "extra_forbidden":
        key, known = location[-1], _known_keys(model, location[:-1])
        # A key that is right in another section is meant there, whatever is spelled like it here.
        moved = [place for place in _sections_with(model, key) if place != ".".join(location)]
        if not moved:
            return f"unknown key; {did_you_mean(key, known)}"
        places = " or ".join(map(repr, moved))
        return f"unknown key; did you mean {places}? accepted: {', '.join(known)}"
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


def _sections_with(model: type[BaseModel], key: str) -> list[str]:
    """Where the file or its sections have a key: ``['budget.trials']`` for ``trials``."""
    below = (
        f"{section}.{key}"
        for section, field in model.model_fields.items()
        for candidate in _models_of(field.annotation)
        if key in candidate.model_fields
    )
    return list(dict.fromkeys([*([key] if key in model.model_fields else []), *below]))


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_of(part)]
