"""Read a space file: YAML in, a checked space out, or every mistake at once."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from search.spec.distributions import Group
from search.spec.enqueue import Enqueued, enqueued, front_of
from search.spec.errors import Mistake, SpecError, did_you_mean
from search.spec.per_task import KEY, SECTIONS, content_for, split_per_task, unknown_tasks
from search.spec.rivals import settle_rivals
from search.spec.schema import Space
from search.spec.tree import parse_tree, pydantic_mistakes


@dataclass(frozen=True)
class LoadedSpace:
    """A space file that holds no mistake.

    Attributes:
        source: the file.
        space: every key but the two below, resolved.
        tree: ``search``.
        enqueued: configurations to try first.
        notes: what the user should be told, a line each.
        lines: line of every key in the file.
        per_task: what the file changes for single tasks, as it stands there.
        of_tasks: the space of each of these.
    """

    source: str
    space: Space
    tree: Group
    enqueued: tuple[Enqueued, ...]
    notes: tuple[str, ...]
    lines: Mapping[str, int]
    per_task: Mapping[str, Any] = field(default_factory=dict)
    of_tasks: Mapping[str, LoadedSpace] = field(default_factory=dict)

    def error(self, *mistakes: Mistake) -> SpecError:
        """What turned out to be wrong with the file once its model and data were looked at."""
        return SpecError(self.source, [_at_line(mistake, self.lines) for mistake in mistakes])

    def for_task(self, task: str) -> LoadedSpace:
        """The space as it is searched for one of its tasks."""
        if task in self.of_tasks:
            return self.of_tasks[task]
        if len(self.space.task_names) == 1:
            return self
        space = self.space.model_copy(update={"tasks": [task]})
        return dataclasses.replace(self, space=space, per_task={}, of_tasks={})

    def resolved(self) -> dict[str, Any]:
        """The space with every default written out; :func:`load_space` reads it back."""
        plain = self.space.model_dump(mode="json")
        _drop_none(plain, self.space)
        # As they were read: JSON would turn an option that is a number into a word.
        return plain | {
            "search": copy.deepcopy(self.space.search),
            "enqueue": copy.deepcopy(self.space.enqueue),
            **({"per_task": copy.deepcopy(dict(self.per_task))} if self.per_task else {}),
        }


def _drop_none(plain: dict[str, Any], model: BaseModel) -> None:
    """Leave out what was not given; a None that is not the default was, as in ``clip: null``."""
    for name, about in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            _drop_none(plain[name], value)
        elif value is None and about.default is None:
            del plain[name]


class _Loader(yaml.SafeLoader):
    """YAML 1.2 floats: 1e-3 is a number, as everyone who writes a learning rate expects."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def load_space(
    path: str | Path, overrides: Sequence[str] = (), *, resumed: bool = False
) -> LoadedSpace:
    """Read and check a space file.

    Args:
        path: the file.
        overrides: ``key=value`` pairs that win over the file; the value is YAML, the key dotted.
        resumed: the run has begun: its study holds what ``warm_start`` led to, and the earlier run
            may be gone.

    Raises:
        SpecError: with every mistake of the file and the overrides.
    """
    source = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(source, [Mistake("(file)", "does not exist")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(source, [Mistake("(file)", f"cannot be read: {error}")]) from None
    content, lines, mistakes = _parse(text, source)
    mistakes += _override(content, overrides)
    per_task, found = split_per_task(content)
    mistakes += found
    of_task = {task: content_for(content, task, change) for task, change in per_task.items()}
    mistakes += _only_methods(content)
    whole = _checked(content, resumed)
    mistakes += whole.mistakes
    tasks: dict[str, _Checked] = {}
    for task, changed in of_task.items():
        # The command line wins over everything; what is wrong with it was told above.
        _override(changed, [given for given in overrides if given.split(".")[0] in SECTIONS])
        _only_methods(changed)
        tasks[task] = _checked(changed, resumed)
        # What is wrong in the file itself is not told again for each task.
        known = {(mistake.where, mistake.what) for mistake in whole.mistakes}
        mistakes += [
            Mistake(f"{KEY}.{task}.{mistake.where}", mistake.what, mistake.line)
            for mistake in tasks[task].mistakes
            if (mistake.where, mistake.what) not in known
        ]
    if whole.space is not None:
        mistakes += unknown_tasks(per_task, whole.space.task_names)
    if mistakes or whole.space is None:
        placed = [_at_line(mistake, lines) for mistake in _distinct(mistakes)]
        raise SpecError(source, sorted(placed, key=lambda mistake: mistake.line or 0))

    def loaded(checked: _Checked, **more: Any) -> LoadedSpace:
        assert checked.space is not None
        notes, entries = tuple(checked.notes), tuple(checked.entries)
        return LoadedSpace(source, checked.space, checked.tree, entries, notes, lines, **more)

    of_tasks = {task: loaded(checked) for task, checked in tasks.items()}
    return loaded(whole, per_task=per_task, of_tasks=of_tasks)


@dataclass
class _Checked:
    """What came of checking a content: everything of it that could be read, and what is wrong."""

    space: Space | None = None
    tree: Group = field(default_factory=lambda: Group({}))
    entries: list[Enqueued] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


def _checked(content: Mapping[str, Any], resumed: bool) -> _Checked:
    made = _Checked()
    try:
        made.space = Space.model_validate(content)
    except ValidationError as error:
        made.mistakes += pydantic_mistakes(error, Space)
    search, space = content.get("search"), made.space
    if isinstance(search, Mapping):
        made.tree, found = parse_tree(search)
        made.mistakes += found
        queue = content.get("enqueue")
        for index, entry in enumerate(queue if isinstance(queue, list) and not found else []):
            if isinstance(entry, Mapping):
                read, wrong = enqueued(made.tree, entry, f"enqueue.{index}")
                made.entries.append(read)
                made.mistakes += wrong
        if space is not None and space.warm_start and not resumed and not made.mistakes:
            earlier, made.notes, made.mistakes = front_of(space.warm_start, made.tree)
            made.entries += earlier
    if space is not None and not made.mistakes:
        made.mistakes += _too_many(made.entries, space.budget.trials_per_method)
    return made


def _too_many(entries: Sequence[Enqueued], most: int | None) -> list[Mistake]:
    """Every method is to have as many trials: none may have more than that enqueued."""
    queued = Counter(next(iter(entry.settings["method"])) for entry in entries)
    return [
        Mistake("budget.trials_per_method", f"is {most}, but {count} of {method} are enqueued")
        for method, count in queued.items()
        if most is not None and count > most
    ]


def _parse(text: str, source: str) -> tuple[dict[str, Any], dict[str, int], list[Mistake]]:
    """Content, the line of every key, and keys that stand twice."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or str(error)
        raise SpecError(source, [Mistake("(file)", f"is not YAML: {problem}", line)]) from None
    if content is None:
        raise SpecError(source, [Mistake("(file)", "is empty")])
    if not isinstance(content, dict):
        what = f"must hold keys and values, holds a {type(content).__name__}"
        raise SpecError(source, [Mistake("(file)", what)])
    lines: dict[str, int] = {}
    mistakes: list[Mistake] = []
    _walk(node, "", lines, mistakes)
    mistakes += [
        Mistake(str(key), f"a key must be a word, got {key!r}")
        for key in content
        if not isinstance(key, str)
    ]
    return {str(key): value for key, value in content.items()}, lines, mistakes


def _walk(node: yaml.Node | None, path: str, lines: dict[str, int], found: list[Mistake]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            name = str(getattr(key, "value", key))
            place = f"{path}.{name}" if path else name
            if name in seen:
                found.append(Mistake(place, "stands twice", key.start_mark.line + 1))
            seen.add(name)
            lines.setdefault(place, key.start_mark.line + 1)
            _walk(child, place, lines, found)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            lines.setdefault(f"{path}.{index}", child.start_mark.line + 1)
            _walk(child, f"{path}.{index}", lines, found)


def _override(content: dict[str, Any], overrides: Sequence[str]) -> list[Mistake]:
    mistakes = []
    for override in overrides:
        key, equals, text = override.partition("=")
        where = f"--set {override}"
        if not equals or not key:
            mistakes.append(Mistake(where, "takes key=value, for example budget.trials=8"))
            continue
        try:
            value = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or error
            mistakes.append(Mistake(where, f"the value is not YAML: {problem}"))
            continue
        parts = key.split(".")
        place: Any = content
        for depth, part in enumerate(parts[:-1]):
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                what = f"{'.'.join(parts[: depth + 1])} holds no keys"
                mistakes.append(Mistake(where, what))
                break
        else:
            settle_rivals(place, parts)
            place[parts[-1]] = value
    return mistakes


def _only_methods(content: dict[str, Any]) -> list[Mistake]:
    """``methods: [lora, head]`` leaves out the others, and what is enqueued of them."""
    if "methods" not in content:
        return []
    wanted = content.pop("methods")
    search = content.get("search")
    method = search.get("method") if isinstance(search, Mapping) else None
    there = method.get("choice", method) if isinstance(method, Mapping) else method
    if not isinstance(there, str | list | Mapping):
        return []  # what is wrong with it is said elsewhere
    named = [there] if isinstance(there, str) else list(there)
    if not isinstance(wanted, list) or not wanted:
        return [Mistake("methods", f"takes a list of methods of the space, got {wanted!r}")]
    unknown = [name for name in wanted if name not in named]
    if unknown:
        what = f"{unknown[0]!r} is no method of this space; {did_you_mean(unknown[0], named)}"
        return [Mistake("methods", what)]
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


def _distinct(mistakes: Sequence[Mistake]) -> list[Mistake]:
    return list({(m.where, m.what): m for m in mistakes}.values())


def _at_line(mistake: Mistake, lines: Mapping[str, int]) -> Mistake:
    """The mistake with the line of its key, or of the nearest key around it."""
    if mistake.line is not None or mistake.where.startswith("--"):
        return mistake
    # The word ``choice`` stands in the file, but not in the path of a setting.
    known: dict[str, int] = {}
    for place, line in lines.items():
        known.setdefault(_without_choice(place), line)
    parts = _without_choice(mistake.where).split(".")
    for end in range(len(parts), 0, -1):
        if (place := ".".join(parts[:end])) in known:
            return Mistake(mistake.where, mistake.what, known[place])
    return mistake


def _without_choice(place: str) -> str:
    return ".".join(part for part in place.split(".") if part != "choice")
