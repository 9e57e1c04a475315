"""A space with some of its methods, and as many trials for each."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from search.spec import SpecError, load_space
from search.spec.nodes import methods_of
from tests.search.spec.spaces import changed, search_of, write

METHODS = {"choice": {"aflora": {}, "lora": {"rank": 2}, "head": {}}}


def test_methods_can_be_left_out_with_what_is_enqueued_of_them(tmp_path: Path) -> None:
    queue = [
        {"method": {"lora": {"rank": 2}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3},
        {"method": {"aflora": {}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3},
    ]
    path = changed(tmp_path, **search_of(METHODS), enqueue=queue)
    loaded = load_space(path, ["methods=[lora, head]"])
    assert set(methods_of(loaded.tree).options) == {"lora", "head"}
    assert [list(entry.settings["method"]) for entry in loaded.enqueued] == [["lora"]]
    assert load_space(path).resolved() != loaded.resolved()
    again = write(tmp_path, yaml.safe_dump(loaded.resolved()))
    assert load_space(again).resolved() == loaded.resolved()


def test_more_may_not_be_enqueued_of_a_method_than_it_has_trials(tmp_path: Path) -> None:
    entry = {"method": {"lora": {"rank": 2}}, "learning_rate": 1e-3, "head_learning_rate": 1e-3}
    path = changed(
        tmp_path, **search_of(METHODS), enqueue=[entry, entry], budget={"trials_per_method": 1}
    )
    with pytest.raises(SpecError, match=r"is 1, but 2 of lora are enqueued"):
        load_space(path)
    with pytest.raises(SpecError, match="exclude one another"):
        load_space(changed(tmp_path, budget={"trials": 3, "trials_per_method": 1}))
    alone = load_space(changed(tmp_path, budget={"trials_per_method": 4})).resolved()
    assert alone["budget"] == {"trials_per_method": 4}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("[lorra]", "methods (--set): 'lorra' is no method of this space; did you mean 'lora'?"),
        ("[]", "takes a list of methods"),
        ("lora", "takes a list of methods"),
    ],
)
def test_methods_that_are_not_there_are_named(tmp_path: Path, methods: str, message: str) -> None:
    path = changed(tmp_path, **search_of(METHODS))
    with pytest.raises(SpecError) as caught:
        load_space(path, [f"methods={methods}"])
    assert message in str(caught.value)
