"""The words at the head of the report say what the record supports and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from search.record import ConstantAnswer, StudyRecord
from search.results.headline import headline, overview_headline

Maker = Callable[..., Any]


def words(study: StudyRecord) -> str:
    return " ".join(headline(study)).replace("\N{NO-BREAK SPACE}", " ")


def test_the_best_trial_with_what_it_cost(trial: Maker, study: Maker) -> None:
    text = words(study(trial(0, score=0.8, params=90_000), trial(1, score=0.912)))
    assert text.startswith(
        "Trial 1 (aflora r4 ffn paper) has the best accuracy, 0.9120, "
        "with 12.3 k trainable parameters on average and in 21.4 s of training."
    )


def test_a_mark_is_set_beside_the_best(trial: Maker, study: Maker) -> None:
    lora = trial(0, score=0.905, params=124_230, seconds=21.5, mark="LoRA r=8")
    text = words(study(lora, trial(1, score=0.912)))
    expected = "“LoRA r=8” reached 0.9050 with 10.1× the parameters and the same training time."
    assert expected in text


def test_a_mark_that_did_not_finish_is_not_compared(trial: Maker, study: Maker) -> None:
    text = words(study(trial(0, "pruned", mark="LoRA r=8"), trial(1)))
    assert "“LoRA r=8” was pruned." in text
    assert "×" not in text


def test_the_best_mark_is_not_compared_with_itself(trial: Maker, study: Maker) -> None:
    text = words(study(trial(0, mark="AFLoRA, paper")))
    assert text.startswith("Trial 0 (AFLoRA, paper; aflora r4 ffn paper) has the best")
    assert "reached" not in text


def test_without_a_complete_trial_it_only_counts(trial: Maker, study: Maker) -> None:
    assert words(study()) == "No trial is complete yet."
    text = words(study(trial(0, "running"), trial(1, "pruned"), trial(2, "pruned")))
    assert text == "No trial is complete yet: 1 running, 2 pruned."


def test_complete_trials_that_break_the_limits_are_counted_as_such(
    trial: Maker, study: Maker
) -> None:
    broke = [trial(n, feasible=False) for n in range(3)]
    assert words(study(*broke)) == "3 trials are complete, none within the limits."
    text = words(study(*broke, trial(3, "running"), trial(4, "pruned")))
    assert text == "3 trials are complete, none within the limits; 1 running, 1 pruned."


def test_what_breaks_the_limits_is_not_the_best_and_called_so(trial: Maker, study: Maker) -> None:
    outside = trial(0, score=0.95, params=300_000, mark="LoRA r=8", feasible=False)
    text = words(study(outside, trial(1, score=0.91, params=50_000)))
    assert "Trial 1 (aflora r4 ffn paper) has the best accuracy within the limits, 0.9100" in text
    assert "“LoRA r=8” reached 0.9500 with 6.00× the parameters" in text
    assert "the same training time, outside the limits." in text


def test_of_two_that_score_alike_the_one_with_fewer_parameters_is_the_best(
    trial: Maker, study: Maker
) -> None:
    slow = trial(1, score=0.9, params=1000, seconds=90.0)
    assert words(study(trial(0, score=0.9, params=2000, seconds=10.0), slow)).startswith("Trial 1 ")


def test_what_is_no_better_than_one_answer_to_all_is_said(trial: Maker, study: Maker) -> None:
    two = trial(0, score=0.75), trial(1, score=0.625, params=900.0)
    told = "scores no better than answering always “yes”, which reaches 0.6250."
    assert f"1 of the front {told}" in words(study(*two, constant=ConstantAnswer("yes", 0.625)))
    text = words(study(*two, constant=ConstantAnswer("yes", 0.8)))
    assert "Nothing on the front scores better than answering always “yes”, which" in text
    assert "always" not in words(study(*two, constant=ConstantAnswer("yes", 0.6)))
    assert "always" not in words(study(*two))


def test_tasks_on_which_nothing_beats_one_answer_are_named(trial: Maker, study: Maker) -> None:
    wnli, rte = ConstantAnswer("not_entailment", 0.9), ConstantAnswer("entailment", 0.5)
    two = [study(trial(0), task="wnli", constant=wnli), study(trial(0), task="rte", constant=rte)]
    told = "On wnli nothing on the front scores better than answering always the same."
    assert overview_headline(two)[-1] == told
    assert "always" not in " ".join(overview_headline(two[1:]))


def test_if_all_failed_it_is_said_why(study: Maker, trial: Maker) -> None:
    failed = [trial(0, "failed", reason="out of memory\nTraceback"), trial(1, "failed", reason="x")]
    text = words(study(*failed, trial(2, "failed", reason="out of memory\nTraceback")))
    assert text == "No trial is complete yet: 3 failed. 2 of the failures say: out of memory"
    assert words(study(failed[0])).endswith("1 failed. The failures say: out of memory")


def test_several_single_runs_are_called_what_they_are(trial: Maker, study: Maker) -> None:
    assert "other seeds" in words(study(trial(0), trial(1)))
    assert "other seeds" not in words(study(trial(0)))


def test_a_front_member_with_fewer_parameters_is_named(trial: Maker, study: Maker) -> None:
    text = words(study(trial(0, score=0.95, params=50_000), trial(1, score=0.9, params=3_000)))
    assert "fewest parameters are those of trial 1 (aflora r4 ffn paper): 3.00 k" in text
    assert "at accuracy 0.9000" in text


def test_objectives_without_parameters(trial: Maker, study: Maker) -> None:
    objectives = ("score", "train_flops")
    directions = {"score": "max", "train_flops": "min"}
    text = words(study(trial(0, objectives=objectives), objectives=directions))
    assert "0.9000, for 3.10 TFLOPs of training." in text
    alone = words(study(trial(0, objectives=("score",)), objectives={"score": "max"}))
    assert "has the best accuracy, 0.9000." in alone
