import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aflora
from aflora import AFLoRAConfig, Epochs, FreezeConfig, Freezer
from aflora.adapter import Projection
from aflora.config import Rule, Score
from tests.tiny_models import tiny_model

TOTAL = 24


def matrices(count: int = 6, seed: int = 0) -> list[Projection]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Projection(
            f"m{i}", nn.Parameter(torch.randn(3, 4, generator=generator)), i // 2, "ffn_in", "A"
        )
        for i in range(count)
    ]


def gradients(freezer: Freezer, step: int) -> None:
    """Gradients that depend on the step and the matrix alone."""
    for index, matrix in enumerate(freezer.matrices):
        if matrix.parameter.requires_grad:
            generator = torch.Generator().manual_seed(1000 * step + index)
            noise = torch.randn(3, 4, generator=generator)
            matrix.parameter.grad = noise * (1 + index)


def run(freezer: Freezer, steps: range) -> None:
    for step in steps:
        gradients(freezer, step)
        freezer.step(step)


def edges(start: float, end: float) -> tuple[int, int]:
    """Fractions to the nearest step, halves up."""
    return math.floor(start * TOTAL + 0.5), math.floor(end * TOTAL + 0.5)


rules: st.SearchStrategy[Rule] = st.sampled_from(["paper", "official"])
scores: st.SearchStrategy[Score] = st.sampled_from(
    ["gradient", "weight_gradient", "gradient_over_weight", "magnitude"]
)


@given(rules, st.integers(1, 7), st.floats(0, 0.4), st.floats(0.5, 1))
def test_all_is_frozen_at_the_end_and_nothing_before_the_start(
    rule: Rule, interval: int, start: float, end: float
) -> None:
    config = FreezeConfig(rule, start=start, end=end, interval=interval)
    if interval > edges(start, end)[1] - edges(start, end)[0]:
        with pytest.raises(ValueError, match=f"freeze.interval is {interval} steps, longer than"):
            Freezer(matrices(), config, TOTAL)
        return
    freezer = Freezer(matrices(), config, TOTAL)
    for step in range(TOTAL):
        gradients(freezer, step)
        freezer.step(step)
        if step < freezer.schedule.start_step:
            assert not freezer.frozen_at
        if rule == "paper" and (step % interval == 0 or step >= freezer.schedule.end_step):
            wanted = math.floor(freezer.schedule.frozen_fraction(step) * 6 + 1e-9)
            assert len(freezer.frozen_at) == wanted
    if rule == "paper" and freezer.schedule.end_step < TOTAL:
        assert not freezer.live
    assert all(entry.step == freezer.frozen_at.get(entry.name) for entry in freezer.timeline)


def test_the_lowest_gradients_freeze_first() -> None:
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.9, interval=1), TOTAL)
    run(freezer, range(TOTAL))
    order = sorted(freezer.frozen_at, key=freezer.frozen_at.__getitem__)
    assert order == [f"m{i}" for i in range(6)]


def test_a_frozen_matrix_gets_no_update_and_its_state_is_released() -> None:
    freezer = Freezer(matrices(2), FreezeConfig(start=0.0, end=0.5, interval=1), 10)
    parameters = [m.parameter for m in freezer.matrices]
    optimizer = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1)
    frozen_values: dict[str, torch.Tensor] = {}
    for step in range(10):
        gradients(freezer, step)
        for name in freezer.step(step, optimizer):
            matrix = next(m for m in freezer.matrices if m.name == name)
            frozen_values[name] = matrix.parameter.detach().clone()
            assert matrix.parameter.grad is None
            assert matrix.parameter not in optimizer.state
        optimizer.step()
    assert len(frozen_values) == 2
    for matrix in freezer.matrices:
        assert torch.equal(matrix.parameter, frozen_values[matrix.name])
        assert not matrix.parameter.requires_grad


def test_the_magnitude_freezes_small_weights_first_whatever_the_gradient() -> None:
    freezer = Freezer(
        matrices(), FreezeConfig(score="magnitude", start=0.0, end=0.9, interval=1), TOTAL
    )
    run(freezer, range(TOTAL))
    order = sorted(freezer.frozen_at, key=freezer.frozen_at.__getitem__)
    sizes = {m.name: m.parameter.abs().mean().item() for m in freezer.matrices}
    assert order == sorted(sizes, key=sizes.__getitem__)
    assert [key for key in freezer.state_dict() if key != "about"] == []


def test_each_score_smooths_its_own_importance() -> None:
    for score in ("gradient", "weight_gradient", "gradient_over_weight"):
        config = FreezeConfig(score=score, beta1=0.0, start=0.5, end=0.9, interval=1)
        freezer = Freezer(matrices(2), config, TOTAL)
        gradients(freezer, 0)
        freezer.step(0)
        for matrix in freezer.matrices:
            weight, gradient = matrix.parameter.detach(), matrix.parameter.grad
            assert gradient is not None
            expected = {
                "gradient": gradient.abs(),
                "weight_gradient": (weight * gradient).abs(),
                "gradient_over_weight": (gradient / weight).abs(),
            }[score]
            torch.testing.assert_close(freezer.state_dict()[f"sensitivity/{matrix.name}"], expected)


def test_a_weight_of_zero_scores_nothing_under_official_alone() -> None:
    """The authors' code has |sign(w) g|, the paper |g|."""
    seen = {}
    for rule in ("paper", "official"):
        config = FreezeConfig(rule, beta1=0.0, start=0.5, end=0.9, interval=1, window=0)
        freezer = Freezer(matrices(1), config, TOTAL)
        with torch.no_grad():
            freezer.matrices[0].parameter[0, 0] = 0.0
        gradients(freezer, 0)
        freezer.step(0)
        seen[rule] = freezer.state_dict()["sensitivity/m0"]
    assert seen["official"][0, 0] == 0.0 < seen["paper"][0, 0]
    seen["paper"][0, 0] = 0.0
    assert torch.equal(seen["paper"], seen["official"])


@pytest.mark.parametrize(("rule", "expected"), [("paper", 12), ("official", 13)])
def test_what_is_left_freezes_at_the_end_though_it_is_no_look(rule: Rule, expected: int) -> None:
    """The authors' code looks at every step once t > T - t_f, the paper's rule from T - t_f on."""
    config = FreezeConfig(  # so slow a start that nothing freezes before the end
        rule, start=0.0, end=0.5, interval=5, exponent=50, exponent_of="frozen"
    )
    freezer = Freezer(matrices(), config, TOTAL)
    run(freezer, range(TOTAL))
    assert set(freezer.frozen_at.values()) == {expected}


def test_epochs_are_turned_into_steps() -> None:
    config = FreezeConfig(start=Epochs(1), end=Epochs(6), interval=2)
    schedule = Freezer(matrices(), config, 80, steps_per_epoch=4).schedule
    assert (schedule.start_step, schedule.end_step) == (4, 24)
    with pytest.raises(ValueError, match=r"freeze\.start is 1 epoch, but .* give steps_per_epoch"):
        Freezer(matrices(), config, 80)


def test_a_step_without_any_gradient_is_refused() -> None:
    freezer = Freezer(matrices(), FreezeConfig(interval=2), TOTAL)
    with pytest.raises(
        ValueError, match=r"no matrix has a gradient at step 3: call .* after backward"
    ):
        freezer.step(3)


def test_a_step_before_the_first_is_refused() -> None:
    freezer = Freezer(matrices(), FreezeConfig(interval=2), TOTAL)
    gradients(freezer, 0)
    with pytest.raises(ValueError, match="counts optimizer steps from 0, got -1"):
        freezer.step(-1)


def test_a_matrix_that_the_loss_does_not_reach_freezes_first() -> None:
    freezer = Freezer(matrices(3), FreezeConfig(start=0.0, end=0.9, interval=1), TOTAL)
    for step in range(TOTAL):
        gradients(freezer, step)
        freezer.matrices[2].parameter.grad = None
        if freezer.step(step):
            break
    assert set(freezer.frozen_at) == {"m2"}
    assert freezer.skipped_gradients == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("rule", ["paper", "official"])
def test_a_gradient_that_is_no_number_never_enters_a_score(
    rule: Rule, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    config = FreezeConfig(rule, start=0.3, end=0.9, interval=3)
    freezer = Freezer(matrices(), config, TOTAL)
    for step in range(TOTAL):
        gradients(freezer, step)
        if step in (3, 4):
            freezer.matrices[5].parameter.grad[0, 0] = value  # type: ignore[index]
        freezer.step(step)
        for tensor in freezer.state_dict().values():
            assert torch.isfinite(tensor.float()).all()
    assert freezer.skipped_gradients == 2
    # Told once, where and what; counted always.
    (told,) = caplog.messages
    assert told.startswith("step 3: the gradient of m5 holds NaN or inf")


def test_a_damaged_state_changes_nothing() -> None:
    freezer = Freezer(matrices(2), FreezeConfig(interval=2), TOTAL)
    run(freezer, range(2))
    state = {key: tensor.clone() for key, tensor in freezer.state_dict().items()}
    state["sensitivity/m1"] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"'m1' has shape \(2, 2\), the model wants \(3, 4\)"):
        freezer.load_state_dict(state)
    assert freezer.state_dict()["sensitivity/m0"].any()


@settings(max_examples=30)
@given(rules, scores, st.integers(0, TOTAL), st.integers(1, 5), st.sampled_from([None, 0, 1, 3]))
def test_stopping_at_any_step_and_going_on_gives_the_same_timeline(
    rule: Rule, score: Score, stop: int, interval: int, window: int | None
) -> None:
    config = FreezeConfig(rule, score, start=0.1, end=0.8, interval=interval, window=window)
    whole = Freezer(matrices(), config, TOTAL)
    run(whole, range(TOTAL))
    first = Freezer(matrices(), config, TOTAL)
    run(first, range(stop))
    second = Freezer(matrices(), config, TOTAL)
    second.load_state_dict(first.state_dict())
    for matrix in second.matrices:
        assert matrix.parameter.requires_grad == (matrix.name not in first.frozen_at)
    run(second, range(stop, TOTAL))
    assert second.frozen_at == whole.frozen_at
    state, expected = second.state_dict(), whole.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_a_state_of_other_matrices_is_refused() -> None:
    state = Freezer(matrices(4), FreezeConfig(interval=2), TOTAL).state_dict()
    freezer = Freezer(matrices(6), FreezeConfig(interval=2), TOTAL)
    with pytest.raises(ValueError, match="does not fit this model: 'sensitivity/m4'"):
        freezer.load_state_dict(state)
    with pytest.raises(ValueError, match="no entry 'about'"):
        freezer.load_state_dict({})


def test_a_model_s_freezer_takes_its_projections_and_settings() -> None:
    config = AFLoRAConfig(rank=2, freeze=FreezeConfig(start=0.0, end=0.5, interval=2))
    model = aflora.adapt(tiny_model("bert"), config)
    freezer = Freezer.for_model(model, 40)
    assert [m.name for m in freezer.matrices] == [p.name for p in aflora.projections(model)]
    assert freezer.schedule.end_step == 20
    assert {entry.role for entry in freezer.timeline} == {"ffn_in", "ffn_out"}


def state_at(step: int, **settings: Any) -> dict[str, torch.Tensor]:
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.5, interval=1, **settings), TOTAL)
    run(freezer, range(step))
    return {key: tensor.clone() for key, tensor in freezer.state_dict().items()}


def with_about(state: dict[str, torch.Tensor], **change: Any) -> dict[str, torch.Tensor]:
    about = json.loads(bytes(state["about"].tolist())) | change
    about = {key: value for key, value in about.items() if value != "absent"}
    encoded = bytearray(json.dumps(about).encode())
    return state | {"about": torch.frombuffer(encoded, dtype=torch.uint8)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skipped_gradients": "absent"}, "damaged: KeyError('skipped_gradients')"),
        ({"skipped_gradients": -1}, "skipped_gradients is -1"),
        ({"frozen_at": {"m0": "x"}}, "m0 is 'x'"),
        ({"frozen_at": {"m0": -7}}, "m0 is -7"),
        ({"frozen_at": {"m0": None}}, "m0 is None"),
        ({"frozen_at": {"m0": 4}}, "m0 is 4"),
        ({"last_step": "absent"}, "damaged: KeyError('last_step')"),
        ({"last_step": -2}, "last_step is -2"),
        ({"frozen_at": 3}, "damaged: TypeError"),
        ({"frozen_at": {"m9": 3}}, "does not fit this model: 'm9'"),
        ({"settings": {}}, "saved with rule = None, this freezer has 'paper'"),
    ],
)
def test_a_damaged_state_is_refused_and_nothing_has_changed(
    change: dict[str, Any], message: str
) -> None:
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.5, interval=1), TOTAL)
    before = freezer.state_dict()
    with pytest.raises(ValueError, match="freezer") as caught:
        freezer.load_state_dict(with_about(state_at(4), **change))
    assert message in str(caught.value)
    assert freezer.frozen_at == {}
    assert all(matrix.parameter.requires_grad for matrix in freezer.matrices)
    assert all(torch.equal(freezer.state_dict()[key], tensor) for key, tensor in before.items())


def test_scores_that_are_no_numbers_are_refused() -> None:
    state = state_at(2)
    state["uncertainty/m5"][0, 0] = math.nan
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.5, interval=1), TOTAL)
    with pytest.raises(ValueError, match="damaged: uncertainty/m5 is no number"):
        freezer.load_state_dict(state)
    assert torch.equal(freezer.state_dict()["sensitivity/m0"], torch.zeros(3, 4))


@pytest.mark.parametrize(
    ("settings", "total", "message"),
    [
        ({"rule": "official", "window": 0}, TOTAL, "rule = 'paper', this freezer has 'official'"),
        ({"score": "weight_gradient"}, TOTAL, "score = 'gradient'"),
        ({"beta1": 0.1}, TOTAL, "beta1 = 0.85, this freezer has 0.1"),
        ({"window": 4}, TOTAL, "window = 0, this freezer has 4"),
        ({}, 2 * TOTAL, f"total_steps = {TOTAL}, this freezer has {2 * TOTAL}"),
    ],
)
def test_a_state_of_other_settings_is_refused(
    settings: dict[str, Any], total: int, message: str
) -> None:
    given = {"start": 0.0, "end": 0.5, "interval": 1} | settings
    freezer = Freezer(matrices(), FreezeConfig(**given), total)
    with pytest.raises(ValueError, match="was saved with") as caught:
        freezer.load_state_dict(state_at(2))
    assert message in str(caught.value)


def test_going_back_to_an_earlier_state_lets_matrices_train_again() -> None:
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.5, interval=1), TOTAL)
    run(freezer, range(2))
    early = {key: tensor.clone() for key, tensor in freezer.state_dict().items()}
    live = {matrix.name for matrix in freezer.live}
    run(freezer, range(2, TOTAL))
    assert not freezer.live
    freezer.load_state_dict(early)
    assert {m.name for m in freezer.matrices if m.parameter.requires_grad} == live
    run(freezer, range(2, TOTAL))
    assert not freezer.live


def test_what_someone_else_froze_is_not_taken_for_live() -> None:
    shared = matrices()
    run(Freezer(shared, FreezeConfig(start=0.0, end=0.5, interval=1), TOTAL), range(6))
    other = Freezer(shared, FreezeConfig(start=0.0, end=0.5, interval=1), TOTAL)
    with pytest.raises(ValueError, match="does not train, but this freezer has not frozen it"):
        run(other, range(1))


def test_the_skipped_gradients_are_part_of_the_state() -> None:
    freezer = Freezer(matrices(), FreezeConfig(start=0.5, end=1.0, interval=1), TOTAL)
    gradients(freezer, 0)
    freezer.matrices[2].parameter.grad[1, 1] = math.nan  # type: ignore[index]
    freezer.step(0)
    again = Freezer(matrices(), FreezeConfig(start=0.5, end=1.0, interval=1), TOTAL)
    again.load_state_dict(freezer.state_dict())
    assert again.skipped_gradients == freezer.skipped_gradients == 1


def test_a_step_whose_last_live_layers_were_dropped_is_no_mistake() -> None:
    """LayerDrop leaves out whole blocks; something else has a gradient then."""
    vector = nn.Parameter(torch.ones(2))
    vector.grad = torch.ones(2)
    config = FreezeConfig(start=0.0, end=0.5, interval=1)
    assert Freezer(matrices(), config, TOTAL, others=[vector]).step(0) == []
    made = matrices()
    optimizer = torch.optim.SGD([vector, *(matrix.parameter for matrix in made)], lr=0.1)
    assert Freezer(made, config, TOTAL).step(0, optimizer) == []
    with pytest.raises(ValueError, match="no matrix has a gradient at step 0"):
        Freezer(matrices(), config, TOTAL).step(0)


def test_half_precision_does_not_change_the_order() -> None:
    """Products of smoothed gradients of 1e-4 are below what a half can hold."""
    frozen = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        cast = [
            Projection(m.name, nn.Parameter(m.parameter.to(dtype)), m.layer, m.role, m.matrix)
            for m in matrices()
        ]
        freezer = Freezer(cast, FreezeConfig(start=0.0, end=0.9, interval=1), TOTAL)
        for step in range(TOTAL):
            for index, matrix in enumerate(freezer.matrices):
                if matrix.parameter.requires_grad:
                    noise = torch.full((3, 4), 1e-4 * (10 - index)) * (1 + 0.2 * (step % 2))
                    matrix.parameter.grad = noise.to(dtype)
            freezer.step(step)
        frozen.append(freezer.frozen_at)
    assert frozen[0] == frozen[1] == frozen[2]
    assert min(frozen[0], key=lambda name: frozen[0][name]) == "m5"


@pytest.mark.parametrize("step", [3, 2, -1, "4", 4.0, True])
def test_a_step_that_is_none_or_comes_again_is_refused(step: Any) -> None:
    freezer = Freezer(matrices(), FreezeConfig(start=0.0, end=0.9, interval=1), TOTAL)
    run(freezer, range(4))
    before = {key: tensor.clone() for key, tensor in freezer.state_dict().items()}
    gradients(freezer, 4)
    with pytest.raises(ValueError, match="step"):
        freezer.step(step)
    assert all(torch.equal(freezer.state_dict()[key], t) for key, t in before.items())
    again = Freezer(matrices(), FreezeConfig(start=0.0, end=0.9, interval=1), TOTAL)
    again.load_state_dict(before)
    with pytest.raises(ValueError, match="step 3 comes after step 3"):
        again.step(3)


def test_that_nothing_will_freeze_is_said(caplog: pytest.LogCaptureFixture) -> None:
    def freezer_of(**settings: Any) -> Freezer:
        config = AFLoRAConfig(rank=2, modules=("query",), **settings)
        return Freezer.for_model(aflora.adapt(tiny_model("bert"), config), 400)

    assert freezer_of().timeline == []
    assert "no projection matrix trains: trainable_projections is 'ffn'" in caplog.text
    caplog.clear()
    assert freezer_of(trainable_projections="none").timeline == []
    assert not caplog.text
