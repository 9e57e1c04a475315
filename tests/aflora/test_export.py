"""The exported adapter as PEFT reads it; that it computes the same stands with the architectures."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

import aflora
from aflora import AFLoRAConfig
from aflora.export import CONFIG_FILE, WEIGHTS_FILE
from tests.tiny_models import tiny_batch, tiny_model


def adapted(kind: str = "bert", **settings: object) -> nn.Module:
    model = aflora.adapt(tiny_model(kind), AFLoRAConfig(**{"rank": 2} | settings)).eval()  # type: ignore[arg-type]
    torch.manual_seed(5)
    for parameter in aflora.adapter_parameters(model).values():
        nn.init.normal_(parameter, std=0.5)
    return model


def test_it_has_the_names_that_peft_itself_writes(tmp_path: Path) -> None:
    model = adapted()
    aflora.export_lora(model, tmp_path)
    written = load_file(tmp_path / WEIGHTS_FILE)
    names = [name for name, _ in aflora.adapted_layers(model)]
    config = LoraConfig(
        r=2,
        target_modules=names,
        modules_to_save=["bert.pooler", "classifier"],
        task_type="SEQ_CLS",
    )
    expected = get_peft_model_state_dict(get_peft_model(tiny_model("bert"), config))
    assert {n: t.shape for n, t in written.items()} == {n: t.shape for n, t in expected.items()}


def test_a_is_lora_a_and_the_effective_b_is_lora_b(tmp_path: Path) -> None:
    model = adapted(scale=3.0)
    aflora.export_lora(model, tmp_path)
    written = load_file(tmp_path / WEIGHTS_FILE)
    for name, layer in aflora.adapted_layers(model):
        prefix = f"base_model.model.{name}"
        assert torch.equal(written[f"{prefix}.lora_A.weight"], layer.A)
        expected = 3.0 * torch.diag(layer.b) @ layer.B @ torch.diag(layer.d)
        torch.testing.assert_close(written[f"{prefix}.lora_B.weight"], expected)


def test_mixed_ranks_have_a_pattern_for_rank_and_for_alpha(tmp_path: Path) -> None:
    aflora.export_lora(adapted(ranks={"ffn_out": 5}), tmp_path)
    about = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert about["r"] == about["lora_alpha"] == 2
    assert about["rank_pattern"] == about["alpha_pattern"]
    assert about["rank_pattern"] == {
        rf"^bert\.encoder\.layer\.{block}\.output\.dense": 5 for block in (0, 1)
    }
    loaded = PeftModel.from_pretrained(tiny_model("bert"), str(tmp_path))
    layer = loaded.base_model.model.bert.encoder.layer[0].output.dense
    assert (layer.r["default"], layer.scaling["default"]) == (5, 1.0)


@pytest.mark.parametrize(
    ("kind", "task", "transposed"),
    [("bert", "SEQ_CLS", False), ("llama-lm", "CAUSAL_LM", False), ("gpt2", "SEQ_CLS", True)],
)
def test_the_task_and_the_layout_are_told(
    kind: str, task: str, transposed: bool, tmp_path: Path
) -> None:
    aflora.export_lora(adapted(kind), tmp_path)
    about = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert (about["task_type"], about["fan_in_fan_out"]) == (task, transposed)
    assert about["peft_type"] == "LORA"


def test_only_chosen_layers_are_in_it(tmp_path: Path) -> None:
    model = adapted(layers=(1,), modules=("query",))
    aflora.export_lora(model, tmp_path)
    about = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert about["target_modules"] == ["bert.encoder.layer.1.attention.self.query"]
    batch = tiny_batch()
    loaded = PeftModel.from_pretrained(tiny_model("bert"), str(tmp_path)).eval()
    head = aflora.head_parameters(model)
    assert head
    torch.testing.assert_close(loaded(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-5)


def test_a_frozen_adapter_exports_the_same(tmp_path: Path) -> None:
    model = adapted()
    aflora.export_lora(model, tmp_path / "live")
    for matrix in aflora.projections(model):
        matrix.parameter.requires_grad_(False)
    aflora.export_lora(model, tmp_path / "frozen")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "frozen" / name).read_bytes()


def test_a_model_without_an_adapter_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BertForSequenceClassification has no AFLoRA adapter"):
        aflora.export_lora(tiny_model("bert"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="no AFLoRA adapter"):
        aflora.merge(tiny_model("bert"))


def test_models_that_share_a_backbone_are_merged_apart() -> None:
    """Two adapters on one set of weights: merging the one leaves the other and the weights be."""
    first = tiny_model("bert").eval()
    second = tiny_model("bert").eval()
    for (_, mine), (_, theirs) in zip(first.named_modules(), second.named_modules(), strict=True):
        if isinstance(mine, nn.Linear):
            theirs.weight = mine.weight
    weight = first.bert.encoder.layer[0].output.dense.weight
    before = weight.detach().clone()
    for seed, model in enumerate((first, second)):
        aflora.adapt(model, AFLoRAConfig(rank=2))
        torch.manual_seed(seed)
        for parameter in aflora.adapter_parameters(model).values():
            nn.init.normal_(parameter, std=0.5)
    batch = tiny_batch()
    expected = [model(**batch).logits for model in (first, second)]
    merged: Any = aflora.merge(first)
    assert merged.bert.encoder.layer[0].output.dense.weight is not weight
    embeddings = [m.bert.embeddings.word_embeddings.weight for m in (merged, first)]
    assert embeddings[0].data_ptr() == embeddings[1].data_ptr()
    assert torch.equal(weight, before)
    assert torch.equal(second(**batch).logits, expected[1])
    torch.testing.assert_close(merged(**batch).logits, expected[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected[0], expected[1], rtol=1e-2)


def test_quantised_weights_are_not_merged() -> None:
    model = adapted()
    layer = next(layer for _, layer in aflora.adapted_layers(model))
    layer.base.weight = nn.Parameter(torch.zeros(16, 16, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(ValueError, match=r"a weight of torch\.uint8 cannot be merged"):
        aflora.merge(model)


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("bert", ()),
        ("bert", ("pooler",)),
        ("bert", ("classifier",)),
        ("distilbert", ("classifier",)),
        ("distilbert", ("pre_classifier",)),
        ("gpt2", ()),
        ("roberta", ("classifier.dense",)),
        ("electra", ("out_proj",)),
    ],
)
def test_any_choice_of_a_head_loads_and_computes_the_same(
    kind: str, head: tuple[str, ...], tmp_path: Path
) -> None:
    """PEFT saves classifiers by itself, and finds modules by the ends of their paths."""
    model = adapted(kind, head=head)
    for parameter in aflora.head_parameters(model).values():
        nn.init.normal_(parameter, std=0.5)
    aflora.export_lora(model, tmp_path)
    ids = tiny_batch()["input_ids"]
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        loaded = PeftModel.from_pretrained(tiny_model(kind), str(tmp_path)).eval()
        found = loaded(input_ids=ids).logits
    assert float((found - expected).norm() / expected.norm()) < 1e-4


def test_the_backbone_s_name_goes_with_it(tmp_path: Path) -> None:
    model = adapted()
    model.name_or_path = "someone/bert"  # type: ignore[assignment]
    aflora.export_lora(model, tmp_path)
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["base_model_name_or_path"] == (
        "someone/bert"
    )
