"""What a space of several tasks changes for single ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.spec import Mistake, SpecError, load_space
from search.spec.nodes import methods_of
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


@pytest.mark.parametrize(
    ("overrides", "epochs", "steps"),
    [
        (["train.steps=20", "per_task.cola.train.epochs=5"], 5, None),
        (["train.epochs=2", "per_task.cola.train={epochs: 5}"], 5, None),
        (["train.steps=20", "per_task.cola.train.steps=50"], None, 50),
        (["per_task.cola.train.steps=50"], None, 50),
    ],
)
def test_what_is_set_for_one_task_wins_over_what_is_set_for_all(
    tmp_path: Path, overrides: list[str], epochs: float | None, steps: int | None
) -> None:
    path = two(tmp_path, per_task={"cola": {"train": {"epochs": 3}}})
    for given in (overrides, overrides[::-1]):
        train = load_space(path, given).for_task("cola").space.train
        assert (train.epochs, train.steps) == (epochs, steps)


@pytest.mark.parametrize(
    ("override", "section", "value"),
    [
        ("selection=validation", "selection", "validation"),
        ("limits={}", "limits", {}),
        ("enqueue=[]", "enqueue", []),
        ("train={steps: 2}", "train", {"steps": 2}),
        (
            "search.learning_rate.log=[1e-4, 1e-1]",
            "search",
            {"learning_rate": {"log": [1e-4, 1e-1]}},
        ),
    ],
)
def test_whole_sections_and_deeper_keys_of_the_command_line_win_too(
    tmp_path: Path, override: str, section: str, value: Any
) -> None:
    change = {
        "selection": {"holdout": 0.3},
        "limits": {"score": ">= 0.5"},
        "enqueue": [FIRST],
        "train": {"epochs": 3},
        "search": {"learning_rate": {"log": [1e-3, 1e-2]}},
    }
    loaded = load_space(two(tmp_path, per_task={"cola": change}), [override])
    found = loaded.for_task("cola").resolved()[section]
    if isinstance(value, dict):
        assert {key: found[key] for key in value} == value
        assert found.get("epochs") is None
    else:
        assert found == value
    # What is written down for all tasks reads back as the same searches.
    again = load_space(changed(tmp_path, **loaded.resolved()))
    assert again.for_task("cola").resolved() == loaded.for_task("cola").resolved()


def test_methods_left_out_are_left_out_of_a_task_s_own_search(tmp_path: Path) -> None:
    own = {"method": {"choice": {"lora": {"rank": 2}, "head": {}}}, "learning_rate": 1e-3}
    path = two(tmp_path, per_task={"cola": {"search": own}})
    cola = load_space(path, ["methods=[lora]"]).for_task("cola")
    assert list(cola.space.search["method"]["choice"]) == ["lora"]
    told = mistakes(path, "methods=[aflora]")
    assert "per_task.cola.methods" in told
    assert "'aflora' is no method of this space" in told


def test_a_task_can_have_fewer_methods_than_the_others(tmp_path: Path) -> None:
    aflora = {"rank": 4, "modules": ["query"], "freeze": {"start": 0.1, "end": 0.5}}
    queue = [OTHER, {**FIRST, "method": {"aflora": aflora}}]
    path = two(tmp_path, enqueue=queue, per_task={"cola": {"methods": ["lora"]}})
    for loaded in (
        load_space(path),
        load_space(changed(tmp_path, **load_space(path).resolved())),
        load_space(path, ["tasks=[cola]"]),
    ):
        cola = loaded.for_task("cola")
        assert list(methods_of(cola.tree).options) == ["lora"]
        assert [entry.settings["method"] for entry in cola.enqueued] == [OTHER["method"]]
    rte = load_space(path).for_task("rte")
    assert list(methods_of(rte.tree).options) == ["aflora", "lora"]
    assert len(rte.enqueued) == 2
    # Both may be said at once.
    both = load_space(path, ["methods=[aflora]", "per_task.cola.methods=[lora]"])
    assert list(methods_of(both.for_task("cola").tree).options) == ["lora"]
    assert list(methods_of(both.for_task("rte").tree).options) == ["aflora"]
    # The command line wins, for all tasks and for one.
    for override in ("methods=[aflora]", "per_task.cola.methods=[aflora]"):
        cola = load_space(path, [override]).for_task("cola")
        assert list(methods_of(cola.tree).options) == ["aflora"]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["lorra"], "'lorra' is no method of this space"),
        ([], "takes a list of methods"),
        ("lora", "takes a list of methods"),
    ],
)
def test_methods_of_a_task_that_are_not_there_are_named(
    tmp_path: Path, methods: Any, message: str
) -> None:
    told = mistakes(two(tmp_path, per_task={"cola": {"methods": methods}}))
    assert "per_task.cola.methods" in told
    assert message in told


def test_changes_for_tasks_that_are_not_searched_are_not_looked_at(tmp_path: Path) -> None:
    path = two(tmp_path, per_task={"cola": {"train": {"epochs": -1}}})
    assert load_space(path, ["tasks=[rte]"]).space.tasks == ["rte"]


def test_what_turns_out_to_be_wrong_later_is_placed_in_the_task_s_changes(tmp_path: Path) -> None:
    path = two(tmp_path, per_task={"cola": {"sampler": {"name": "tpe", "bogus": 1}}})
    cola = load_space(path).for_task("cola")
    (mistake,) = cola.error(Mistake("sampler", "has no argument 'bogus'")).mistakes
    assert mistake.where == "per_task.cola.sampler"
    assert path.read_text().splitlines()[(mistake.line or 0) - 1].strip() == "sampler:"
    (other,) = cola.error(Mistake("pruner", "x")).mistakes
    assert (other.where, other.what) == ("pruner", "x (for cola)")


def test_keys_that_exclude_one_another_in_one_change_are_a_mistake(tmp_path: Path) -> None:
    path = two(tmp_path, per_task={"cola": {"train": {"epochs": 3, "steps": 10}}})
    assert "one of epochs and steps is needed, got both" in mistakes(path)


def test_what_is_enqueued_for_all_is_named_by_its_own_place(tmp_path: Path) -> None:
    own = {"method": {"choice": {"aflora": {}}}, "learning_rate": 1e-3}
    path = two(tmp_path, enqueue=[OTHER], per_task={"cola": {"search": own}})
    told = mistakes(path)
    assert "per_task.cola.enqueue" not in told
    assert "enqueue.0" in told
    assert "(for cola)" in told


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
        ({"cola": {"budget": {"hours": 1}}}, "per_task.cola.budget.hours (line"),
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


def test_data_of_one_s_own_has_no_other_task(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        tasks=["mine"],
        data={"files": {"train": "a.csv"}, "text": "question", "label": "yes"},
        per_task={"mrpc": {"train": {"epochs": 3}}},
    )
    assert "per_task.mrpc (line" in mistakes(path)
    assert "accepted: mine" in mistakes(path)
