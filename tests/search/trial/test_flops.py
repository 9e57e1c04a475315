"""The analytic count against torch's own counter on whole training steps."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BartConfig,
    BartForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaConfig,
    DebertaForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
)

import aflora
from search.trial.flops import StepFlops

_SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "pad_token_id": 0,
}
# torch counts the products of attention, which the kernels of SDPA hide, only where it is eager.
_EAGER: dict[str, Any] = {"attn_implementation": "eager"}

MODELS: dict[str, Callable[[], nn.Module]] = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**_SIZES, **_EAGER)),
    "llama": lambda: LlamaForSequenceClassification(
        LlamaConfig(**_SIZES, **_EAGER, num_key_value_heads=2)
    ),
    "deberta-v3": lambda: DebertaV2ForSequenceClassification(
        DebertaV2Config(  # type: ignore[call-arg]
            **_SIZES,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            position_buckets=16,
            share_att_key=True,
            norm_rel_ebd="layer_norm",
        )
    ),
    # Its positional products belong to the batch and grow with its length.
    "deberta": lambda: DebertaForSequenceClassification(
        DebertaConfig(
            **_SIZES,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            max_relative_positions=256,
        )
    ),
    # They read the last token of each row and want exactly one there.
    "bart": lambda: BartForSequenceClassification(
        BartConfig(  # type: ignore[call-arg]
            vocab_size=100,
            d_model=96,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=384,
            decoder_ffn_dim=384,
            num_labels=2,
            **_EAGER,
        )
    ),
    "t5": lambda: T5ForSequenceClassification(
        T5Config(  # type: ignore[call-arg]
            vocab_size=100,
            d_model=96,
            d_kv=24,
            d_ff=384,
            num_layers=2,
            num_heads=4,
            num_labels=2,
            decoder_start_token_id=0,
        )
    ),
}


def counted(model: nn.Module, rows: int, length: int) -> int:
    """What torch counts in one real step whose products are those that are written."""
    ids = torch.full((rows, length), 7)
    end = model.config.eos_token_id  # type: ignore[union-attr]
    ids[:, -1] = 7 if end is None else end  # type: ignore[assignment]
    apart = patch("aflora.product._merges", lambda *shape: False)
    with apart, FlopCounterMode(display=False) as counter:
        model.train()(input_ids=ids, labels=torch.arange(rows) % 2).loss.backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("which", ["ffn", "all"])
def test_flops_agree_with_torch_s_counter_live_and_frozen(kind: str, which: str) -> None:
    config = aflora.AFLoRAConfig(rank=4, trainable_projections=which)  # type: ignore[arg-type]
    model = aflora.adapt(MODELS[kind](), config)
    flops = StepFlops(model)
    matrices = aflora.projections(model)
    steps = []
    for frozen in (0, 1, len(matrices) // 2, len(matrices)):
        for matrix in matrices[:frozen]:
            matrix.parameter.requires_grad_(False)
        for rows, length in ((4, 24), (3, 65)):
            assert flops.step(rows, length) == pytest.approx(counted(model, rows, length), rel=0.02)
        steps.append(flops.step(4, 24))
    assert steps[0] > steps[1] > steps[2] > steps[3]


@pytest.mark.parametrize("kind", ["bert", "llama", "deberta-v3"])
def test_elora_s_wide_projections_cost_no_product_for_a_gradient(kind: str) -> None:
    """As its authors compute it: two thin products forward and two backward."""

    def made(rank: int) -> nn.Module:
        config = aflora.AFLoRAConfig(rank, trainable_projections="none", modules=("ffn_in",))
        return aflora.adapt(MODELS[kind](), config)

    widest, wide = made(256), made(192)
    flops = StepFlops(widest).step(4, 24)
    assert flops == pytest.approx(counted(widest, 4, 24), rel=0.02)
    layers = [layer for _, layer in aflora.adapted_layers(widest)]
    width = sum(2 * (layer.in_features + layer.out_features) for layer in layers)
    # Nothing below the lowest one trains.
    width -= layers[0].in_features
    assert flops - StepFlops(wide).step(4, 24) == 2 * 4 * 24 * (256 - 192) * width


@pytest.mark.parametrize("kind", ["bert", "llama", "deberta-v3"])
def test_lora_is_counted_the_same_way(kind: str) -> None:
    targets = {"bert": "query", "llama": "q_proj", "deberta-v3": "query_proj"}
    model = get_peft_model(MODELS[kind](), LoraConfig(r=4, target_modules=[targets[kind]]))
    expected = counted(model, 4, 24)
    assert StepFlops(model).step(4, 24) == pytest.approx(expected, rel=0.02)


def test_whether_a_kernel_hides_attention_makes_no_difference() -> None:
    plain, fused = (
        BertForSequenceClassification(BertConfig(**_SIZES, attn_implementation=kind))  # type: ignore[call-arg]
        for kind in ("eager", "sdpa")
    )
    assert StepFlops(plain).step(2, 50) == StepFlops(fused).step(2, 50)


def test_counting_leaves_no_trace() -> None:
    model = aflora.adapt(MODELS["bert"](), aflora.AFLoRAConfig(rank=2)).train()
    state = torch.get_rng_state()
    StepFlops(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
