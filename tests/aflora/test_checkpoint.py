import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import aflora
from aflora import AFLoRAConfig
from aflora.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from tests.conftest import tiny_model


def trained(kind: str = "bert") -> nn.Module:
    model = aflora.adapt(tiny_model(kind), AFLoRAConfig(rank=2, trainable_projections="all"))
    torch.manual_seed(5)
    for parameter in [
        *aflora.adapter_parameters(model).values(),
        *aflora.head_parameters(model).values(),
    ]:
        nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2"])
def test_save_and_load_is_bit_for_bit(kind: str, tmp_path: Path, batch: dict) -> None:
    model = trained(kind)
    aflora.save(model, tmp_path)
    fresh = aflora.load(tiny_model(kind), tmp_path)
    assert fresh.aflora_config == model.aflora_config
    assert torch.equal(fresh.eval()(**batch).logits, model.eval()(**batch).logits)


def test_the_backbone_is_not_saved(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    names = load_file(tmp_path / WEIGHTS_FILE)
    assert not [name for name in names if ".base." in name or "embeddings" in name]
    assert "bert.pooler.dense.weight" in names
    assert "classifier.bias" in names


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        aflora.load(tiny_model("bert"), tmp_path / "nothing")


def test_a_damaged_weights_file_is_named(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    whole = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{WEIGHTS_FILE} is damaged"):
        aflora.load(tiny_model("bert"), tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 2, "config": {}}', '{"format": 1, "config": {"rank": -1}}', "\xff"],
)
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    aflora.save(trained(), tmp_path)
    (tmp_path / CONFIG_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{CONFIG_FILE} is not an AFLoRA config"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_an_adapter_of_another_model_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    aflora.save(trained("deberta-v2"), tmp_path)
    with pytest.raises(ValueError, match="does not fit this model"):
        aflora.load(tiny_model("bert"), tmp_path)
    model = trained()
    aflora.save(model, tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    state["classifier.weight"] = torch.zeros(3, 16)
    save_file(state, tmp_path / WEIGHTS_FILE)
    before = model.classifier.bias.detach().clone()
    with pytest.raises(ValueError, match=r"'classifier.weight' has shape \(3, 16\)"):
        aflora.load(model, tmp_path)
    assert torch.equal(model.classifier.bias, before)


def test_an_adapter_with_other_settings_is_refused(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    other = aflora.adapt(tiny_model("bert"), AFLoRAConfig(rank=2))
    with pytest.raises(ValueError, match="other settings"):
        aflora.load(other, tmp_path)


def test_the_config_file_is_plain_json(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    about = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert about["config"]["rank"] == 2
    assert about["format"] == 1
