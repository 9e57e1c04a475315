"""What several tests of whole searches look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.small_search import search


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "q"
    ended = search(out, "--trials=5")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "on the front" in ended.stdout
    return out
