"""What is refused once it is known where trials run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.checks import check_storage
from search.engine.runs import Run
from search.spec import SpecError
from search.store import Store

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
