"""Whether bf16 is worth anything here."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from search.processor import SLOW, bf16_slowdown

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(
    not (CPUINFO.exists() and platform.machine() == "x86_64"), reason="told by Linux on x86 alone"
)
def test_a_processor_without_instructions_for_bf16_is_found_out() -> None:
    flags = CPUINFO.read_text().split()
    has_them = "avx512_bf16" in flags or "amx_bf16" in flags
    assert (bf16_slowdown() < SLOW) == has_them
