"""Where a result comes from: commit, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "ray", "optuna", "mlflow", "peft", "datasets", "accelerate")


def provenance(seed: int, data: str, study_id: str) -> dict[str, Any]:
    """What ``front.json`` says about its own origin.

    Args:
        seed: of the study.
        data: fingerprint of the data.
        study_id: identifies the study.
    """
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "data": data,
        "seed": seed,
        "study_id": study_id,
        "command": " ".join(sys.orig_argv[1:]),
    }


def _commit() -> str | None:
    """The commit this program lies at, with ``-dirty`` where it was changed; None without git."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
