import pytest

from aflora import ROLES, AFLoRAConfig, FreezeConfig
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
    ],
)
def test_a_wrong_setting_is_named_with_its_value(change: dict, message: str) -> None:
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
        ({"end": 1.1}, r"end must be a fraction of all steps in \[0, 1\], got 1.1"),
        ({"interval": 0}, "interval must be at least 1 step, got 0"),
        ({"interval": 2.0}, "interval must be a whole number"),
        ({"exponent": 0}, "exponent"),
    ],
)
def test_a_wrong_freeze_setting_is_named_with_its_value(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FreezeConfig(**change)


def test_plain_values_round_trip() -> None:
    config = AFLoRAConfig(3, ("value", "ffn_in"), "all", FreezeConfig("official", end=0.9))
    assert AFLoRAConfig.from_dict(config.to_dict()) == config


def test_unknown_keys_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="got 'rnak'; did you mean 'rank'"):
        AFLoRAConfig.from_dict({"rnak": 3})
    with pytest.raises(ValueError, match="got 'bta1'; did you mean 'beta1'"):
        AFLoRAConfig.from_dict({"freeze": {"bta1": 0.3}})


def test_the_space_file_knows_the_same_settings_as_the_library() -> None:
    assert settings.ROLES == ROLES
    made = settings.AFLoRASettings()
    assert AFLoRAConfig.from_dict(made.model_dump(exclude={"learning_rate"})) == AFLoRAConfig()
