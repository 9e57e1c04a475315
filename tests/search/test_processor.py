"""Whether bf16 is worth anything here."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from search.processor import SLOW, bf16_slowdown, idle_gpu, shared_gpu, slow_bf16

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


def test_a_gpu_that_only_emulates_bf16_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def supports(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supports)
    assert "--set train.precision=fp32" in str(slow_bf16(on_gpu=True))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **asked: True)
    assert slow_bf16(on_gpu=True) is None


def test_seconds_on_a_gpu_that_is_shared_are_no_objective_to_trust() -> None:
    told = shared_gpu(0.5, ["score", "total_seconds"])
    assert told is not None
    assert "resources.gpu is 0.5" in told
    assert "total_seconds is an objective" in told
    assert shared_gpu(0.5, ["score", "train_flops"]) is None
    assert shared_gpu(1, ["score", "train_seconds"]) is None
    assert shared_gpu(0, ["score", "train_seconds"]) is None
