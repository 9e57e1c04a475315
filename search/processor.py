"""What this machine computes with: a processor that is no good at bf16, a GPU that idles."""

from __future__ import annotations

import time
from collections.abc import Collection

import torch

#: So much slower is worth a word.
SLOW = 2.0


def bf16_slowdown() -> float:
    """How many times as long as in fp32 a product of matrices takes in bf16 on this processor.

    One without instructions for it computes it in software, which takes up to a hundred times as
    long; there is no other way to tell that all processors have in common.
    """

    def seconds(dtype: torch.dtype) -> float:
        left, right = torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
        taken = []
        for _ in range(4):  # the first prepares
            # Of this thread: what else the machine does is not counted.
            began = time.thread_time()
            left @ right
            taken.append(time.thread_time() - began)
        return min(taken)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return seconds(torch.bfloat16) / seconds(torch.float32)
    finally:
        torch.set_num_threads(threads)


def slow_bf16(on_gpu: bool) -> str | None:
    """What is to be said of bf16 on this machine, or None."""
    if on_gpu:
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return None
        where = "is slow on this GPU"
    else:
        slowdown = bf16_slowdown()
        if slowdown <= SLOW:
            return None
        where = f"takes {slowdown:.0f} times as long as fp32 on this processor"
    return (
        f"train.precision: bf16 {where}, which has no instructions for it; "
        "--set train.precision=fp32 does without"
    )


def shared_gpu(wanted: float, objectives: Collection[str]) -> str | None:
    """What is to be said where trials share a GPU and are compared by their seconds, or None.

    Args:
        wanted: GPUs of a trial.
        objectives: of the search.
    """
    timed = [name for name in objectives if name.endswith("_seconds")]
    if not timed or not 0 < wanted < 1:
        return None
    return (
        f"resources.gpu is {wanted:g}: trials that share a GPU slow one another down, and "
        f"{timed[0]} is an objective; train_flops in its place does not hang on who else trains"
    )


def idle_gpu(wanted: float, there: float | None = None) -> str | None:
    """What is to be said where trials leave GPUs alone, or None.

    Args:
        wanted: GPUs of a trial.
        there: GPUs of the cluster's largest node; None where trials run on this machine.
    """
    if wanted or not (torch.cuda.is_available() if there is None else there):
        return None
    whose = "this machine has a GPU" if there is None else "the cluster has GPUs"
    return (
        f"resources.gpu is 0: trials train on the CPU, though {whose}; "
        "--set resources.gpu=1 gives each trial one"
    )
