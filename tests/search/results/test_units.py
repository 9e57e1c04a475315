"""Numbers as people write them."""

from __future__ import annotations

import math

import pytest

from search.flat import exact, flattened, legible
from search.results.units import MISSING, duration, ratio, readable, running_time, title, unit


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("score", 0.91234, "0.9123"),
        ("trainable_params", 12_345, "12.3 k"),
        ("trainable_params_end", 184, "184"),
        ("trainable_params", 184.52, "185"),
        ("head_params", 999_999, "1.00 M"),
        ("trainable_params", 0, "0"),
        ("train_flops", 3.1e12, "3.10 TFLOPs"),
        ("train_seconds", 21.4, "21.4 s"),
        ("train_seconds", 0.05, "0.0500 s"),
        ("peak_bytes", 2.5e9, "2.50 GB"),
        ("tokens_per_second", 31_200, "31.2 k/s"),
        ("loss", 0.123456, "0.1235"),
        ("score", math.nan, MISSING),
        ("score", None, MISSING),
    ],
)
def test_measures_have_three_digits_and_their_unit(
    name: str, value: float | None, text: str
) -> None:
    assert readable(name, value).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(148_460, "148.5 k"), (999_600, "999.6 k"), (999_960, "1.000 M"), (184, "184")],
)
def test_as_many_digits_as_are_asked_for(value: float, text: str) -> None:
    assert readable("trainable_params", value, 4).replace("\N{NO-BREAK SPACE}", " ") == text


def test_units_go_by_the_end_of_a_name() -> None:
    names = ["train_seconds", "train_flops", "disk_bytes", "trainable_params_end", "score"]
    assert [unit(name) for name in names] == ["s", "FLOPs", "B", "", ""]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.94, "59.9 s"), (59.96, "1 min 00 s"), (204, "3 min 24 s"), (7_500, "2 h 05 min"),
     (3_599.6, "1 h 00 min")],
)  # fmt: skip
def test_durations_never_carry_sixty(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "0 s"), (59.97, "59 s"), (60.9, "1 min 00 s"), (204, "3 min 24 s")]
)
def test_a_time_that_goes_on_is_told_in_whole_seconds(seconds: float, text: str) -> None:
    assert running_time(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_ratios() -> None:
    assert (ratio(10.08), ratio(0.5), ratio(12_345.0)) == ("10.1×", "0.500×", "12,345×")


def test_titles_use_the_metric_of_the_study() -> None:
    assert title("score", "Matthews correlation") == "Matthews correlation"
    assert title("train_flops") == "training FLOPs"
    assert title("gpu_memory") == "gpu memory"


def test_settings_are_flattened_with_dots() -> None:
    flat = flattened({"method": "aflora", "freeze": {"beta1": 0.85, "none": None}})
    assert flat == {"method": "aflora", "freeze.beta1": 0.85, "freeze.none": None}
    assert [exact(value) for value in (True, None, 0.1 + 0.2, ["a", 1])] == [
        "true", "", "0.30000000000000004", '["a", 1]',
    ]  # fmt: skip
    assert [legible(value) for value in (True, 0.1 + 0.2, ["a", 0.5])] == ["yes", "0.3", "a, 0.5"]
