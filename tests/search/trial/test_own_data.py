"""Data of the user's own: files of every kind, and every way they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from search.spec import SpecError, load_space
from search.spec.schema import Space
from search.trial.backbone import load_classifier
from search.trial.data import DataError, prepare, task_of
from search.trial.places import NotFound
from tests.conftest import MINILM

QUESTIONS = [f"what is number {n}?" for n in range(24)]
ANSWERS = [f'"{n}", said she, and left\u2028so' for n in range(24)]
LABELS = ["yes", "no", "may be"] * 8


def space(folder: Path, data: dict[str, Any], **change: Any) -> Space:
    content = {
        "name": "mine",
        "model": MINILM,
        "data": {"text": ["question", "answer"], "label": "relevant", **data},
        "train": {"steps": 2, "max_length": 32},
        "selection": {"holdout": 0.25},
        "search": {"method": "head", "head_learning_rate": 1e-3},
        **change,
    }
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_space(path).space


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    path = folder / name
    columns = list(rows[0])
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith(".parquet"):
        pq.write_table(pa.table({c: [row[c] for row in rows] for c in columns}), path)
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",")
            writer.writerow(columns)
            writer.writerows([row[c] for c in columns] for row in rows)
    return str(path)


def rows(**change: Any) -> list[dict[str, Any]]:
    columns = {"question": QUESTIONS, "answer": ANSWERS, "relevant": LABELS, **change}
    kept = {name: values for name, values in columns.items() if values is not None}
    return [dict(zip(kept, values, strict=True)) for values in zip(*kept.values(), strict=True)]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_file_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    files = {split: write(tmp_path, f"{split}.{kind}", rows()) for split in ("train", "validation")}
    given = space(tmp_path, {"files": files})
    task = task_of(given)
    assert (task.name, task.labels, task.metrics) == ("mine", 3, ("accuracy", "f1_macro"))
    assert task.classes == ("may be", "no", "yes")
    data = prepare(given, task)
    assert (len(data.train), len(data.selection)) == (18, 6)
    assert len(data.tests["validation"]) == 24
    assert np.bincount(data.selection.labels).tolist() == [2, 2, 2]
    # One fingerprint, however the rows were kept.
    other = write(tmp_path, "again.jsonl", rows())
    again = space(tmp_path, {"files": {"train": other, "validation": other}})
    assert prepare(again, task_of(again)).fingerprint == data.fingerprint


def test_the_model_knows_the_classes_by_name(tmp_path: Path) -> None:
    task = task_of(space(tmp_path, {"files": {"train": write(tmp_path, "a.csv", rows())}}))
    config: Any = load_classifier(MINILM, task, 0).config
    assert config.id2label == {0: "may be", 1: "no", 2: "yes"}
    assert config.label2id["no"] == 1


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 2] * 8, ("2", "9", "10")),
        (["10", "9", "2"] * 8, ("2", "9", "10")),
        ([True, False, True] * 8, ("False", "True")),
        ([1.0, 0.0, 1.0] * 8, ("0", "1")),
        (["1.0", "0.0", "1."] * 8, ("0", "1")),
        (["1.0", "0", "1"] * 8, ("0", "1")),
        (["0.5", "1.0", "1.5"] * 8, ("0.5", "1.0", "1.5")),
        (["250.0", "250.1", "none"] * 8, ("250.0", "250.1", "none")),
    ],
)
def test_classes_keep_their_names_and_order(
    labels: list[Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    file = write(tmp_path, "a.jsonl", rows(relevant=labels))
    given = space(tmp_path, {"files": {"train": file}})
    task = task_of(given)
    assert task.classes == classes
    assert task.metrics == (("accuracy", "f1") if len(classes) == 2 else ("accuracy", "f1_macro"))
    data = prepare(given, task)
    assert data.tests == {}
    assert set(data.train.labels.tolist()) == set(range(len(classes)))


def test_a_number_can_be_predicted(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", rows(relevant=[n / 10 for n in range(24)]))
    given = space(tmp_path, {"files": {"train": file}, "regression": True, "metric": "spearman"})
    task = task_of(given)
    assert (task.labels, task.metrics) == (1, ("spearman", "pearson"))
    data = prepare(given, task)
    everything = [*data.train.labels.tolist(), *data.selection.labels.tolist()]
    assert sorted(everything) == pytest.approx([n / 10 for n in range(24)])


def test_classes_that_a_data_set_declares_keep_their_order(glue_dir: Path) -> None:
    columns = {"text": ["sentence1", "sentence2"], "label": "label"}
    given = Space.model_validate(
        {
            "name": "mine",
            "model": MINILM,
            "tasks": ["rte"],
            "data": {"dir": str(glue_dir), **columns},
            "train": {"steps": 2},
            "search": {},
        }
    )
    task = task_of(given)
    assert task.classes == ("entailment", "not_entailment")
    assert len(prepare(given, task).tests["validation"]) == 277


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "question,answer\na,b\n", "has no column 'relevant'; its columns are question"),
        ("a.csv", "question,answer,answer,relevant\n", "column 'answer' stands twice"),
        ("a.csv", "question,answer,relevant\n", "has no rows"),
        ("a.csv", "question,answer,relevant\na,b,yes\na,b\n", "line 3: 2 fields, the header has 3"),
        ("a.csv", 'question,answer,relevant\n"a,b,yes\n', "line 2: unexpected end of data"),
        (
            "a.tsv",
            'question\tanswer\trelevant\n"a\tb\tyes\na\tb\tno\nb"\tb\tyes\n',
            "line 4: a field in quotes goes over a tab",
        ),
        (
            "a.tsv",
            "question\tanswer\trelevant\na\t \tyes\na\tb\tno\n" + "a\tb\tno\na\tb\tyes\n" * 4,
            "row 1 of .*answer is empty",
        ),
        ("a.csv", "question,answer,relevant\na,b,yes\na,b,\n", "row 2 of .*relevant is missing"),
        ("a.csv", "question,answer,relevant\na,b,yes\na,b,yes\n", "only the class 'yes'"),
        ("a.csv", "question,answer,relevant\na,b,yes\na,b,no\na,b,no\n", "the class 'yes' of"),
        ("a.jsonl", '{"question": "a"}\n{oops\n', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", r"line 1: must be an object, got '\[1\]'"),
        ("a.jsonl", '{"question": 1, "question": 2}\n', "line 1: column 'question' stands twice"),
        ("a.jsonl", b"\n\xe9\n", r"line 2 is not UTF-8 \(byte 0xe9\)"),
        ("a.parquet", "nonsense", "is no parquet file"),
        ("a.xlsx", "x", r"must end in .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_row(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    given = space(tmp_path, {"files": {"train": str(path)}})
    with pytest.raises(DataError, match=message):
        prepare(given, task_of(given))


@pytest.mark.parametrize(
    ("change", "data", "message"),
    [
        ({"question": [3, *QUESTIONS[1:]]}, {}, "row 1 of .*question must be text, got 3"),
        (
            {"relevant": [0.5, 1.0] * 12},
            {},
            "relevant is 0.5, which is no class; .*regression: true",
        ),
        ({"relevant": [None, "a"] * 12}, {}, "row 1 of .*relevant is missing"),
        ({"relevant": ["a\ud83d", "b"] * 12}, {}, "row 1 of .*relevant is .* half a character"),
        (
            {"question": [*QUESTIONS[:-1], "cut \ud83d"]},
            {},
            r"row 24 of .*question holds half a character: 'cut \?'",
        ),
        ({"relevant": [2.5] * 24}, {"regression": True}, "relevant is 2.5 in all 18 rows of train"),
        ({}, {"metric": "f1"}, "f1 is of two classes, .* has 3; take f1_macro"),
        ({}, {"regression": True}, "row 1 of .*relevant must be a number, got 'yes'"),
        (
            {"relevant": [float("nan")] * 24},
            {"regression": True},
            "row 1 of .*relevant must be a number, got nan",
        ),
    ],
)
def test_values_that_do_not_fit_are_named(
    change: dict[str, Any], data: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = write(tmp_path, "a.jsonl", rows(**change))
    given = space(tmp_path, {"files": {"train": file}, **data})
    with pytest.raises(DataError, match=message):
        prepare(given, task_of(given))


def test_what_stays_the_same_in_a_split_cannot_be_predicted_there(tmp_path: Path) -> None:
    values = [n / 10 for n in range(24)]
    files = {
        "train": write(tmp_path, "a.jsonl", rows(relevant=values)),
        "validation": write(tmp_path, "b.jsonl", rows(relevant=[1.5] * 24)),
    }
    given = space(tmp_path, {"files": files, "regression": True})
    with pytest.raises(DataError, match=r"relevant is 1.5 in all 24 rows of validation"):
        prepare(given, task_of(given))
    chosen_on = space(tmp_path, {"files": files, "regression": True}, selection="validation")
    with pytest.raises(DataError, match="in all 24 rows of the selection split"):
        prepare(chosen_on, task_of(chosen_on))
    few = space(
        tmp_path,
        {"files": {"train": files["train"]}, "regression": True},
        selection={"holdout": 0.05},
    )
    with pytest.raises(DataError, match=r"leaves 1 of 24 .* at least 2 are needed"):
        prepare(few, task_of(few))


def test_nearly_all_rows_can_be_taken(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", rows())
    given = space(tmp_path, {"files": {"train": file}, "train_rows": 22})
    data = prepare(given, task_of(given))
    assert len(data.train) + len(data.selection) == 22
    assert set(data.selection.labels.tolist()) == {0, 1, 2}


def declared(folder: Path, name: str, labels: list[int]) -> str:
    table = pa.table({"question": QUESTIONS, "answer": ANSWERS, "relevant": labels})
    features = {
        "question": {"dtype": "string", "_type": "Value"},
        "answer": {"dtype": "string", "_type": "Value"},
        "relevant": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    }
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(about), folder / name)
    return str(folder / name)


def test_a_class_that_is_declared_and_never_occurs_does_not_count(tmp_path: Path) -> None:
    both = declared(tmp_path, "both.parquet", [0, 1] * 12)
    assert task_of(space(tmp_path, {"files": {"train": both}})).classes == ("neg", "pos")
    one = declared(tmp_path, "one.parquet", [1] * 24)
    with pytest.raises(DataError, match="relevant holds only the class 'pos'"):
        task_of(space(tmp_path, {"files": {"train": one}}))


def test_a_path_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "data [v2]"
    folder.mkdir()
    declared(folder, "fold1.parquet", [1] * 24)
    file = declared(folder, "fold[1].parquet", [0, 1] * 12)
    data = space(tmp_path, {"files": {"train": file}})
    assert len(prepare(data, task_of(data)).train) == 18


def test_a_column_of_a_kind_that_is_not_known_is_told(tmp_path: Path) -> None:
    counts = pa.array([[("a", 1)]] * 24, pa.map_(pa.string(), pa.int64()))
    columns = {"question": QUESTIONS, "answer": ANSWERS, "relevant": LABELS, "counts": counts}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    given = space(tmp_path, {"files": {"train": str(tmp_path / "a.parquet")}})
    with pytest.raises(DataError, match=r"a.parquet cannot be read: .*map"):
        task_of(given)


@pytest.mark.parametrize("kind", ["dir", "path"])
def test_selecting_on_a_split_that_is_not_there_says_which_are(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        write(folder, f"{split}.parquet", rows())
    place = {"dir": str(folder.parent)} if kind == "dir" else {"path": str(folder)}
    given = space(tmp_path, place, selection="validation", tasks=["mine"])
    with pytest.raises(DataError, match=r"needs a split of this name; there are .*test") as told:
        task_of(given)
    assert ("data.splits" in str(told.value)) == (kind == "path")


def test_a_data_set_that_is_several_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("plain", "hard"):
        (folder / name).mkdir(parents=True)
        write(folder / name, "train.parquet", rows())
    parts = "".join(f"- config_name: {n}\n  data_dir: {n}\n" for n in ("plain", "hard"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{parts}---\n")
    with pytest.raises(NotFound, match=r"is several: plain, hard; name one with data.config"):
        task_of(space(tmp_path, {"path": str(folder)}))
    one = space(tmp_path, {"path": str(folder), "config": "hard"})
    assert task_of(one).classes == ("may be", "no", "yes")


def test_a_data_set_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train-1.csv").write_text("question,answer,relevant\na,b,yes\n")
    (folder / "train-2.csv").write_text("question,other\na,b\n")
    with pytest.raises(DataError, match=r"split train of .* cannot be read: "):
        task_of(space(tmp_path, {"path": str(folder)}))


def test_a_data_set_that_is_made_by_a_script_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "data.py").write_text("# makes a data set\n")
    with pytest.raises(NotFound, match=r"data set .*scripts are no longer supported"):
        task_of(space(tmp_path, {"path": str(folder)}))


def test_a_class_that_train_does_not_have_is_named(tmp_path: Path) -> None:
    files = {
        "train": write(tmp_path, "a.csv", rows()),
        "validation": write(tmp_path, "b.csv", rows(relevant=["yes"] * 23 + ["never"])),
    }
    given = space(tmp_path, {"files": files})
    with pytest.raises(DataError, match=r"row 24 of .*b.csv: relevant is 'never', a class that"):
        prepare(given, task_of(given))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone.csv does not exist"):
        task_of(space(tmp_path, {"files": {"train": str(tmp_path / "gone.csv")}}))


@pytest.mark.parametrize(
    ("data", "change", "message"),
    [
        ({"label": None}, {}, "label, the column to predict, is missing"),
        ({"text": None}, {}, "label is of data of one's own, which names its columns"),
        ({"text": ["a", "b", "c"]}, {}, "data.text"),
        ({"text": ["relevant"]}, {}, "text and label name the column 'relevant' twice"),
        ({"files": {"validation": "b.csv"}}, {}, "files must name train, got validation"),
        ({"files": {"train": "a.csv", "dev": "b.csv"}}, {}, "files: 'dev' is none of train"),
        ({"metric": "pearson"}, {}, "metric pearson is of numbers, regression is false"),
        ({"config": "en"}, {}, "config and splits are of a hub data set"),
        ({}, {"selection": "validation"}, "selection: validation needs data.files.validation"),
        ({}, {"tasks": ["a", "b"]}, "data of your own is one task, got a, b"),
    ],
)
def test_a_space_that_is_wrong_says_how(
    data: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        space(tmp_path, {"files": {"train": "a.csv"}, **data}, **change)
    assert message in str(caught.value)
