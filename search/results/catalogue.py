"""What the report's scripts know of the trials: columns, a value for each trial."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.flat import legible, own_first
from search.pareto.front import front
from search.pareto.knee import knee
from search.record import FreezeEvent, StudyRecord, TrialRecord
from search.results.axes import axes
from search.results.figures.plane import plane_of
from search.results.figures.style import log_axis, log_floor, padded
from search.results.measured import extent, final, projected, reason
from search.results.units import duration, readable, title
from search.spec.objectives import OBJECTIVES

#: What a plot of the front may show, where it was measured.
SHOWN = ("score", "trainable_params", "trainable_params_start", "trainable_params_end",
         "train_seconds", "eval_seconds", "total_seconds", "train_flops")  # fmt: skip


#: What can be done with a trial; {run} is the directory of the report, {enqueue} its settings as
#: ``--set`` takes them. Needed is an ``adapter`` that was kept, a ``complete`` training, or none.
COMMANDS = (
    ("For PEFT, or whatever its method can be written as", "adapter",
     "python -m search.export {run} --trial {trial} --out adapter-{trial}"),
    ("As a model of plain layers", "adapter",
     "python -m search.export {run} --trial {trial} --format merged --out model-{trial}"),
    ("Confirm it: train it with fresh seeds", "complete",
     "python -m search.confirm {run} --trials {trial}"),
    ("Train it once more, as a run of its own", "",
     "python -m search.run {run}/space.yaml --set {enqueue} --set 'budget={trials: 1}' "
     "--set confirm=null --set warm_start=null --out runs/again-{trial}"),
)  # fmt: skip


def catalogue(study: StudyRecord) -> dict[str, Any]:
    """What can be looked up of every trial, as plain values; text is as people read it.

    Returns:
        ``measures``: by name, the measures that a plot can show: title, direction, ``course``
        (what a complete or pruned trial was on course for, so that those that stopped early
        compare; None where it is not known, and for all others) and the settings of an axis.
        ``told``: all measures at the last rung, as text. ``settings``: by the keys of
        :func:`own_settings`, as text. ``axes``: see :func:`search.results.axes.axes`. The rest: a
        column each.
    """
    trials = study.trials
    members = front(trials, list(study.objectives))
    numbers = {trial.number for trial in members}
    plane = plane_of(study)
    best = knee(members, list(study.objectives))
    names = dict.fromkeys([*study.objectives, *(n for t in trials for n in t.measures)])
    # The metric that is the score is measured under both names.
    told = [n for n in names if n == "score" or title(n, study.metric) != study.metric]
    flat = [own_settings(trial) for trial in trials]
    keys = dict.fromkeys(key for leaves in flat for key in leaves)

    def column(value: Callable[[TrialRecord], Any]) -> list[Any]:
        return [value(trial) for trial in trials]

    return {
        "metric": study.metric,
        "objectives": list(study.objectives),
        "drawn": {"across": None if plane is None else plane.x,
                  "colour": None if plane is None else plane.colour},
        "knee": None if best is None else best.number,
        "measures": {name: measure for name in SHOWN if (measure := _measure(study, name))},
        "told": {title(name, study.metric): column(_told(name)) for name in told},
        "settings": {
            key: [legible(leaves[key]) if key in leaves else None for leaves in flat]
            for key in keys
        },
        "axes": axes(study, flat),
        "commands": [
            {"title": purpose, "needs": needs, "text": text} for purpose, needs, text in COMMANDS
        ],
        "number": column(lambda t: t.number),
        "state": column(lambda t: t.state),
        "enqueue": column(lambda t: json.dumps([t.settings], ensure_ascii=False)),
        "label": column(lambda t: t.label or f"trial {t.number}"),
        "mark": column(lambda t: t.mark),
        "method": [leaves.get("method") for leaves in flat],
        "front": column(lambda t: t.number in numbers),
        "step": column(lambda t: t.rungs[-1].step if t.rungs else None),
        "steps": column(lambda t: t.total_steps),
        "took": column(lambda t: None if extent(t) is None else duration(extent(t) or 0.0)),
        "host": column(lambda t: (t.rungs[-1].host or None) if t.rungs else None),
        "reason": column(reason),
        "failures": column(lambda t: list(t.failures)),
        "adapter": column(lambda t: t.adapter),
    }  # fmt: skip


def own_settings(trial: TrialRecord) -> dict[str, Any]:
    """A configuration by dotted keys, those of its method as if they stood by themselves.

    So that what several methods have, a rank or a learning rate, is one column.
    """
    settings = dict(trial.settings)
    method = settings.pop("method", None)
    if not isinstance(method, Mapping):
        return own_first({}, settings)
    ((name, own),) = method.items()
    return own_first({"method": name, **(own or {})}, settings)


def courses(study: StudyRecord) -> dict[str, Any]:
    """How every trial went: its rungs, and when each of its matrices was frozen.

    Returns:
        ``matrices``: layer, role and matrix of each that any trial trained; ``frozen``: for each
        trial the step at which each was frozen, in that order: -1 where it trained to the end,
        None where it had none. ``rungs``: for each trial its steps, scores and parameters that
        trained on average and then.
    """
    matrices = list(
        dict.fromkeys((e.layer, e.role, e.matrix) for trial in study.trials for e in trial.freezing)
    )
    place: dict[tuple[int, str, str], int] = {matrix: i for i, matrix in enumerate(matrices)}
    return {
        "matrices": matrices,
        "frozen": [_frozen(trial.freezing, place) for trial in study.trials],
        "rungs": [
            {
                "step": [rung.step for rung in trial.rungs],
                **{
                    name: [_finite(rung.measures.get(name)) for rung in trial.rungs]
                    for name in ("score", "trainable_params", "trainable_params_end")
                },
            }
            for trial in study.trials
        ],
    }


def _measure(study: StudyRecord, name: str) -> dict[str, Any] | None:
    reached = final if name == "score" else projected
    course = [
        reached(trial, name) if trial.state in ("complete", "pruned") else None
        for trial in study.trials
    ]
    known = [value for value in course if value is not None]
    if not known:
        return None
    axis = {"range": padded(known, 0.08)} if name == "score" else log_axis(name, known)
    heading = title(name, study.metric)
    return {
        "title": heading + (", averaged over steps" if name == "trainable_params" else ""),
        "maximised": name in OBJECTIVES and OBJECTIVES[name].direction == "max",
        "course": course,
        "axis": axis,
        # Where a logarithmic axis, which has no zero, draws it.
        "floor": None if name == "score" else log_floor(known),
    }


def _told(name: str) -> Callable[[TrialRecord], str | None]:
    def text(trial: TrialRecord) -> str | None:
        value = final(trial, name)
        return None if value is None else readable(name, value)

    return text


def _frozen(
    events: Sequence[FreezeEvent], place: dict[tuple[int, str, str], int]
) -> list[int | None]:
    if not events:
        return []
    steps: list[int | None] = [None] * len(place)
    for event in events:
        index = place[event.layer, event.role, event.matrix]
        steps[index] = -1 if event.step is None else event.step
    return steps


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
