"""CPUs that a search on this machine may use; known before Ray is imported, which takes seconds."""

from __future__ import annotations

import os


def cpus_here() -> int:
    """CPUs that this process may use: fewer than the machine has where it was bound to some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
