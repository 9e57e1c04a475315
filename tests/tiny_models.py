"""One small model with random weights for each architecture that AFLoRA knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers as hf
from transformers import PreTrainedConfig, PreTrainedModel

VOCABULARY = 50
HIDDEN = 16
LABELS = 2

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_BERT: dict[str, Any] = {**_SIZES, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_DEBERTA: dict[str, Any] = {**_BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
_GROUPED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_T5: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "d_kv": 4,
    "num_layers": 2,
    "num_heads": 4,
    "d_ff": 32,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "eos_token_id": 2,
}
_BART: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 40,
    "num_labels": LABELS,
}
_MODERNBERT: dict[str, Any] = {**_SIZES, "cls_token_id": 1, "sep_token_id": 2}

_Maker = tuple[type[PreTrainedModel], Callable[[], PreTrainedConfig]]

TINY: Mapping[str, _Maker] = {
    "bert": (hf.BertForSequenceClassification, lambda: hf.BertConfig(**_BERT)),
    "roberta": (hf.RobertaForSequenceClassification, lambda: hf.RobertaConfig(**_BERT)),
    "xlm-roberta": (hf.XLMRobertaForSequenceClassification, lambda: hf.XLMRobertaConfig(**_BERT)),
    "electra": (
        hf.ElectraForSequenceClassification,
        lambda: hf.ElectraConfig(**_BERT, embedding_size=HIDDEN),
    ),
    "distilbert": (
        hf.DistilBertForSequenceClassification,
        lambda: hf.DistilBertConfig(
            vocab_size=VOCABULARY,
            dim=HIDDEN,
            n_layers=2,
            n_heads=4,
            hidden_dim=32,
            max_position_embeddings=40,
        ),
    ),
    "deberta": (hf.DebertaForSequenceClassification, lambda: hf.DebertaConfig(**_DEBERTA)),
    "deberta-v2": (hf.DebertaV2ForSequenceClassification, lambda: hf.DebertaV2Config(**_DEBERTA)),
    "deberta-v3": (
        hf.DebertaV2ForSequenceClassification,
        lambda: hf.DebertaV2Config(  # type: ignore[call-arg]
            **_DEBERTA,
            position_buckets=8,
            share_att_key=True,
            norm_rel_ebd="layer_norm",
            position_biased_input=False,
            type_vocab_size=0,
        ),
    ),
    "modernbert": (
        hf.ModernBertForSequenceClassification,
        lambda: hf.ModernBertConfig(**_MODERNBERT),
    ),
    "gpt2": (
        hf.GPT2ForSequenceClassification,
        lambda: hf.GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=HIDDEN,
            n_layer=2,
            n_head=4,
            n_inner=32,
            n_positions=40,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
    "opt": (
        hf.OPTForSequenceClassification,
        lambda: hf.OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=32,
            max_position_embeddings=40,
            word_embed_proj_dim=HIDDEN,
            pad_token_id=0,
        ),
    ),
    "llama": (hf.LlamaForSequenceClassification, lambda: hf.LlamaConfig(**_GROUPED)),
    "llama-lm": (hf.LlamaForCausalLM, lambda: hf.LlamaConfig(**_GROUPED)),
    "mistral": (hf.MistralForSequenceClassification, lambda: hf.MistralConfig(**_GROUPED)),
    "qwen2": (hf.Qwen2ForSequenceClassification, lambda: hf.Qwen2Config(**_GROUPED)),
    "qwen3": (hf.Qwen3ForSequenceClassification, lambda: hf.Qwen3Config(**_GROUPED, head_dim=4)),
    "gemma": (hf.GemmaForSequenceClassification, lambda: hf.GemmaConfig(**_GROUPED, head_dim=4)),
    "gemma2": (hf.Gemma2ForSequenceClassification, lambda: hf.Gemma2Config(**_GROUPED, head_dim=4)),
    "phi": (hf.PhiForSequenceClassification, lambda: hf.PhiConfig(**_GROUPED)),
    "phi3": (hf.Phi3ForSequenceClassification, lambda: hf.Phi3Config(**_GROUPED)),
    "t5": (hf.T5ForSequenceClassification, lambda: hf.T5Config(**_T5)),
    "t5-gated": (
        hf.T5ForSequenceClassification,
        lambda: hf.T5Config(**_T5, feed_forward_proj="gated-gelu"),
    ),
    "bart": (hf.BartForSequenceClassification, lambda: hf.BartConfig(**_BART)),
}


def tiny_model(kind: str, seed: int = 0) -> PreTrainedModel:
    """A model of two layers with random weights, ready to train."""
    torch.manual_seed(seed)
    made, config = TINY[kind]
    model: PreTrainedModel = made(config()).train()
    return model


def tiny_batch(rows: int = 4, length: int = 9) -> dict[str, torch.Tensor]:
    """Tokens that every tiny classifier takes; T5 and BART read the end of each row."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (rows, length), generator=generator)
    ids[:, -1] = 2
    return {
        "input_ids": ids,
        "attention_mask": torch.ones(rows, length, dtype=torch.long),
        "labels": torch.randint(0, LABELS, (rows,), generator=generator),
    }
