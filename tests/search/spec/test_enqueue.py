"""Configurations that are tried first: the user's own, and the front of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.spec import SpecError, load_space
from tests.search.spec.spaces import QUICKSTART, changed, mistakes


def enqueue(**method: object) -> list[dict[str, Any]]:
    return [{"mark": "mine", "method": method, "learning_rate": 1e-3}]


GOOD_AFLORA = {"rank": 4, "modules": ["query"], "freeze": {"start": 0.1, "end": 0.4}}


def test_an_enqueued_configuration_is_completed_with_the_constants(tmp_path: Path) -> None:
    (entry,) = load_space(changed(tmp_path, enqueue=enqueue(aflora=GOOD_AFLORA))).enqueued
    assert entry.mark == "mine"
    assert entry.settings["head_learning_rate"] == 1e-3
    assert entry.settings["method"]["aflora"]["freeze"]["rule"] == "official"
    assert entry.settings["method"]["aflora"]["modules"] == ["query"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (enqueue(aflora=GOOD_AFLORA | {"rank": 3}), "3 is not in the space, which has one of 1, 4"),
        (enqueue(aflora=GOOD_AFLORA | {"rnak": 3}), "did you mean 'rank'?"),
        (enqueue(aflora={"rank": 4}), "enqueue.0.method.aflora.modules (line"),
        (enqueue(lora={"rank": 9}), "9 is not in the space, which has whole 1 … 8"),
        (enqueue(vera={"rank": 9}), "takes one of aflora, lora, got vera"),
        (enqueue(aflora=GOOD_AFLORA | {"modules": []}), "[] is not in the space"),
        (enqueue(aflora=GOOD_AFLORA | {"modules": None}), "None is not in the space"),
        (enqueue(aflora=GOOD_AFLORA | {"modules": 3}), "3 is not in the space"),
        ([{"mark": 3, "method": {"lora": {"rank": 1}}, "learning_rate": 1e-3}], "takes a name"),
        (
            [{"mark": "\ud800x", "method": {"lora": {"rank": 1}}, "learning_rate": 1e-3}],
            r"enqueue.0.mark (line 5): '\ud800x' holds half a character",
        ),
        ([{"method": {"lora": {"rank": 1}}, "learning_rate": 1}], "1 is not in the space"),
        ([3], "enqueue.0"),
    ],
)
def test_an_enqueued_configuration_must_lie_in_the_space(
    tmp_path: Path, entry: list[Any], message: str
) -> None:
    assert message in mistakes(changed(tmp_path, enqueue=entry))


def front_file(folder: Path, *settings: dict[str, Any]) -> str:
    run = folder / "earlier"
    run.mkdir()
    members = [{"trial": 3 + i, "params": s} for i, s in enumerate(settings)]
    (run / "front.json").write_text(json.dumps({"front": members}))
    return str(run)


def test_a_warm_start_takes_what_lies_in_the_space_and_says_what_does_not(tmp_path: Path) -> None:
    inside = {"method": {"lora": {"rank": 3}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3}
    outside = inside | {"method": {"lora": {"rank": 64}}}
    run = front_file(tmp_path, inside, outside)
    loaded = load_space(changed(tmp_path, warm_start=run))
    assert [(e.mark, e.settings) for e in loaded.enqueued] == [("earlier #3", inside)]
    (note,) = loaded.notes
    assert "earlier #4 is not in this space" in note
    assert "64 is not in the space" in note


def test_a_warm_start_from_nothing_that_fits_is_refused(tmp_path: Path) -> None:
    outside = {"method": {"vera": {}}, "learning_rate": 1e-3}
    run = front_file(tmp_path, outside)
    text = mistakes(changed(tmp_path, warm_start=run))
    assert "has no configuration on its front that lies in this space" in text
    (Path(run) / "front.json").write_text("{")
    assert "front.json is damaged" in mistakes(changed(tmp_path, warm_start=run))


@pytest.mark.parametrize(
    "content", ["3", "[]", "{}", '{"front": [{"trial": 1, "params": 3}]}', '{"front": [3]}']
)
def test_a_damaged_front_is_no_warm_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "front.json").write_text(content)
    with pytest.raises(SpecError, match="is damaged"):
        load_space(QUICKSTART, [f"warm_start={tmp_path}"])
    with pytest.raises(SpecError, match="holds no front"):
        load_space(QUICKSTART, [f"warm_start={tmp_path / 'front.json'}"])
    # A run that has begun needs the earlier one no more.
    assert load_space(QUICKSTART, [f"warm_start={tmp_path / 'gone'}"], resumed=True).enqueued
