"""front.json and trials.csv hold what a program needs, exactly and always readable."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.pareto.front import front, front_hypervolume
from search.record import ConstantAnswer, StudyRecord, TrialRecord
from search.results.files import write_front, write_trials
from search.writing import write_atomically

Maker = Callable[..., Any]


def read_front(study: StudyRecord, folder: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = write_front(study, folder).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return content


def read_trials(study: StudyRecord, folder: Path) -> list[dict[str, str]]:
    with write_trials(study, folder).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_front_has_the_documented_shape(whole_search: StudyRecord, tmp_path: Path) -> None:
    content = read_front(whole_search, tmp_path)
    assert content["schema"] == 1
    assert (content["study"], content["task"]) == ("glue", "rte")
    assert content["provenance"]["versions"]["torch"] == "2.8.0"
    assert content["objectives"] == whole_search.objectives
    counts = {state: len(whole_search.in_state(state)) for state in content["trials"]}
    assert content["trials"] == counts
    assert set(counts) == {"complete", "pruned", "failed"}
    members = front(whole_search.trials, list(whole_search.objectives))
    assert [member["trial"] for member in content["front"]] == [t.number for t in members]
    first = content["front"][0]
    assert first == {
        "trial": members[0].number,
        "label": members[0].label,
        "mark": None,
        "params": members[0].settings,
        "values": members[0].values,
        "adapter": f"adapters/{members[0].number}",
    }


def test_the_score_of_a_constant_answer_stands_beside_the_classes(
    trial: Maker, study: Maker, tmp_path: Path
) -> None:
    record = study(trial(0), constant=ConstantAnswer("yes", 0.75))
    assert read_front(record, tmp_path)["constant_answer"] == {"answer": "yes", "score": 0.75}
    assert read_front(study(trial(0)), tmp_path)["constant_answer"] is None


def test_a_stored_reference_point_is_used_and_called_fixed(
    trial: Maker, study: Maker, tmp_path: Path
) -> None:
    point = {"score": 0.5, "trainable_params": 1e6, "train_seconds": 100.0}
    record = study(trial(0), trial(1, score=0.95, params=50_000), reference=point)
    content = read_front(record, tmp_path)
    assert content["reference_fixed"] is True
    assert content["reference_point"] == point
    expected = front_hypervolume(record.trials, list(record.objectives), point)
    assert content["hypervolume"] == pytest.approx(expected)


def test_without_a_reference_point_the_worst_complete_trial_stands_in(
    trial: Maker, study: Maker, tmp_path: Path
) -> None:
    record = study(trial(0, score=0.8), trial(1, score=0.9), trial(2, "pruned", score=0.1))
    content = read_front(record, tmp_path)
    assert content["reference_fixed"] is False
    assert content["reference_point"]["score"] == pytest.approx(0.79)
    assert content["hypervolume"] > 0


def test_no_complete_trial_gives_an_empty_front(trial: Maker, study: Maker, tmp_path: Path) -> None:
    content = read_front(study(trial(0, "pruned"), trial(1, "failed")), tmp_path)
    assert content["front"] == []
    assert content["hypervolume"] == 0.0
    assert content["reference_point"] is None


def test_nan_and_infinity_become_null(trial: Maker, study: Maker, tmp_path: Path) -> None:
    odd = {"rate": math.nan, "nested": [math.inf, {"low": -math.inf}], "path": Path("a")}
    member = read_front(study(trial(0, settings=odd)), tmp_path)["front"][0]
    assert member["params"] == {"rate": None, "nested": [None, {"low": None}], "path": "a"}


def test_trials_has_a_row_for_every_trial(whole_search: StudyRecord, tmp_path: Path) -> None:
    rows = read_trials(whole_search, tmp_path)
    assert [int(row["number"]) for row in rows] == list(range(48))
    members = {t.number for t in front(whole_search.trials, list(whole_search.objectives))}
    assert {int(row["number"]) for row in rows if row["front"] == "true"} == members
    assert {row["front"] for row in rows} == {"true", "false"}


def test_a_row_says_all_of_a_complete_trial(trial: Maker, study: Maker, tmp_path: Path) -> None:
    record = study(trial(0, mark="AFLoRA, paper", started=0.0, finished=61.0))
    (row,) = read_trials(record, tmp_path)
    expected = {
        "state": "complete",
        "label": "aflora r4 ffn paper",
        "mark": "AFLoRA, paper",
        "score": "0.9",
        "head_params": "1538.0",
        "settings.method.aflora.rank": "4",
        "settings.method.aflora.modules": '["ffn_in", "ffn_out"]',
        "settings.method.aflora.freeze.beta1": "0.85",
        "rungs": "5",
        "step": "400",
        "total_steps": "400",
        "started": "1970-01-01T00:00:00+00:00",
        "finished": "1970-01-01T00:01:01+00:00",
        "reason": "",
    }
    assert {key: row[key] for key in expected} == expected


def test_columns_are_the_union_and_what_is_unknown_is_empty(
    trial: Maker, study: Maker, tmp_path: Path
) -> None:
    record = study(
        trial(0, settings={"method": "lora", "alpha": 16}),
        trial(1, "pruned", measures={"score": 0.5, "loss": 1.25}),
        trial(2, "waiting"),
    )
    complete, pruned, waiting = read_trials(record, tmp_path)
    assert (complete["settings.alpha"], pruned["settings.alpha"]) == ("16", "")
    assert (complete["loss"], pruned["loss"], waiting["loss"]) == ("", "1.25", "")
    assert (complete["score"], pruned["score"], waiting["score"]) == ("0.9", "0.5", "")
    assert (pruned["rungs"], pruned["step"]) == ("3", "240")
    assert pruned["reason"] == "rung 3: dominated by 4 trials"
    assert (waiting["step"], waiting["started"], waiting["finished"]) == ("", "", "")


def test_text_survives_a_round_trip(trial: Maker, study: Maker, tmp_path: Path) -> None:
    text = 'a "quoted", ünïcode\nreason'
    (row,) = read_trials(study(trial(0, "failed", reason=text)), tmp_path)
    assert row["reason"] == text


def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "front.json"
    write_atomically(path, "old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("search.writing.os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made(trial: Maker, study: Maker, tmp_path: Path) -> None:
    one: TrialRecord = trial(0)
    assert write_front(study(one), tmp_path / "a" / "b").is_file()


def test_half_a_character_costs_no_result(trial: Maker, study: Maker, tmp_path: Path) -> None:
    failed = trial(1, state="failed", reason="no /data/caf\udce9.csv")
    record = study(trial(0, mark="\ud800x"), failed, provenance={"command": "--out caf\udce9"})
    front = read_front(record, tmp_path)
    assert front["provenance"] == {"command": "--out caf?"}
    assert front["front"][0]["mark"] == "?x"
    assert [row["reason"] for row in read_trials(record, tmp_path)] == ["", "no /data/caf?.csv"]
