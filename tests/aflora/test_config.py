import dataclasses
import json
from typing import Any

import pytest

from aflora import ROLES, AFLoRAConfig, Epochs, FreezeConfig
from search.spec import settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank must be a whole number of at least 1, got 0"),
        ({"rank": 2.5}, "got 2.5"),
        ({"modules": ()}, "at least one role"),
        ({"modules": ("query", "qery")}, "got 'qery'; did you mean 'query'?"),
        ({"modules": ("query", "query")}, "names a role twice"),
        ({"trainable_projections": "fnn"}, "did you mean 'ffn'?"),
        ({"ranks": {"query": 0}}, r"ranks\['query'\] must be a whole number .*, got 0"),
        ({"ranks": {"qery": 2}}, "a role in ranks .* got 'qery'; did you mean 'query'?"),
        ({"ranks": {"ffn_gate": 2}}, "a role in ranks must be one of query, .*, got 'ffn_gate'"),
        ({"freeze": {"rule": "paper"}}, "freeze must be a FreezeConfig, got"),
        ({"ranks": 3}, "ranks must map roles, got 3"),
        ({"patterns": {"query": "("}}, r"patterns\['query'\] is no regular expression: '\('"),
        ({"layers": ()}, "layers must be a list of indices"),
        ({"layers": (0, -1)}, "layers must hold indices from 0 up, got -1"),
        ({"scale": 0.0}, "scale must be larger than 0, got 0.0"),
        ({"head": "classifier"}, "head must be a list of module names, got 'classifier'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        AFLoRAConfig(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "papr"}, "did you mean 'paper'"),
        ({"beta1": 1.0}, r"beta1 must lie in \[0, 1\), got 1.0"),
        ({"beta2": -0.1}, "beta2"),
        ({"beta1": float("nan")}, "beta1"),
        ({"start": 0.5, "end": 0.5}, "start must be smaller than freeze.end, got 0.5 and 0.5"),
        ({"end": 1.1}, r"end must be a fraction of all steps in \[0, 1\] or Epochs, got 1.1"),
        ({"interval": 0}, "interval must be a whole number of at least 1 step, got 0"),
        ({"interval": 2.0}, "interval must be a whole number"),
        ({"exponent": 0}, "exponent"),
        ({"exponent_of": "frosen"}, "exponent_of .* did you mean 'frozen'"),
        ({"score": "gradent"}, "score .* did you mean 'gradient'"),
        ({"window": -1}, "window must be a whole number of steps, 0 or None, got -1"),
        ({"start": Epochs(2), "end": Epochs(1)}, "smaller than .* got 2 epochs and 1 epoch"),
        ({"start": "1"}, "start must be a fraction .* got '1'"),
    ],
)
def test_a_wrong_freeze_setting_is_named_with_its_value(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FreezeConfig(**change)


@pytest.mark.parametrize("epochs", [-1, float("inf"), "1", True])
def test_epochs_are_a_number(epochs: object) -> None:
    with pytest.raises(ValueError, match=f"at least 0, got {epochs!r}"):
        Epochs(epochs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        AFLoRAConfig(3, ("value", "ffn_in"), "all", FreezeConfig("official", end=0.9)),
        AFLoRAConfig(
            modules=("query", "ffn_in"),
            ranks={"query": 1},
            layers=(3, 1),
            scale=2.0,
            patterns={"query": "q"},
            head=("out",),
            freeze=FreezeConfig(
                score="magnitude", start=Epochs(1), end=0.5, window=3, exponent_of="frozen"
            ),
        ),
    ],
)
def test_plain_values_round_trip_through_json(config: AFLoRAConfig) -> None:
    assert AFLoRAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_can_be_a_key() -> None:
    assert len({AFLoRAConfig(ranks={"query": 1}), AFLoRAConfig(ranks={"query": 1})}) == 1


def test_the_window_is_the_rule_s_unless_it_is_given() -> None:
    assert FreezeConfig("paper", interval=7).window_steps == 0
    assert FreezeConfig("official", interval=7).window_steps == 7
    assert FreezeConfig("official", interval=7, window=0).window_steps == 0
    assert FreezeConfig("paper", window=3).window_steps == 3


def test_unknown_keys_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="got 'rnak'; did you mean 'rank'"):
        AFLoRAConfig.from_dict({"rnak": 3})
    with pytest.raises(ValueError, match="got 'bta1'; did you mean 'beta1'"):
        AFLoRAConfig.from_dict({"freeze": {"bta1": 0.3}})
    with pytest.raises(
        ValueError, match=r"freeze\.start must be .* got 'epoch'; did you mean 'epochs'"
    ):
        AFLoRAConfig.from_dict({"freeze": {"start": {"epoch": 1}}})


def test_the_space_file_knows_the_same_settings_as_the_library() -> None:
    assert settings.ROLES == ROLES
    made = settings.AFLoRASettings()
    assert AFLoRAConfig.from_dict(made.model_dump(exclude={"learning_rate"})) == AFLoRAConfig()
    same = {f.name for f in dataclasses.fields(AFLoRAConfig)} | {"learning_rate"}
    assert set(settings.AFLoRASettings.model_fields) == same
    assert list(settings.FreezeSettings.model_fields) == [
        f.name for f in dataclasses.fields(FreezeConfig)
    ]
    in_epochs = settings.FreezeSettings.model_validate({"start": {"epochs": 1}, "end": 0.5})
    assert FreezeConfig.from_dict(in_epochs.model_dump()) == FreezeConfig(start=Epochs(1), end=0.5)
