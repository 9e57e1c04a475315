"""How runs of the same tasks differ, in sentences that their fronts support."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.record import StudyRecord
from search.results.headline import listed, without_front, without_fronts
from search.results.measured import final
from search.results.overlay import Overlay, Side, have_same_front, machine_of, volume_after
from search.results.units import duration, readable

# With more runs the paragraph becomes a list; the table has every pair.
_MOST_RIVALS = 3
# Runs whose trials took no more than this many times another's are called equally dear.
_SAME_COST = 1.1


def differences(overlay: Overlay) -> list[str]:
    """Sentences on one task: which front covers most, who dominates whom, the best scores."""
    found = [(place, side) for place, side in _ordered(overlay) if side.members]
    if not found:
        return [f"{without_front(_studies(overlay))}."]
    lacking = {side.run: [side.study] for side in overlay.sides if not side.members}
    sentences = without_fronts(lacking, "in")
    if len(found) > 1:
        sentences.append(_coverage([side for _, side in found]))
        (leader, _), *rivals = found
        sentences += filter(None, [_at_the_same_cost([side for _, side in found])])
        sentences += [_dominance(overlay, leader, rival) for rival, _ in rivals[:_MOST_RIVALS]]
    sentences.append(_scores(overlay))
    return sentences


def overall_differences(overlays: Sequence[Overlay]) -> list[str]:
    """Sentences on all tasks: whose front covers most on how many, and who dominates wholly."""
    leads: dict[str, list[str]] = {}
    nobody: dict[str, list[StudyRecord]] = {}
    tied: dict[int, list[str]] = {}
    wholly = []
    for overlay in overlays:
        found = [(i, side) for i, side in _ordered(overlay) if side.members]
        if not found:
            nobody[overlay.task] = _studies(overlay)
            continue
        first, *others = found
        if others and _as_much(first[1], others[0][1]):
            as_much = sum(_as_much(first[1], other) for _, other in found)
            tied.setdefault(as_much, []).append(overlay.task)
        else:
            leads.setdefault(first[1].run, []).append(overlay.task)
        wholly += [
            f"{overlay.sides[a].run} dominates {side.run} wholly on {overlay.task}"
            for a, _ in found
            for b, side in found
            if a != b and _wins(overlay, a, b)
        ]
    if not leads and not tied:
        return [f"{without_front([s for overlay in overlays for s in _studies(overlay)])}."]
    sentences = []
    if leads:
        told = [
            f"that of {run} on {len(tasks)} ({', '.join(tasks)})"
            for run, tasks in sorted(leads.items(), key=lambda lead: -len(lead[1]))
        ]
        sentences.append(
            f"Of {len(overlays)} tasks that runs have in common, the front that covers most is "
            f"{listed(told)}."
        )
    for count, tasks in sorted(tied.items()):
        sentences.append(f"On {listed(tasks)} {count} fronts cover as much.")
    sentences += without_fronts(nobody, "on")
    if wholly:
        sentences.append(f"{listed(wholly)}.")
    elif leads:
        sentences.append("On no task does one front dominate another wholly.")
    return sentences


def cautions(overlays: Sequence[Overlay]) -> list[str]:
    """What makes the runs less comparable than they look: other models, data or machines."""
    sentences = []
    for overlay in overlays:
        models = {side.run: side.study.model for side in overlay.sides}
        if len(set(models.values())) > 1:
            told = "; ".join(f"{run} has {model}" for run, model in models.items())
            sentences.append(
                f"The models on {overlay.task} differ ({told}): scores compare models too."
            )
        data = {side.run: side.study.provenance.get("data") for side in overlay.sides}
        if len(set(data.values())) > 1:
            told = "; ".join(f"{run} {fingerprint}" for run, fingerprint in data.items())
            sentences.append(
                f"The data of {overlay.task} differ (fingerprints: {told}): scores were measured "
                "on other rows."
            )
    machines = {side.run: machine_of(side.study) for over in overlays for side in over.sides}
    if len(set(machines.values())) > 1:
        told = "; ".join(f"{run} on {machine or 'unknown'}" for run, machine in machines.items())
        sentences.append(f"The machines differ ({told}): seconds compare machines too.")
    return sentences


def _studies(overlay: Overlay) -> list[StudyRecord]:
    return [side.study for side in overlay.sides]


def _ordered(overlay: Overlay) -> list[tuple[int, Side]]:
    """The sides with their places, the front that covers most first."""
    return sorted(enumerate(overlay.sides), key=lambda entry: -entry[1].volume)


def _as_much(one: Side, other: Side) -> bool:
    return math.isclose(one.volume, other.volume, rel_tol=1e-9)


def _coverage(sides: Sequence[Side]) -> str:
    first, second, *others = sides
    if not others and _as_much(first, second):
        return f"Both fronts cover the same hypervolume, {covered(first.volume)}."
    told = f"a hypervolume of {covered(first.volume)}"
    if others:
        most = [side for side in sides if _as_much(first, side)]
        if len(most) == len(sides):
            return f"All fronts cover the same hypervolume, {covered(first.volume)}."
        names = listed([side.run for side in most])
        who = f"The front of {names} covers" if len(most) == 1 else f"The fronts of {names} cover"
        left = sides[len(most) :]
        rest = listed([f"{side.run} {covered(side.volume)}" for side in left])
        return f"{who} most, {told}; then {'comes' if len(left) == 1 else 'come'} {rest}."
    more = f": {_percent(first.volume / second.volume - 1)} more" if second.volume > 0 else ""
    return (
        f"The front of {first.run} covers {told}, that of {second.run} "
        f"{covered(second.volume)}{more}."
    )


def covered(volume: float) -> str:
    """A hypervolume with four digits."""
    return f"{volume:#.4g}" if volume else "0"


def _percent(part: float) -> str:
    if part < 1e-4:
        return "less than 0.01 %"
    return f"{100 * part:.2g} %" if part < 0.995 else f"{100 * part:.0f} %"


def _at_the_same_cost(sides: Sequence[Side]) -> str | None:
    """Where one run spent more than another: what each covered when the thriftier one ended."""
    least = min(sides, key=lambda side: side.spent)
    if max(side.spent for side in sides) < _SAME_COST * least.spent or not least.spent:
        return None
    then = sorted(
        ((volume_after(side, least.spent), side.run) for side in sides), key=lambda entry: -entry[0]
    )
    told = listed([f"{run} {covered(volume)}" for volume, run in then])
    return f"After {duration(least.spent)} of trials, all that {least.run} spent, it was {told}."


def _wins(overlay: Overlay, one: int, other: int) -> bool:
    members = len(overlay.sides[other].members)
    return overlay.lost[other][one] == members > 0 and overlay.lost[one][other] == 0


def _dominance(overlay: Overlay, one: int, other: int) -> str:
    if overlay.lost[one][other] > overlay.lost[other][one]:
        one, other = other, one
    a, b = overlay.sides[one], overlay.sides[other]
    gained, lost = overlay.lost[other][one], overlay.lost[one][other]
    if have_same_front(a, b):
        return f"{a.run} and {b.run} have the same front."
    if not gained:
        return f"Of the fronts of {a.run} and {b.run}, neither dominates a member of the other."
    of_b = f"{_part(gained, len(b.members))} of {b.run} {'is' if gained == 1 else 'are'}"
    of_a = f"{_part(lost, len(a.members))} of {a.run}"
    if _wins(overlay, one, other):
        how = f"{a.run} dominates {b.run} wholly"
    elif not lost:
        how = f"{a.run} dominates {b.run} in parts"
    else:
        how = "Neither dominates the other wholly"
    return f"{how}: {of_b} dominated by the front of {a.run}, {of_a} the other way round."


def _part(count: int, members: int) -> str:
    if count == members:
        return f"all {members} members" if members > 1 else "the one member"
    noun = "members" if members > 1 else "member"
    return f"{count or 'none'} of the {members} {noun}"


def _scores(overlay: Overlay) -> str:
    told = []
    for side in overlay.sides:
        if side.best is not None:
            params = final(side.best, "trainable_params")
            cost = f" with {readable('trainable_params', params)} trainable parameters"
            score = readable("score", final(side.best, "score"))
            told.append(f"{side.run} {score}{cost if params is not None else ''}")
    return f"Best {overlay.metric}: {listed(told)}."
