"""The axes of the settings' plot: which there are, where values lie, and round numbers on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.record import StudyRecord
from search.results.axes import linear_ticks
from search.results.catalogue import catalogue

Maker = Callable[..., Any]
GAP = "\N{NO-BREAK SPACE}"


def axes_of(study: StudyRecord) -> dict[str, dict[str, Any]]:
    return {axis["title"]: axis for axis in catalogue(study)["axes"]}


def of(**settings: Any) -> dict[str, Any]:
    return {"method": {"lora": settings}}


@pytest.fixture
def axis(study: Maker, trial: Maker) -> Callable[..., dict[str, Any]]:
    """The axis of a setting that had these values."""

    def made(*values: Any) -> dict[str, Any]:
        trials = [trial(n, score=0.5 + n / 100, settings=of(x=v)) for n, v in enumerate(values)]
        return axes_of(study(*trials))["x"]

    return made


def test_settings_that_differ_come_first_then_the_score_and_costs(
    study: Maker, trial: Maker
) -> None:
    found = axes_of(
        study(
            trial(0, score=0.8, params=100, seconds=9, settings=of(rank=2, alpha=16)),
            trial(1, score=0.9, params=200, seconds=9, settings=of(rank=4, alpha=16)),
        )
    )
    assert list(found) == ["rank", "accuracy", "trainable parameters"]
    assert found["rank"]["values"] == [2, 4]
    assert found["accuracy"]["measure"] == "score"


def test_methods_are_an_axis_and_what_another_method_lacks_is_nothing(
    study: Maker, trial: Maker
) -> None:
    found = axes_of(
        study(
            trial(0, settings={"method": {"lora": {"rank": 8}}}),
            trial(1, settings={"method": {"aflora": {"rank": 4, "beta1": 0.9}}}),
            trial(2, settings={"method": {"aflora": {"rank": 4, "beta1": 0.8}}}),
        )
    )
    assert found["method"] == {
        "title": "method", "kinds": ["aflora", "lora"], "values": [1, 0, 0],
    }  # fmt: skip
    assert found["beta1"]["values"] == [None, 0.9, 0.8]


def test_what_has_no_score_is_on_no_axis(study: Maker, trial: Maker) -> None:
    record = study(
        trial(0, score=0.7, settings=of(rank=2)),
        trial(1, "pruned", score=0.6, settings=of(rank=4)),
        trial(2, "failed", settings=of(rank=1024)),
        trial(3, "running", settings=of(rank=512)),
        trial(4, "waiting", settings=of(rank=256)),
    )
    rank = axes_of(record)["rank"]
    assert rank["values"] == [2, 4, None, None, None]
    assert (rank["low"], rank["high"]) == (2, 4)


def test_there_are_none_where_nothing_can_be_compared(study: Maker, trial: Maker) -> None:
    one, same, other = trial(0), trial(1), trial(1, settings=of(rank=2))
    failed = trial(1, "failed", settings=of(rank=2))
    assert catalogue(study())["axes"] == []
    assert catalogue(study(one))["axes"] == []
    assert catalogue(study(one, same))["axes"] == []
    assert catalogue(study(one, failed))["axes"] == []
    assert catalogue(study(one, other))["axes"] != []


def test_truth_and_lists_are_kinds_by_their_legible_text(axis: Callable[..., Any]) -> None:
    assert axis(True, False)["kinds"] == ["no", "yes"]
    lists = axis(["query", "value"], ["query"], ["key", "value"], ["query"])
    assert lists["kinds"] == ["query", "key, value", "query, value"]
    assert lists["values"] == [2, 0, 1, 0]


def test_numbers_among_words_are_kinds_in_their_order(axis: Callable[..., Any]) -> None:
    assert axis("auto", 16, 2)["kinds"] == ["2", "16", "auto"]
    assert axis(1.0, float("inf"), 2.0)["kinds"] == ["1", "2", "inf"]


def test_nothing_is_no_kind(axis: Callable[..., Any]) -> None:
    assert axis(None, 1.0, 2.0)["values"] == [None, 1.0, 2.0]
    assert axis(None, "a", "b")["values"] == [None, 0, 1]


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ((2, 4, 8, 16), True),
        ((2, 2, 2, 16, 16, 4, 8), True),
        ((1e-4, 3e-4, 1e-3, 1e-2), True),
        ((0.0, 1e-4, 1e-3, 1e-2), True),
        ((0.5, 0.6, 0.8, 0.99), False),
        ((1, 4, 7, 10), False),
        ((-1.0, 0.1, 10.0), False),
        ((0.0, 0.5, 1.0), False),
    ],
)
def test_an_axis_is_logarithmic_where_values_lie_evenly_on_one(
    values: tuple[float, ...], log: bool, axis: Callable[..., Any]
) -> None:
    assert axis(*values)["log"] is log


def test_few_values_are_each_a_tick_and_zero_has_its_place(axis: Callable[..., Any]) -> None:
    assert axis(16, 2, 4, 8)["ticks"] == [[2, "2"], [4, "4"], [8, "8"], [16, "16"]]
    zero = axis(0.0, 1e-4, 1e-3, 1e-2)
    assert [text for _, text in zero["ticks"]] == ["0", "0.0001", "0.001", "0.01"]
    assert zero["ticks"][0][0] == zero["low"] > 0


def test_many_values_have_powers_of_ten(axis: Callable[..., Any]) -> None:
    ticks = axis(*(10 ** (-5 + n / 5) for n in range(21)))["ticks"]
    assert [text for _, text in ticks] == ["1e-05", "0.0001", "0.001", "0.01", "0.1"]


@pytest.mark.parametrize(
    ("name", "low", "high", "texts"),
    [
        ("score", 0.71, 0.893, ["0.75", "0.80", "0.85"]),
        ("", 3, 97, ["20", "40", "60", "80"]),
        ("", 0.2, 0.2, ["0.2"]),
        ("", 0.123451, 0.123456, [f"0.12345{n}" for n in range(1, 7)]),
        ("", 1e-7, 5e-7, ["1e-07", "2e-07", "3e-07", "4e-07", "5e-07"]),
        ("trainable_params", 900, 5_400, [f"{n} k" for n in (1, 2, 3, 4, 5)]),
        ("trainable_params", 148_000, 149_500, ["148 k", "148.5 k", "149 k", "149.5 k"]),
        ("trainable_params", 1_233_900, 1_240_000, ["1.234 M", "1.236 M", "1.238 M", "1.24 M"]),
        ("trainable_params", 999_400, 1_000_100, ["999.4 k", "999.6 k", "999.8 k", "1 M"]),
        ("trainable_params", 184.0, 185.5, ["184", "184.5", "185", "185.5"]),
        (
            "train_flops",
            3.1e12,
            3.102e12,
            [f"{n} TFLOPs" for n in (3.1, 3.1005, 3.101, 3.1015, 3.102)],
        ),
        ("train_seconds", 20.0, 20.02, [f"{n} s" for n in (20, 20.005, 20.01, 20.015, 20.02)]),
        ("train_seconds", 75.0, 76.5, ["75 s", "75.5 s", "76 s", "76.5 s"]),
        ("train_seconds", 3_580, 3_630, ["3580 s", "3590 s", "1 h", "3610 s", "3620 s", "3630 s"]),
        ("train_seconds", 21.4, 134, ["40 s", "1 min", "80 s", "100 s", "2 min"]),
        ("train_seconds", 3_000, 20_000, ["1 h", "2 h", "3 h", "4 h", "5 h"]),
    ],
)
def test_linear_ticks_are_round(name: str, low: float, high: float, texts: list[str]) -> None:
    ticks = linear_ticks(name, low, high)
    assert [text.replace(GAP, " ") for _, text in ticks] == texts
    assert all(low - 1e-12 <= place <= high + 1e-12 for place, _ in ticks)


@given(
    name=st.sampled_from(["trainable_params", "train_seconds", "train_flops", "score", ""]),
    low=st.floats(1e-3, 1e9),
    part=st.floats(1e-6, 100),
)
def test_linear_ticks_are_told_apart_and_say_where_they_are(
    name: str, low: float, part: float
) -> None:
    high = low * (1 + part)
    ticks = linear_ticks(name, low, high)
    assert len({text for _, text in ticks}) == len(ticks)
    prefixes = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 60.0, "h": 3600.0}
    for place, text in ticks:
        number, _, sign = text.partition(GAP)
        assert float(number) * prefixes.get(sign[:1], 1.0) == pytest.approx(
            place, abs=1e-6 * (high - low)
        )


def test_few_values_that_differ_in_late_digits_are_told_apart(axis: Callable[..., Any]) -> None:
    texts = [text for _, text in axis(0.1234, 0.12341, 0.12343, 0.1235)["ticks"]]
    assert len(set(texts)) == len(texts) > 1


def test_values_are_as_short_as_they_can_be_told_apart(axis: Callable[..., Any]) -> None:
    found = axis(0.123456789, 0.2, 0.9)
    assert found["values"] == [0.12346, 0.2, 0.9]
    assert json.loads(json.dumps(found, allow_nan=False))["values"] == found["values"]
