"""The front as a table, with the marked trials that are not on it below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from search.console.front_plot import COMPLETE, FRONT, KNEE
from search.pareto.front import front
from search.pareto.knee import knee
from search.record import StudyRecord, TrialRecord
from search.results.units import readable, title

#: From so many columns on a table has room for the name and the mark of a configuration.
WIDE = 100
_LONGEST_METRIC = 12
_SHORT = {
    "trainable_params": "parameters",
    "trainable_params_start": "at the start",
    "trainable_params_end": "at the end",
    "train_seconds": "train time",
    "train_flops": "train FLOPs",
}


def heading_of(name: str, metric: str) -> str:
    """A measure's name over a column that must not be wide."""
    if name == "score":
        return metric if len(metric) <= _LONGEST_METRIC else "score"
    return _SHORT.get(name, title(name))


def named(trial: TrialRecord, wide: bool) -> list[Text]:
    """Cells with number, name and mark; in a narrow table the mark takes the name's place."""
    if wide:
        return [one_line(f"#{trial.number} {trial.label}"), one_line(trial.mark or "")]
    return [one_line(f"#{trial.number} {trial.mark or trial.label}")]


def one_line(text: str) -> Text:
    """Text that is cut where it does not fit, so that a table is as high as it has rows."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def in_table(study: StudyRecord) -> int:
    """How many trials a table of the front would show: members, and marked ones beside them."""
    members = front(study.trials, list(study.objectives))
    return len(members) + len(_beside(study, members)) if members else 0


def front_table(
    study: StudyRecord, heading: str, wide: bool, rows: int | None = None, adapters: bool = False
) -> Table | None:
    """A table of the front.

    Args:
        study: the study as it is.
        heading: what stands over the configurations.
        wide: with name and mark of a configuration, see :func:`named`.
        rows: at most so many trials are shown: those that are marked, the knee, and the best
            scores; None shows all.
        adapters: with the folder of each adapter.

    Returns:
        None while the front is empty.
    """
    names = list(study.objectives)
    members = front(study.trials, names)
    if not members:
        return None
    best = knee(members, names)
    listed = [*members, *_beside(study, members)]
    if rows is not None and rows < len(listed):
        # What must stay in sight comes first, then the best scores.
        kept = [trial for trial in listed if trial in (members[0], best) or trial.mark]
        order = sorted(kept, key=lambda trial: trial not in (members[0], best)) + listed
        chosen = list(dict.fromkeys(trial.number for trial in order))[:rows]
        listed = [trial for trial in listed if trial.number in chosen]
        seen = sum(trial in members for trial in listed)
        heading = f"{heading}, {seen} of {len(members)}" if seen < len(members) else heading
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column(one_line(heading))
    if wide:
        table.add_column("")
    for name in names:
        table.add_column(heading_of(name, study.metric), justify="right", no_wrap=True)
    if adapters:
        table.add_column("adapter", no_wrap=True)
    for trial in listed:
        values = trial.values or {}
        kind = KNEE if trial == best else FRONT if trial in members else COMPLETE
        table.add_row(
            Text(kind.sign, kind.style),
            *named(trial, wide),
            *(readable(name, values.get(name)) for name in names),
            *([trial.adapter or ""] if adapters else []),
            style="" if trial in members else "dim",
        )
    return table


def _beside(study: StudyRecord, members: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete trials that the user enqueued under a name and that are not on the front."""
    return [t for t in study.in_state("complete") if t.mark and t not in members]
