"""What a space of several tasks changes for single ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.spec import SpecError, load_space
from tests.search.spec.spaces import changed, mistakes

FIRST = {"method": {"lora": {"rank": 2}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3}
OTHER = {"method": {"lora": {"rank": 8}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3}


def two(folder: Path, **change: Any) -> Path:
    return changed(folder, tasks=["rte", "cola"], **change)


def test_keys_of_a_section_are_replaced_for_one_task_alone(tmp_path: Path) -> None:
    path = two(
        tmp_path,
        train={"epochs": 20, "batch_size": 16},
        per_task={"cola": {"train": {"steps": 30}, "search": {"learning_rate": {"log": [1, 2]}}}},
    )
    loaded = load_space(path)
    rte, cola = loaded.for_task("rte"), loaded.for_task("cola")
    assert (rte.space.train.epochs, rte.space.train.steps) == (20, None)
    assert (cola.space.train.epochs, cola.space.train.steps) == (None, 30)
    assert cola.space.train.batch_size == 16
    assert cola.space.tasks == ["cola"]
    # A distribution is replaced whole, and the methods stay.
    assert cola.space.search["learning_rate"] == {"log": [1, 2]}
    assert cola.space.search["method"] == rte.space.search["method"]
    assert "per_task" not in cola.resolved()


def test_a_resolved_space_keeps_what_differs(tmp_path: Path) -> None:
    loaded = load_space(two(tmp_path, per_task={"cola": {"train": {"epochs": 3}}}))
    again = load_space(changed(tmp_path, **loaded.resolved()))
    assert again.for_task("cola").resolved() == loaded.for_task("cola").resolved()
    assert again.resolved() == loaded.resolved()


def test_what_a_task_enqueues_comes_first(tmp_path: Path) -> None:
    path = two(tmp_path, enqueue=[OTHER], per_task={"cola": {"enqueue": [FIRST]}})
    loaded = load_space(path)

    def ranks(task: str) -> list[int]:
        queue = loaded.for_task(task).enqueued
        return [entry.settings["method"]["lora"]["rank"] for entry in queue]

    assert ranks("cola") == [2, 8]
    assert ranks("rte") == [8]


def test_the_command_line_wins_over_it(tmp_path: Path) -> None:
    path = two(tmp_path, per_task={"cola": {"train": {"epochs": 3}, "enqueue": [FIRST]}})
    loaded = load_space(path, ["train.epochs=1", "methods=[aflora]"])
    cola = loaded.for_task("cola")
    assert cola.space.train.epochs == 1
    assert cola.enqueued == ()
    assert (
        load_space(path, ["per_task.cola.train.epochs=5"]).for_task("cola").space.train.epochs == 5
    )


def test_a_task_left_out_on_the_command_line_leaves_its_changes_unused(tmp_path: Path) -> None:
    path = two(tmp_path, per_task={"cola": {"train": {"epochs": 3}}})
    assert load_space(path, ["tasks=[rte]"]).for_task("rte").space.train.epochs == 2
    # Of one task that is changed it is what the file says of it.
    assert load_space(path, ["tasks=[cola]"]).for_task("cola").space.train.epochs == 3


@pytest.mark.parametrize(
    ("per_task", "message"),
    [
        ([], "per_task (line"),
        ({"cola": 3}, "per_task.cola (line"),
        ({"cloa": {"train": {"epochs": 3}}}, "per_task.cloa (line"),
        ({"cola": {"objectives": {"score": "max"}}}, "per_task.cola.objectives (line"),
        ({"cola": {"trian": {}}}, "did you mean 'train'?"),
        ({"cola": {"train": {"epochs": -1}}}, "per_task.cola.train.epochs (line"),
        ({"cola": {"enqueue": [{"method": {"lora": {"rank": 99}}}]}}, "per_task.cola.enqueue.0"),
    ],
)
def test_mistakes_are_named_with_the_task(tmp_path: Path, per_task: Any, message: str) -> None:
    assert message in mistakes(two(tmp_path, per_task=per_task))


def test_what_is_wrong_for_all_tasks_is_told_once(tmp_path: Path) -> None:
    path = two(tmp_path, seed=-1, per_task={"cola": {"train": {"epochs": 3}}})
    with pytest.raises(SpecError) as caught:
        load_space(path)
    assert len(caught.value.mistakes) == 1
