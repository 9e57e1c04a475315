"""The page of several runs side by side: words, overlaid fronts, tables, hypervolumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from search.flat import flattened, legible
from search.results.differences import cautions, covered, differences, overall_differences
from search.results.figures.overlay import overlaid_fronts_figure, overlaid_volume_figure
from search.results.headline import listed
from search.results.html import page
from search.results.measured import final
from search.results.overlay import NEAR, NamedRun, Overlay, Side, machine_of
from search.results.tables import Cell, Table
from search.results.units import MISSING, duration, readable, title
from search.writing import write_atomically

#: In every such page and in no other.
PAGE_ID = "runs-side-by-side"
_PARAMS = "trainable_params"
_COMMIT = 10


def is_overlay_page(path: Path) -> bool:
    """Whether a file is a page that :func:`write_overlay_page` wrote."""
    try:
        return f'<section id="{PAGE_ID}">' in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def overlay_figures(overlays: Sequence[Overlay]) -> dict[str, go.Figure]:
    """Plots of the page by name: ``front-TASK`` and ``volume-TASK``."""
    figures = {}
    for overlay in overlays:
        figures[f"front-{overlay.task}"] = overlaid_fronts_figure(overlay)
        figures[f"volume-{overlay.task}"] = overlaid_volume_figure(overlay)
    return figures


def write_overlay_page(runs: Sequence[NamedRun], overlays: Sequence[Overlay], path: Path) -> None:
    """Write the page to ``path``.

    Args:
        runs: that are compared.
        overlays: of them, one for each task.
        path: of the page.
    """
    names = [run.name for run in runs]
    told = listed(names) if len(names) <= 3 else f"{len(names)} runs"
    first, *others = overlays
    complete = sum(len(s.study.in_state("complete")) for o in overlays for s in o.sides)
    content = {
        "title": f"{told} side by side",
        "name": told,
        "headline": overall_differences(overlays) if others else differences(first),
        "facts": [
            ("tasks" if others else "task", ", ".join(overlay.task for overlay in overlays)),
            ("model", ", ".join(_of_all(overlays, "model"))),
            ("metric", ", ".join(_of_all(overlays, "metric"))),
        ],
        "counts": [
            (str(len(runs)), "runs"),
            (str(len(overlays)), "tasks in common" if others else "task in common"),
            (str(complete), "complete trials"),
            (duration(sum(s.spent for o in overlays for s in o.sides)), "spent by trials"),
        ],
        "details": [],
        "cautions": cautions(overlays),
        "page_id": PAGE_ID,
        "runs_table": runs_table(runs),
        "near": f"{NEAR:.0%}".replace("%", "\N{NO-BREAK SPACE}%"),
        "parts": [
            {
                "task": overlay.task,
                "metric": overlay.metric,
                "words": differences(overlay),
                "objectives": listed([title(n, overlay.metric) for n in overlay.objectives]),
                "timed": any(name.endswith("_seconds") for name in overlay.objectives),
                "averaged": _PARAMS in overlay.objectives,
                "table": sides_table(overlay),
                # Of two runs the words say it all.
                "lost": lost_table(overlay) if len(overlay.sides) > 2 else None,
                "reference": _reference(overlay),
            }
            for overlay in overlays
        ],
    }
    write_atomically(path, page("overlay.html", overlay_figures(overlays), content))


def _of_all(overlays: Sequence[Overlay], what: str) -> list[str]:
    found = (getattr(side.study, what) for overlay in overlays for side in overlay.sides)
    return list(dict.fromkeys(found))


def _reference(overlay: Overlay) -> str:
    if overlay.reference is None:
        return ""
    return ", ".join(
        f"{title(name, overlay.metric)} {readable(name, value)}"
        for name, value in overlay.reference.items()
    )


def runs_table(runs: Sequence[NamedRun]) -> Table:
    """Where each run comes from: space, tasks, sampler and pruner, seed, machine, commit."""
    columns = (
        *((name, "text") for name in ("run", "space", "tasks", "model", "sampler", "pruner")),
        ("seed", "number"),
        ("machine", "text"),
        ("commit", "text"),
    )
    rows = []
    for index, run in enumerate(runs):
        studies = list(run.studies.values())
        seed = studies[0].provenance.get("seed")
        commits = dict.fromkeys(_commit(study.provenance.get("commit")) for study in studies)
        cells = (
            _text(run.name),
            _text(", ".join(dict.fromkeys(study.name for study in studies))),
            _text(", ".join(run.studies)),
            _text(", ".join(dict.fromkeys(study.model for study in studies))),
            _plugin(run.sampler),
            _plugin(run.pruner),
            _number(MISSING if seed is None else str(seed), seed),
            _text(", ".join(dict.fromkeys(machine_of(study) for study in studies))),
            _text(", ".join(filter(None, commits))),
        )
        rows.append((index, False, cells))
    return Table(columns, tuple(rows))


def _commit(commit: object) -> str:
    """Short, with what says that the program had been changed."""
    if not isinstance(commit, str):
        return ""
    whole, dirty, _ = commit.partition("-dirty")
    return whole[:_COMMIT] + dirty


def sides_table(overlay: Overlay) -> Table:
    """What each run came to on a task."""
    columns = (
        ("run", "text"),
        *((name, "number") for name in ("trials", "complete", "on the front")),
        (f"best {overlay.metric}", "number"),
        ("configuration", "text"),
        (f"its {title(_PARAMS)}", "number"),
        (f"cheapest within {NEAR:.0%}", "number"),
        ("hypervolume", "number"),
        ("time spent by trials", "number"),
    )
    rows = tuple((index, False, _cells(side)) for index, side in enumerate(overlay.sides))
    return Table(columns, rows)


def _cells(side: Side) -> tuple[Cell, ...]:
    counts = (len(side.study.trials), len(side.study.in_state("complete")), len(side.members))
    best = side.best
    params = None if best is None else final(best, _PARAMS)
    score = None if best is None else final(best, "score")
    near = None if side.cheapest is None else final(side.cheapest, _PARAMS)
    return (
        _text(side.run),
        *(_number(str(count), count) for count in counts),
        _number(readable("score", score), score),
        Cell(MISSING, "")
        if best is None
        else Cell(
            f"{best.number}: {best.label}",
            best.label,
            "configuration",
            best.mark,
            tuple((key, legible(value)) for key, value in flattened(best.settings).items()),
        ),
        _number(readable(_PARAMS, params), params),
        _number(readable(_PARAMS, near), near),
        _number(covered(side.volume), side.volume),
        _number(duration(side.spent), side.spent),
    )


def lost_table(overlay: Overlay) -> Table:
    """How many members of each front a member of each other one dominates."""
    columns = (("run", "text"), *((f"by {side.run}", "number") for side in overlay.sides))
    rows = []
    for a, side in enumerate(overlay.sides):
        counts = (
            _number(MISSING, None) if a == b else _number(f"{count} of {len(side.members)}", count)
            for b, count in enumerate(overlay.lost[a])
        )
        rows.append((a, False, (_text(side.run), *counts)))
    return Table(columns, tuple(rows))


def _plugin(section: Mapping[str, Any]) -> Cell:
    """A sampler or pruner: its name, and what it was given when it is opened."""
    if not section:
        return _text("")
    name = str(section.get("name", ""))
    given = {key: value for key, value in section.items() if key != "name"}
    details = tuple((key, legible(value)) for key, value in flattened(given).items())
    return Cell(name, name, "configuration", None, details)


def _number(text: str, value: float | None) -> Cell:
    return Cell(text, "" if value is None else repr(float(value)), "number")


def _text(text: str) -> Cell:
    return Cell(text or MISSING, text)
