"""Whatever the sampler answers, a proposal is a configuration of the space."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.engine.proposals import propose
from search.spec.distributions import Branch, Choice, Constant, Float, Group, Int, Subset


@st.composite
def subsets(draw: st.DrawFn) -> Subset:
    size = draw(st.integers(1, 5))
    low = draw(st.integers(0, size))
    return Subset(tuple(f"m{i}" for i in range(size)), low, draw(st.integers(max(1, low), size)))


@given(subset=subsets(), seed=st.integers(0, 2**16))
def test_a_subset_has_a_size_that_is_allowed_and_keeps_its_order(subset: Subset, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    chosen = propose(study.ask(), subset, ("modules",))
    assert subset.minimum <= len(chosen) <= subset.maximum
    assert chosen == [option for option in subset.options if option in chosen]


@given(low=st.integers(0, 3), size=st.integers(3, 5), data=st.data())
def test_every_allowed_subset_can_be_drawn(low: int, size: int, data: st.DataObject) -> None:
    options = tuple(f"m{i}" for i in range(size))
    wanted = data.draw(st.lists(st.sampled_from(options), unique=True, min_size=low))
    wanted = [option for option in options if option in wanted]
    answers = {f"modules.{option}": option in wanted for option in options}
    trial = optuna.trial.FixedTrial(answers)
    assert propose(trial, Subset(options, low, size), ("modules",)) == wanted


def test_only_the_chosen_option_of_a_branch_is_drawn() -> None:
    tree = Group(
        {
            "method": Branch(
                {
                    "aflora": Group({"rank": Choice((1, 2)), "interval": Constant(5)}),
                    "lora": Group({"rank": Int(4, 8, 2)}),
                }
            ),
            "learning_rate": Float(1e-4, 1e-2, log=True),
        }
    )
    trial = optuna.trial.FixedTrial(
        {"method": "lora", "method.lora.rank": 6, "learning_rate": 0.001}
    )
    assert propose(trial, tree) == {"method": {"lora": {"rank": 6}}, "learning_rate": 0.001}
    assert set(trial.params) == {"method", "method.lora.rank", "learning_rate"}
    trial = optuna.trial.FixedTrial(
        {"method": "aflora", "method.aflora.rank": 2, "learning_rate": 0.01}
    )
    assert propose(trial, tree)["method"] == {"aflora": {"rank": 2, "interval": 5}}


def test_a_branch_with_one_option_asks_nothing() -> None:
    tree = Branch({"lora": Group({"rank": Constant(8)})})
    assert propose(optuna.trial.FixedTrial({}), tree, ("method",)) == {"lora": {"rank": 8}}


@pytest.mark.parametrize("seed", range(3))
def test_numbers_keep_to_their_steps(seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    tree = Group({"rank": Int(4, 16, 4), "start": Float(0.0, 0.3, step=0.1)})
    drawn = propose(study.ask(), tree)
    assert drawn["rank"] in {4, 8, 12, 16}
    assert min(abs(drawn["start"] - k / 10) for k in range(4)) < 1e-12
