"""The pretrained model as a classifier: its head is fresh, and how long a row it takes is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from search.spec.tasks import TASKS, Task
from search.trial.backbone import load_classifier, most_tokens, other_head
from search.trial.places import NotFound, check_model
from tests.conftest import MINILM
from tests.tiny_models import tiny_model

THREE = Task("mine", ("text",), classes=("a", "b", "c"))


def saved(folder: Path, kind: str) -> Path:
    tiny_model(kind).save_pretrained(folder / kind)
    return folder / kind


def head_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: p
        for name, p in model.named_parameters()
        if name.startswith(("classifier.", "classification_head.", "score"))
    }


@pytest.mark.parametrize(
    ("kind", "spread"),
    [("bert", 0.02), ("roberta", 0.02), ("deberta-v2", 0.02), ("llama", 0.02), ("t5", 0.25)],
)
@pytest.mark.parametrize("task", [TASKS["rte"], THREE])
def test_a_head_that_comes_with_the_model_is_drawn_anew(
    kind: str, spread: float, task: Task, tmp_path: Path
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
            assert parameter.std().item() == pytest.approx(spread, rel=0.5)
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


def test_a_head_that_a_model_was_pretrained_with_stays(tmp_path: Path) -> None:
    place = saved(tmp_path, "modernbert")
    old: Any = tiny_model("modernbert")
    weights = load_file(place / "model.safetensors")
    # As of a checkpoint that has been a masked language model.
    kept = {name: w for name, w in weights.items() if not name.startswith("classifier")}
    save_file(kept, place / "model.safetensors", {"format": "pt"})
    model = load_classifier(str(place), TASKS["rte"], 1)
    assert torch.equal(model.get_parameter("head.dense.weight"), old.head.dense.weight)
    assert not torch.equal(model.get_parameter("classifier.weight"), old.classifier.weight)


def test_a_backbone_whose_files_do_not_fit_its_config_is_refused(tmp_path: Path) -> None:
    place = saved(tmp_path, "bert")
    config = json.loads((place / "config.json").read_text())
    config["max_position_embeddings"] *= 2
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"position_embeddings.weight has another shape"):
        load_classifier(str(place), TASKS["rte"], 0)


def test_a_head_of_another_size_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    place = str(saved(tmp_path, "bert"))
    assert not other_head(place, 2)
    assert other_head(place, 3)
    assert not other_head(MINILM, 3)
