"""Descriptions say what a run is, what it reached, why it stopped and what can be done with it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from search.results.units import GAP
from search.tracking.description import MOST_ROWS, of_study, of_trial
from search.tracking.parameters import TAG_LENGTH
from tests.search.records import study, trial

EVIL = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) | `b`"


def test_of_a_member_of_the_front() -> None:
    told = of_trial(study(), trial(7, mark="LoRA r=8", params=12_300.0), member=True)
    first, _, second, *_ = told.splitlines()
    assert first == (
        f"**On the front**: accuracy 0.8000, trainable parameters 12.3{GAP}k and training time "
        f"10.0{GAP}s. No trial is as good in all of these and better in one."
    )
    assert second == "Trial 7 of the search `test` on `rte`: `lora r4`, enqueued as `LoRA r=8`."
    assert f"| trainable parameters averaged over steps | 12.3{GAP}k |" in told
    assert "python -m search.export RUN --trial 7 --out adapter-7\n" in told


@pytest.mark.parametrize(
    ("state", "change", "begins"),
    [
        ("complete", {}, "**Complete**: accuracy 0.8000"),
        ("complete", {"feasible": False}, "**Complete**, but outside the limits of the search: acc"),
        ("pruned", {"reason": "rung 1: dominated"}, "**Pruned** after 10 of 10 steps: accuracy"),
        ("failed", {"rungs": (), "measures": {}, "reason": "no luck"},
         "**Failed** before it was measured. It says: `no luck`"),
        ("paused", {"reason": "others are better"}, "**Paused**; it can go on. It says: `others"),
        ("running", {}, "**Running**"),
    ],
)  # fmt: skip
def test_of_all_others(state: str, change: dict[str, Any], begins: str) -> None:
    told = of_trial(study(), trial(7, state, **change), member=False)
    assert told.startswith(begins)
    assert "search.export" not in told
    assert ("Its adapter is not kept" in told) == (state == "complete")
    assert ("when it stopped" in told) == (state == "pruned")
    if reason := change.get("reason"):
        assert f"`{reason}`" in told


def test_earlier_attempts_are_told() -> None:
    told = of_trial(study(), trial(7, failures=("out of memory",)), member=True)
    assert "- `out of memory`" in told


def test_of_a_study_its_headline_its_front_and_what_to_do() -> None:
    mark = "LoRA r=8"
    best = trial(3, score=0.9, params=2000.0, mark=mark)
    told = of_study(study(best, trial(4, score=0.8), trial(5, score=0.7)))
    assert told.startswith("Trial 3 (LoRA r=8; lora r4) has the best accuracy, 0.9000")
    assert "| trial | configuration | accuracy | trainable parameters | training time |" in told
    assert f"| 3 | lora r4 (LoRA r=8) | 0.9000 | 2.00{GAP}k | 10.0{GAP}s |" in told
    assert "| 4 | lora r4 | 0.8000 |" in told
    assert "| 5 |" not in told
    assert 'type `tags.front = "true"`' in told
    assert "`report.html`" in told
    assert "`score`, accuracy; `trainable_params`, trainable parameters averaged" in told
    assert of_study(study(trial(0, "running"))).startswith("No trial is complete yet: 1 running.")


def test_nothing_that_people_or_programs_say_is_markup() -> None:
    evil = trial(0, label=EVIL, mark=EVIL, reason=EVIL, failures=(EVIL,))
    record = study(evil, name=EVIL, task=EVIL, metric=EVIL)
    for told in (of_study(record), of_trial(record, evil, member=True)):
        bare = re.sub(r"(`+)(.+?)(?<!`)\1(?!`)", "", told)
        assert "<img" not in bare
        assert "[a](" not in bare.replace(r"\[a\](", "")


def test_the_longest_fits() -> None:
    """A front of as many as one likes, each with a long name."""
    many = [
        trial(n, score=0.5 + n / 1000, params=1000.0 + n, label="x" * 500, mark="y" * 500)
        for n in range(200)
    ]
    told = of_study(study(*many))
    assert len(told) < TAG_LENGTH
    assert f"{200 - MOST_ROWS} more are in `front.json`." in told
    endless = trial(0, "failed", reason="|" * 10**6, failures=("|" * 10**6,) * 9)
    assert len(of_trial(study(), endless, member=False)) < TAG_LENGTH
