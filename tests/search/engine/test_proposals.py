"""Whatever the sampler answers, a proposal is a configuration of the space."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution

from search.engine.proposals import Draw, params_of, propose
from search.spec.distributions import Branch, Choice, Constant, Float, Group, Int, Subset


@st.composite
def subsets(draw: st.DrawFn) -> Subset:
    size = draw(st.integers(1, 5))
    low = draw(st.integers(0, size))
    return Subset(tuple(f"m{i}" for i in range(size)), low, draw(st.integers(max(1, low), size)))


def drawn_by(seed: int) -> Draw:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    draw: Draw = study.ask()._suggest
    return draw


def fixed(answers: dict[str, object], asked: set[str] | None = None) -> Draw:
    def draw(name: str, distribution: BaseDistribution) -> object:
        value = answers[name]
        assert distribution._contains(distribution.to_internal_repr(value))
        if asked is not None:
            asked.add(name)
        return value

    return draw


@given(subset=subsets(), seed=st.integers(0, 2**16))
def test_a_subset_has_a_size_that_is_allowed_and_keeps_its_order(subset: Subset, seed: int) -> None:
    chosen = propose(drawn_by(seed), Group({"modules": subset}))["modules"]
    assert subset.minimum <= len(chosen) <= subset.maximum
    assert chosen == [option for option in subset.options if option in chosen]


@given(low=st.integers(0, 3), size=st.integers(3, 5), data=st.data())
def test_every_allowed_subset_can_be_drawn(low: int, size: int, data: st.DataObject) -> None:
    options = tuple(f"m{i}" for i in range(size))
    wanted = data.draw(st.lists(st.sampled_from(options), unique=True, min_size=low))
    wanted = [option for option in options if option in wanted]
    tree = Group({"modules": Subset(options, low, size)})
    params, _ = params_of(tree, {"modules": wanted})
    assert propose(fixed(params), tree) == {"modules": wanted}


TREE = Group(
    {
        "method": Branch(
            {
                "aflora": Group(
                    {
                        "rank": Choice((1, 2)),
                        "freeze": Group(
                            {
                                "interval": Constant(5),
                                "rule": Branch(
                                    {
                                        "paper": Group({}),
                                        "official": Group(
                                            {
                                                "window": Branch(
                                                    {4: Group({}), 8: Group({"e": Int(1, 3)})}
                                                )
                                            }
                                        ),
                                    }
                                ),
                            }
                        ),
                    }
                ),
                "lora": Group({"rank": Int(4, 8, 2)}),
            },
            nested=True,
        ),
        "learning_rate": Float(1e-4, 1e-2, log=True),
    }
)


def test_only_what_the_chosen_option_opens_is_drawn() -> None:
    answers = {"method": "lora", "method.lora.rank": 6, "learning_rate": 0.001}
    asked: set[str] = set()
    settings = propose(fixed(answers, asked), TREE)
    assert settings == {"method": {"lora": {"rank": 6}}, "learning_rate": 0.001}
    assert asked == set(answers)


def test_conditions_nest_to_any_depth_and_their_settings_lie_beside_the_choice() -> None:
    rule = "method.aflora.freeze.rule"
    answers = {
        "method": "aflora",
        "method.aflora.rank": 2,
        rule: "official",
        f"{rule}.official.window": 8,
        f"{rule}.official.window.8.e": 3,
        "learning_rate": 0.01,
    }
    settings = propose(fixed(answers), TREE)
    freeze = {"interval": 5, "rule": "official", "window": 8, "e": 3}
    assert settings["method"]["aflora"]["freeze"] == freeze
    paper = propose(fixed(answers | {rule: "paper"}), TREE)
    assert paper["method"]["aflora"]["freeze"] == {"interval": 5, "rule": "paper"}


@given(seed=st.integers(0, 2**16))
def test_params_of_is_the_inverse_of_propose(seed: int) -> None:
    asked: dict[str, object] = {}
    draw = drawn_by(seed)

    def record(name: str, distribution: BaseDistribution) -> object:
        asked[name] = draw(name, distribution)
        return asked[name]

    settings = propose(record, TREE)
    assert params_of(TREE, settings)[0] == asked


def test_a_branch_with_one_option_asks_nothing() -> None:
    tree = Group({"method": Branch({"lora": Group({"rank": Constant(8)})}, nested=True)})
    assert propose(fixed({}), tree) == {"method": {"lora": {"rank": 8}}}


@pytest.mark.parametrize("seed", range(3))
def test_numbers_keep_to_their_steps(seed: int) -> None:
    tree = Group({"rank": Int(4, 16, 4), "start": Float(0.0, 0.3, step=0.1)})
    drawn = propose(drawn_by(seed), tree)
    assert drawn["rank"] in {4, 8, 12, 16}
    assert min(abs(drawn["start"] - k / 10) for k in range(4)) < 1e-12
