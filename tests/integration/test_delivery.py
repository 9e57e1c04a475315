"""Trials on a node that lacks the backbone get it through Ray, and keep it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from search.trial.packed import CACHE, pack
from tests.conftest import MINILM
from tests.integration.small_search import SMALL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # The driver's node takes no trial, so all run on the other.
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.add_node(num_cpus=2, env_vars={CACHE: str(tmp_path / "cache")})
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_node_keeps_what_it_was_sent(tmp_path: Path, cluster: Cluster) -> None:
    out = tmp_path / "run"
    # LoRA alone has no schedule whose interval SMALL could set.
    chosen = [word for word in SMALL if "aflora" not in word] + ["--set=methods=[lora]"]
    words = [sys.executable, "-m", "search.run", "spaces/quickstart.yaml", "--address"]
    ended = subprocess.run(
        [*words, cluster.address, "--out", str(out), *chosen, "--trials=3"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    packed = pack(MINILM)
    kept = tmp_path / "cache" / "models" / packed.fingerprint
    assert {path.name for path in kept.iterdir()} == set(packed.files)
    # An adapter names the model of the space file, not a folder of the node it was trained on.
    configs = list((out / "adapters").glob("*/adapter_config.json"))
    assert configs
    for config in configs:
        assert json.loads(config.read_text())["base_model_name_or_path"] == MINILM
