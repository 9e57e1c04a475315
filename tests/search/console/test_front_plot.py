"""The front drawn in characters."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from search.console.front_plot import AROUND, COMPLETE, FRONT, KNEE, PRUNED, front_plot
from search.pareto.front import front
from search.pareto.knee import knee
from search.record import StudyRecord
from tests.search.records import study, trial

SIGNS = {mark.sign for mark in (KNEE, FRONT, COMPLETE, PRUNED)}

points = st.tuples(
    st.sampled_from(["complete", "pruned", "failed", "running"]),
    st.floats(-1, 1).map(lambda score: round(score, 3)),
    st.one_of(st.just(0.0), st.floats(1, 1e9)),
)
studies = st.lists(points, min_size=1, max_size=30).map(
    lambda drawn: study(
        *(trial(n, state, score=score, params=params) for n, (state, score, params) in
          enumerate(drawn))
    )
)  # fmt: skip


def drawn(record: StudyRecord, width: int = 76, height: int = 8) -> list[str]:
    plot = front_plot(record, width, height)
    assert plot is not None
    return plot.plain.split("\n")


def of_points(lines: list[str]) -> list[str]:
    """What stands right of the axis, a row each, the greatest score first."""
    return [line[line.index("│" if "│" in line[:12] else "┤") + 1 :] for line in lines[1:-2]]


@given(studies, st.integers(30, 160), st.integers(2, 20))
def test_it_keeps_to_its_size_and_draws_every_member(
    record: StudyRecord, width: int, height: int
) -> None:
    assume(record.in_state("complete", "pruned"))
    lines = drawn(record, width, height)
    assert len(lines) == height + AROUND
    assert max(len(line) for line in lines) <= width
    rows = of_points(lines)
    columns = len(lines[-2].lstrip(" └")) or 0
    assert {len(row) for row in rows} == {columns}
    signs = [sign for row in rows for sign in row if sign in SIGNS]
    members = front(record.trials, list(record.objectives))
    best = knee(members, list(record.objectives))
    assert signs.count(KNEE.sign) == (best is not None)
    # Two places in one cell are one sign, two cells are two.
    places = {(t.measures["score"], t.measures["trainable_params"]) for t in members}
    of_members = [sign for sign in signs if sign in (KNEE.sign, FRONT.sign)]
    assert bool(places) == bool(of_members)
    assert len(of_members) <= len(places)
    assert 1 <= len(signs) <= len(record.in_state("complete", "pruned"))
    # The ends of the data are the ends of the box.
    if len({t.measures["score"] for t in record.in_state("complete", "pruned")}) > 1:
        assert SIGNS & set(rows[0])
        assert SIGNS & set(rows[-1])


def test_each_lies_where_it_belongs_and_the_line_steps_up_at_the_members() -> None:
    lines = drawn(
        study(
            trial(0, score=0.5, params=100.0, seconds=9.0),
            trial(1, score=0.8, params=1_000.0, seconds=9.0),
            trial(2, score=0.9, params=100_000.0, seconds=9.0),
            trial(3, score=0.7, params=10_000.0, seconds=9.0),
            trial(4, "pruned", score=0.6, params=100_000.0),
        ),
        width=40,
        height=5,
    )
    assert [line.rstrip() for line in lines] == [
        "score ◆ knee ● front ○ complete ▽ pruned",
        "0.9000 ┤                               ●",
        "       │          ◆────────────────────┘",
        "       │          │          ○",
        "       │          │                    ▽",
        "0.5000 ┤●─────────┘",
        "       └────────────────────────────────",
        "        100  trainable parameters  100\N{NO-BREAK SPACE}k",
    ]


def test_zero_stands_at_the_left_end_apart_from_the_least_that_is_not() -> None:
    rows = of_points(
        drawn(study(trial(0, score=0.1, params=0.0), trial(1, score=0.9, params=50.0)))
    )
    assert rows[-1][0] == FRONT.sign
    assert rows[0].index(FRONT.sign) > 4


def test_trials_that_are_all_alike_lie_in_the_middle() -> None:
    lines = drawn(study(trial(0), trial(1)), height=5)
    row = of_points(lines)[2]
    assert abs(row.index(FRONT.sign) - len(row) / 2) <= 1
    assert [line[:6] for line in lines].count("0.8000") == 1
    assert lines[-1].strip().startswith("1.00\N{NO-BREAK SPACE}k trainable parameters")


def test_other_costs_take_the_place_of_parameters_that_are_no_objective() -> None:
    record = study(
        trial(0, score=0.5, seconds=10.0),
        trial(1, score=0.6, seconds=3600.0),
        objectives={"score": "max", "train_seconds": "min"},
    )
    assert "training time" in drawn(record)[-1]
    assert drawn(record)[-1].endswith(
        "1\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}00\N{NO-BREAK SPACE}min"
    )


def test_where_nothing_has_a_place_or_there_is_no_room_nothing_is_drawn() -> None:
    assert front_plot(study(trial(0, "failed")), 80, 8) is None
    assert front_plot(study(trial(0)), 20, 8) is None
    assert front_plot(study(trial(0)), 80, 1) is None
