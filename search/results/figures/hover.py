"""What a pointer over a trial shows: the whole configuration and everything measured."""

from __future__ import annotations

import html
import textwrap

from search.flat import flattened, legible
from search.record import StudyRecord, TrialRecord
from search.results.measured import final
from search.results.units import readable, title

_WIDTH = 64
_LONGEST = 400


def escaped(text: str) -> str:
    """Text that plotly shows as it is: it would read ``<b>``, ``<a>`` and entities as markup."""
    return html.escape(text, quote=False)


def short(text: str, longest: int = 40) -> str:
    """The text escaped, cut where it would not fit a legend."""
    return escaped(text if len(text) <= longest else text[: longest - 1] + "…")


def trial_text(trial: TrialRecord, study: StudyRecord) -> str:
    """Name, state, measures and settings of a trial as lines for plotly."""
    named = f"Trial {trial.number}" + (f" · {trial.mark}" if trial.mark else "")
    lines = [f"<b>{_wrapped(named)}</b>", _wrapped(trial.label), _wrapped(_state(trial)), ""]
    names = dict.fromkeys([*study.objectives, *trial.measures])
    measures = [(name, final(trial, name)) for name in names]
    lines += [
        _wrapped(f"{title(name, study.metric)}: {readable(name, value)}")
        for name, value in measures
        if value is not None
    ]
    lines.append("")
    lines += [
        _wrapped(f"{key}: {legible(value)}") for key, value in flattened(trial.settings).items()
    ]
    return "<br>".join(lines)


def _state(trial: TrialRecord) -> str:
    text: str = trial.state
    if trial.state != "complete" and trial.rungs:
        text += f" at step {trial.rungs[-1].step}"
        text += f" of {trial.total_steps}" if trial.total_steps else ""
    return f"{text}: {trial.reason}" if trial.reason else text


def _wrapped(text: str) -> str:
    cut = textwrap.shorten(text, _LONGEST, placeholder=" …") if len(text) > _LONGEST else text
    return "<br>".join(escaped(line) for line in textwrap.wrap(cut, _WIDTH))
