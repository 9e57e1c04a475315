"""Parameter counts, against the published ones and against counting by hand."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import DebertaV2ForSequenceClassification

import aflora
from aflora import AFLoRAConfig, FreezeConfig, Freezer, Schedule
from aflora.counts import average_parameters, expected_parameters
from aflora.roles import find_targets
from benchmarks.average_parameters import deberta_v3_base
from tests.aflora.loop import STEPS, adamw, adapted, train


def paper_s_model() -> nn.Module:
    """DeBERTa-v3-base without its weights."""
    with torch.device("meta"):
        return DebertaV2ForSequenceClassification(deberta_v3_base())


def test_the_paper_s_model_has_the_paper_s_counts() -> None:
    model = paper_s_model()
    whole = sum(p.numel() for p in model.parameters())
    counts = aflora.count_parameters(aflora.adapt(model, AFLoRAConfig(rank=4)))
    assert counts.start == counts.now == 451_872
    assert counts.floor == 83_232
    assert counts.start - counts.floor == 368_640
    assert counts.head == 768 * 768 + 768 + 2 * 768 + 2  # pooler and classifier
    # Attention's matrices are frozen from the start, and in the model all the same.
    attention = 12 * 4 * 2 * 4 * 768
    assert counts.total == whole + counts.start + attention
    assert len(aflora.projections(model)) == 48


def test_peft_s_lora_has_the_published_count_on_the_same_modules() -> None:
    model = paper_s_model()
    names = [t.name for t in find_targets(model, AFLoRAConfig().modules)]
    assert len(names) == 72
    lora = get_peft_model(model, LoraConfig(r=8, target_modules=names))
    assert sum(p.numel() for n, p in lora.named_parameters() if ".lora_" in n) == 1_327_104


def test_elora_is_the_variant_without_trainable_projections() -> None:
    """Published: 0.16 M for rank 1024, wider than the layers are."""
    config = AFLoRAConfig(rank=1024, trainable_projections="none")
    counts = aflora.count_parameters(aflora.adapt(paper_s_model(), config))
    assert counts.start == counts.now == counts.floor == 156_672


@pytest.mark.parametrize(("epochs", "expected"), [(20, 125_000), (10, 139_000)])
def test_the_ideal_average_of_the_paper_s_schedule(epochs: int, expected: float) -> None:
    """t_i is one epoch, t_f 70 % of all steps; reported are 0.14 M parameters."""
    model = aflora.adapt(paper_s_model(), AFLoRAConfig(rank=4))
    schedule = Schedule(epochs * 100, 100, epochs * 30)
    assert expected_parameters(model, schedule) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("rule", ["paper", "official"])
def test_the_average_is_that_of_what_trained_at_each_step(rule: str) -> None:
    model = adapted(rule)
    freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
    trained = []
    for step in range(STEPS):
        # A matrix chosen at step t counts as frozen from t + 1 on.
        trained.append(aflora.count_parameters(model).now)
        train(model, freezer, optimizer, [step])
        average = average_parameters(model, freezer.timeline, step + 1)
        assert average == pytest.approx(sum(trained) / len(trained), rel=1e-12)
    counts = aflora.count_parameters(model)
    assert counts.now == counts.floor < average < counts.start == trained[0]


def test_an_average_over_no_steps_is_refused() -> None:
    model = adapted()
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        average_parameters(model, Freezer.for_model(model, STEPS).timeline, 0)


def test_the_timeline_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not one of this model: 'bert\.encoder\.layer\.0"):
        average_parameters(adapted(), [], 10)


def test_what_is_expected_follows_from_what_trains_now() -> None:
    model = adapted()
    counts = aflora.count_parameters(model)
    schedule = Schedule(100, 10, 60)
    matrices = counts.start - counts.floor
    left = [schedule.remaining_fraction(t) for t in range(40, 100)]
    share = sum(left) / 60 / schedule.remaining_fraction(40)
    assert expected_parameters(model, schedule, 40) == pytest.approx(
        counts.floor + matrices * share
    )
    assert expected_parameters(model, schedule, 60) == counts.floor
    assert expected_parameters(model, schedule, 100) == counts.floor


def test_a_model_without_an_adapter_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="DebertaV2ForSequenceClassification has no AFLoRA"):
        aflora.count_parameters(paper_s_model())


def test_freezing_changes_what_trains_now_and_nothing_else() -> None:
    model = aflora.adapt(
        paper_s_model(), AFLoRAConfig(rank=4, freeze=FreezeConfig(start=0.0, end=0.5))
    )
    before = aflora.count_parameters(model)
    first = aflora.projections(model)[0].parameter
    first.requires_grad_(False)
    after = aflora.count_parameters(model)
    assert before.now - after.now == first.numel() == 4 * 768
    assert (after.start, after.floor, after.head, after.total) == (
        before.start,
        before.floor,
        before.head,
        before.total,
    )
