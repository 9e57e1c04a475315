import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import aflora
from aflora import AFLoRAConfig
from aflora.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from tests.tiny_models import tiny_model


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
    [
        "{",
        "[]",
        '{"format": 1, "config": {}}',
        '{"format": 2, "config": {}}',
        '{"format": 2, "backbone_norms": {}, "config": {"rank": -1}}',
        '{"format": 2, "backbone_norms": [], "config": {}}',
        "\xff",
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    aflora.save(trained(), tmp_path)
    (tmp_path / CONFIG_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{CONFIG_FILE} is not an AFLoRA config"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_an_adapter_of_another_model_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    aflora.save(trained("deberta-v2"), tmp_path)
    bert = tiny_model("bert")
    names = list(bert.state_dict())
    with pytest.raises(ValueError, match=r"does not fit this model: it has no 'bert\.encoder"):
        aflora.load(bert, tmp_path)
    assert list(bert.state_dict()) == names
    assert all(p.requires_grad for p in bert.parameters())
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
    assert about["format"] == 2


def test_an_adapter_of_another_architecture_is_named_in_the_error(tmp_path: Path) -> None:
    model = aflora.adapt(tiny_model("llama"), AFLoRAConfig(rank=2, modules=("ffn_gate",)))
    aflora.save(model, tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} does not fit this model: a role of bert"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_an_adapter_of_another_backbone_of_the_same_shapes_is_refused(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    other = tiny_model("bert")
    with torch.no_grad():
        other.bert.encoder.layer[1].output.dense.weight.mul_(1.05)
    with pytest.raises(
        ValueError, match=r"another backbone: the weight of bert.encoder.layer.1.output.dense has"
    ):
        aflora.load(other, tmp_path)
    assert not hasattr(other, "aflora_config")


def test_the_same_backbone_in_half_precision_is_accepted(tmp_path: Path, batch: dict) -> None:
    model = trained()
    aflora.save(model, tmp_path)
    half = aflora.load(tiny_model("bert").to(torch.bfloat16), tmp_path)
    expected = model.eval()(**batch).logits.detach()
    torch.testing.assert_close(
        half.eval()(**batch).logits.float(),
        expected,
        rtol=0.1,
        atol=0.1 * float(expected.abs().max()),
    )


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    torch.save({"A": torch.ones(1)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ValueError, match=f"{WEIGHTS_FILE} is damaged"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_saving_without_an_adapter_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BertForSequenceClassification has no AFLoRA adapter"):
        aflora.save(tiny_model("bert"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
