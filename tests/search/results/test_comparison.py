"""The table of methods over tasks."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from search.record import StudyRecord
from search.results.comparison import as_markdown, caption, compare_methods, write_comparison
from search.results.confirmed import Confirmation, Confirmed
from search.results.noise import Interval
from tests.search.records import study, trial


def member(trial: int, method: str, mean: float, **change: float) -> Confirmed:
    values = {"chosen_with": mean, "params": 1000.0, "seconds": 10.0} | change
    return Confirmed(
        trial=trial,
        label=f"{method} r4",
        method=method,
        chosen_with=values["chosen_with"],
        scores=(mean, mean),
        score=Interval(mean, mean - 0.01, mean + 0.01),
        measures={"trainable_params": values["params"], "train_seconds": values["seconds"]},
        on_front=True,
        no_better_than=None,
    )


def test_of_two_alike_the_search_s_first_is_taken_whatever_fresh_seeds_said() -> None:
    better, first = (
        member(5, "lora", 0.82, chosen_with=0.7),
        member(2, "lora", 0.80, chosen_with=0.7),
    )
    record, confirmation = run("rte", better, first)
    record = dataclasses.replace(record, trials=record.trials[::-1])
    (cell,) = compare_methods([(record, confirmation)]).rows["lora"]
    assert cell is not None
    assert (cell.trial, cell.best) == (2, None)


def test_what_scored_as_much_in_the_search_was_not_beaten_there() -> None:
    """The front keeps, of two that score alike, the one that was trained in less time."""
    alike = trial(0, score=0.7, settings={"method": {"lora": {}}})
    record, confirmation = run("rte", member(1, "lora", 0.8, chosen_with=0.7), more=(alike,))
    (cell,) = compare_methods([(record, confirmation)]).rows["lora"]
    assert cell is not None
    assert (cell.trial, cell.best) == (1, None)


def test_a_confirmed_method_that_breaks_the_limits_has_its_row() -> None:
    record, confirmation = run("rte", member(3, "lora", 0.9), member(7, "head", 0.8))
    broke = dataclasses.replace(record.trials[0], feasible=False)
    record = dataclasses.replace(record, trials=(broke, *record.trials[1:]))
    (cell,) = compare_methods([(record, confirmation)]).rows["lora"]
    assert cell is not None
    assert (cell.trial, cell.best) == (3, None)


def test_what_breaks_the_limits_stands_only_where_nothing_else_was_confirmed() -> None:
    record, confirmation = run("rte", member(3, "lora", 0.9), member(7, "lora", 0.8))
    broke = dataclasses.replace(record.trials[0], feasible=False)
    record = dataclasses.replace(record, trials=(broke, *record.trials[1:]))
    (cell,) = compare_methods([(record, confirmation)]).rows["lora"]
    assert cell is not None
    assert (cell.trial, cell.best) == (7, None)


def test_scores_on_the_rows_that_configurations_were_chosen_on_are_told_as_such() -> None:
    apart, flattered = run("cola", member(1, "lora", 0.5)), run("rte", member(2, "lora", 0.7))
    flattered = flattered[0], dataclasses.replace(flattered[1], apart=False)
    assert "flatters" not in caption(compare_methods([apart]))
    told = caption(compare_methods([apart, flattered]))
    assert "On rte configurations were chosen on the same rows, which flatters." in told


def test_a_configuration_without_some_of_the_seeds_is_told_of(tmp_path: Path) -> None:
    whole, part = member(1, "lora", 0.7), member(2, "aflora", 0.8)
    whole = dataclasses.replace(whole, scores=(0.6, 0.7, 0.8))
    record, confirmation = run("rte", whole, part)
    found = compare_methods([(record, dataclasses.replace(confirmation, seeds=(1, 2, 3)))])
    told = caption(found)
    assert " * aflora on rte: 2 of 3 seeds, the others failed or were not run." in told
    assert "lora on rte: 3" not in told
    write_comparison(found, tmp_path)
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [(r["method"], r["seeds"]) for r in csv.DictReader(file)] == [
            ("lora", "3"),
            ("aflora", "2"),
        ]


def method_settings(method: str) -> dict[str, Any]:
    name, _, kind = method.partition(" ")
    return {name: {"type": kind} if kind else {}}


def run(
    task: str, *members: Confirmed, model: str = "tiny", split: str = "validation", more: Any = ()
) -> tuple[StudyRecord, Confirmation]:
    trials = [
        trial(m.trial, score=m.chosen_with, settings={"method": method_settings(m.method)})
        for m in members
    ]
    record = dataclasses.replace(study(*trials, *more), task=task, model=model)
    return record, Confirmation(split, 277, (1, 2), True, members, ())


def test_a_method_is_told_of_by_what_scored_best_in_the_search(tmp_path: Path) -> None:
    rte = run(
        "rte",
        member(1, "lora", 0.70, seconds=20.0),
        # Better with fresh seeds, but that must not choose it.
        member(2, "aflora", 0.80, chosen_with=0.60),
        member(3, "aflora", 0.75, chosen_with=0.90, params=100.0, seconds=15.0),
    )
    cola = run("cola", member(4, "lora", 0.5), member(5, "peft IA3", 0.4))
    found = compare_methods([rte, cola])
    assert [task for task, *_ in found.tasks] == ["cola", "rte"]
    assert list(found.rows) == ["lora", "aflora", "peft IA3"]
    missing, aflora = found.rows["aflora"]
    assert missing is None
    assert aflora is not None
    assert (aflora.trial, aflora.params, aflora.seconds_to_base) == (3, 100.0, 0.75)
    text = as_markdown(found)
    assert "| aflora | 100 | 0.75 × | – | 0.7500 (0.7400 … 0.7600) |" in text
    assert "published" not in text
    write_comparison(found, tmp_path)
    assert (tmp_path / "table.md").read_text() == text
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["method"], r["task"], r["trial"]) for r in rows] == [
        ("lora", "cola", "4"),
        ("lora", "rte", "1"),
        ("aflora", "rte", "3"),
        ("peft IA3", "cola", "5"),
    ]
    assert float(rows[2]["seconds_to_lora"]) == 0.75


def test_the_paper_s_rows_stand_beside_those_of_its_model() -> None:
    deberta = run("rte", member(1, "lora", 0.85), model="microsoft/deberta-v3-base")
    text = as_markdown(compare_methods([deberta]))
    assert "| lora, published | 1.33 M | – | 0.8532 |" in text


def test_the_paper_s_scores_stand_only_beside_those_of_its_metric() -> None:
    record, confirmation = run("mrpc", member(1, "lora", 0.85), model="microsoft/deberta-v3-base")
    record = dataclasses.replace(record, metric="F1")
    text = as_markdown(compare_methods([(record, confirmation)]))
    assert "| lora, published | 1.33 M | – | – |" in text


def test_both_sets_of_mnli_stand_beside_their_own_published_score() -> None:
    runs = [
        run("mnli", member(1, "lora", 0.9), model="microsoft/deberta-v3-base", split=split)
        for split in ("validation_matched", "validation_mismatched")
    ]
    text = as_markdown(compare_methods(runs))
    assert "| mnli matched<br>accuracy | mnli mismatched<br>accuracy |" in text
    assert "| lora, published | 1.33 M | – | 0.9047 | 0.9046 |" in text


def test_what_was_not_confirmed_is_said() -> None:
    better = trial(9, score=0.99, settings={"method": {"lora": {}}})
    other = trial(8, score=0.5, settings={"method": {"head": {}}})
    found = compare_methods([run("rte", member(1, "lora", 0.7), more=(better, other))])
    assert found.rows["head"] == (None,)
    text = as_markdown(found)
    assert "0.7000 (0.6900 … 0.7100) \\* |" in text
    assert "lora on rte: trial 9 came first in the search and lacks two fresh seeds" in text
    assert "| head | – | – | – |" in text


def test_without_lora_there_is_no_relative_time() -> None:
    (cell,) = compare_methods([run("rte", member(1, "head", 0.5))]).rows["head"]
    assert cell is not None
    assert cell.seconds_to_base is None


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "nothing was confirmed"),
        ([run("rte"), run("cola", model="other")], "different models: tiny, other"),
        ([run("rte"), run("rte")], "two runs are of the task rte"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: list[tuple[StudyRecord, Confirmation]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_methods(runs)
