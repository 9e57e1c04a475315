"""Recorded intervals are those that the kept predictions give."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.confirmed_again import main, trials_of

NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
RECORDS = Path(__file__).parents[2] / "docs/results/glue_minilm"


def test_trials_are_read_back_from_their_table() -> None:
    trials = trials_of(RECORDS / "rte/trials.csv", ["score", "trainable_params", "train_flops"])
    assert [trial.number for trial in trials] == list(range(48))
    paper, *_ = trials
    assert (paper.state, paper.label) == ("complete", "aflora r4 ffn official")
    assert paper.settings["method"]["aflora"]["freeze"] == {
        "rule": "official",
        "start": 0.05,
        "end": 0.3,
    }
    (method,) = {tuple(t.settings["method"]) for t in trials if t.label == "head"}
    assert method == ("head",)
    assert paper.measures["trainable_params"] == pytest.approx(34365.07, abs=0.01)
    # Nothing is what a head leaves to train, and that is a number too.
    assert {t.measures["trainable_params"] for t in trials if t.label == "head"} == {0.0}


def test_the_record_is_what_its_predictions_give(tmp_path: Path, glue_dir: Path) -> None:
    record = Path(shutil.copytree(RECORDS / "rte", tmp_path / "rte"))
    for name in ("confirm.json", "table.md", "table.csv"):
        (record / name).unlink()
    assert main([str(record), "spaces/glue_minilm.yaml", f"--set=data.dir={glue_dir}"]) == 0
    for name in ("confirm.json", "table.md", "table.csv"):
        made, kept = ((folder / name).read_text() for folder in (record, RECORDS / "rte"))
        # Processors add up in another order, so that last digits differ.
        assert NUMBER.split(made) == NUMBER.split(kept), name
        numbers = [[float(text) for text in NUMBER.findall(one)] for one in (made, kept)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-9), name
    run = record / "confirm/00003-seed1.json"
    run.write_text(run.read_text().replace('"score": 0.5018', '"score": 0.6018'))
    with pytest.raises(SystemExit, match=r"00003-seed1.json: scores 0.5018.* 0.6018.* recorded"):
        main([str(record), "spaces/glue_minilm.yaml", f"--set=data.dir={glue_dir}"])
