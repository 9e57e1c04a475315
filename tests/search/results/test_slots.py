"""Work in slots: all of it, nothing twice, in as few slots as it needs."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.results.slots import (
    JITTER,
    SAME_STRETCH,
    Segment,
    busy_part,
    idle,
    packed,
    segments_of,
)
from tests.search.results.slot_runs import worked_trial

seconds = st.floats(0.0, 500.0)
some_segments = st.lists(
    st.builds(
        lambda host, start, length: (host, start, start + length),
        st.sampled_from(["a", "b", ""]),
        st.floats(0.0, 2_000.0),
        seconds,
    ),
    max_size=60,
).map(
    lambda found: [
        Segment(number, host, start, end, 1, 1) for number, (host, start, end) in enumerate(found)
    ]
)


def spans(*stretches: tuple[str, float, float], **changes: object) -> list[tuple[float, float]]:
    trial = dataclasses.replace(worked_trial(0, stretches), **changes)  # type: ignore[arg-type]
    return [(segment.start, segment.end) for segment in segments_of(trial)]


def test_stretches_without_a_gap_are_one_segment() -> None:
    (segment,) = segments_of(worked_trial(3, [("a", 10, 30), ("a", 30, 45), ("a", 45.5, 60)]))
    assert segment == Segment(3, "a", 10, 60, 1, 3)


def test_a_gap_or_another_host_begins_a_new_one() -> None:
    apart = 30 + SAME_STRETCH + 1
    trial = worked_trial(0, [("a", 10, 30), ("a", apart, 50), ("b", 50, 60), ("b", 60, 70)])
    assert [(s.host, s.start, s.end, s.first, s.last) for s in segments_of(trial)] == [
        ("a", 10, 30, 1, 1),
        ("a", apart, 50, 2, 2),
        ("b", 50, 70, 3, 4),
    ]


def test_a_lost_attempt_is_not_made_up() -> None:
    """A trial that failed at 90, having come to a rung at 50, and began again at 100."""
    assert spans(("a", 10, 50), ("a", 100, 120)) == [(10, 50), (100, 120)]


def test_what_is_not_recorded_has_no_segment() -> None:
    assert segments_of(worked_trial(0, [], "failed")) == []
    trial = worked_trial(0, [("a", 10, 30)])
    bare = dataclasses.replace(trial.rungs[0], measures={"score": 0.5})
    assert segments_of(dataclasses.replace(trial, rungs=(bare,))) == []


def test_work_begins_no_sooner_than_its_trial() -> None:
    """Starting the process is not recorded; a clock that is ahead must not make it up."""
    assert spans(("a", 10, 30), started=4.0) == [(10, 30)]
    assert spans(("a", 10, 30), started=12.0) == [(12, 30)]


def test_rungs_that_came_in_at_once_were_worked_for_one_after_the_other() -> None:
    trial = worked_trial(0, [("a", 10, 30), ("a", 30, 50), ("a", 50, 60)])
    late = tuple(dataclasses.replace(rung, at=200.0) for rung in trial.rungs)
    (segment,) = segments_of(dataclasses.replace(trial, rungs=late))
    assert (segment.start, segment.end) == pytest.approx((150.0, 200.0))


@given(st.lists(st.tuples(st.sampled_from("ab"), seconds, seconds), min_size=1, max_size=8))
def test_the_segments_of_a_trial_hold_all_its_work_and_do_not_overlap(
    parts: list[tuple[str, float, float]],
) -> None:
    stretches, now = [], 1_000.0
    for host, gap, length in parts:
        stretches.append((host, now + gap, now + gap + length))
        now += gap + length
    found = segments_of(worked_trial(0, stretches))
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start + 1e-6
    # What lies between two of its stretches and is too short to be seen counts as work.
    lengths, slack = sum(s.seconds for s in found), SAME_STRETCH * len(parts) + 1e-6
    assert -1e-6 <= lengths - sum(length for _, _, length in parts) <= slack
    rungs = [index for s in found for index in range(s.first, s.last + 1)]
    assert rungs == list(range(1, len(parts) + 1))


def surely(segment: Segment) -> float:
    return segment.start + min(JITTER, 0.1 * segment.seconds)


@given(some_segments)
def test_no_two_segments_of_a_slot_overlap_and_none_is_lost(segments: list[Segment]) -> None:
    slots = packed(segments)
    found = {segment.trial: segment for slot in slots for segment in slot.segments}
    assert sum(len(slot.segments) for slot in slots) == len(found) == len(segments)
    for slot in slots:
        for before, after in itertools.pairwise(slot.segments):
            assert before.end <= after.start
    for segment in segments:
        placed = found[segment.trial]
        assert dataclasses.replace(placed, start=segment.start) == segment
        assert segment.start <= placed.start <= surely(segment)


@given(some_segments)
def test_a_host_has_as_many_slots_as_ran_at_once(segments: list[Segment]) -> None:
    slots: dict[str, list[int]] = defaultdict(list)
    for slot in packed(segments):
        slots[slot.host].append(slot.number)
    hosts = defaultdict(list)
    for segment in segments:
        hosts[segment.host].append(segment)
    for host, own in hosts.items():
        # One that has no length and lies where others meet needs a slot of its own all the same.
        at_once = max(
            sum(o is s or surely(o) <= surely(s) < o.end for o in own) for s in own
        )  # fmt: skip
        ties = sum(s.seconds == 0 for s in own)
        assert slots[host] == list(range(1, len(slots[host]) + 1))
        assert at_once - ties <= len(slots[host]) <= at_once + ties


@given(some_segments, st.randoms())
def test_the_order_in_which_segments_come_changes_no_number_of_slots(
    segments: list[Segment], order: random.Random
) -> None:
    shuffled = order.sample(segments, len(segments))
    assert [(s.host, s.number) for s in packed(segments)] == [
        (s.host, s.number) for s in packed(shuffled)
    ]


def test_hosts_stand_by_their_numbers() -> None:
    segments = [Segment(n, f"node{n}", 0, 10, 1, 1) for n in (10, 2, 1)]
    assert [slot.host for slot in packed(segments)] == ["node1", "node2", "node10"]


def test_jitter_takes_no_slot_of_its_own() -> None:
    one, other = Segment(0, "a", 0, 100, 1, 1), Segment(1, "a", 99.2, 200, 1, 1)
    (slot,) = packed([one, other])
    assert slot.segments == (one, dataclasses.replace(other, start=100))
    assert len(packed([one, dataclasses.replace(other, start=90)])) == 2
    assert len(packed([one, Segment(1, "a", 99.2, 101, 1, 1)])) == 2


def test_the_slot_of_a_trial_that_runs_is_not_free() -> None:
    running, later = Segment(0, "a", 0, 10, 1, 1), Segment(1, "a", 20, 30, 1, 1)
    assert len(packed([running, later])) == 1
    one, other = packed([running, later], {0})
    assert (one.goes_on, other.goes_on) == (True, False)


def test_idle_is_when_no_slot_worked() -> None:
    segments = [
        Segment(0, "a", 10, 50, 1, 1), Segment(1, "b", 30, 60, 1, 1), Segment(2, "a", 100, 110, 1, 1),
    ]  # fmt: skip
    slots = packed(segments)
    assert idle(slots, 0.0, 0.0) == [(0.0, 10), (60, 100)]
    assert idle(slots, 0.0, 20.0) == [(60, 100)]
    assert idle(slots, 0.0, 40.0) == []


def test_busy_is_the_part_of_the_slots_time_that_was_worked() -> None:
    two = packed([Segment(0, "a", 0, 100, 1, 1), Segment(1, "a", 50, 100, 1, 1)])
    assert busy_part(two) == pytest.approx(0.75)
    # A host that came later has not been idle before.
    assert busy_part([*two, *packed([Segment(2, "b", 80, 90, 1, 1)])]) == pytest.approx(160 / 210)
    with_gap = packed([Segment(0, "a", 0, 100, 1, 1), Segment(1, "a", 1_000, 1_100, 1, 1)])
    assert busy_part(with_gap) == pytest.approx(200 / 1_100)
    assert busy_part(with_gap, idle(with_gap, 0.0, 60.0)) == 1.0
    # What a running trial has done since its last rung is not known, so it is no idle time.
    held = packed([Segment(0, "a", 0, 10, 1, 1), Segment(1, "a", 5, 100, 1, 1)], {0})
    assert busy_part(held) == pytest.approx(105 / 110)
    assert busy_part([]) is None
    assert busy_part(packed([Segment(0, "a", 5, 5, 1, 1)])) is None


@given(some_segments, st.floats(0.0, 100.0))
def test_busy_is_a_part(segments: list[Segment], longest: float) -> None:
    slots = packed(segments)
    part = busy_part(slots, idle(slots, 0.0, longest))
    assert part is None or 0.0 <= part <= 1.0
