import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn

import aflora
from aflora import AFLoRAConfig
from aflora.checkpoint import CONFIG_FILE, WEIGHTS_FILE, adapter_state
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


def rewrite(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Other weights, with the checksum that belongs to them."""
    save_file(state, folder / WEIGHTS_FILE)
    about = json.loads((folder / CONFIG_FILE).read_text())
    about["sha256"] = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    (folder / CONFIG_FILE).write_text(json.dumps(about))


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2"])
def test_save_and_load_is_bit_for_bit(
    kind: str, tmp_path: Path, batch: dict[str, torch.Tensor]
) -> None:
    model = trained(kind)
    aflora.save(model, tmp_path)
    fresh = aflora.load(tiny_model(kind), tmp_path)
    assert fresh.aflora_config == model.aflora_config
    assert torch.equal(fresh.eval()(**batch).logits, model.eval()(**batch).logits)


def test_a_model_in_double_precision_is_saved_and_loaded(
    tmp_path: Path, batch: dict[str, torch.Tensor]
) -> None:
    model = trained().double()
    aflora.save(model, tmp_path)
    fresh = aflora.load(tiny_model("bert").double(), tmp_path)
    assert fresh.eval()(**batch).logits.dtype == torch.float64
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
        '{"format": 3, "config": {}}',
        '{"format": 3, "backbone_norms": {}, "config": {"rank": -1}}',
        '{"format": 3, "backbone_norms": [], "config": {}}',
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
    model: Any = trained()
    aflora.save(model, tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    state["classifier.weight"] = torch.zeros(3, 16)
    rewrite(tmp_path, state)
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
    assert about["format"] == 3


def test_an_adapter_of_another_architecture_is_named_in_the_error(tmp_path: Path) -> None:
    model = aflora.adapt(tiny_model("llama"), AFLoRAConfig(rank=2, modules=("ffn_gate",)))
    aflora.save(model, tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} does not fit this model: a role of bert"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_an_adapter_of_another_backbone_of_the_same_shapes_is_refused(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    other: Any = tiny_model("bert")
    with torch.no_grad():
        other.bert.encoder.layer[1].output.dense.weight.mul_(1.05)
    with pytest.raises(
        ValueError, match=r"another backbone: the weight of bert.encoder.layer.1.output.dense has"
    ):
        aflora.load(other, tmp_path)
    assert not hasattr(other, "aflora_config")


def test_the_same_backbone_in_half_precision_is_accepted(
    tmp_path: Path, batch: dict[str, torch.Tensor]
) -> None:
    model = trained()
    aflora.save(model, tmp_path)
    half = aflora.load(tiny_model("bert").to(torch.bfloat16), tmp_path)  # type: ignore[arg-type]
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


class Normed(nn.Module):
    """A head with running statistics, which are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.ModuleList([nn.ModuleDict({"l": nn.Linear(8, 8)})])
        self.classifier = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.body[0]["l"](x)  # type: ignore[index]
        scores: torch.Tensor = self.classifier(hidden)
        return scores


def test_buffers_of_the_head_are_saved_too(tmp_path: Path) -> None:
    config = AFLoRAConfig(rank=2, modules=("ffn_in",), patterns={"ffn_in": "l"})
    model = aflora.adapt(Normed(), config).train()
    for _ in range(9):
        model(torch.randn(32, 8) * 5 + 3)
    model.eval()
    x = torch.randn(4, 8)
    aflora.save(model, tmp_path / "own")
    assert torch.equal(aflora.load(Normed(), tmp_path / "own").eval()(x), model(x))
    aflora.export_lora(model, tmp_path / "lora")
    peft = PeftModel.from_pretrained(Normed(), str(tmp_path / "lora")).eval()
    torch.testing.assert_close(peft(x), model(x), rtol=1e-4, atol=1e-5)


def test_the_state_is_a_copy() -> None:
    model = trained()
    state = adapter_state(model)
    before = {name: tensor.clone() for name, tensor in state.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_backbone_is_noticed_whether_it_is_smaller_or_larger(
    factor: float, tmp_path: Path
) -> None:
    aflora.save(trained(), tmp_path)
    other = tiny_model("bert")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(factor)
    with pytest.raises(ValueError, match="holds an adapter for another backbone"):
        aflora.load(other, tmp_path)


@pytest.mark.parametrize("norm", ["NaN", "-1", "Infinity", "1" + "0" * 400])
def test_a_norm_that_is_none_is_refused(norm: str, tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    path = tmp_path / CONFIG_FILE
    about = json.loads(path.read_text())
    name = next(iter(about["backbone_norms"]))
    about["backbone_norms"][name] = "HERE"
    path.write_text(json.dumps(about).replace('"HERE"', norm))
    with pytest.raises(ValueError, match="is not an AFLoRA config"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_a_file_nested_too_deep_is_refused(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    (tmp_path / CONFIG_FILE).write_text("[" * 200_000)
    with pytest.raises(ValueError, match="is not an AFLoRA config"):
        aflora.load(tiny_model("bert"), tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    name = next(name for name in state if name.endswith(".A"))
    state[name][0, 0] = float("nan")
    rewrite(tmp_path, state)
    model = tiny_model("bert")
    with pytest.raises(ValueError, match=f"{name}' holds what is no number"):
        aflora.load(model, tmp_path)
    assert not hasattr(model, "aflora_config")


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    aflora.save(trained(), tmp_path)
    data = bytearray((tmp_path / WEIGHTS_FILE).read_bytes())
    data[-40] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(ValueError, match="is damaged or belongs to another"):
        aflora.load(tiny_model("bert"), tmp_path)
