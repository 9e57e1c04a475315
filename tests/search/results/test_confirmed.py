"""What fresh seeds say: intervals, differences, who is chosen, what is written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from search.metrics import counted, from_counts, score
from search.results.confirmed import (
    FOLDER,
    LABELS,
    chosen,
    compare,
    file_of,
    read_confirmations,
    write_confirmations,
)
from search.results.figures import confirmed_figure
from search.results.html import write_report
from search.results.noise import Resampled
from tests.search.records import study, trial


def right(part: float, rows: int, seed: int) -> np.ndarray[Any, Any]:
    """Predictions of class 1 that are right in this part of the rows."""
    found = np.zeros(rows, dtype=int)
    found[: round(part * rows)] = 1
    return np.random.default_rng(seed).permutation(found)


def test_the_interval_of_seeds_that_agree_is_that_of_a_proportion() -> None:
    rows, part = 400, 0.8
    same = right(part, rows, 1)
    found = Resampled(np.ones(rows, int), {0: [same, same]}, "accuracy").interval(0)
    assert found.mean == pytest.approx(part)
    half = 1.96 * math.sqrt(part * (1 - part) / rows)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.12)


def test_seeds_that_disagree_widen_the_interval() -> None:
    labels = np.ones(400, int)
    alike = Resampled(labels, {0: [right(0.8, 400, s) for s in range(3)]}, "accuracy").interval(0)
    apart = [right(part, 400, s) for s, part in enumerate((0.7, 0.8, 0.9))]
    wide = Resampled(labels, {0: apart}, "accuracy").interval(0)
    assert wide.mean == pytest.approx(alike.mean)
    assert wide.high - wide.low > 1.5 * (alike.high - alike.low)


@given(st.integers(0, 100), st.floats(0.5, 0.95))
def test_what_predicts_the_same_differs_by_nothing(seed: int, part: float) -> None:
    found = right(part, 60, seed)
    resampled = Resampled(np.ones(60, int), {0: [found] * 2, 1: [found] * 2}, "accuracy", draws=50)
    gap = resampled.difference(0, 1)
    assert (gap.mean, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_rows_in_common_cancel_out() -> None:
    """Of 200 rows one of the two gets ten more right: alone, either's interval hides that."""
    labels = np.ones(200, int)
    worse = right(0.8, 200, 0)
    better = worse.copy()
    better[np.flatnonzero(worse == 0)[:10]] = 1
    resampled = Resampled(labels, {0: [better] * 2, 1: [worse] * 2}, "accuracy")
    assert resampled.interval(0).low < resampled.interval(1).high
    gap = resampled.difference(0, 1)
    assert gap.mean == pytest.approx(0.05)
    assert gap.low > 0
    other = resampled.difference(1, 0)
    assert (other.low, other.high) == pytest.approx((-gap.high, -gap.low))


def test_predictions_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="configuration 3 has no predictions of all 4 rows"):
        Resampled(np.ones(4, int), {3: [np.ones(5, int)]}, "accuracy")
    with pytest.raises(ValueError, match="configuration 3 has 1 seeds, two are needed"):
        Resampled(np.ones(4, int), {3: [np.ones(4, int)]}, "accuracy")


def by_scikit_learn(metric: str, labels: Any, found: Any) -> float:
    functions: dict[str, Callable[..., float]] = {
        "accuracy": accuracy_score,
        "f1": partial(f1_score, zero_division=0.0),
        "f1_macro": partial(f1_score, average="macro", zero_division=0.0),
        "matthews": matthews_corrcoef,
    }
    return float(functions[metric](labels, found))


@pytest.mark.parametrize(
    ("metric", "classes"),
    [("f1", 2), *((m, c) for m in ("accuracy", "f1_macro", "matthews") for c in (2, 3))],
)
def test_metrics_of_counts_are_scikit_learn_s(metric: Any, classes: int) -> None:
    random = np.random.default_rng(0)
    for rows in (1, 2, 5, 40):
        # A class may be named that is not there, and be there without being named.
        labels = random.integers(0, classes, (20, rows))
        found = random.integers(0, classes, (20, rows))
        wanted = [by_scikit_learn(metric, a, b) for a, b in zip(labels, found, strict=True)]
        each = [counted(a, b, classes) for a, b in zip(labels, found, strict=True)]
        there, named, right = (np.stack(counts) for counts in zip(*each, strict=True))
        scores = from_counts(metric, there, named, right)
        np.testing.assert_allclose(scores, wanted, atol=1e-12)
        alone = [score(metric, a, b) for a, b in zip(labels, found, strict=True)]
        np.testing.assert_allclose(alone, wanted, atol=1e-12)


def drawn_again(
    random: np.random.Generator, spread: float, own: float, rows: int
) -> dict[int, list[np.ndarray[Any, Any]]]:
    """Two configurations that are right in 0.8 of all rows there are, three seeds of each.

    Args:
        random: draws.
        spread: of the seeds' skills, a standard deviation.
        own: part of the rows on which each training errs by itself; the others are hard or easy
            for all alike.
        rows: of the split.
    """
    ease, skills = random.random(rows), 0.8 + spread * random.standard_normal((2, 3))

    def right_where(skill: float) -> np.ndarray[Any, Any]:
        by_itself = random.random(rows) < own
        return (np.where(by_itself, random.random(rows), ease) < skill).astype(int)

    return {key: [right_where(skill) for skill in row] for key, row in enumerate(skills)}


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize(("spread", "own"), [(0.03, 0.0), (0.01, 0.5), (0.0, 1.0), (0.02, 1.0)])
def test_intervals_hold_what_they_promise_with_three_seeds(spread: float, own: float) -> None:
    """No more of them and not much less, whether errors are the rows' or each training's own."""
    random = np.random.default_rng(1)
    times, rows, held, found_apart, widths, of_means = 200, 300, 0, 0, [], []
    for at in range(times):
        found = drawn_again(random, spread, own, rows)
        resampled = Resampled(np.ones(rows, int), found, "accuracy", draws=200, seed=at)
        interval, gap = resampled.interval(0), resampled.difference(0, 1)
        held += interval.low <= 0.8 <= interval.high
        found_apart += gap.low > 0 or gap.high < 0
        widths.append(gap.high - gap.low)
        means = [[one.mean() for one in some] for some in found.values()]
        low, high = stats.ttest_ind(*means, equal_var=False).confidence_interval()
        of_means.append(high - low)
    assert 0.9 <= held / times < 1.0
    assert 0.005 <= found_apart / times <= 0.08
    # Where rows are the same for both, all that is left is what their seeds' means tell.
    assert 0.7 <= np.mean(widths) / np.mean(of_means) <= 1.1


def test_a_draw_without_what_a_metric_is_defined_by_tells_nothing() -> None:
    """Three rows of sixty are of class 1: one draw in twenty has none of them."""
    labels = np.repeat([0, 1], [57, 3])
    for metric in ("f1", "matthews"):
        found = Resampled(labels, {0: [labels, labels]}, metric).interval(0)
        assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    # Where the split itself has none, there is nothing that draws could be measured against.
    none = np.zeros(60, int)
    found = Resampled(none, {0: [none, none]}, "f1").interval(0)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


@given(
    st.lists(st.floats(0.02, 1), min_size=2, max_size=5),
    st.sampled_from(("accuracy", "f1", "matthews")),
    st.integers(0, 20),
)
def test_an_interval_holds_its_mean_and_no_score_that_there_is_not(
    parts: list[float], metric: Any, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, 30)
    found = [np.where(right(part, 30, at) == 1, labels, 0) for at, part in enumerate(parts)]
    interval = Resampled(labels, {0: found}, metric, draws=50).interval(0)
    least = -1 if metric == "matthews" else 0
    assert least <= interval.low <= interval.mean <= interval.high <= 1


def test_correlations_are_drawn_as_well() -> None:
    labels = np.linspace(0, 5, 40)
    noisy = labels + np.random.default_rng(0).normal(size=40)
    found = Resampled(labels, {0: [noisy, noisy], 1: [labels, labels]}, "pearson", draws=50)
    assert found.interval(1).low == pytest.approx(1.0)
    assert found.difference(1, 0).low > 0


LORA = {"method": {"lora": {"rank": 4}}, "learning_rate": 1e-3}
HEAD: dict[str, Any] = {"method": {"head": {}}}
IA3 = {"method": {"peft": {"type": "ia3"}}, "learning_rate": 1e-3}


def searched() -> Any:
    return study(
        trial(0, score=0.80, params=100.0, settings=LORA),
        trial(1, score=0.90, params=200.0, settings=LORA),
        trial(2, score=0.85, params=300.0, settings=LORA),
        trial(3, score=0.60, params=0.0, settings=HEAD, label="head"),
        trial(4, score=0.60, params=0.0, settings=HEAD, label="head"),
        trial(5, score=0.99, params=1.0, settings=LORA, state="pruned"),
        trial(6, score=0.70, params=50.0, settings=IA3, label="peft IA3"),
    )


@pytest.mark.parametrize(
    ("top", "numbers"), [("front", [0, 1, 3, 4, 6]), (1, [1, 3, 6]), (2, [1, 2, 3, 4, 6])]
)
def test_the_best_of_every_method_are_chosen(top: Any, numbers: list[int]) -> None:
    assert [t.number for t in chosen(searched(), top)] == numbers


def confirmed_run(root: Path, parts: dict[int, tuple[float, ...]], **about: Any) -> None:
    """Files of a run whose configurations are right in these parts of 200 rows, by seed."""
    folder = root / FOLDER
    folder.mkdir()
    labels: dict[str, Any] = {"metric": "accuracy", "apart": True}
    labels["labels"] = {"validation": [1] * 200}
    (folder / LABELS).write_text(json.dumps(labels | about))
    params = {t.number: t.measures["trainable_params"] for t in searched().trials}
    for number, of_seeds in parts.items():
        for seed, part in enumerate(of_seeds, start=1):
            content = {
                "trial": number,
                "seed": seed,
                "measures": {"trainable_params": params[number], "train_seconds": 10.0},
                "scores": {"validation": {"score": part, "accuracy": part}},
                "predictions": {"validation": right(part, 200, 0).tolist()},
            }
            (folder / file_of(number, seed)).write_text(json.dumps(content))


def test_members_come_best_first_with_what_they_are_no_better_than(tmp_path: Path) -> None:
    confirmed_run(
        tmp_path,
        {0: (0.80, 0.80, 0.8), 1: (0.805, 0.80), 3: (0.5, 0.52), 6: (0.9,), 2: (0.77, 0.76)},
    )
    (found,) = compare(searched(), tmp_path)
    assert (found.split, found.rows, found.seeds, found.apart) == (
        "validation",
        200,
        (1, 2, 3),
        True,
    )
    # One seed of the sixth is too few; each has those it has.
    assert found.with_one_seed == (6,)
    assert [len(m.scores) for m in found.members] == [2, 3, 2, 2]
    assert [m.trial for m in found.members] == [1, 0, 2, 3]
    by_trial = {m.trial: m for m in found.members}
    assert by_trial[1].score.mean == pytest.approx(0.8025)
    assert by_trial[1].chosen_with == 0.90
    assert by_trial[1].no_better_than == 0
    assert by_trial[0].no_better_than is None
    assert by_trial[2].no_better_than == 0
    assert [m.trial for m in found.members if m.on_front] == [1, 0, 3]
    gaps = {(d.trial, d.other): d.larger_than_noise for d in found.differences}
    assert gaps[1, 0] is False
    assert gaps[1, 3] is gaps[0, 3] is True
    assert len(gaps) == 6


def test_what_is_written_is_read_back_and_shown(tmp_path: Path) -> None:
    confirmed_run(tmp_path, {0: (0.8, 0.8), 1: (0.9, 0.9), 3: (0.5, 0.5)})
    found = compare(searched(), tmp_path)
    write_confirmations(found, tmp_path)
    assert read_confirmations(tmp_path) == found
    assert read_confirmations(tmp_path / "elsewhere") == []
    figure = confirmed_figure(searched(), found[0])
    bars = [trace for trace in figure.data if trace.error_y.array is not None]
    assert {trace.name for trace in bars} == {"lora", "head"}
    assert sum(len(trace.y) for trace in bars) == 3
    write_report(searched(), tmp_path / "report.html", found)
    page = (tmp_path / "report.html").read_text()
    assert "Confirmed with 2 fresh seeds" in page
    assert "on which no choice was made" in page
    assert "Where seeds are missing" not in page
    assert "Left out" not in page
    assert "what fresh seeds say of it stands below" in page
    assert "with other seeds before relying on it" not in page
    first = json.loads((tmp_path / FOLDER / file_of(1, 1)).read_text())
    (tmp_path / FOLDER / file_of(1, 3)).write_text(json.dumps(first | {"seed": 3}))
    write_report(searched(), tmp_path / "report.html", compare(searched(), tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert page.count(">2 of 3<") == 2
    assert "Where seeds are missing" in page
    (tmp_path / FOLDER / file_of(0, 2)).unlink()
    write_report(searched(), tmp_path / "report.html", compare(searched(), tmp_path))
    assert "Left out, with one seed alone: #0." in (tmp_path / "report.html").read_text()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    confirmed_run(tmp_path, {0: (0.8, 0.8)})
    (tmp_path / FOLDER / file_of(0, 2)).write_text("{")
    with pytest.raises(ValueError, match=r"00000-seed2.json is damaged"):
        compare(searched(), tmp_path)
    (tmp_path / "confirm.json").write_text('[{"members": 3}]')
    with pytest.raises(ValueError, match=r"confirm.json is damaged"):
        read_confirmations(tmp_path)
