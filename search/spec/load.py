"""Read a space file: YAML in, a checked space out, or every mistake at once."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from search.spec.distributions import Group
from search.spec.enqueue import Enqueued, enqueued, front_of
from search.spec.errors import Mistake, SpecError
from search.spec.overrides import Loader, only_methods, override_all
from search.spec.per_task import KEY, content_for, placed, split_per_task, unknown_tasks
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
        changed: of the space of one task, its name and what the file changes for it.
    """

    source: str
    space: Space
    tree: Group
    enqueued: tuple[Enqueued, ...]
    notes: tuple[str, ...]
    lines: Mapping[str, int]
    per_task: Mapping[str, Any] = field(default_factory=dict)
    of_tasks: Mapping[str, LoadedSpace] = field(default_factory=dict)
    changed: tuple[str, Mapping[str, Any]] | None = None

    def error(self, *mistakes: Mistake) -> SpecError:
        """What turned out to be wrong with the file once its model and data were looked at."""
        told = [placed(m, *self.changed) if self.changed else m for m in mistakes]
        return SpecError(self.source, [_at_line(mistake, self.lines) for mistake in told])

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
    mistakes += override_all(content, overrides)
    _forget_lines(lines, overrides)
    per_task, found = split_per_task(content)
    untrimmed = {key: value for key, value in content.items() if key != "methods"}
    mistakes += found + only_methods(content, per_task)
    whole = _checked(content, resumed)
    mistakes += whole.mistakes
    searched = whole.space.task_names if whole.space is not None else ()
    if whole.space is not None:
        mistakes += unknown_tasks(per_task, searched, whole.space.data.text is not None)
    # What is wrong in the file itself is not told again for each task.
    known = {(mistake.where, mistake.what) for mistake in whole.mistakes}
    tasks: dict[str, _Checked] = {}
    for task in searched:
        if task in per_task:
            # Its own methods are those of the file, whatever others are left with.
            of_all = untrimmed if "methods" in per_task[task] else content
            own = content_for(of_all, task, per_task[task])
            mistakes += only_methods(own, {}, f"{KEY}.{task}.methods")
            tasks[task] = _checked(own, resumed)
            mistakes += [
                placed(mistake, task, per_task[task])
                for mistake in tasks[task].mistakes
                if (mistake.where, mistake.what) not in known
            ]
    if mistakes or whole.space is None:
        told = [_at_line(mistake, lines) for mistake in _distinct(mistakes)]
        raise SpecError(source, sorted(told, key=lambda mistake: mistake.line or 0))

    def loaded(checked: _Checked, **more: Any) -> LoadedSpace:
        assert checked.space is not None
        notes, entries = tuple(checked.notes), tuple(checked.entries)
        return LoadedSpace(source, checked.space, checked.tree, entries, notes, lines, **more)

    of_tasks = {
        task: loaded(checked, changed=(task, per_task[task])) for task, checked in tasks.items()
    }
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
        node = yaml.compose(text, Loader=Loader)
        content = yaml.load(text, Loader=Loader)  # noqa: S506 - Loader is a SafeLoader
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


def _forget_lines(lines: dict[str, int], overrides: Sequence[str]) -> None:
    """What the command line says stands at no line of the file."""
    for given in overrides:
        key = given.partition("=")[0]
        for place in list(lines):
            if f"{_without_choice(place)}.".startswith(f"{_without_choice(key)}."):
                del lines[place]
        lines[key] = 0


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
