"""The AFLoRA paper's own table for DeBERTa-v3-base (arXiv 2403.13269, table 1)."""

from __future__ import annotations

from collections.abc import Mapping

MODEL = "microsoft/deberta-v3-base"

#: Method → millions of trainable parameters, and score by task in per cent. The table gives single
#: values without intervals; QQP is accuracy, MNLI has both of its validation sets.
PUBLISHED: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "full": (
        184.0,
        {"cola": 69.21, "sst2": 95.64, "mrpc": 89.22, "qnli": 93.78, "stsb": 91.59, "rte": 82.49,
         "mnli matched": 89.98, "mnli mismatched": 89.95, "qqp": 92.05},
    ),
    "lora": (
        1.33,
        {"cola": 69.73, "sst2": 95.57, "mrpc": 89.71, "qnli": 93.76, "stsb": 91.86, "rte": 85.32,
         "mnli matched": 90.47, "mnli mismatched": 90.46, "qqp": 91.95},
    ),
    "adalora": (
        1.27,
        {"cola": 70.86, "sst2": 95.95, "mrpc": 90.22, "qnli": 94.28, "stsb": 91.39, "rte": 87.36,
         "mnli matched": 90.27, "mnli mismatched": 90.30, "qqp": 92.13},
    ),
    "sora": (
        0.47,
        {"cola": 71.05, "sst2": 95.57, "mrpc": 90.20, "qnli": 93.92, "stsb": 91.76, "rte": 86.04,
         "mnli matched": 90.38, "mnli mismatched": 90.43, "qqp": 92.06},
    ),
    "elora": (
        0.16,
        {"cola": 70.74, "sst2": 95.18, "mrpc": 90.93, "qnli": 93.58, "stsb": 91.08, "rte": 87.36,
         "mnli matched": 90.11, "mnli mismatched": 90.22, "qqp": 90.69},
    ),
    "aflora": (
        0.14,
        {"cola": 72.01, "sst2": 96.22, "mrpc": 91.91, "qnli": 94.42, "stsb": 91.84, "rte": 88.09,
         "mnli matched": 89.88, "mnli mismatched": 90.17, "qqp": 90.81},
    ),
}  # fmt: skip
