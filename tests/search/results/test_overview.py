"""The page over several tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from search.record import StudyRecord
from search.results.figures import methods_in, small_front_figure
from search.results.headline import overview_headline
from search.results.html import write_overview_page, write_report
from search.results.tables import comparison_table, tasks_table
from tests.search.records import study, trial
from tests.search.results.test_comparison import member, run

AFLORA: dict[str, Any] = {"settings": {"method": {"aflora": {"rank": 4}}}, "label": "aflora r4"}


def two() -> list[StudyRecord]:
    return [
        study(
            trial(0, score=0.7, params=10.0, **AFLORA),
            trial(1, score=0.6, params=90.0),
            trial(2, "pruned"),
            task="rte",
        ),
        study(trial(0, score=0.9), trial(1, "failed"), task="a b/<i>"),
    ]


def cells(row: tuple[Any, ...]) -> list[str]:
    return [cell.text for cell in row[2]]


def test_the_tasks_are_listed_with_their_best_trial() -> None:
    table = tasks_table([*two(), study(task="empty")])
    rte, other, empty = (cells(row) for row in table.rows)
    assert rte[:7] == ["rte", "accuracy", "2", "1", "0", "1", "0.7000"]
    assert rte[7] == "aflora r4"
    assert other[2:7] == ["1", "0", "1", "1", "0.9000"]
    assert empty[2:8] == ["0", "0", "0", "0", "–", "–"]
    assert {len(cells(row)) for row in table.rows} == {len(table.columns)}
    assert table.rows[1][2][0].link == "a%20b/%3Ci%3E/report.html"


def test_the_headline_counts_which_method_leads() -> None:
    (told,) = overview_headline(two())
    assert told == "The best score is that of aflora on 1 and lora on 1 of 2 tasks."
    told, _ = overview_headline([*two(), study(task="qnli")])
    assert told == "No trial is complete yet on qnli."
    assert overview_headline([study()]) == ["No trial is complete yet."]
    broke = study(trial(0, feasible=False), task="qnli")
    told, *_ = overview_headline([*two(), broke])
    assert told == "1 trial is complete on qnli, none within the limits."
    assert overview_headline([broke]) == ["1 trial is complete, none within the limits."]
    tied = study(trial(0, score=0.7, params=10.0, **AFLORA), trial(1, score=0.7), task="rte")
    outside = trial(2, score=0.7, params=1.0, feasible=False)
    alone = study(trial(0, score=0.7, params=10.0, **AFLORA), outside, task="rte")
    assert overview_headline([alone]) == ["The best score is that of aflora on 1 of 1 task."]
    assert overview_headline([tied]) == [
        "The best score is that of aflora on 1 of 1 task.",
        "On rte another method scores as much, with no fewer trainable parameters.",
    ]


def test_the_small_front_shows_members_large_and_tells_methods_apart() -> None:
    figure = small_front_figure(two()[0], ["aflora", "lora"])
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    assert set(by_name) == {"aflora", "lora"}
    assert by_name["aflora"].marker.size == (12,)
    assert by_name["lora"].marker.size == (6,)
    assert by_name["aflora"].marker.symbol != by_name["lora"].marker.symbol
    assert small_front_figure(study(trial(0, "failed")), []).layout.annotations


def test_a_method_looks_the_same_on_all_tasks() -> None:
    methods = methods_in(two())
    assert methods == ["aflora", "lora"]
    markers = [
        {trace.name: trace.marker.color for trace in small_front_figure(record, methods).data}
        for record in two()
    ]
    assert "aflora" not in markers[1]
    assert markers[0]["lora"] == markers[1]["lora"]


def test_names_that_hold_html_arrive_as_text(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_overview_page([(record, []) for record in two()], path)
    page = path.read_text()
    assert "a b/&lt;i&gt;" in page
    assert not re.search(r"<i>", page)
    assert "The methods, confirmed" not in page


def test_methods_are_compared_where_several_were_confirmed(tmp_path: Path) -> None:
    record, confirmation = run("rte", member(1, "lora", 0.7), member(2, "aflora", 0.8))
    path = tmp_path / "report.html"
    write_overview_page([(record, [confirmation])], path)
    assert "The methods, confirmed with fresh seeds" in path.read_text()
    write_report(record, path, [confirmation])
    assert "The methods compared" in path.read_text()


@pytest.mark.parametrize("model", ["tiny", "microsoft/deberta-v3-base"])
def test_published_rows_stand_beside_ours_in_the_page_too(model: str) -> None:
    from search.results.comparison import compare_methods

    table = comparison_table(compare_methods([run("rte", member(1, "lora", 0.85), model=model)]))
    names = [cells(row)[0] for row in table.rows]
    assert names == (["lora"] if model == "tiny" else ["lora", "lora, published"])
    if model != "tiny":
        assert cells(table.rows[1])[1:] == ["1.33\N{NO-BREAK SPACE}M", "–", "0.8532"]
