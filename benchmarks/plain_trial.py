"""One AFLoRA training on RTE as a plain script of transformers has it, for comparison.

``python -m benchmarks.plain_trial DATA OUT.json --padding max_length|longest [--steps N]``

Rows in random order, padded to the longest there may be or to the longest of the batch, the layer
computed as the paper writes it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import aflora
from aflora import AFLoRAConfig, FreezeConfig
from aflora.callback import AFLoRACallback
from benchmarks.variants import MINILM, as_authors
from search.trial.places import locate

MAX_LENGTH = 256
SPLITS = ("train", "validation")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--padding", choices=["max_length", "longest"], required=True)
    parser.add_argument("--steps", type=int, default=-1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began = time.perf_counter()
    place = locate(MINILM)
    tokenizer = AutoTokenizer.from_pretrained(place)
    files = {split: str(options.data / "rte" / f"{split}.parquet") for split in SPLITS}
    rows: Any = load_dataset("parquet", data_files=files)

    def tokenised(batch: dict[str, Any]) -> Any:
        padding = "max_length" if options.padding == "max_length" else False
        return tokenizer(
            batch["sentence1"], batch["sentence2"],
            truncation=True, max_length=MAX_LENGTH, padding=padding,
        )  # fmt: skip

    rows = rows.map(tokenised, batched=True, remove_columns=["sentence1", "sentence2", "idx"])
    model = AutoModelForSequenceClassification.from_pretrained(place, num_labels=2)
    config = AFLoRAConfig(
        rank=4,
        trainable_projections="ffn",
        freeze=FreezeConfig(rule="official", start=0.05, end=0.6, interval=1),
    )
    model = as_authors(aflora.adapt(model, config))
    with tempfile.TemporaryDirectory(prefix="plain-") as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                max_steps=options.steps,
                per_device_train_batch_size=32,
                per_device_eval_batch_size=32,
                learning_rate=1e-2,
                weight_decay=0.1,
                warmup_steps=0.06,
                max_grad_norm=0.0,
                use_cpu=True,
                seed=0,
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
                save_strategy="no",
            ),
            train_dataset=rows["train"],
            eval_dataset=rows["validation"],
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda p: {
                "accuracy": float((np.asarray(p.predictions).argmax(-1) == p.label_ids).mean())
            },
            callbacks=[AFLoRACallback(clip=1.0)],
        )
        loaded = time.perf_counter()
        trainer.train()
        trained = time.perf_counter()
        score = trainer.evaluate()["eval_accuracy"]
        ended = time.perf_counter()
    found = {
        "steps": trainer.state.global_step,
        "score": score,
        "load_seconds": loaded - began,
        "train_seconds": trained - loaded,
        "eval_seconds": ended - trained,
    }
    options.out.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
