"""What is learned of AFLoRA: effects that are there are found, and those that are not are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.record import FreezeEvent, StudyRecord, TrialRecord
from search.results.figures import effects_figure, pattern_figure, response_figure
from search.results.lessons import Lessons, in_words, learn
from search.results.lessons.model import Additive
from search.results.lessons.pattern import pattern_of, tendencies
from search.results.lessons.terms import Scale, terms_of
from tests.search.records import study, trial

ROLES = ["query", "value", "ffn_in", "ffn_out"]


def aflora(number: int, score: float, params: float = 1000.0, **change: Any) -> TrialRecord:
    """A complete trial; ``change`` replaces parts of its AFLoRA settings."""
    own = {"rank": 4, "modules": ROLES, "trainable_projections": "ffn", "learning_rate": 0.01}
    freezing = change.pop("freezing", ())
    rate = change.pop("head_learning_rate", 0.001)
    settings = {"method": {"aflora": own | change}, "head_learning_rate": rate}
    return trial(
        number, score=score, params=params, settings=settings, freezing=freezing, total_steps=100
    )


def searched(count: int, seed: int = 0, noise: float = 0.01) -> StudyRecord:
    """Random configurations; adapting ``query`` gains 0.1, the rate is best at 0.01."""
    random = np.random.default_rng(seed)
    trials = []
    for number in range(count):
        modules = ["ffn_in", *(role for role in ("query", "value") if random.random() < 0.5)]
        rank = int(random.choice([1, 2, 4, 8, 16]))
        rate = 10 ** random.uniform(-3, -1)
        rule = str(random.choice(["paper", "official"]))
        score = 0.7 + 0.1 * ("query" in modules) - 0.1 * (math.log10(rate) + 2) ** 2
        trials.append(
            aflora(
                number,
                float(score + noise * random.normal()),
                params=100.0 * rank * len(modules),
                modules=modules,
                trainable_projections="all",
                rank=rank,
                learning_rate=rate,
                freeze={"rule": rule},
            )
        )
    return study(*trials)


def lessons_of(record: StudyRecord) -> Lessons:
    learned = learn(record)
    assert learned is not None
    return learned


def test_effects_that_are_there_are_found_with_their_size() -> None:
    learned = lessons_of(searched(60))
    effects = {effect.label: effect for effect in learned.effects}

    query = effects["adapt and train query"]
    assert query.score.low < 0.1 < query.score.high
    assert query.score.low > 0.08
    rank = effects["rank: 1 → 16"]
    assert rank.score.low < 0 < rank.score.high
    assert rank.parameters is not None
    assert rank.parameters.low < 16 < rank.parameters.high
    best = effects["learning_rate: ends → middle"].best
    assert best == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("count", [8, 40])
def test_what_a_setting_does_to_counts_is_told_exactly(count: int) -> None:
    trials = [
        aflora(number, 0.7 + 0.01 * (number % 3), params=1000.0 * rank, rank=rank)
        for number in range(count)
        for rank in [16 if number % 2 else 1]
    ]
    (effect,) = (e for e in lessons_of(study(*trials)).effects if e.label == "rank: 1 → 16")
    assert effect.parameters is not None
    assert effect.parameters.mean == pytest.approx(16, rel=0.05)


def test_roles_that_take_one_another_s_place_are_one_question() -> None:
    trials = [
        aflora(
            number,
            0.7 + 0.1 * (role == "query") + 0.01 * (number % 3),
            params=1000.0 if role == "query" else 4000.0,
            modules=[role],
            trainable_projections="all",
        )
        for number in range(16)
        for role in [("query", "value")[number % 2]]
    ]
    (effect,) = lessons_of(study(*trials)).effects
    assert effect.label == "adapt and train query in place of adapt and train value"
    assert effect.subject == (
        "Adapting query and training its A and B in place of adapting value and training its A and B"
    )
    assert effect.score.mean == pytest.approx(0.1, abs=0.02)
    assert effect.parameters is not None
    assert effect.parameters.mean == pytest.approx(0.25, rel=0.1)


def test_a_setting_is_best_inside_its_range_only_where_both_ends_are_worse_beyond_noise() -> None:

    def peaks(right_end: float) -> list[float | None]:
        """Scores 0.5 at the left end, 0.8 in the middle, on a parabola."""
        random = np.random.default_rng(3)
        slope, bend = (right_end - 0.5) / 2, 0.8 - (0.5 + right_end) / 2
        trials = [
            aflora(number, float(score + 0.01 * random.normal()), learning_rate=10 ** (x - 2))
            for number in range(30)
            for x in [(number % 5 - 2) / 2]
            for score in [0.8 + slope * x - bend * x**2]
        ]
        effects = lessons_of(study(*trials)).effects
        return [e.best for e in effects if e.label == "learning_rate: ends → middle"]

    assert peaks(0.5) == [pytest.approx(0.01, rel=0.3)]
    assert peaks(0.798) == [None]


def test_in_words_the_largest_comes_first_and_noise_is_named_as_such() -> None:
    sentences = in_words(lessons_of(searched(60)), "accuracy")

    assert sentences[0].startswith(("Adapting query", "learning_rate is best at about"))
    assert any(s.startswith("Adapting query and training its A and B gains 0.") for s in sentences)
    assert any(
        s.startswith("rank at 16 in place of 1 takes") and "no change in accuracy" in s
        for s in sentences
    )
    assert sentences[-1].startswith("Of no effect larger than noise:")
    assert "rule: " in sentences[-1]
    assert "query" not in sentences[-1]


def test_of_settings_that_do_nothing_hardly_anything_is_said() -> None:
    told = asked = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        record = searched(16, seed)
        shuffled = [
            aflora(t.number, float(random.normal(0.8, 0.02)), **t.settings["method"]["aflora"])
            for t in record.trials
        ]
        effects = lessons_of(study(*shuffled)).effects
        asked += len(effects)
        told += sum(not e.score.low <= 0 <= e.score.high for e in effects)
    assert asked > 200
    assert told / asked < 0.08


@pytest.mark.parametrize(("trials", "terms"), [(8, 10), (24, 16), (60, 16)])
def test_intervals_hold_what_they_should_where_terms_abound(trials: int, terms: int) -> None:
    random = np.random.default_rng(7)
    held = []
    for _ in range(150):
        columns = np.where(random.random((trials, terms)) < 0.5, 0.0, 1.0)
        effects = np.zeros(terms)
        effects[:3] = random.choice([-2.0, 2.0], 3)
        fitted = Additive.fit(columns, columns @ effects + random.normal(size=trials))
        for i, one in enumerate(np.eye(terms)):
            interval = fitted.contrast(one)
            held.append(interval.low <= effects[i] <= interval.high)
    assert np.mean(held) > 0.93


@given(shift=st.floats(-10, 10), factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_effects_follow_the_unit_of_the_score(shift: float, factor: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    columns, outcome = random.random((12, 4)), random.random(12)
    plain = Additive.fit(columns, outcome).contrast([1, 0, 0, 0])
    moved = Additive.fit(columns, shift + factor * outcome).contrast([1, 0, 0, 0])
    assert moved.mean == pytest.approx(factor * plain.mean, rel=1e-6, abs=1e-9)
    assert moved.high == pytest.approx(factor * plain.high, rel=1e-6, abs=1e-9)


def test_outcomes_that_are_all_alike_have_no_effects_to_fit() -> None:
    with pytest.raises(ValueError, match="every outcome is the same"):
        Additive.fit(np.eye(3), [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="do not match"):
        Additive.fit(np.eye(3), [1.0, 2.0])


@given(
    low=st.floats(1e-6, 1e3),
    spread=st.floats(1.01, 1e4),
    part=st.floats(0, 1),
)
def test_a_scale_goes_from_minus_to_plus_one_half_and_back(
    low: float, spread: float, part: float
) -> None:
    scale = Scale.of([low, low * spread])
    value = low + (low * spread - low) * part
    assert -0.5 - 1e-9 <= scale.place(value) <= 0.5 + 1e-9
    assert scale.value(scale.place(value)) == pytest.approx(value, rel=1e-6)
    assert (scale.place(low), scale.place(low * spread)) == pytest.approx((-0.5, 0.5))


def labels(trials: Sequence[TrialRecord]) -> list[str]:
    return [term.label for term in terms_of(trials)]


def test_roles_that_always_go_together_are_one_question() -> None:
    projections = ["ffn", "all", "all", "ffn"]
    trials = [aflora(i, 0.5, trainable_projections=projections[i]) for i in range(4)]
    assert labels(trials) == ["train query, value"]


def test_adapting_a_role_and_training_it_are_told_apart_where_they_differ() -> None:
    modules = [["ffn_in"], ["ffn_in", "query"], ["ffn_in", "query"], ["ffn_in", "query"]] * 2
    projections = ["all", "all", "ffn", "ffn"] * 2
    trials = [
        aflora(i, 0.5, modules=modules[i], trainable_projections=projections[i]) for i in range(8)
    ]
    assert labels(trials) == ["adapt query", "train query"]


def test_what_a_single_trial_has_is_no_question() -> None:
    trials = [aflora(i, 0.5, freeze={"rule": "official" if i == 0 else "paper"}) for i in range(6)]
    assert labels(trials) == []
    trials.append(aflora(6, 0.5, freeze={"rule": "official"}))
    assert labels(trials) == ["rule: paper → official"]


def test_a_number_that_one_trial_alone_has_is_no_question() -> None:
    ranks = [4, 4, 4, 4, 4, 256]
    assert labels([aflora(i, 0.5, rank=rank) for i, rank in enumerate(ranks)]) == []
    ranks = [4, 4, 4, 4, 2, 256]
    assert labels([aflora(i, 0.5, rank=rank) for i, rank in enumerate(ranks)]) == ["rank: 2 → 256"]


def test_ends_of_a_range_are_told_apart_and_whole_numbers_in_full() -> None:
    ranks = [aflora(i, 0.5, rank=[16, 260][i % 2]) for i in range(4)]
    assert [term.subject for term in terms_of(ranks)] == ["rank at 260 in place of 16"]
    rates = [aflora(i, 0.5, learning_rate=[0.001, 0.00104][i % 2]) for i in range(4)]
    assert labels(rates) == ["learning_rate: 0.001 → 0.00104"]
    rates = [aflora(i, 0.5, learning_rate=[0.001, 0.001000001][i % 2]) for i in range(4)]
    assert labels(rates) == ["learning_rate: 0.001 → 0.001000001"]


def test_the_best_of_a_range_of_whole_numbers_is_one() -> None:
    trials = [
        aflora(i, 0.8 - (rank - 256) ** 2 / 1e5, rank=rank)
        for i, rank in enumerate([128, 192, 255, 259, 320, 384] * 4)
    ]
    told = in_words(lessons_of(study(*trials)), "accuracy")
    assert any(s.startswith("rank is best at about 256: the middle") for s in told), told


def test_a_curve_whose_end_is_as_good_as_its_middle_has_no_best_inside() -> None:
    """It rises and levels off: the middle is above the average of the ends, and below one of them."""
    rates = [10 ** (-3 + 2 * at / 11) for at in range(12)] * 3
    noise = np.random.default_rng(0).normal(0, 0.002, len(rates))
    trials = [
        aflora(i, 0.8 + 0.06 * (1 - (0.01 / rate) ** 0.5 / 10) + noise[i], learning_rate=rate)
        for i, rate in enumerate(rates)
    ]
    told = in_words(lessons_of(study(*trials)), "accuracy")
    assert not any("is best at about" in sentence for sentence in told), told
    assert any("rather than at its ends on average, gains" in sentence for sentence in told), told


def test_a_rate_of_the_method_s_own_counts_and_not_the_one_that_all_share() -> None:
    def of(number: int, **own: float) -> TrialRecord:
        settings = {"method": {"aflora": {"rank": 4} | own}, "learning_rate": 0.05}
        return trial(number, settings=settings)

    assert labels([of(i, learning_rate=10.0 ** -(2 + i % 2)) for i in range(4)]) == [
        "learning_rate: 0.001 → 0.01"
    ]
    mixed = [of(0, learning_rate=0.01), of(1), of(2, learning_rate=0.01), of(3)]
    assert labels(mixed) == ["learning_rate: 0.01 → 0.05"]


def test_few_values_give_a_line_and_more_of_them_a_curve() -> None:
    assert labels([aflora(i, 0.5, rank=2 ** (i % 3)) for i in range(9)]) == ["rank: 1 → 4"]
    assert labels([aflora(i, 0.5, rank=2 ** (i % 4)) for i in range(9)]) == [
        "rank: 1 → 8",
        "rank: ends → middle",
    ]


def test_a_setting_that_only_some_trials_have_is_left_out() -> None:
    trials = [aflora(i, 0.5) for i in range(4)]
    other = {"method": {"aflora": {"rank": 4}}, "warmup": 0.1}
    trials += [trial(4 + i, settings=other | {"warmup": 0.1 * i}) for i in range(4)]
    assert "warmup" not in " ".join(labels(trials))


def test_nothing_is_said_of_settings_with_few_trials_or_of_other_methods() -> None:
    learned = lessons_of(searched(7))
    assert learned.effects == ()
    assert "7 complete trials of AFLoRA are too few" in in_words(learned, "accuracy")[-1]
    alike = lessons_of(study(*[aflora(i, 0.5, rank=1 + i) for i in range(12)]))
    assert alike.effects == ()
    assert "all scored the same" in in_words(alike, "accuracy")[-1]
    assert learn(study(trial(0), trial(1))) is None
    pruned = trial(0, "pruned", settings={"method": {"aflora": {}}})
    assert learn(study(pruned)) is None


def test_trials_stand_where_they_would_were_the_rest_average() -> None:
    record = searched(60, noise=0.0)
    curve = next(c for c in lessons_of(record).curves if c.name == "learning_rate")
    # Without noise what is left of the score beside the curve is next to nothing.
    fitted = np.interp(np.log([value for value, _ in curve.trials]), np.log(curve.at), curve.middle)
    left = [score - at for (_, score), at in zip(curve.trials, fitted, strict=True)]
    assert np.abs(left).max() < 0.02
    assert curve.numbers == tuple(range(60))
    assert all(a < b < c for a, b, c in zip(curve.low, curve.middle, curve.high, strict=True))


def test_the_band_of_a_curve_holds_the_true_curve_as_often_as_it_says() -> None:
    """Also in the middle, where only the mean of all scores is in doubt."""
    held = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        places = random.uniform(-0.5, 0.5, 20)
        places[:2] = -0.5, 0.5
        query = random.random(20) < 0.5
        scores = 0.8 + 0.02 * query + 0.03 * places + 0.01 * random.normal(size=20)
        rates = np.exp(math.log(0.01) + math.log(10.0) * places)
        trials = [
            aflora(
                i,
                float(scores[i]),
                modules=["ffn_in", "query"] if query[i] else ["ffn_in"],
                learning_rate=float(rates[i]),
            )
            for i in range(20)
        ]
        (curve,) = lessons_of(study(*trials)).curves
        true = 0.8 + 0.02 * query.mean() + 0.03 * np.linspace(-0.5, 0.5, len(curve.at))
        held.append((np.array(curve.low) <= true) & (true <= np.array(curve.high)))
    for part in np.array_split(np.mean(held, axis=0), 4):
        assert 0.91 < part.mean() < 0.995


def events(at: dict[tuple[int, str, str], int | None]) -> tuple[FreezeEvent, ...]:
    return tuple(FreezeEvent(*key, step) for key, step in at.items())  # type: ignore[arg-type]


def frozen(number: int, later: int = 10) -> TrialRecord:
    """B freezes ``later`` steps of 100 after A, and ffn_out never."""
    steps: dict[tuple[int, str, str], int | None] = {
        (layer, role, matrix): 20 + number + 5 * layer + (later if matrix == "B" else 0)
        for layer in range(3)
        for role in ("query", "ffn_in")
        for matrix in "AB"
    }
    return aflora(number, 0.5, freezing=events({**steps, (0, "ffn_out", "A"): None}))


def test_the_pattern_is_the_median_part_of_the_training() -> None:
    pattern = pattern_of([frozen(0), frozen(1), frozen(5)])
    assert pattern is not None
    assert pattern.rows == (
        ("query", "A"), ("query", "B"), ("ffn_in", "A"), ("ffn_in", "B"), ("ffn_out", "A"),
    )  # fmt: skip
    assert pattern.medians[0].tolist() == pytest.approx([0.21, 0.26, 0.31])
    assert pattern.medians[1].tolist() == pytest.approx([0.31, 0.36, 0.41])
    assert pattern.medians[4, 0] == 1.0
    assert math.isnan(pattern.medians[4, 1])
    assert pattern.counts[4].tolist() == [3, 0, 0]
    assert pattern.to_the_end[4].tolist() == [3, 0, 0]
    assert pattern_of([aflora(0, 0.5, freezing=events({(0, "query", "A"): None}))]) is None


def test_what_freezes_later_in_every_trial_is_told_and_in_how_many() -> None:
    told = {t.later: t for t in tendencies([frozen(i) for i in range(5)])}
    assert told["B"].difference.mean == pytest.approx(0.1)
    assert told["B"].trials == 5
    assert told["The deepest third of the layers"].difference.mean < 0  # ffn_out is in layer 0
    assert told["ffn_out"].difference.mean > 0.5
    learned = lessons_of(study(*[frozen(i) for i in range(5)]))
    assert any(
        s.startswith("B froze later than A of the same module, by 10.0% of the training")
        for s in in_words(learned, "accuracy")
    )


def test_of_four_trials_or_of_differences_both_ways_nothing_is_told() -> None:
    assert tendencies([frozen(i) for i in range(4)]) == []
    mixed = [frozen(i, later=10 if i % 2 else -10) for i in range(6)]
    assert "B" not in {t.later for t in tendencies(mixed)}


def test_figures_show_every_effect_and_every_trial() -> None:
    learned = lessons_of(searched(60))
    figure = effects_figure(learned, "accuracy")
    shown = [y for trace in figure.data if trace.xaxis == "x" for y in trace.y]
    assert sorted(shown) == sorted(effect.label for effect in learned.effects)
    filled = [t for t in figure.data if t.marker.symbol == "circle" and t.xaxis == "x"]
    assert "adapt and train query" in filled[0].y
    assert all("rule" not in label for label in filled[0].y)

    curve = learned.curves[0]
    points = response_figure(curve, "accuracy").data[-1]
    assert list(points.customdata) == list(range(60))

    pattern = pattern_of([frozen(0)])
    assert pattern is not None
    (cells,) = pattern_figure(pattern).data
    assert cells.z[0][0] == pytest.approx(20.0)
    assert cells.z[4][1] is None
    assert "trained it to the end" in cells.hovertext[4][0]
