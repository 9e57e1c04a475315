"""Which member of a front is to be exported, and why."""

from __future__ import annotations

from typing import Any

from search.console.taking import worth_taking
from search.results.catalogue import catalogue
from tests.search.records import study, trial

HEAD: dict[str, Any] = {"params": 0.0, "seconds": 1.0, "label": "head"}


def test_it_is_the_knee_that_the_report_marks() -> None:
    record = study(
        trial(0, score=0.9, params=90_000.0),
        trial(1, score=0.5, params=10.0),
        trial(2, score=0.89, params=100.0),
    )
    found = worth_taking(record)
    assert found is not None
    assert (found.word, found.trial.number) == ("knee", catalogue(record)["knee"])
    assert found.why == (
        "Trial 2 (lora r4) is the knee, which gives up least: accuracy 0.8900 (best 0.9000), "
        "trainable parameters 100 (best 10), training time 10.0\N{NO-BREAK SPACE}s (the best)."
    )


def test_of_two_it_is_the_one_with_the_best_score() -> None:
    found = worth_taking(study(trial(0, score=0.5, params=10.0), trial(1, score=0.9)))
    assert found is not None
    assert found.word == "1"
    assert "has the best accuracy" in found.why


def test_it_is_never_the_head_alone() -> None:
    head = trial(3, score=0.95, **HEAD)
    assert worth_taking(study(head)) is None
    assert worth_taking(study(trial(0, "pruned"))) is None
    found = worth_taking(study(trial(0, score=0.97, params=10.0), head))
    assert found is not None
    assert found.word == "0"
    assert found.why.endswith("; the head alone has no adapter.")
