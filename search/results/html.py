"""The report: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jinja2
import plotly.graph_objects as go

from search.flat import flattened, legible
from search.pareto.front import front, hypervolume_history
from search.record import StudyRecord
from search.results.catalogue import catalogue, courses
from search.results.comparison import caption, compare_methods
from search.results.confirmed import Confirmation
from search.results.figures import (
    confirmed_figure,
    curves_figure,
    effects_figure,
    freezing_figure,
    freezing_members,
    front_figure,
    hypervolume_figure,
    importance_figure,
    importance_methods,
    methods_in,
    pattern_figure,
    response_figure,
    slots_caption,
    slots_figure,
    small_front_figure,
    trials_figure,
)
from search.results.headline import headline, limited, listed, overview_headline, trial_name
from search.results.lessons import Lessons, in_words, learn
from search.results.saving import saving_in_words
from search.results.tables import (
    comparison_table,
    confirmed_table,
    front_table,
    report_of,
    tasks_table,
    trials_table,
)
from search.results.units import duration, readable, title
from search.writing import write_atomically

# In this order they make one script.
_SCRIPTS = ("unpacking", "theme", "trials", "selection", "pointer", "drawer", "front", "table",
            "axes", "brush", "drawing", "parallel", "main")  # fmt: skip
#: Front members whose freezing steps are drawn on the page; those of others when they are opened.
_MOST_FREEZING = 6


def write_report(
    study: StudyRecord,
    path: Path,
    confirmations: Sequence[Confirmation] = (),
    alone: bool = True,
) -> None:
    """Write the report of a study to ``path``: words, front, tables and plots.

    Plotly, the figures and what is told of each trial are inside it, compressed. Its content
    security policy admits just the two scripts it carries, by their hashes, and no address at all.

    Args:
        study: that was searched.
        path: of the page.
        confirmations: of its configurations.
        alone: whether it had the run's slots for itself.
    """
    freezing, methods = freezing_members(study)[:_MOST_FREEZING], importance_methods(study)
    lessons = learn(study)
    figures = report_figures(study, confirmations)
    confirmed = [(study, c) for c in confirmations if c.members]
    blocks = {"catalogue": catalogue(study), "courses": courses(study)}
    content = {
        "title": f"{study.name}: {study.task}",
        "name": study.name,
        "study": study,
        "headline": headline(study, bool(confirmed)),
        "facts": _facts(study),
        "counts": _counts(study),
        "details": _details(study),
        "objectives": _objectives(study),
        "several_objectives": len(study.objectives) > 1,
        "limited": limited(study),
        "timed": any(name.endswith("_seconds") for name in study.objectives),
        "slots_caption": slots_caption(study, alone),
        "saving": saving_in_words(study.trials),
        "front_drawn": bool(figures["front"].data),
        "front_table": front_table(study),
        "axes": blocks["catalogue"]["axes"],
        "trials_table": trials_table(study),
        "trials": len(study.trials),
        "confirmations": [(c, confirmed_table(study, c)) for c in confirmations if c.members],
        "freezing": [(f"freezing-{trial.number}", trial_name(trial)) for trial in freezing],
        "importances": [(f"importance-{method}", method) for method in methods],
        "lessons": lessons,
        "learned": in_words(lessons, study.metric) if lessons else [],
        **_compared(confirmed),
    }
    write_atomically(path, page("report.html", figures, content, blocks))


def report_figures(
    study: StudyRecord, confirmations: Sequence[Confirmation] = ()
) -> dict[str, go.Figure]:
    """Every plot of a study's report, by the name it has on the page."""
    freezing, methods = freezing_members(study)[:_MOST_FREEZING], importance_methods(study)
    return {
        "front": front_figure(study),
        "trials": trials_figure(study),
        "curves": curves_figure(study),
        "slots": slots_figure(study),
        **{f"confirmed-{c.split}": confirmed_figure(study, c) for c in confirmations if c.members},
        "volume-seconds": hypervolume_figure(study, "seconds"),
        "volume-trials": hypervolume_figure(study, "trials"),
        **{f"freezing-{trial.number}": freezing_figure(trial) for trial in freezing},
        **{f"importance-{method}": importance_figure(study, method) for method in methods},
        **_lesson_figures(learn(study), study.metric),
    }


def write_overview_page(
    tasks: Sequence[tuple[StudyRecord, Sequence[Confirmation]]], path: Path
) -> None:
    """Write the page over several tasks to ``path``: each one's front, and the methods compared.

    Each task's own report is linked, at ``TASK/report.html``.

    Args:
        tasks: study of each task, and what of it was confirmed; at least one.
        path: of the page.
    """
    studies = [study for study, _ in tasks]
    first = studies[0]
    confirmed = [(study, c) for study, confirmations in tasks for c in confirmations if c.members]
    members = [len(front(study.trials, list(study.objectives))) for study in studies]
    content = {
        "title": f"{first.name}: {len(studies)} tasks",
        "name": first.name,
        "headline": overview_headline(studies),
        "facts": [("tasks", ", ".join(study.task for study in studies)), ("model", first.model)],
        "counts": [
            (str(sum(len(study.in_state(state)) for study in studies)), state)
            for state in ("complete", "pruned", "failed")
        ]
        + [(str(sum(members)), "on the fronts")],
        "details": _details(first),
        "objectives": listed([title(name, "score") for name in first.objectives]),
        "tasks_table": tasks_table(studies),
        "limited": any(map(limited, studies)),
        "fronts": [(f"front-{study.task}", study.task, report_of(study.task)) for study in studies],
        **_compared(confirmed),
    }
    write_atomically(path, page("overview.html", overview_figures(studies), content))


def overview_figures(studies: Sequence[StudyRecord]) -> dict[str, go.Figure]:
    """The plots of the page over several tasks, by name."""
    methods = methods_in(studies)
    return {f"front-{study.task}": small_front_figure(study, methods) for study in studies}


def _lesson_figures(lessons: Lessons | None, metric: str) -> dict[str, go.Figure]:
    if lessons is None:
        return {}
    figures = {f"response-{curve.name}": response_figure(curve, metric) for curve in lessons.curves}
    if lessons.effects:
        figures["effects"] = effects_figure(lessons, metric)
    if lessons.pattern is not None:
        figures["pattern"] = pattern_figure(lessons.pattern)
    return figures


def _compared(confirmed: Sequence[tuple[StudyRecord, Confirmation]]) -> dict[str, object]:
    """What the page says of methods against each other; with one there is nothing to compare."""
    comparison = compare_methods(confirmed) if confirmed else None
    if comparison is None or len(comparison.rows) < 2:
        return {"comparison": None}
    return {
        "comparison": comparison_table(comparison),
        "comparison_caption": caption(comparison),
    }


def page(
    template: str,
    figures: Mapping[str, go.Figure],
    content: Mapping[str, object],
    blocks: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """The page, with its figures and further blocks of data for its scripts, by name."""
    script, plotly = _script(), _plotly()
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_part),
    )
    return environment.get_template(template).render(
        **content,
        heights={name: figure.layout.height for name, figure in figures.items()},
        style=_part("report.css"),
        script=script,
        script_sources=f"'{_hash(script)}' '{plotly.hash}'",
        blocks={
            "plotly": plotly.packed,
            "figures": _packed(_as_json(figures)),
            **{name: _packed(_json(block)) for name, block in blocks.items()},
        },
    )


def _script() -> str:
    parts = "\n".join(_part(f"script/{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


class _Library(NamedTuple):
    hash: str
    packed: str


@cache
def _plotly() -> _Library:
    # A third of what the Python package carries: the plots of planes, which are all there are here.
    source = _part("third_party/plotly-cartesian.min.js")
    return _Library(_hash(source), _packed(source))


def _part(name: str) -> str:
    return resources.files("search.results").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _packed(text: str) -> str:
    # No time stamp: the same study gives the same file. Half characters are as in any other file.
    packed = gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)
    return base64.b64encode(packed).decode()


def _as_json(figures: Mapping[str, go.Figure]) -> str:
    return _json({name: json.loads(figure.to_json()) for name, figure in figures.items()})


def _json(block: object) -> str:
    # A browser's parser knows no NaN.
    return json.dumps(block, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _facts(study: StudyRecord) -> list[tuple[str, str]]:
    """Name and value of what the head of the page says beside the title."""
    facts = [("task", study.task), ("model", study.model), ("metric", study.metric)]
    moments = [
        moment
        for trial in study.trials
        for moment in (trial.started, trial.finished)
        if moment is not None
    ]
    if moments:
        began = datetime.fromtimestamp(min(moments), UTC)
        facts.append(("started", f"{began:%Y-%m-%d %H:%M} UTC"))
        # What lies between an interruption and going on is no work.
        took = study.seconds or max(moments) - min(moments)
        facts.append(("took", duration(took)))
    if study.disk_bytes is not None:
        facts.append(("on disk", readable("disk_bytes", study.disk_bytes)))
    seed = study.provenance.get("seed")
    return facts if seed is None else [*facts, ("seed", str(seed))]


def _counts(study: StudyRecord) -> list[tuple[str, str]]:
    """Number and noun of each tile."""
    members = front(study.trials, list(study.objectives))
    history = hypervolume_history(study)
    counts = [(str(len(study.in_state("complete"))), "complete")]
    counts += [
        (str(count), state)
        for state in ("pruned", "failed", "running", "paused", "waiting")
        if (count := len([trial for trial in study.trials if trial.state == state]))
    ]
    counts.append((str(len(members)), "on the front"))
    if history:
        noun = "hypervolume" if study.reference else "hypervolume, provisional"
        counts.append((f"{history[-1][1]:.4g}", noun))
    return counts


def _details(study: StudyRecord) -> list[tuple[str, str]]:
    """Provenance, one line for each leaf."""
    return [(key, legible(value)) for key, value in flattened(study.provenance).items()]


def _objectives(study: StudyRecord) -> str:
    return listed([title(name, study.metric) for name in study.objectives])
