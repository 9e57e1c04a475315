import copy
import warnings
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

import aflora
from aflora import AFLoRAConfig
from aflora.adapter import Projection
from aflora.config import TrainableProjections


def test_an_adapted_model_starts_equal_to_its_base(
    any_model: nn.Module, batch: dict[str, torch.Tensor]
) -> None:
    before = any_model.eval()(**batch).logits
    adapted = aflora.adapt(any_model, AFLoRAConfig(rank=2))
    assert torch.equal(adapted(**batch).logits, before)


def test_every_role_is_found_in_every_block(any_model: nn.Module) -> None:
    aflora.adapt(any_model, AFLoRAConfig(rank=2))
    found = [(layer.layer, layer.role) for _, layer in aflora.adapted_layers(any_model)]
    roles = AFLoRAConfig().modules
    assert sorted(found) == sorted((block, role) for block in (0, 1) for role in roles)
    inside = {layer.role: layer.in_features for _, layer in aflora.adapted_layers(any_model)}
    assert inside["ffn_out"] == 32
    assert inside["attention_output"] == 16


def test_only_adapter_and_head_train(any_model: nn.Module) -> None:
    aflora.adapt(any_model, AFLoRAConfig(rank=2))
    trains = {name for name, p in any_model.named_parameters() if p.requires_grad}
    for name in trains:
        assert name.rsplit(".", 1)[-1] in {"A", "B", "d", "b"} or {"classifier", "pooler"} & set(
            name.split(".")
        )
    assert any("classifier" in name for name in trains)
    assert not any(name.endswith(("query.A", "query_proj.A")) for name in trains)
    assert any(name.endswith("intermediate.dense.A") for name in trains)


@pytest.mark.parametrize(
    ("which", "roles"),
    [
        ("ffn", {"ffn_in", "ffn_out"}),
        ("all", set(AFLoRAConfig().modules)),
        ("none", set()),
    ],
)
def test_projections_are_those_that_train_at_first(
    bert: nn.Module, which: TrainableProjections, roles: set[str]
) -> None:
    aflora.adapt(bert, AFLoRAConfig(rank=2, trainable_projections=which))
    found = aflora.projections(bert)
    assert {p.role for p in found} == roles
    assert len(found) == 2 * 2 * len(roles)
    assert all(isinstance(p, Projection) and p.parameter.requires_grad for p in found)
    assert [p.matrix for p in found[:2]] in ([], ["A", "B"])


def test_adapting_twice_is_refused(bert: nn.Module) -> None:
    aflora.adapt(bert, AFLoRAConfig(rank=2))
    with pytest.raises(ValueError, match="adapted already"):
        aflora.adapt(bert, AFLoRAConfig(rank=2))


def test_a_refused_model_is_unchanged(bert: nn.Module) -> None:
    before = copy.deepcopy(bert.state_dict())
    with pytest.raises(
        ValueError, match=r"rank 17 is larger than .*intermediate.dense allows: .* 16"
    ):
        aflora.adapt(bert, AFLoRAConfig(rank=17))
    assert bert.state_dict().keys() == before.keys()
    assert all(p.requires_grad for p in bert.parameters())


def test_a_role_the_architecture_lacks_is_refused(bert: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"a role of bert must be one of .*, got 'ffn_gate'"):
        aflora.adapt(bert, AFLoRAConfig(modules=("ffn_gate",)))


def test_what_is_no_config_is_refused(bert: nn.Module) -> None:
    with pytest.raises(TypeError, match=r"config must be an AFLoRAConfig, got \{'rank': 2\}"):
        aflora.adapt(bert, {"rank": 2})  # type: ignore[arg-type]


def test_a_layer_that_another_adapter_has_taken_is_refused(bert: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(bert, LoraConfig(target_modules=["query"]))
    with pytest.raises(ValueError, match=r"self\.query is a peft\..*Linear, which is no plain"):
        aflora.adapt(bert, AFLoRAConfig(rank=2))


class Body(nn.Module):
    """Two blocks, one module each."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.ModuleDict({"l": first}), nn.ModuleDict({"l": second})])


def by_pattern(**patterns: str) -> AFLoRAConfig:
    return AFLoRAConfig(rank=2, modules=tuple(patterns), patterns=patterns, head=())  # type: ignore[arg-type]


def test_a_module_that_stands_in_two_places_is_refused() -> None:
    shared = nn.Linear(8, 8)
    with pytest.raises(ValueError, match=r"it is one module with body\.1\.l"):
        aflora.adapt(Body(shared, shared), by_pattern(query="l"))


def test_layers_that_torch_reads_without_calling_them_are_refused() -> None:
    encoder = nn.TransformerEncoderLayer(16, 4, 32)
    for role, path in (("ffn_in", "linear1"), ("attention_output", "self_attn.out_proj")):
        with pytest.raises(ValueError, match="reads its weight without calling it"):
            aflora.adapt(encoder, by_pattern(**{role: path}))


def test_a_fused_feed_forward_module_trains_like_its_parts() -> None:
    model = Body(nn.Linear(8, 16), nn.Linear(8, 16))
    aflora.adapt(model, by_pattern(ffn_in="l", ffn_gate="l"))
    assert [p.role for p in aflora.projections(model)] == ["ffn_in+ffn_gate"] * 4


def test_a_head_that_shares_a_parameter_with_the_rest_is_refused() -> None:
    def tied() -> nn.Module:
        sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
        config = LlamaConfig(
            **sizes, num_hidden_layers=2, num_attention_heads=4, tie_word_embeddings=True
        )
        return LlamaForCausalLM(config)

    with pytest.raises(ValueError, match=r"one parameter with model\.embed_tokens\.weight"):
        aflora.adapt(tied(), AFLoRAConfig(rank=2, head=("lm_head",)))
    # Both of them in the head is consistent.
    model: Any = aflora.adapt(tied(), AFLoRAConfig(rank=2, head=("lm_head", "embed_tokens")))
    assert model.lm_head.weight.requires_grad


def test_the_matrices_are_at_least_single_precision() -> None:
    torch.set_default_dtype(torch.bfloat16)
    try:
        layer = aflora.AFLoRALinear(nn.Linear(4, 4), 2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in (layer.A, layer.B, layer.d, layer.b)} == {torch.float32}
    assert aflora.AFLoRALinear(nn.Linear(4, 4, dtype=torch.float64), 2).A.dtype == torch.float64


def test_only_a_module_can_be_adapted() -> None:
    with pytest.raises(TypeError, match="model must be a torch module, got 'bert'"):
        aflora.adapt("bert", AFLoRAConfig())  # type: ignore[arg-type]
