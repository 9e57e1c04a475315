"""A space file is read, or every mistake in it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from search.spec import SpecError, load_space
from search.spec.nodes import shapes_of
from search.spec.overrides import Loader
from search.spec.settings import AFLoRASettings, EpochsSettings, TrialSettings
from search.spec.tree import variants
from tests.search.spec.spaces import GOOD, QUICKSTART, changed, mistakes, search_of, write


def test_a_good_space_is_read_with_its_defaults(tmp_path: Path) -> None:
    loaded = load_space(write(tmp_path, GOOD))
    assert loaded.space.pruner.rungs == 5
    assert loaded.space.selection.holdout == 0.1  # type: ignore[union-attr]
    assert loaded.space.task_name == "rte"


def test_a_space_of_several_tasks_is_searched_for_each(tmp_path: Path) -> None:
    loaded = load_space(changed(tmp_path, tasks=["rte", "cola"]))
    assert loaded.space.task_names == ("rte", "cola")
    one = loaded.for_task("cola")
    assert one.resolved() == loaded.resolved() | {"tasks": ["cola"]}
    assert one.space.task_name == "cola"


def test_a_resolved_space_reads_back_as_itself(tmp_path: Path) -> None:
    loaded = load_space(write(tmp_path, GOOD))
    again = load_space(write(tmp_path, yaml.safe_dump(loaded.resolved())))
    assert again.resolved() == loaded.resolved()


@pytest.mark.parametrize("path", sorted(Path("spaces").glob("*.yaml")), ids=lambda p: p.name)
def test_the_spaces_of_the_project_are_good(path: Path) -> None:
    load_space(path)


def test_floats_are_written_as_people_write_them(tmp_path: Path) -> None:
    loaded = load_space(write(tmp_path, GOOD), ["search.head_learning_rate=3e-2"])
    assert loaded.space.search["head_learning_rate"] == 0.03
    assert loaded.space.search["learning_rate"]["log"] == [1e-4, 1e-2]


def test_set_wins_and_settles_what_excludes_one_another(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    loaded = load_space(path, ["data.path=nyu-mll/glue", "train.steps=7", "budget.trials=3"])
    assert (loaded.space.data.path, loaded.space.data.dir) == ("nyu-mll/glue", None)
    assert (loaded.space.train.steps, loaded.space.train.epochs) == (7, None)
    assert loaded.space.budget.trials == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, "nmae (line"),
        ({"nmae": 1}, "unknown key; did you mean 'name'?"),
        ({"name": "a/b"}, "name"),
        ({"name": ["x"]}, "name (line 4): should be a valid string, got ['x']"),
        ({"tasks": ["rtee"]}, "unknown task 'rtee'; did you mean 'rte'?"),
        ({"tasks": []}, "tasks"),
        ({"tasks": ["rte", "cola", "rte"]}, "names rte more than once"),
        ({"tasks": ["negation", "rte"], "data": {"generated": {}}}, "task rte is not made here"),
        ({"tasks": ["negation"]}, "data must be {generated: {}}"),
        ({"data": {"generated": {}}}, "task rte is not made here"),
        ({"data": {}}, "one of path, dir, files, generated is needed, got none"),
        ({"data": {"dir": "a", "path": "b"}}, "got path and dir"),
        ({"train": {"epochs": 2, "steps": 3}}, "one of epochs and steps is needed, got both"),
        ({"train": {}}, "one of epochs and steps is needed, got none"),
        ({"train": {"epochs": 2, "batch_size": "many"}}, "train.batch_size"),
        ({"train": {"epochs": 2, "batch_size": "many"}}, "got 'many'"),
        ({"train": {"epochs": -1}}, "train.epochs"),
        ({"selection": {"holdout": 1.5}}, "selection.holdout"),
        ({"selection": "test"}, "selection"),
        ({"objectives": ["score"]}, "an objective needs its direction"),
        ({"objectives": {"score": None}}, "the direction of score must be max, got None"),
        ({"objectives": {"score": "min"}}, "the direction of score must be max, got 'min'"),
        ({"objectives": {"scroe": "max"}}, "did you mean 'score'?"),
        ({"objectives": {}}, "at least one objective"),
        ({"reference": {"score": 0.1}}, "reference must name the objectives"),
        ({"sampler": {"startup": 0}}, "sampler.startup"),
        ({"pruner": {"rungs": 0}}, "pruner.rungs"),
        ({"budget": {"trials": 0}}, "budget.trials"),
        ({"resources": {"cpu": 0}}, "resources.cpu"),
        ({"seed": -1}, "seed"),
        ({"search": {}}, "search.method"),
        ({"search": 3}, "search"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_value(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert message in mistakes(changed(tmp_path, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (search_of("lorra"), "unknown method 'lorra'; did you mean 'lora'?"),
        (search_of({"lora": {"rnak": 3}}), "search.method.lora.rnak (line"),
        (search_of({"lora": {"rnak": 3}}), "did you mean 'rank'?"),
        (search_of({"lora": {"rank": 0}}), "search.method.lora.rank"),
        (search_of({"lora": {"rank": {"choice": [4, 0]}}}), "got 0"),
        (search_of({"lora": {"rank": {"choice": []}}}), "choice is empty"),
        (search_of({"lora": {"rank": {"choice": [1, 1]}}}), "lists an option twice"),
        (search_of({"lora": {"rank": {"int": [8, 1]}}}), "reversed: 8 is larger than 1"),
        (search_of({"lora": {"rank": {"int": [2, 2]}}}), "empty; write the constant 2"),
        (search_of({"lora": {"rank": {"int": [1, 2.5]}}}), "int takes whole numbers, got 2.5"),
        (search_of({"lora": {"rank": {"int": [1]}}}), "int takes [low, high], got [1]"),
        (search_of({"lora": {"rank": {"itn": [1, 2]}}}), "unknown distribution 'itn'"),
        (search_of({"lora": {"rank": {"int": [1, 2], "setp": 1}}}), "did you mean 'step'?"),
        (search_of({"lora": {"modules": {"subset": ["qery"], "min": 1}}}), "got 'qery'"),
        (search_of({"lora": {"modules": {"subset": ["query"], "min": 2}}}), "0 <= min <= max <= 1"),
        (search_of({"lora": {"modules": {"subset": ["query"], "min": 0}}}), "names no role"),
        (search_of("lora", learning_rate={"log": [0, 1]}), "log needs a range above 0, got 0"),
        (search_of("lora", learning_rate={"float": [0.1, "x"]}), "float takes numbers, got 'x'"),
        (search_of("lora", learning_rate=0), "search.learning_rate"),
        (search_of("lora", lerning_rate=1), "did you mean 'learning_rate'?"),
        (search_of("lora", learning_rate=None), "learning_rate (line"),
        (
            search_of({"lora": {"learning_rate": {"choice": [None, 1e-3]}}}, learning_rate=None),
            "is missing; give it here or as search.method.lora.learning_rate",
        ),
        ({"budget": {"hours": "1:30"}}, "budget.hours"),
        (search_of({"choice": {"lora": 3}}), "takes settings (key: value), got 3"),
        (
            search_of(
                {"aflora": {"freeze": {"start": {"float": [0.5, 1]}, "end": {"float": [0.1, 0.5]}}}}
            ),
            "start must stay below end",
        ),
        (
            search_of({"aflora": {"freeze": {"start": 0.3, "end": {"choice": [0.3, 0.2]}}}}),
            "start must stay below end",
        ),
        (search_of({"aflora": {"freeze": {"beta1": {"float": [0.5, 1.0]}}}}), "beta1"),
        (
            search_of(
                {
                    "aflora": {
                        "freeze": {"start": {"epochs": 3}, "end": {"epochs": {"float": [2, 3]}}}
                    }
                }
            ),
            "freeze.start",
        ),
        (
            search_of({"aflora": {"freeze": {"start": {"epochs": -1}}}}),
            "search.method.aflora.freeze.start.epochs (line",
        ),
        (search_of({"aflora": {"freeze": {"start": {"epoch": 1}}}}), "did you mean 'epochs'?"),
        (search_of({"aflora": {"freeze": {"end": "1"}}}), "freeze.end"),
        (search_of({"aflora": {"freeze": {"score": "gradent"}}}), "'gradient'"),
        (search_of({"aflora": {"ranks": {"qery": 1}}}), "qery"),
        (search_of({"aflora": {"layers": [-1]}}), "greater than or equal to 0, got -1"),
    ],
)
def test_a_mistake_in_the_search_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert message in mistakes(changed(tmp_path, **change))


def test_every_setting_of_the_method_can_be_searched(tmp_path: Path) -> None:
    freeze = {
        "rule": "official",
        "score": {"choice": ["gradient", "magnitude"]},
        "start": {"epochs": {"float": [0.0, 1.0]}},
        "end": {"epochs": 2},
        "window": {"int": [0, 5]},
        "exponent": {"float": [1.0, 3.0]},
        "exponent_of": {"choice": ["remaining", "frozen"]},
    }
    own = {
        "scale": 2.0,
        "ranks": {"query": {"choice": [1, 2]}},
        "layers": [0, 3],
        "patterns": {"query": "attn.q"},
        "head": ["out"],
        "freeze": freeze,
    }
    space = load_space(changed(tmp_path, **search_of({"aflora": own})))
    (shape,) = shapes_of(space.tree)
    names = {".".join(path) for path in shape}
    assert "method.aflora.freeze.start.epochs" in names
    assert "method.aflora.ranks.query" in names
    for settings in variants(space.tree, "aflora"):
        made = TrialSettings.model_validate(settings).method_settings
        assert isinstance(made, AFLoRASettings)
        assert made.layers == (0, 3)
        assert made.freeze.end == EpochsSettings(epochs=2)


def test_layers_can_be_chosen_by_number(tmp_path: Path) -> None:
    own = {"layers": {"subset": [0, 1, 2], "min": 2}}
    space = load_space(changed(tmp_path, **search_of({"aflora": own})))
    layers = [s["method"]["aflora"]["layers"] for s in variants(space.tree, "aflora")]
    assert [0, 1] in layers
    assert [0, 1, 2] in layers
    assert space.resolved()["search"]["method"] == {"aflora": own}


def test_numbers_are_yaml_1_2_s(tmp_path: Path) -> None:
    path = changed(tmp_path)
    for text, value in (
        ("1e-3", 1e-3),
        ("12", 12),
        ("1_000", 1000),
        ("-4", -4),
        ("1.", 1.0),
        ("010", 10),
    ):
        read = yaml.load(text, Loader=Loader)
        assert (read, type(read)) == (value, type(value))
    assert load_space(path, ["budget.hours=1.5"]).space.budget.hours == 1.5
    with pytest.raises(SpecError, match=r"budget.hours .*got '1:30'"):
        load_space(path, ["budget.hours=1:30"])


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = mistakes(
        write(
            tmp_path,
            """
            name: x
            model: m
            tasks: [rtee]
            data: {dir: d, dri: e}
            train: {epochs: 1, batchsize: 3}
            search: {method: lorra, learning_rate: 1, head_learning_rate: 1}
            budgte: {}
            """,
        )
    )
    assert text.splitlines()[0].endswith("space.yaml: 5 mistakes")
    places = ["tasks (line 4)", "data.dri (line 5)", "train.batchsize (line 6)", "search.method"]
    found = [text.index(place) for place in [*places, "budgte (line 8)"]]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "must hold keys and values, holds a list"),
        ("name: [a\nmodel: b\n", "(line 2): is not YAML"),
        ("name: !!python/object/apply:os.system [ls]\n", "is not YAML"),
        ("1: 2\n", "a key must be a word, got 1"),
    ],
)
def test_a_file_that_is_no_space_says_why(tmp_path: Path, text: str, message: str) -> None:
    assert message in mistakes(write(tmp_path, text))


def test_a_key_that_stands_twice_is_a_mistake(tmp_path: Path) -> None:
    assert "seed (line 3): stands twice" in mistakes(
        write(tmp_path, "seed: 1\n\nseed: 2\n"[:8] + "x: 1\nseed: 2\n")
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nothing.yaml: (file): does not exist" in mistakes(tmp_path / "nothing.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in mistakes(path)


def test_taking_one_of_two_back_keeps_the_other(tmp_path: Path) -> None:
    path = changed(tmp_path, budget={"trials_per_method": 6})
    overrides = ["train.steps=20", "train.epochs=null", "budget.trials=4"]
    loaded = load_space(path, [*overrides, "budget.trials_per_method=null"])
    assert (loaded.space.train.steps, loaded.space.train.epochs) == (20, None)
    assert loaded.space.budget.trials == 4


@pytest.mark.parametrize("key", ["search.method.lora.rank", "search.method.choice.lora.rank"])
def test_a_setting_is_overridden_by_the_name_that_errors_call_it(tmp_path: Path, key: str) -> None:
    loaded = load_space(write(tmp_path, GOOD), [f"{key}=4"])
    assert loaded.space.search["method"]["choice"]["lora"] == {"rank": 4}
    told = mistakes(write(tmp_path, GOOD), f"{key}=many")
    # Not at the line where the file has something else.
    assert "search.method.lora.rank (--set): " in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: takes key=value"),
        ("=3", "takes key=value"),
        ("sede=3", "unknown key; did you mean 'seed'?"),
        ("trials=3", "unknown key; did you mean 'budget.trials'? accepted: name, "),
        ("train.budget=3", "unknown key; did you mean 'budget'? accepted: "),
        ("resources.storage=x", "did you mean 'storage' or 'study.storage'?"),
        ("name.x=3", "name holds no keys"),
        ("seed=[", "the value is not YAML"),
        ("seed=x", "got 'x'"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    assert message in mistakes(write(tmp_path, GOOD), override)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limits": {"score": "0.85"}}, "score takes a bound such as \">= 0.85\", got '0.85'"),
        ({"limits": {"score": "<= 0.85"}}, "score is better when larger: its limit is >="),
        ({"limits": {"train_seconds": ">= 3"}}, "train_seconds is better when smaller"),
        ({"limits": {"train_seconds": "<= 0"}}, "is never 0 or less"),
        ({"limits": {"scroe": ">= 1"}}, "unknown measure 'scroe'; did you mean 'score'?"),
        ({"limits": {"score": ">= high"}}, "limits"),
        ({"budget": {"stagnation": {"epsilon": 0.1}}}, "budget.stagnation.trials"),
        ({"budget": {"trial_seconds": 0}}, "budget.trial_seconds"),
        ({"failures": {"retries": -1}}, "failures.retries"),
        ({"failures": {"hang_minutes": 0}}, "failures.hang_minutes"),
        ({"pruner": {"name": "median", "promote": True}}, "promote is of pareto alone"),
        ({"study": {"storage": "x.db"}}, "takes a URL such as postgresql+psycopg://"),
        ({"study": {"storage": "postgresql://u:secret@h/d"}}, "postgresql://u:…@h/d"),
        ({"warm_start": "nowhere"}, "warm_start (line"),
    ],
)
def test_a_mistake_in_what_surrounds_the_search_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    text = mistakes(changed(tmp_path, **change))
    assert message in text
    assert "secret" not in text


def test_a_choice_opens_settings_beside_it_at_any_depth(tmp_path: Path) -> None:
    rule = {"choice": {"paper": None, "official": {"window": {"choice": {4: None, 8: None}}}}}
    path = changed(tmp_path, **search_of({"aflora": {"freeze": {"rule": rule}}}))
    space = load_space(path)
    found: list[Any] = [
        TrialSettings.model_validate(s).method_settings for s in variants(space.tree, "aflora")
    ]
    assert {(s.freeze.rule, s.freeze.window) for s in found} == {
        ("paper", None),
        ("official", 4),
        ("official", 8),
    }
    again = load_space(write(tmp_path, yaml.safe_dump(space.resolved())))
    assert again.resolved() == space.resolved()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"choice": {"paper": None, "offical": None}}, "search.method.aflora.freeze.rule (line"),
        ({"choice": {"paper": {"wndow": 3}}}, "did you mean 'window'?"),
        ({"choice": {"paper": {"beta1": 0.5}}}, "opens beta1, which also stands beside it"),
        ({"choice": {"paper": 3}}, "takes settings (key: value), got 3"),
    ],
)
def test_a_mistake_below_a_choice_is_named(
    tmp_path: Path, rule: dict[str, Any], message: str
) -> None:
    own = {"freeze": {"rule": rule, "beta1": 0.8}}
    assert message in mistakes(changed(tmp_path, **search_of({"aflora": own})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": {"score": 0.1, "trainable_params": 1e6, "train_seconds": 0}}, "can never"),
        ({"reference": {"score": 0.1, "trainable_params": -5, "train_seconds": 9}}, "can never"),
        ({"study": {"storage": "postgresql+psycopg://u@h/d?password=secret"}}, "?password=…"),
        ({"tracking": {"uri": "http://u:secret@h"}}, "http://u:…@h"),
    ],
)
def test_what_would_fail_after_all_training_is_refused_before(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    text = mistakes(changed(tmp_path, **change))
    assert message in text
    assert "secret" not in text.split(", got ")[0]


def test_what_was_switched_off_is_still_off_when_read_back(tmp_path: Path) -> None:
    loaded = load_space(QUICKSTART, ["train.clip=null"])
    assert loaded.resolved()["train"]["clip"] is None
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(loaded.resolved()))
    assert load_space(again).space == loaded.space


@pytest.mark.parametrize(
    "override",
    [
        "search.method.choice.aflora.freeze=5",
        "search.method.choice.aflora.freeze.interval=x",
        "search.method.choice.aflora.freeze.interval={choice: [null, 3]}",
    ],
)
def test_a_schedule_that_is_none_is_named(override: str) -> None:
    with pytest.raises(SpecError, match=r"freeze"):
        load_space(QUICKSTART, [override])
