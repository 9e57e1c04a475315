"""What is refused once it is known where trials run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from search.checks import check_gpu, check_storage
from search.engine.runs import Run
from search.spec import SpecError, load_space
from search.store import Store

ROOT = Path(__file__).resolve().parents[2]
AWS: dict[str, Any] = {"provider": {"type": "aws"}, "max_workers": 8}


def test_machines_that_are_still_to_come_must_reach_the_checkpoints(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", ("rte",))
    here, shared = Store.at(run.root), Store.at(tmp_path / "shared")
    with pytest.raises(SpecError, match=r"storage: is the run directory, .*take one that all"):
        check_storage(run, here, AWS)
    check_storage(run, shared, AWS)
    # All machines of one's own are there from the start, and are asked.
    check_storage(run, here, {"provider": {"type": "local"}})
    check_storage(run, here, None)


def test_a_gpu_that_torch_cannot_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load_space(ROOT / "spaces" / "quickstart.yaml", ["resources.gpu=1"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match=r"resources\.gpu .*torch .* sees none"):
        check_gpu(wanted)
    check_gpu(load_space(ROOT / "spaces" / "quickstart.yaml"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_gpu(wanted)
