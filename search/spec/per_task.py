"""``per_task:`` what a space of several tasks changes for single ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from search.spec.errors import Mistake, did_you_mean
from search.spec.rivals import settle_rivals
from search.spec.tasks import TASKS

KEY = "per_task"
#: Sections that may differ: what all tasks are measured by and where they run may not.
SECTIONS = (
    "data",
    "selection",
    "train",
    "search",
    "enqueue",
    "reference",
    "limits",
    "sampler",
    "pruner",
    "budget",
    "methods",
)


def split_per_task(content: dict[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """Take ``per_task`` out of a space file: changes by task, and what is wrong with them."""
    given = content.pop(KEY, {})
    if not isinstance(given, Mapping):
        return {}, [Mistake(KEY, f"takes what changes for each task, got {given!r}")]
    kept: dict[str, Any] = {}
    mistakes = []
    for task, change in given.items():
        where = f"{KEY}.{task}"
        if not isinstance(change, Mapping):
            mistakes.append(Mistake(where, f"takes sections of the space, got {change!r}"))
            continue
        wrong = [key for key in change if key not in SECTIONS]
        mistakes += [
            Mistake(f"{where}.{key}", f"cannot differ by task; {did_you_mean(str(key), SECTIONS)}")
            for key in wrong
        ]
        if isinstance(change.get("budget"), Mapping) and "hours" in change["budget"]:
            what = "is of the whole run; a task can have trial_seconds"
            wrong.append("budget.hours")
            mistakes.append(Mistake(f"{where}.budget.hours", what))
        if not wrong:
            kept[str(task)] = copy.deepcopy(dict(change))
    return kept, mistakes


def placed(mistake: Mistake, task: str, change: Mapping[str, Any]) -> Mistake:
    """Where a mistake stands that the space of a task has: in its changes, or in the file's own."""
    section, *below = mistake.where.split(".")
    own = change.get(section)
    if section == "enqueue" and below and below[0].isdigit():
        count, index = len(own) if isinstance(own, list) else 0, int(below[0])
        if index >= count:
            where = ".".join([section, str(index - count), *below[1:]])
            return Mistake(where, f"{mistake.what} (for {task})")
    elif section not in change or (isinstance(own, Mapping) and below and below[0] not in own):
        return Mistake(mistake.where, f"{mistake.what} (for {task})", mistake.line)
    return Mistake(f"{KEY}.{task}.{mistake.where}", mistake.what, mistake.line)


def unknown_tasks(per_task: Iterable[str], tasks: Iterable[str], own: bool) -> list[Mistake]:
    """Changes for tasks that are not searched.

    Not a mistake while their name is a task's: ``--set tasks=[rte]`` then leaves them unused.

    Args:
        per_task: tasks that something is changed for.
        tasks: that are searched.
        own: whether the data is one's own, which has no other task.
    """
    known = list(dict.fromkeys([*tasks, *([] if own else TASKS)]))
    return [
        Mistake(f"{KEY}.{task}", f"is none of the tasks; {did_you_mean(task, known)}")
        for task in per_task
        if task not in known
    ]


def content_for(content: Mapping[str, Any], task: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """The space file as it would stand for one task alone.

    Of a section the keys that are named are replaced, each whole; what is enqueued comes before
    what the file enqueues for all tasks. ``methods`` is left for :func:`only_methods`.
    """
    merged = copy.deepcopy(dict(content)) | {"tasks": [task]}
    queue = merged.get("enqueue", [])
    _merge(merged, change)
    if "enqueue" in change and isinstance(change["enqueue"], list) and isinstance(queue, list):
        merged["enqueue"] = [*copy.deepcopy(change["enqueue"]), *queue]
    return merged


def _merge(base: dict[str, Any], change: Mapping[str, Any]) -> None:
    for section, values in change.items():
        if isinstance(values, Mapping) and isinstance(base.get(section), dict):
            for key in values:
                settle_rivals(base[section], [section, key])
            base[section] |= copy.deepcopy(dict(values))
        else:
            base[section] = copy.deepcopy(values)
