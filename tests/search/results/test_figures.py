"""The figures show every trial where it belongs, and survive what a search may lack."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from search.pareto.front import front
from search.record import ConstantAnswer, FreezeEvent, Importance, StudyRecord
from search.results.figures import (
    curves_figure,
    freezing_figure,
    freezing_members,
    front_figure,
    hypervolume_figure,
    importance_figure,
    importance_methods,
    slots_figure,
    trials_figure,
)
from search.results.figures.labels import placed
from search.results.figures.style import HUES, log_axis, log_ticks

Maker = Callable[..., Any]

FIGURES: dict[str, Callable[[StudyRecord], go.Figure]] = {
    "front": front_figure,
    "trials": trials_figure,
    "curves": curves_figure,
    "slots": slots_figure,
    "over seconds": lambda study: hypervolume_figure(study, "seconds"),
    "over trials": lambda study: hypervolume_figure(study, "trials"),
}


def numbers(figure: go.Figure, name: str) -> list[int]:
    """Trials that traces of this name draw."""
    return [
        number
        for trace in figure.data
        if trace.name == name and trace.customdata is not None
        for number in trace.customdata
    ]


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize(
    "what",
    ["nothing", "one", "no complete", "only waiting", "no rungs", "no measures", "score only",
     "score and flops", "large", "zero parameters", "nan"],
)  # fmt: skip
def test_every_figure_survives(
    what: str,
    draw: Callable[[StudyRecord], go.Figure],
    trial: Maker,
    study: Maker,
    large_search: StudyRecord,
) -> None:
    bare = {"rungs": 0, "measures": {}}
    of_flops = ("score", "train_flops")
    records = {
        "nothing": study(),
        "one": study(trial(0)),
        "no complete": study(trial(0, "pruned"), trial(1, "failed"), trial(2, "running")),
        "only waiting": study(trial(0, "waiting")),
        "no rungs": study(trial(0, **bare), trial(1, "pruned", rungs=0), trial(2, **bare)),
        "no measures": study(trial(0, "pruned", rungs=1, measures={}), trial(1, **bare)),
        "score only": study(
            trial(0, objectives=("score",), **bare),
            trial(1, objectives=("score",), score=0.8, **bare),
            objectives={"score": "max"},
        ),
        "score and flops": study(
            trial(0, objectives=of_flops),
            trial(1, objectives=of_flops, score=0.95, flops=9e12),
            objectives={"score": "max", "train_flops": "min"},
        ),
        "large": large_search,
        "zero parameters": study(trial(0, params=0.0, score=0.7), trial(1)),
        "nan": study(trial(0), trial(1, "failed", rungs=0, measures={"score": math.nan})),
    }
    record = records[what]
    json.loads(draw(record).to_json(), parse_constant=pytest.fail)


def test_the_front_figure_draws_each_trial_once_where_it_belongs(
    whole_search: StudyRecord,
) -> None:
    figure = front_figure(whole_search)
    members = {t.number for t in front(whole_search.trials, list(whole_search.objectives))}
    unmarked = [t for t in whole_search.trials if t.mark is None]
    assert set(numbers(figure, "front")) == members
    assert set(numbers(figure, "pruned, where it stopped")) == {
        t.number for t in unmarked if t.state == "pruned"
    }
    assert set(numbers(figure, "complete")) == {
        t.number for t in unmarked if t.state == "complete" and t.number not in members
    }
    assert (numbers(figure, "AFLoRA, paper"), numbers(figure, "LoRA r=8")) == ([0], [1])
    marks = [trace(figure, name).marker.symbol for name in ("AFLoRA, paper", "LoRA r=8")]
    assert len({*marks, "circle"}) == 3
    assert [note.text for note in figure.layout.annotations] == ["AFLoRA, paper", "LoRA r=8"]
    assert trace(figure, "front").marker.size > trace(figure, "complete").marker.size


def test_the_front_axes_are_parameters_score_and_seconds(trial: Maker, study: Maker) -> None:
    figure = front_figure(study(trial(0), trial(1, params=1_000, seconds=100.0)))
    points = trace(figure, "front")
    assert dict(zip(points.customdata, points.x, strict=True)) == {0: 12_300.0, 1: 1_000.0}
    assert list(points.y) == [0.9, 0.9]
    costs = dict(zip(points.customdata, points.marker.color, strict=True))
    assert costs[1] == pytest.approx(2.0)
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.title.text == "trainable parameters, averaged over steps"
    assert figure.layout.yaxis.title.text == "accuracy"
    assert figure.layout.coloraxis.colorbar.title.text == "training time"


def test_a_line_shows_what_one_answer_to_all_scores(trial: Maker, study: Maker) -> None:
    figure = front_figure(study(trial(0), constant=ConstantAnswer("<b>yes</b>", 0.75)))
    (line,) = figure.layout.shapes
    assert (line.y0, line.y1, line.yref) == (0.75, 0.75, "y")
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert "always &lt;b&gt;yes&lt;/b&gt;" in texts
    assert not front_figure(study(trial(0))).layout.shapes


def test_a_pruned_trial_stands_at_its_projected_parameters(trial: Maker, study: Maker) -> None:
    pruned = trial(1, "pruned", params=5_000)
    assert pruned.measures["trainable_params"] != 5_000
    points = trace(front_figure(study(trial(0), pruned)), "pruned, where it stopped")
    assert list(points.x) == [5_000]
    assert list(points.y) == [pruned.measures["score"]]
    assert points.marker.symbol == "circle-open"


def test_the_line_is_the_best_score_at_each_cost(trial: Maker, study: Maker) -> None:
    record = study(
        trial(0, score=0.80, params=1_000, seconds=30),
        trial(1, score=0.78, params=2_000, seconds=10),
        trial(2, score=0.90, params=10_000, seconds=20),
    )
    line = trace(front_figure(record), "best at this cost or less")
    assert list(line.x[:-1]) == [1_000, 10_000, 10_000]
    assert list(line.y) == [0.80, 0.80, 0.90, 0.90]
    assert line.x[-1] > 10_000


def test_without_parameters_as_objective_the_axis_is_the_cost(trial: Maker, study: Maker) -> None:
    one = trial(0, objectives=("score", "train_flops"))
    figure = front_figure(study(one, objectives={"score": "max", "train_flops": "min"}))
    assert figure.layout.xaxis.title.text == "training FLOPs"
    assert list(trace(figure, "front").x) == [3.1e12]


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_markup_of_users_is_text(
    draw: Callable[[StudyRecord], go.Figure], trial: Maker, study: Maker
) -> None:
    evil = "<a href='x'>&lt;b</a>"
    record = study(
        trial(0, mark=evil, label=evil, settings={evil: evil}),
        trial(1, "failed", reason=evil),
        trial(2, "pruned", mark=evil, reason=evil, score=0.99),
        metric=evil,
    )
    text = draw(record).to_json()
    assert "<a" not in text.replace("\\u003c", "<")


def test_all_trials_keep_their_state(whole_search: StudyRecord) -> None:
    figure = trials_figure(whole_search)
    for state in ("complete", "pruned", "failed"):
        assert set(numbers(figure, state)) == {t.number for t in whole_search.in_state(state)}
    looks = {(t.marker.symbol, t.marker.color) for t in figure.data if t.name != "front"}
    assert len({symbol for symbol, _ in looks}) == len({colour for _, colour in looks}) == 3


def test_a_trial_without_score_stands_in_the_strip(trial: Maker, study: Maker) -> None:
    figure = trials_figure(study(trial(0), trial(1, "failed"), trial(2, "failed", rungs=1)))
    strip = [t for t in figure.data if t.yaxis == "y2"]
    assert [list(t.customdata) for t in strip] == [[1]]
    assert list(figure.layout.yaxis2.ticktext) == ["no score"]
    named = [t.name for t in figure.data if t.showlegend is not False]
    assert named.count("failed") == 1


def test_curves_give_each_front_member_its_own_colour_while_there_are_enough(
    trial: Maker, study: Maker
) -> None:
    def members(count: int) -> StudyRecord:
        trials = [trial(n, score=0.9 + 0.01 * n, params=1000.0 * (n + 1)) for n in range(count)]
        record: StudyRecord = study(*trials, trial(90, "pruned"), trial(91, score=0.1, params=1e9))
        return record

    for count in range(1, len(HUES) + 1):
        drawn = curves_figure(members(count)).data
        own = [t for t in drawn if t.name not in {"pruned", "other"}]
        assert {t.name for t in own} == {f"{n}: aflora r4 ffn paper" for n in range(count)}
        assert len({(t.line.color, t.marker.symbol) for t in own}) == count
    few = curves_figure(members(3))
    best = trace(few, "2: aflora r4 ffn paper")
    assert list(best.x) == pytest.approx([20, 40, 60, 80, 100])
    assert best.y[-1] == 0.92
    assert len(trace(few, "pruned").x) == 3
    many = curves_figure(members(len(HUES) + 1))
    assert {t.name for t in many.data} == {"pruned", "other", "front"}
    assert list(trace(many, "front").x).count(None) == len(HUES)


def test_hypervolume_steps_over_trial_seconds_and_over_trials(trial: Maker, study: Maker) -> None:
    """When the first is complete, the second has come to its first rung, after 46 of its seconds."""
    first, second = (
        replace(
            whole,
            finished=began + seconds,
            rungs=tuple(replace(r, at=began + seconds * r.fraction) for r in whole.rungs),
        )
        for whole, began, seconds in (
            (trial(0, score=0.8, seconds=60.0), 1000.0, 60.0),
            (trial(1, score=0.9, seconds=230.0), 1010.0, 230.0),
        )
    )
    record = study(
        first,
        second,
        trial(2, "failed"),
        reference={"score": 0.5, "trainable_params": 1e6, "train_seconds": 1e3},
    )
    (time,) = hypervolume_figure(record, "seconds").data
    (count,) = hypervolume_figure(record, "trials").data
    assert list(time.x) == pytest.approx([0, 106 / 60, 290 / 60, 290 / 60])
    title = hypervolume_figure(record, "seconds").layout.xaxis.title.text
    assert title == "time of all trials, added up (min)"
    assert list(count.x) == [0, 1, 2]
    assert list(time.y) == [*count.y, count.y[-1]]
    assert time.y[0] == 0 < time.y[1] < time.y[2]
    assert time.line.shape == "hv"


def test_roles_stand_in_the_order_of_a_block_stack_by_stack(trial: Maker) -> None:
    roles = [
        "decoder ffn_in",
        "encoder ffn_in",
        "decoder cross key",
        "decoder query",
        "encoder qkv",
    ]
    events = tuple(FreezeEvent(0, role, "A", 3) for role in roles)
    figure = freezing_figure(trial(0, freezing=events))
    assert [name.removesuffix(" A") for name in figure.data[0].y] == [
        "encoder qkv",
        "encoder ffn_in",
        "decoder query",
        "decoder cross key",
        "decoder ffn_in",
    ]


def test_freezing_has_a_cell_for_every_matrix(trial: Maker) -> None:
    events = (
        FreezeEvent(0, "ffn_out", "B", 100),
        FreezeEvent(0, "query", "A", None),
        FreezeEvent(3, "ffn_out", "B", None),
        FreezeEvent(3, "query", "A", 0),
    )
    figure = freezing_figure(trial(0, freezing=events))
    frozen, kept = (t for t in figure.data if t.type == "heatmap")
    assert list(frozen.y) == ["query A", "ffn_out B"]
    assert list(frozen.x) == [0, 3]
    assert [list(row) for row in frozen.z] == [[None, 0], [100, None]]
    assert [list(row) for row in kept.z] == [[-1, None], [None, -1]]
    assert (frozen.zmin, frozen.zmax) == (0, 400)
    assert frozen.hovertext[1][0] == "layer 0, ffn_out, B: frozen at step 100 of 400 (25 %)"
    assert kept.hovertext[0][0] == "layer 0, query, A: trained to the end"
    assert kept.colorscale[0][1] not in {colour for _, colour in frozen.colorscale}


def test_only_front_members_that_froze_something_are_drawn(trial: Maker, study: Maker) -> None:
    lora = trial(1, score=0.95, freezing=(FreezeEvent(0, "query", "A", None),))
    record = study(trial(0, params=100), lora, trial(2, score=0.1, params=1e9))
    assert [t.number for t in freezing_members(record)] == [0]


def test_names_cover_neither_points_nor_each_other() -> None:
    points, size = [(300.0, 200.0), (310.0, 205.0), (890.0, 10.0)], (900.0, 430.0)
    names = ["AFLoRA, paper", "LoRA r=8", "at the corner"]
    others = [(300.0 + 30 * k, 230.0) for k in range(5)]
    offsets = placed(points, names, others, [(0.0, 180.0), (900.0, 180.0)], size)
    boxes = [
        (x + dx - 3.5 * len(name), y + dy - 9, x + dx + 3.5 * len(name), y + dy + 9)
        for (x, y), (dx, dy), name in zip(points, offsets, names, strict=True)
    ]
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        assert right <= size[0]
        assert not top < 180.0 < bottom
        for x, y in points + others:
            assert not (left < x < right and top < y < bottom)
        for other in boxes[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_ticks_are_round_numbers_within_the_range() -> None:
    texts = log_ticks("train_seconds", [14.0, 130.0])[1]
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts] == [
        "15 s", "20 s", "30 s", "45 s", "1 min", "90 s", "2 min",
    ]  # fmt: skip
    places, texts = log_ticks("trainable_params", [900.0, 120_000.0])
    assert (places[0], texts[0]) == (1000.0, "1.00\N{NO-BREAK SPACE}k")
    assert log_ticks("train_seconds", [21.4, 21.4])[1] == ["21.4\N{NO-BREAK SPACE}s"]


def test_the_ends_of_a_short_logarithmic_axis_are_told_apart() -> None:
    gap = "\N{NO-BREAK SPACE}"
    assert log_ticks("train_seconds", [75.2, 75.3])[1] == [f"75.20{gap}s", f"75.30{gap}s"]
    texts = log_ticks("trainable_params", [148_200.0, 148_300.0])[1]
    assert texts == [f"148.20{gap}k", f"148.30{gap}k"]


def test_an_axis_of_nothing_but_zeros_has_that_one_tick() -> None:
    axis = log_axis("trainable_params", [0.0, 0.0])
    assert (axis["tickvals"], axis["ticktext"]) == ([1.0], ["0"])


def test_zero_has_its_place_on_a_logarithmic_axis() -> None:
    axis = log_axis("trainable_params", [0.0, 1_000.0, 10_000.0])
    assert axis["ticktext"][0] == "0"
    assert 0 < axis["tickvals"][0] < 1_000
    assert axis["range"][0] < math.log10(axis["tickvals"][0])


def test_what_decides_is_a_table_in_colour(study: Maker) -> None:
    found = study(
        importances=(
            Importance("aflora", "score", {"method.aflora.rank": 0.25, "learning_rate": 0.75}),
            Importance("aflora", "trainable_params", {"method.aflora.rank": 1.0}),
            Importance("lora", "score", {"learning_rate": 1.0}),
        )
    )
    assert importance_methods(found) == ("aflora", "lora")
    (table,) = importance_figure(found, "aflora").data
    assert list(table.y) == ["rank", "learning_rate"]
    assert [list(row) for row in table.text] == [["25%", "100%"], ["75%", "0%"]]
    assert len(table.x) == 2
