"""The pretrained model as a classifier: its head is fresh, and how long a row it takes is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from search.spec.tasks import TASKS, Task
from search.trial.backbone import load_classifier, most_tokens
from search.trial.places import NotFound, check_model
from tests.conftest import MINILM
from tests.tiny_models import tiny_model

THREE = Task("mine", ("text",), classes=("a", "b", "c"))


def saved(folder: Path, kind: str) -> Path:
    tiny_model(kind).save_pretrained(folder / kind)
    return folder / kind


def head_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: p for name, p in model.named_parameters() if name.startswith(("classifier.", "score"))
    }


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2", "llama"])
@pytest.mark.parametrize("task", [TASKS["rte"], THREE])
def test_a_head_that_comes_with_the_model_is_drawn_anew(
    kind: str, task: Task, tmp_path: Path
) -> None:
    place = saved(tmp_path, kind)
    old: Any = tiny_model(kind)
    first, again, other = (load_classifier(str(place), task, seed) for seed in (1, 1, 2))
    found = head_of(first)
    assert found
    for name, parameter in found.items():
        assert torch.equal(parameter, head_of(again)[name])
        if name.endswith("weight"):
            assert not torch.equal(parameter, head_of(other)[name])
            assert parameter.std().item() == pytest.approx(0.02, rel=0.5)
            kept = old.get_parameter(name)
            assert parameter.shape != kept.shape or not torch.equal(parameter, kept)
        else:
            assert not parameter.any()
    # The backbone is as it was, with BERT's pooler, which is a part of it.
    names = [name for name, _ in old.named_parameters() if name not in found]
    names = [name for name in names if not name.startswith("pooler")]
    assert all(torch.equal(first.get_parameter(n), old.get_parameter(n)) for n in names)


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("bert", 40),
        ("distilbert", 40),
        ("roberta", 39),
        ("deberta-v3", None),
        ("gpt2", 40),
        ("opt", 40),
        ("bart", 40),
        ("llama", None),
        ("t5", None),
    ],
)
def test_rows_are_as_long_as_there_are_positions(
    kind: str, most: int | None, tmp_path: Path
) -> None:
    place = saved(tmp_path, kind)
    assert most_tokens(str(place)) == most
    if most is None:
        return
    model = load_classifier(str(place), TASKS["rte"], 0).eval()
    for length, fits in ((most, True), (most + 1, False)):
        rows = torch.full((1, length), 5)
        rows[:, -1] = 2
        if fits:
            model(input_ids=rows, attention_mask=torch.ones_like(rows))
        else:
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=rows, attention_mask=torch.ones_like(rows))


def test_a_folder_without_weights_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    place = saved(tmp_path, "bert")
    check_model(str(place))
    check_model(MINILM)
    (place / "model.safetensors").unlink()
    with pytest.raises(NotFound, match=r"holds no weights \(\*.safetensors or pytorch_model"):
        check_model(str(place))
