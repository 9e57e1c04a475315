"""Every architecture that is known: its roles, and that nothing is lost on the way through it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

import aflora
from aflora import AFLoRAConfig
from aflora.linear import is_conv1d
from aflora.roles import find_targets, head_modules
from tests.tiny_models import TINY, tiny_batch, tiny_model

_BERT = {
    "query": ["attention.self.query"],
    "key": ["attention.self.key"],
    "value": ["attention.self.value"],
    "attention_output": ["attention.output.dense"],
    "ffn_in": ["intermediate.dense"],
    "ffn_out": ["output.dense"],
}
_LLAMA = {
    "query": ["self_attn.q_proj"],
    "key": ["self_attn.k_proj"],
    "value": ["self_attn.v_proj"],
    "attention_output": ["self_attn.o_proj"],
    "ffn_in": ["mlp.up_proj"],
    "ffn_gate": ["mlp.gate_proj"],
    "ffn_out": ["mlp.down_proj"],
}
_T5 = {
    "query": ["layer.0.SelfAttention.q", "layer.1.EncDecAttention.q"],
    "key": ["layer.0.SelfAttention.k", "layer.1.EncDecAttention.k"],
    "value": ["layer.0.SelfAttention.v", "layer.1.EncDecAttention.v"],
    "attention_output": ["layer.0.SelfAttention.o", "layer.1.EncDecAttention.o"],
    "ffn_in": ["layer.2.DenseReluDense.wi"],
    "ffn_out": ["layer.2.DenseReluDense.wo"],
}
_DEBERTA_V2 = _BERT | {
    "query": ["attention.self.query_proj"],
    "key": ["attention.self.key_proj"],
    "value": ["attention.self.value_proj"],
}

# Kind → path of its last block, role → modules there, modules of the head.
EXPECTED: dict[str, tuple[str, dict[str, list[str]], list[str]]] = {
    "bert": ("bert.encoder.layer.1", _BERT, ["bert.pooler", "classifier"]),
    "roberta": ("roberta.encoder.layer.1", _BERT, ["classifier"]),
    "xlm-roberta": ("roberta.encoder.layer.1", _BERT, ["classifier"]),
    "electra": ("electra.encoder.layer.1", _BERT, ["classifier"]),
    "distilbert": (
        "distilbert.transformer.layer.1",
        {
            "query": ["attention.q_lin"],
            "key": ["attention.k_lin"],
            "value": ["attention.v_lin"],
            "attention_output": ["attention.out_lin"],
            "ffn_in": ["ffn.lin1"],
            "ffn_out": ["ffn.lin2"],
        },
        ["pre_classifier", "classifier"],
    ),
    "deberta": (
        "deberta.encoder.layer.1",
        {
            "qkv": ["attention.self.in_proj"],
            "attention_output": ["attention.output.dense"],
            "ffn_in": ["intermediate.dense"],
            "ffn_out": ["output.dense"],
        },
        ["pooler", "classifier"],
    ),
    "deberta-v2": ("deberta.encoder.layer.1", _DEBERTA_V2, ["pooler", "classifier"]),
    "deberta-v3": ("deberta.encoder.layer.1", _DEBERTA_V2, ["pooler", "classifier"]),
    "modernbert": (
        "model.layers.1",
        {
            "qkv": ["attn.Wqkv"],
            "attention_output": ["attn.Wo"],
            "ffn_in": ["mlp.Wi"],
            "ffn_out": ["mlp.Wo"],
        },
        ["head", "classifier"],
    ),
    "gpt2": (
        "transformer.h.1",
        {
            "qkv": ["attn.c_attn"],
            "attention_output": ["attn.c_proj"],
            "ffn_in": ["mlp.c_fc"],
            "ffn_out": ["mlp.c_proj"],
        },
        ["score"],
    ),
    "opt": (
        "model.decoder.layers.1",
        {
            "query": ["self_attn.q_proj"],
            "key": ["self_attn.k_proj"],
            "value": ["self_attn.v_proj"],
            "attention_output": ["self_attn.out_proj"],
            "ffn_in": ["fc1"],
            "ffn_out": ["fc2"],
        },
        ["score"],
    ),
    "llama": ("model.layers.1", _LLAMA, ["score"]),
    "llama-lm": ("model.layers.1", _LLAMA, []),
    "mistral": ("model.layers.1", _LLAMA, ["score"]),
    "qwen2": ("model.layers.1", _LLAMA, ["score"]),
    "qwen3": ("model.layers.1", _LLAMA, ["score"]),
    "gemma": ("model.layers.1", _LLAMA, ["score"]),
    "gemma2": ("model.layers.1", _LLAMA, ["score"]),
    "phi": (
        "model.layers.1",
        {
            "query": ["self_attn.q_proj"],
            "key": ["self_attn.k_proj"],
            "value": ["self_attn.v_proj"],
            "attention_output": ["self_attn.dense"],
            "ffn_in": ["mlp.fc1"],
            "ffn_out": ["mlp.fc2"],
        },
        ["score"],
    ),
    "phi3": (
        "model.layers.1",
        {
            "qkv": ["self_attn.qkv_proj"],
            "attention_output": ["self_attn.o_proj"],
            "ffn_in": ["mlp.gate_up_proj"],
            "ffn_out": ["mlp.down_proj"],
        },
        ["score"],
    ),
    "t5": ("transformer.decoder.block.1", _T5, ["classification_head"]),
    "t5-gated": (
        "transformer.decoder.block.1",
        _T5
        | {
            "ffn_gate": ["layer.2.DenseReluDense.wi_0"],
            "ffn_in": ["layer.2.DenseReluDense.wi_1"],
        },
        ["classification_head"],
    ),
    "bart": (
        "model.decoder.layers.1",
        {
            "query": ["self_attn.q_proj", "encoder_attn.q_proj"],
            "key": ["self_attn.k_proj", "encoder_attn.k_proj"],
            "value": ["self_attn.v_proj", "encoder_attn.v_proj"],
            "attention_output": ["self_attn.out_proj", "encoder_attn.out_proj"],
            "ffn_in": ["fc1"],
            "ffn_out": ["fc2"],
        },
        ["classification_head"],
    ),
}

kinds = pytest.mark.parametrize("kind", TINY)


def config_for(kind: str) -> AFLoRAConfig:
    """Every role of the architecture, with two ranks; fused roles have one."""
    named = EXPECTED[kind][1]
    roles = [r for role in named for r in (("query", "key", "value") if role == "qkv" else (role,))]
    return AFLoRAConfig(
        rank=2,
        modules=tuple(roles),  # type: ignore[arg-type]
        ranks={"ffn_out": 3, "attention_output": 1},
        scale=1.5,
    )


def trained(kind: str) -> nn.Module:
    """A model as training might leave it."""
    model = aflora.adapt(tiny_model(kind), config_for(kind)).eval()
    torch.manual_seed(7)
    for parameter in aflora.adapter_parameters(model).values():
        nn.init.normal_(parameter, std=0.5)
    for parameter in aflora.head_parameters(model).values():
        nn.init.normal_(parameter, std=0.5)
    return model


@torch.no_grad()
def output(model: nn.Module) -> Tensor:
    batch = tiny_batch()
    del batch["labels"]
    logits: Tensor = model.eval()(**batch).logits
    return logits


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


@kinds
def test_its_roles_are_the_modules_they_should_be(kind: str) -> None:
    model = tiny_model(kind)
    block, expected, head = EXPECTED[kind]
    found: dict[str, list[str]] = {}
    for target in find_targets(model, config_for(kind).modules):
        if target.name.startswith(f"{block}."):
            assert target.layer == 1
            found.setdefault(target.role, []).append(target.name.removeprefix(f"{block}."))
    assert found == expected
    assert head_modules(model) == head


@kinds
def test_no_linear_layer_of_its_blocks_is_forgotten(kind: str) -> None:
    model = tiny_model(kind)
    block = EXPECTED[kind][0]
    targets = {target.name for target in find_targets(model, config_for(kind).modules)}
    linear = {
        name
        for name, module in model.named_modules()
        if name.startswith(f"{block}.") and (isinstance(module, nn.Linear) or is_conv1d(module))
    }
    left_out = {name.removeprefix(f"{block}.") for name in linear - targets}
    # DeBERTa projects relative positions as well, which are no tokens.
    positions = {
        "deberta": {"attention.self.pos_proj", "attention.self.pos_q_proj"},
        "deberta-v2": {"attention.self.pos_key_proj", "attention.self.pos_query_proj"},
    }
    assert left_out == positions.get(kind, set())


@kinds
def test_it_starts_equal_to_its_base_bit_for_bit(kind: str) -> None:
    model = tiny_model(kind)
    before = output(model)
    assert torch.equal(output(aflora.adapt(model, config_for(kind))), before)


@kinds
def test_merging_gives_the_same_output_and_leaves_the_model_alone(kind: str) -> None:
    model = trained(kind)
    before = output(model)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = aflora.merge(model)
    assert relative(output(merged), before) < 1e-5
    assert not list(aflora.adapted_layers(merged))
    assert list(merged.state_dict()) == list(tiny_model(kind).state_dict())
    assert torch.equal(output(model), before)
    assert all(torch.equal(t, weights[name]) for name, t in model.state_dict().items())


@kinds
def test_saving_and_loading_is_bit_for_bit(kind: str, tmp_path: Path) -> None:
    model = trained(kind)
    aflora.save(model, tmp_path)
    assert torch.equal(output(aflora.load(tiny_model(kind), tmp_path)), output(model))


@kinds
def test_peft_computes_the_same_with_the_exported_adapter(kind: str, tmp_path: Path) -> None:
    model = trained(kind)
    plain = output(tiny_model(kind))
    expected = output(model)
    aflora.export_lora(model, tmp_path)
    loaded = PeftModel.from_pretrained(tiny_model(kind), str(tmp_path))
    assert relative(output(loaded), expected) < 1e-4 < relative(plain, expected)
    merged = loaded.merge_and_unload()
    assert relative(output(merged), expected) < 1e-4


@kinds
def test_it_trains(kind: str) -> None:
    model = aflora.adapt(tiny_model(kind), config_for(kind))
    batch = tiny_batch()
    if kind == "llama-lm":
        batch["labels"] = batch["input_ids"]
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # b is 0 at first, and no gradient reaches the matrices
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    missing = {n for n, p in model.named_parameters() if n in names and p.grad is None}
    assert not missing
    matrices = aflora.projections(model)
    assert {m.role for m in matrices} <= {"ffn_in", "ffn_gate", "ffn_out"}
    assert all(m.parameter.grad.any() for m in matrices)  # type: ignore[union-attr]


def test_attention_is_told_by_its_role_where_heads_are_grouped() -> None:
    model = aflora.adapt(tiny_model("llama"), config_for("llama"))
    shapes = {x.role: (x.in_features, x.out_features) for _, x in aflora.adapted_layers(model)}
    assert shapes["key"] == (16, 8) != shapes["query"] == (16, 16)
    for name, layer in aflora.adapted_layers(model):
        assert layer.A.requires_grad == (layer.role in {"ffn_in", "ffn_gate", "ffn_out"}), name


def test_conv1d_is_recognised_by_its_weight_alone() -> None:
    model = tiny_model("gpt2")
    module = model.get_submodule("transformer.h.0.mlp.c_fc")
    assert is_conv1d(module)
    assert not is_conv1d(nn.Conv1d(3, 4, 1))
    assert not is_conv1d(nn.Linear(3, 4))
    layer = dict(aflora.adapted_layers(aflora.adapt(model, config_for("gpt2"))))
    assert (layer["transformer.h.0.mlp.c_fc"].in_features) == 16
    assert (layer["transformer.h.0.mlp.c_fc"].out_features) == 32


def test_a_part_of_a_fused_module_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"query, key, value are one module in gpt2: modules names 'query' and must name "
        "'key' too",
    ):
        aflora.adapt(tiny_model("gpt2"), AFLoRAConfig(rank=2, modules=("query", "ffn_in")))
    with pytest.raises(ValueError, match=r"are one module .* and need one rank, got 1, 2"):
        aflora.adapt(tiny_model("gpt2"), AFLoRAConfig(rank=2, ranks={"key": 1}))


def test_layers_can_be_chosen() -> None:
    model = aflora.adapt(tiny_model("bart"), AFLoRAConfig(rank=2, layers=(1,)))
    assert {layer.layer for _, layer in aflora.adapted_layers(model)} == {1}
    assert {n.split(".")[1] for n, _ in aflora.adapted_layers(model)} == {"encoder", "decoder"}
    with pytest.raises(ValueError, match=r"layers names 2, but the blocks .* are 0 to 1"):
        aflora.adapt(tiny_model("bert"), AFLoRAConfig(rank=2, layers=(0, 2)))


def test_ranks_can_differ_by_role() -> None:
    model = aflora.adapt(tiny_model("bert"), AFLoRAConfig(rank=2, ranks={"query": 5}))
    assert {x.rank for _, x in aflora.adapted_layers(model) if x.role == "query"} == {5}
    assert {x.rank for _, x in aflora.adapted_layers(model) if x.role != "query"} == {2}


class Martian(nn.Module):
    """A model that no one has heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList(
            nn.ModuleDict(
                {"look": nn.Linear(8, 8), "think": nn.Linear(8, 12), "rest": nn.LayerNorm(8)}
            )
            for _ in range(3)
        )
        self.mouth = nn.Linear(8, 2)


def test_an_unknown_architecture_says_what_is_missing_and_how_to_give_it() -> None:
    with pytest.raises(
        ValueError,
        match=r"the architecture None of Martian is not known, so no modules are found for the "
        r"roles query, ffn_in\. Say where they are with patterns=\{'query': 'attn.q_proj', …\}",
    ):
        aflora.adapt(Martian(), AFLoRAConfig(rank=2, modules=("query", "ffn_in")))


def test_an_unknown_architecture_can_be_adapted_by_names_and_patterns() -> None:
    config = AFLoRAConfig(
        rank=2,
        modules=("query", "ffn_in"),
        patterns={"query": "look", "ffn_in": r"body\.([12])\.think"},
        head=("mouth",),
    )
    model: Any = aflora.adapt(Martian(), config)
    found = {name: (layer.role, layer.layer) for name, layer in aflora.adapted_layers(model)}
    assert found == {
        "body.0.look": ("query", 0),
        "body.1.look": ("query", 1),
        "body.2.look": ("query", 2),
        "body.1.think": ("ffn_in", 1),
        "body.2.think": ("ffn_in", 2),
    }
    assert set(aflora.head_parameters(model)) == {"mouth.weight", "mouth.bias"}
    assert model.mouth.weight.requires_grad


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"patterns": {"query": "lok"}},
            "no module of Martian plays the role 'query'; its pattern is 'lok'",
        ),
        ({"patterns": {"query": "ook"}}, "no module of Martian plays the role 'query'"),
        (
            {"patterns": {"query": "rest"}},
            r"body\.0\.rest is a torch\..*\.LayerNorm, which is no plain linear layer",
        ),
        (
            {"patterns": {"query": "body"}},
            r"body is a .*ModuleList, which is no plain linear layer",
        ),
        (
            {"patterns": {"query": "mouth"}, "head": ("mouth",)},
            r"mouth lies in the head \(mouth\)",
        ),
        (
            {"patterns": {"query": "look"}, "head": ("ear",)},
            "head names 'ear', which Martian does not have",
        ),
        (
            {"modules": ("query", "key"), "patterns": {"query": "look", "key": r"\d\.look"}},
            "the patterns of 'query' and 'key' both match 'body.0.look'",
        ),
    ],
)
def test_a_wrong_pattern_is_told(config: dict[str, Any], message: str) -> None:
    model = Martian()
    names = list(model.state_dict())
    given: dict[str, Any] = {"rank": 2, "modules": ("query",)} | config
    with pytest.raises(ValueError, match=message):
        aflora.adapt(model, AFLoRAConfig(**given))
    assert list(model.state_dict()) == names
    assert all(p.requires_grad for p in model.parameters())
