"""The axis of a time line: seconds since a search began, without those in which nothing ran."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search.record import StudyRecord
from search.results.slots import Slot, idle, packed, segments_of

#: A time in which no slot worked is cut out where it is longer than this part of all that was
#: worked, and than a minute.
_LONG, _SHORTEST = 0.05, 60.0
#: So wide a cut is drawn, as a part of what is not cut out.
_CUT = 0.02
_TICKS = 7
_DAY = 86400.0
_STEPS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
          7200.0, 10800.0, 21600.0, 43200.0, _DAY)  # fmt: skip


@dataclass(frozen=True)
class Timeline:
    """All that the figure and the words below it tell of.

    Attributes:
        slots: of all hosts.
        began, end: seconds since the epoch; what the axis reaches over.
        cuts: start and end of each time that is cut out.
    """

    slots: tuple[Slot, ...]
    began: float
    end: float
    cuts: tuple[tuple[float, float], ...]

    @property
    def shown(self) -> float:
        """Seconds that are not cut out."""
        return self.end - self.began - sum(end - start for start, end in self.cuts)

    def place(self, moment: float) -> float:
        """Seconds from the left end of the axis to where a moment is drawn."""
        place = moment - self.began
        for start, end in self.cuts:
            if moment > start:
                place -= min(moment, end) - start
                place += _CUT * self.shown * min(1.0, (moment - start) / (end - start))
        return place

    def ticks(self, unit: str, seconds: float) -> dict[str, list[float] | list[str]]:
        """Round times since the search began where the axis is not cut, as plotly takes them.

        Args:
            unit: of the axis; hours are written with their minutes.
            seconds: of the unit.
        """
        least = max(self.shown / _TICKS, 60.0 if unit == "h" else 0.0)
        days = math.ceil(least / _DAY) * _DAY
        step = next((length for length in _STEPS if length >= least), days)
        places: list[float] = []
        texts: list[str] = []
        edges = [self.began, *(edge for cut in self.cuts for edge in cut), self.end]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            first = math.ceil((start - self.began) / step)
            last = math.floor((end - self.began) / step)
            for count in range(first, last + 1):
                place = self.place(self.began + count * step)
                if not places or place - places[-1] * seconds >= 0.8 * least:
                    places.append(place / seconds)
                    texts.append(_tick(count * step, unit, seconds))
        return {"tickvals": places, "ticktext": texts}


def timeline(study: StudyRecord) -> Timeline | None:
    """The time line of a study; None while nothing of it is known."""
    slots = packed(
        [segment for trial in study.trials for segment in segments_of(trial)],
        {trial.number for trial in study.in_state("running")},
    )
    if not slots:
        return None
    starts = [trial.started for trial in study.trials if trial.started is not None]
    began = min([*starts, *(slot.segments[0].start for slot in slots)])
    end = max(slot.segments[-1].end for slot in slots)
    worked = end - began - sum(b - a for a, b in idle(slots, began, 0.0))
    cuts = idle(slots, began, max(_SHORTEST, _LONG * worked))
    return Timeline(tuple(slots), began, end, tuple(cuts))


def _tick(time: float, unit: str, seconds: float) -> str:
    if unit != "h":
        return f"{round(time / seconds, 2):.10g}"
    return f"{time // 3600:.0f}:{time % 3600 / 60:02.0f}"
