"""Who ran where and when: the stretches of work that a record tells of, packed into slots."""

from __future__ import annotations

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from search.record import TrialRecord
from search.results.measured import worked

#: A trial that goes on within so many seconds of its last rung did not stop there.
SAME_STRETCH = 2.0
#: A driver learns of a rung up to so many seconds late, and of one sooner than of another.
JITTER = 2.0
#: Of a short stretch no larger part is taken for jitter.
_JITTER_PART = 0.1


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of work of one trial, without a gap, on one host.

    Attributes:
        trial: its number.
        host: name of the machine; empty where it was not recorded.
        start, end: seconds since the epoch.
        first, last: rungs that came of it.
    """

    trial: int
    host: str
    start: float
    end: float
    first: int
    last: int

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Slot:
    """Segments of a host of which no two overlap.

    Attributes:
        host: name of the machine.
        number: 1 for the host's first.
        segments: in the order of time; never empty.
        goes_on: whether the trial of the last one is still at work there, as far as is known.
    """

    host: str
    number: int
    segments: tuple[Segment, ...]
    goes_on: bool = False


def segments_of(trial: TrialRecord) -> list[Segment]:
    """What a trial worked at, in the order of time.

    A rung tells when a stretch ended, and the growth of ``total_seconds`` since the rung before
    how long it was. That covers all a trial's process did once its Python was up, loading the
    model and saving included. Not covered, as it is not recorded: starting the process, attempts
    that came to no further rung, and what a trial that runs has done since its last rung.

    What was taken in only when a dead driver was succeeded lies before the moment of that, which
    is all that the record tells of it.
    """
    segments: list[Segment] = []
    later = math.inf
    for rung, seconds in reversed(worked(trial)):
        # Several rungs that came in at once were worked for one after the other.
        end = min(rung.at, later)
        start = end - seconds
        if trial.started is not None:
            start = min(end, max(start, trial.started))
        later = start
        follows = segments[-1] if segments else None
        if (
            follows is not None
            and follows.host == rung.host
            and follows.start - end <= SAME_STRETCH
        ):
            segments[-1] = replace(follows, start=start, first=rung.index)
        else:
            segments.append(Segment(trial.number, rung.host, start, end, rung.index, rung.index))
    return segments[::-1]


def packed(segments: Iterable[Segment], running: Collection[int] = ()) -> list[Slot]:
    """The segments of each host in as few slots as their overlap requires.

    Where two overlap by no more than jitter explains, the later one is cut to begin where the
    earlier one ends. Which of its slots a host gave to a trial is not recorded: a segment takes
    the first that is free.

    Args:
        segments: of all trials.
        running: numbers of trials that are still at work: what they have done since their last
            segment is not known, but their slots are not free.

    Returns:
        Hosts by name, and the slots of a host by number.
    """
    of_host: dict[str, list[Segment]] = defaultdict(list)
    last: dict[int, Segment] = {}
    for segment in sorted(segments, key=_begins_surely):
        of_host[segment.host].append(segment)
        last[segment.trial] = segment
    held = {last[number] for number in running if number in last}
    return [slot for host in sorted(of_host, key=_by_numbers)
            for slot in _packed(host, of_host[host], held)]  # fmt: skip


def _packed(host: str, segments: Sequence[Segment], held: Collection[Segment]) -> list[Slot]:
    lanes: list[list[Segment]] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    kept: set[int] = set()
    for segment in segments:
        while busy and busy[0][0] <= _begins_surely(segment):
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
            before = lanes[lane][-1].end
            lanes[lane].append(replace(segment, start=max(segment.start, before)))
        else:
            lane = len(lanes)
            lanes.append([segment])
        if segment in held:
            kept.add(lane)
        else:
            heapq.heappush(busy, (segment.end, lane))
    return [Slot(host, n + 1, tuple(lane), n in kept) for n, lane in enumerate(lanes)]


def _by_numbers(host: str) -> list[tuple[int, str]]:
    """``node2`` before ``node10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", host)
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def _begins_surely(segment: Segment) -> float:
    return segment.start + min(JITTER, _JITTER_PART * segment.seconds)


def idle(slots: Sequence[Slot], began: float, longest: float) -> list[tuple[float, float]]:
    """Start and end of every time longer than ``longest`` seconds in which no slot worked.

    Args:
        slots: as :func:`packed` makes them.
        began: seconds since the epoch; nothing before it counts.
        longest: seconds.
    """
    gaps, until = [], began
    for segment in sorted((s for slot in slots for s in slot.segments), key=lambda s: s.start):
        if segment.start - until > longest:
            gaps.append((until, segment.start))
        until = max(until, segment.end)
    return gaps


def busy_part(slots: Sequence[Slot], gaps: Sequence[tuple[float, float]] = ()) -> float | None:
    """Part of the slots' time that lies in segments, in [0, 1].

    The time of a host's slots reaches from its first segment to its last; that of a slot where a
    trial is still at work, to what is known of it. ``gaps``, in which no slot worked, do not
    count. None where there is no time.
    """
    of_host: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        of_host[slot.host].append(slot)
    whole = spent = 0.0
    for found in of_host.values():
        start = min(slot.segments[0].start for slot in found)
        last = max(slot.segments[-1].end for slot in found)
        for slot in found:
            end = slot.segments[-1].end if slot.goes_on else last
            cut = sum(max(0.0, min(end, b) - max(start, a)) for a, b in gaps)
            whole += end - start - cut
            spent += sum(segment.seconds for segment in slot.segments)
    return min(1.0, spent / whole) if whole > 0 else None
