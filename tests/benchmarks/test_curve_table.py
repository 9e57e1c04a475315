"""Recorded curves: read, drawn in one sequence, and given away by distance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.curve_table import CurveTable
from benchmarks.record_curves import drawn, row
from search.engine.simulate import simulate
from search.spec import load_space
from search.spec.distributions import Branch, Choice, Float, Group
from search.spec.schema import Pruner
from tests.search.engine.curves import TREE, curve, engine_on, new_study

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    "curves_sst2": ROOT / "benchmarks" / "data" / "curves_sst2.jsonl",
    "curves_stsb": ROOT / "benchmarks" / "data" / "curves_stsb.jsonl",
}


def made_table(folder: Path, trials: int, **change: Any) -> Path:
    """A table as the recorder writes it, of made-up curves."""
    engine = engine_on(new_study(folder), trials, Pruner(name="none", rungs=4), **change)
    simulate(engine, curve, 1)
    lines = [{"task": "made up"}, *(row(t, t.number) for t in engine.record().trials)]
    path = folder / "table.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


@pytest.mark.parametrize("name", TABLES)
def test_the_recorded_tables_hold_whole_curves_of_their_spaces(name: str) -> None:
    loaded = load_space(ROOT / "benchmarks" / f"{name}.yaml")
    rows = CurveTable.read(TABLES[name], loaded.tree)
    assert rows
    for found in rows:
        assert [rung.index for rung in found.rungs] == list(range(1, 11))
        assert found.rungs[-1].fraction == 1.0
        assert {"score", "trainable_params", "train_seconds", "train_flops"} <= set(found.measures)
        # A curve is told with its own clock, which only ever goes on.
        seconds = [rung.measures["total_seconds"] for rung in found.rungs]
        assert seconds == sorted(set(seconds))
    assert len({json.dumps(found.settings) for found in rows}) == len(rows)


def test_the_tables_are_the_beginning_of_the_space_s_random_sequence() -> None:
    loaded = load_space(ROOT / "benchmarks" / "curves_sst2.yaml")
    rows = CurveTable.read(TABLES["curves_sst2"], loaded.tree)
    assert [found.settings for found in rows] == drawn(loaded, [], len(rows))


def test_drawing_in_chunks_is_drawing_at_once() -> None:
    loaded = load_space(ROOT / "benchmarks" / "curves_stsb.yaml")
    five = drawn(loaded, [], 5)
    assert drawn(loaded, five[:2], 3) == five[2:]
    # One that failed is not in the table, and comes again.
    assert drawn(loaded, [*five[:1], *five[2:4]], 2) == [five[1], five[4]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "JSONDecodeError"),
        ('{"settings": {}}', "settings.method"),
        ('{"settings": {"method": "none"}, "rungs": []}', "settings.method"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = made_table(tmp_path, 2)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"table\.jsonl, line 4") as caught:
        CurveTable.read(path, TREE)
    assert message in str(caught.value)


LINE = Group(
    {
        "method": Branch({"lora": Group({"rank": Choice((4, 8, 16))})}, nested=True),
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "head_learning_rate": Float(0.1, 1.1),
    }
)


def point(rank: int, rate: float, head: float) -> dict[str, Any]:
    method = {"lora": {"rank": rank}}
    return {"method": method, "learning_rate": rate, "head_learning_rate": head}


def line_table(folder: Path, *settings: dict[str, Any]) -> CurveTable:
    rung = {"index": 1, "step": 1, "fraction": 1.0, "projected": {}}
    rung["measures"] = {"total_seconds": 5.0}
    lines = [json.dumps({"task": "x"})]
    lines += [json.dumps({"settings": each, "rungs": [rung]}) for each in settings]
    path = folder / "table.jsonl"
    path.write_text("\n".join(lines))
    return CurveTable(CurveTable.read(path, LINE), LINE)


def test_a_proposal_gets_the_nearest_row_that_is_left(tmp_path: Path) -> None:
    near, far = point(4, 1e-3, 0.5), point(8, 1e-2, 0.5)
    table = line_table(tmp_path, far, near)
    asked = point(4, 1e-3, 0.9)
    assert table.row_for(asked, 7).settings == near
    # Of three parts: rank and one rate the same, and 0.4 of the other rate's range.
    assert table.distances == pytest.approx([0.4 / 3])
    # Asked again, as after a pause, it is the same row; another trial gets what is left.
    assert table.row_for(asked, 7).settings == near
    assert table.left == 1
    assert table.row_for(asked, 8).settings == far
    # The rank differs, one rate lies half its logarithmic range away.
    assert table.distances[1] == pytest.approx((1 + 0.5 + 0.4) / 3)
    assert table.left == 0


def test_a_parameter_that_one_of_the_two_lacks_counts_in_full(tmp_path: Path) -> None:
    path = made_table(tmp_path, 12, seed=3)
    rows = CurveTable.read(path, TREE)
    kinds = {next(iter(found.settings["method"])) for found in rows}
    assert kinds == {"aflora", "lora"}
    one = next(found for found in rows if "lora" in found.settings["method"])
    table = CurveTable([found for found in rows if "aflora" in found.settings["method"]], TREE)
    table.row_for(one.settings, 0)
    # Rank and modules of both methods and the method itself, of seven parts; two rates are shared.
    assert table.distances[0] >= 5 / 7
