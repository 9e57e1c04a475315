"""A recorded table as a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.table_report import main, study_of

TABLE = Path(__file__).parents[2] / "benchmarks/data/curves_sst2.jsonl"


def test_every_trial_of_the_table_is_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_of(TABLE)
    assert len(study.trials) == len(TABLE.read_text("utf-8").splitlines()) - 1
    assert study.trials[3].values is not None
    assert study.trials[3].values["score"] == study.trials[3].rungs[-1].measures["score"]

    assert main([str(TABLE), str(tmp_path / "report.html")]) == 0
    printed = capsys.readouterr().out
    assert "- rank at 16 in place of 1 takes" in printed
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "What we learned about AFLoRA here" in text
