"""Several runs of one task: one reference point, who dominates whom, and what is said of it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.pareto.front import front_hypervolume
from search.record import Rung, StudyRecord, TrialRecord
from search.results.differences import _percent, cautions, differences, overall_differences
from search.results.figures.overlay import overlaid_fronts_figure, overlaid_volume_figure
from search.results.overlay import (
    NamedRun,
    Overlay,
    overlay,
    overlay_runs,
    volume_after,
)
from search.results.overlay_page import lost_table, runs_table, sides_table
from search.spec.objectives import OBJECTIVES, Direction
from tests.search.records import study, trial

Points = list[tuple[float, float]]
TWO: dict[str, Direction] = {"score": "max", "trainable_params": "min"}


def of(*points: tuple[float, float], **change: object) -> StudyRecord:
    """A study of (score, parameters)."""
    trials = [trial(n, score=score, params=params) for n, (score, params) in enumerate(points)]
    short = [
        dataclasses.replace(t, values={name: (t.values or {})[name] for name in TWO})
        for t in trials
    ]
    return study(*short, **({"objectives": TWO} | change))


def laid(**runs: StudyRecord) -> Overlay:
    return overlay("rte", list(runs.items()))


def who_dominates(**runs: StudyRecord) -> str:
    """The sentence on that, which stands before the one on the best scores."""
    return differences(laid(**runs))[-2]


def cells(row: tuple[Any, ...]) -> list[str]:
    return [cell.text for cell in row[2]]


def test_the_reference_point_is_the_worst_of_all_runs_with_a_margin() -> None:
    found = laid(a=of((0.9, 1000), (0.7, 10)), b=of((0.6, 99)))
    assert found.reference is not None
    # A tenth of the range 0.3 below the worst, and above 1000 a tenth of it in logarithms.
    assert found.reference["score"] == pytest.approx(0.57)
    worst, best = (OBJECTIVES["trainable_params"].minimised(v) for v in (1000, 10))
    expected = OBJECTIVES["trainable_params"].from_minimised(worst + 0.1 * (worst - best))
    assert found.reference["trainable_params"] == pytest.approx(expected)


scored = st.lists(
    st.tuples(st.floats(0.3, 0.9), st.floats(0, 1e6)), min_size=1, max_size=6
)  # fmt: skip


@given(scored, scored)
@example([(0.30000000000000004, 0.0)], [(0.3, 0.0)])
def test_hypervolumes_are_comparable_whoever_is_named_first(first: Points, second: Points) -> None:
    there = laid(a=of(*first), b=of(*second))
    back = laid(b=of(*second), a=of(*first))
    assert there.reference == back.reference
    assert [s.volume for s in there.sides] == [s.volume for s in reversed(back.sides)]
    assert there.lost[0][1] == back.lost[1][0]
    both = laid(a=of(*first), b=of(*first, *second)).sides
    # More trials cover no less, and every front covers something.
    assert both[1].volume >= both[0].volume - 1e-9
    assert all(side.volume > 0 for side in there.sides)


@given(scored, scored)
def test_who_is_dominated_wholly_covers_less(first: Points, second: Points) -> None:
    found = laid(a=of(*first), b=of(*second))
    a, b = found.sides
    if found.lost[0][1] == len(a.members):
        assert a.volume <= b.volume + 1e-9
    assert not (found.lost[0][1] == len(a.members) and found.lost[1][0] == len(b.members))


@given(scored)
def test_the_course_ends_at_what_the_front_covers(points: Points) -> None:
    found = laid(a=of(*points), b=of((0.5, 500)))
    for side in found.sides:
        volumes = [volume for _, volume in side.history]
        assert volumes == sorted(volumes)
        assert volumes[-1] == pytest.approx(side.volume)
        assert found.reference is not None
        again = front_hypervolume(side.members, list(TWO), found.reference)
        assert again == pytest.approx(side.volume)


def rung(index: int, at: float, total: float) -> Rung:
    measures = {"score": 0.5, "trainable_params": 9.0, "total_seconds": total}
    return Rung(index, index, index / 2, measures, measures, at=at)


def test_trial_seconds_are_what_trials_worked_and_not_what_they_waited() -> None:
    one = trial(0, rungs=(rung(1, 110.0, 8.0), rung(2, 130.0, 20.0)), finished=130.0)
    # At the same time, interrupted for long between its rungs.
    other = trial(1, rungs=(rung(1, 115.0, 5.0), rung(2, 900.0, 11.0)), finished=900.0)
    waiting = trial(3, "waiting", rungs=(), started=None)
    found = laid(a=study(one, other, waiting), b=study(trial(0, score=0.4)))
    assert found.sides[0].spent == 31.0
    assert [spent for spent, _ in found.sides[0].history] == [25.0, 31.0]
    assert volume_after(found.sides[0], 1.0) == 0.0
    assert volume_after(found.sides[0], 31.0) == found.sides[0].volume


def test_what_breaks_a_limit_is_on_no_front() -> None:
    better = trial(1, score=0.99, params=1.0, feasible=False)
    found = laid(a=study(trial(0, score=0.7), better), b=study(trial(0, score=0.6)))
    assert [t.number for t in found.sides[0].members] == [0]
    assert found.sides[0].best is not None
    assert found.sides[0].best.number == 0


def test_the_cheapest_is_sought_near_the_best_of_all_runs() -> None:
    a = of((0.900, 1000), (0.892, 400), (0.85, 3))
    found = laid(a=a, b=of((0.80, 5)))
    near = [side.cheapest for side in found.sides]
    assert near[0] is not None
    assert (near[0].number, near[1]) == (1, None)
    told = [cells(row) for row in sides_table(found).rows]
    assert told[0][:5] == ["a", "3", "3", "3", "0.9000"]
    assert told[0][7] == "400"
    assert told[1][7] == "–"


def test_one_that_dominates_wholly_is_said_to() -> None:
    found = laid(good=of((0.9, 10), (0.95, 100)), bad=of((0.8, 20), (0.94, 200)))
    first, second, third = differences(found)
    assert first.startswith("The front of good covers a hypervolume of ")
    assert " more." in first
    assert second == (
        "good dominates bad wholly: all 2 members of bad are dominated by the front of good, none "
        "of the 2 members of good the other way round."
    )
    assert third == (
        "Best accuracy: good 0.9500 with 100 trainable parameters and bad 0.9400 with 200 "
        "trainable parameters."
    )


def test_one_that_dominates_in_parts_is_said_to_in_numbers() -> None:
    a, b = of((0.9, 10), (0.95, 100), (0.96, 1000)), of((0.8, 20), (0.7, 2))
    told = who_dominates(a=a, b=b)
    assert told == (
        "a dominates b in parts: 1 of the 2 members of b is dominated by the front of a, none of "
        "the 3 members of a the other way round."
    )
    crossing = of((0.85, 5), (0.86, 900))
    told = who_dominates(a=a, c=crossing)
    assert told.startswith("a dominates c in parts: 1 of the 2 members of c is dominated")
    both = who_dominates(a=a, d=of((0.91, 9), (0.92, 900)))
    assert both == (
        "Neither dominates the other wholly: 1 of the 2 members of d is dominated by the front of "
        "a, 1 of the 3 members of a the other way round."
    )
    apart = who_dominates(a=of((0.9, 10)), b=of((0.8, 5)))
    assert apart == "Of the fronts of b and a, neither dominates a member of the other."


def test_equal_fronts_are_told_as_such() -> None:
    found = laid(a=of((0.9, 10), (0.5, 99)), b=of((0.9, 10)))
    first, *_, second, _ = differences(found)
    assert first.startswith("Both fronts cover the same hypervolume, ")
    assert second == "a and b have the same front."
    # A step of time is noise, not domination.
    noisy = laid(a=study(trial(0, seconds=10.0)), b=study(trial(0, seconds=10.05)))
    assert "a and b have the same front." in differences(noisy)


def test_runs_that_spent_more_are_also_compared_at_the_same_cost() -> None:
    ten_seconds = (rung(1, 100.0, 10.0),)
    long = study(
        *(trial(n, score=0.5 + 0.01 * n, params=100.0 + n, rungs=ten_seconds) for n in range(9))
    )
    found = laid(long=long, short=study(trial(0, score=0.5, params=50.0, rungs=ten_seconds)))
    (told,) = [s for s in differences(found) if s.startswith("After")]
    assert told.startswith("After 10.0\N{NO-BREAK SPACE}s of trials, all that short spent, it was ")
    assert not [s for s in differences(laid(a=of((0.9, 9)), b=of((0.8, 9)))) if "After" in s]


def test_a_run_without_a_front_is_named() -> None:
    found = laid(a=of((0.9, 10)), b=study(trial(0, "running"), objectives=TWO))
    assert differences(found)[0] == "No trial is complete yet in b."
    assert "no front yet" in str(overlaid_fronts_figure(found).to_json())
    empty = laid(a=study(), b=study(trial(0, "failed")))
    assert differences(empty) == overall_differences([empty]) == ["No trial is complete yet."]
    for draw in (overlaid_fronts_figure, overlaid_volume_figure):
        assert draw(empty).layout.annotations[0].text == "No trial is complete yet."
    assert cells(sides_table(empty).rows[0])[4:8] == ["–", "–", "–", "–"]


def test_a_run_that_broke_its_limits_is_not_said_to_have_completed_nothing() -> None:
    broke = study(trial(0, feasible=False), trial(1, feasible=False), objectives=TWO)
    told = "2 trials are complete in b, none within the limits."
    assert differences(laid(a=of((0.9, 10)), b=broke))[0] == told
    both = laid(a=broke, b=study(objectives=TWO))
    expected = ["2 trials are complete, none within the limits."]
    assert differences(both) == overall_differences([both]) == expected
    runs = [
        NamedRun("a", {"rte": of((0.9, 10)), "cola": broke, "sst2": study(objectives=TWO)}),
        NamedRun("b", {"rte": of((0.8, 10)), "cola": broke, "sst2": study(objectives=TWO)}),
    ]
    told_of_all = " ".join(overall_differences(overlay_runs(runs)))
    assert "No trial is complete yet on sst2. 4 trials are complete on cola, none" in told_of_all


def test_several_tasks_are_summed_up() -> None:
    runs = [
        NamedRun("a", {"rte": of((0.9, 10)), "cola": of((0.5, 10)), "only": of((0.5, 1))}),
        NamedRun("b", {"rte": of((0.8, 20)), "cola": of((0.6, 20), (0.5, 10))}),
    ]
    found = overlay_runs(runs)
    assert [o.task for o in found] == ["rte", "cola"]
    first, second = overall_differences(found)
    assert first == (
        "Of 2 tasks that runs have in common, the front that covers most is that of a on 1 (rte) "
        "and that of b on 1 (cola)."
    )
    assert second == "a dominates b wholly on rte."


def test_three_runs_have_a_table_of_who_dominates_whom() -> None:
    found = laid(a=of((0.9, 10), (0.95, 99)), b=of((0.8, 20)), c=of((0.92, 50)))
    assert [cells(row) for row in lost_table(found).rows] == [
        ["a", "–", "0 of 2", "0 of 2"],
        ["b", "1 of 1", "–", "0 of 1"],
        ["c", "0 of 1", "0 of 1", "–"],
    ]


def test_lines_and_points_of_a_run_are_told_apart_without_colour() -> None:
    runs = {name: of((0.9, 10.0 + n)) for n, name in enumerate("abcdef")}
    figure = overlaid_fronts_figure(laid(**runs))
    keys = [trace for trace in figure.data if trace.showlegend is not False]
    assert [trace.name for trace in keys] == list("abcdef")
    for aspect in (
        [trace.marker.symbol for trace in keys],
        [trace.line.dash for trace in keys],
        [trace.line.color for trace in keys],
    ):
        assert len(set(aspect)) == 6


def test_a_member_is_large_and_its_line_goes_to_the_end_of_the_axis() -> None:
    found = laid(a=of((0.9, 10), (0.7, 20)), b=of((0.8, 5)))
    figure = overlaid_fronts_figure(found)
    (front, _) = [trace for trace in figure.data if trace.name == "front"]
    (dominated, _) = [trace for trace in figure.data if trace.name == "dominated"]
    assert (list(front.x), list(dominated.x)) == ([10.0], [20.0])
    assert front.marker.size > dominated.marker.size
    (line, _) = [t for t in figure.data if t.name == "best at this cost or less"]
    assert line.x[-1] == pytest.approx(10 ** figure.layout.xaxis.range[1])
    assert "<b>a</b>" in front.hovertext[0]


def test_names_cannot_be_markup() -> None:
    figure = overlaid_fronts_figure(laid(**{"<b>x": of((0.9, 10)), "y": of((0.8, 5))}))
    assert "<b>x" not in figure.to_json().replace("\\u003c", "<")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f1"}, "b cannot be laid over a: on rte it has the metric f1, a has accuracy"),
        (
            {"objectives": {"score": "max", "train_seconds": "min"}},
            r"objectives score \(max\), train_seconds \(min\), a has score \(max\), trainable_params",
        ),
    ],
)
def test_other_questions_are_refused(change: dict[str, Any], message: str) -> None:
    other = dataclasses.replace(of((0.9, 10)), **change)
    runs = [NamedRun("a", {"rte": of((0.9, 10))}), NamedRun("b", {"rte": other})]
    with pytest.raises(ValueError, match=message):
        overlay_runs(runs)


def test_a_run_that_shares_no_task_is_refused() -> None:
    runs = [NamedRun(n, {t: of((0.9, 10))}) for n, t in (("a", "rte"), ("b", "cola"))]
    with pytest.raises(ValueError, match="a has no task in common with another run: it has rte; b"):
        overlay_runs(runs)
    third = NamedRun("c", {"rte": of((0.8, 10))})
    with pytest.raises(ValueError, match="b has no task in common"):
        overlay_runs([*runs, third])


def test_another_order_of_objectives_is_no_other_question() -> None:
    turned = dataclasses.replace(of((0.8, 20)), objectives=dict(reversed(TWO.items())))
    found = laid(a=of((0.9, 10)), b=turned)
    assert found.lost == ((0, 0), (1, 0))


def test_another_model_machine_or_data_is_named() -> None:
    def run(**change: str) -> StudyRecord:
        record = of((0.9, 10))
        model = change.pop("model", "tiny")
        return dataclasses.replace(record, model=model, provenance={**record.provenance, **change})

    assert cautions([laid(a=run(), b=run())]) == []
    told = cautions([laid(a=run(data="1"), b=run(data="2", model="large", machine="there"))])
    assert told == [
        "The models on rte differ (a has tiny; b has large): scores compare models too.",
        "The data of rte differ (fingerprints: a 1; b 2): scores were measured on other rows.",
        "The machines differ (a on here; b on there): seconds compare machines too.",
    ]


def test_the_runs_are_told_with_where_they_come_from() -> None:
    record = of((0.9, 10), provenance={"commit": "c" * 40 + "-dirty", "seed": 7, "machine": "x"})
    plain = NamedRun("plain", {"rte": study()})
    run = NamedRun("a", {"rte": record}, {"name": "tpe", "startup": 3}, {"name": "none"})
    row, other = runs_table([run, plain]).rows
    assert cells(row) == [
        "a", "test", "rte", "tiny", "tpe", "none", "7", "x", "c" * 10 + "-dirty"
    ]  # fmt: skip
    assert row[2][4].details == (("startup", "3"),)
    assert cells(other)[4:6] == ["–", "–"]


def test_many_trials_are_drawn_as_few_points() -> None:
    many: list[TrialRecord] = [
        trial(n, score=0.5 + 0.0001 * (n % 97), params=10.0 + n) for n in range(700)
    ]
    figure = overlaid_fronts_figure(laid(a=study(*many), b=study(trial(0))))
    assert sum(len(trace.x) for trace in figure.data if trace.name == "dominated") <= 301


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (0.00001, "less than 0.01 %"),
        (0.0123, "1.2 %"),
        (0.994, "99 %"),
        (0.997, "100 %"),
        (1.5, "150 %"),
    ],
)
def test_how_much_more_is_told_without_exponents(part: float, told: str) -> None:
    assert _percent(part).replace("\N{NO-BREAK SPACE}", " ") == told


def test_fronts_that_cover_as_much_are_named_together() -> None:
    same, less = ((0.9, 10),), ((0.6, 50),)
    found = laid(a=of(*same), b=of(*same), c=of(*less))
    (told, *_) = [s for s in differences(found) if "hypervolume" in s]
    assert re.match(r"The fronts of a and b cover most, a hypervolume of \S+; then comes c ", told)
    found = laid(a=of(*same), b=of(*same), c=of(*same))
    (told, *_) = [s for s in differences(found) if "hypervolume" in s]
    assert told.startswith("All fronts cover the same hypervolume, ")
