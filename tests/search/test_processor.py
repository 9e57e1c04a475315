"""Whether bf16 is worth anything here."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from search.processor import SLOW, bf16_slowdown, idle_gpu

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(
    not (CPUINFO.exists() and platform.machine() == "x86_64"), reason="told by Linux on x86 alone"
)
def test_a_processor_without_instructions_for_bf16_is_found_out() -> None:
    flags = CPUINFO.read_text().split()
    has_them = "avx512_bf16" in flags or "amx_bf16" in flags
    assert (bf16_slowdown() < SLOW) == has_them


def test_a_gpu_that_no_trial_uses_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert idle_gpu(0.5) is None
    assert "--set resources.gpu=1" in str(idle_gpu(0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert idle_gpu(0) is None
    # Where trials run elsewhere, what this machine has does not matter.
    assert "the cluster has GPUs" in str(idle_gpu(0, 1.0))
    assert idle_gpu(0.5, 1.0) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert idle_gpu(0, 0.0) is None
