from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aflora.score import SMALLEST_WEIGHT, SmoothedScore, finite, importance, take_in

betas = st.floats(0.0, 0.99)
gradients = st.lists(st.lists(st.floats(0, 10), min_size=2, max_size=2), min_size=1, max_size=12)


@given(betas, betas, gradients)
def test_it_is_the_two_running_averages_of_the_paper(
    beta1: float, beta2: float, steps: list[list[float]]
) -> None:
    score = SmoothedScore(torch.zeros(2, dtype=torch.float64), beta1, beta2)
    sensitivity, uncertainty = [0.0, 0.0], [0.0, 0.0]
    for step, values in enumerate(steps):
        take_in([score], [torch.tensor(values, dtype=torch.float64)], step)
        for i, value in enumerate(values):
            sensitivity[i] = beta1 * sensitivity[i] + (1 - beta1) * value
            deviation = abs(value - sensitivity[i])
            uncertainty[i] = beta2 * uncertainty[i] + (1 - beta2) * deviation
    expected = torch.tensor([s * u for s, u in zip(sensitivity, uncertainty, strict=True)])
    torch.testing.assert_close(score.elements(), expected, check_dtype=False)


@given(betas, betas, gradients, st.integers(1, 5))
def test_a_window_is_smoothed_once_as_the_mean_of_its_steps(
    beta1: float, beta2: float, steps: list[list[float]], width: int
) -> None:
    windowed = SmoothedScore(torch.zeros(2, dtype=torch.float64), beta1, beta2, width)
    plain = SmoothedScore(torch.zeros(2, dtype=torch.float64), beta1, beta2)
    for step, values in enumerate(steps):
        take_in([windowed], [torch.tensor(values, dtype=torch.float64)], step)
        if step and step % width == 0:
            over = torch.tensor(steps[step - width : step], dtype=torch.float64)
            take_in([plain], [over.mean(0)], step)
        torch.testing.assert_close(windowed.elements(), plain.elements())


def test_a_window_does_not_share_memory_with_the_gradient() -> None:
    gradient = torch.ones(2)
    score = SmoothedScore(torch.zeros(2), 0.5, 0.5, window=3)
    take_in([score], [gradient], 0)
    gradient.zero_()
    assert torch.equal(score.state()["window"], torch.ones(2))


def test_a_step_without_importance_changes_nothing_but_the_window_s_turn() -> None:
    score = SmoothedScore(torch.zeros(2), 0.5, 0.5)
    take_in([score], [torch.ones(2)], 0)
    before = {name: tensor.clone() for name, tensor in score.state().items()}
    take_in([score], [None], 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in score.state().items())
    windowed = SmoothedScore(torch.zeros(2), 0.5, 0.5, window=2)
    take_in([windowed], [torch.ones(2)], 1)
    take_in([windowed], [None], 2)
    assert torch.equal(windowed.state()["window"], torch.zeros(2))
    assert windowed.elements().min() > 0


@pytest.mark.parametrize("window", [0, 3])
def test_a_score_follows_its_matrix_to_another_device(window: int) -> None:
    score = SmoothedScore(torch.zeros(2), 0.5, 0.5, window)
    take_in([score], [torch.ones(2, device="meta")], 1)
    assert {tensor.device.type for tensor in score.state().values()} == {"meta"}


def test_a_weight_of_zero_has_a_finite_ratio() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert importance("gradient_over_weight", zero, torch.ones(1)).item() == 1e8


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=8),
    st.lists(st.floats(-10, 10), min_size=8, max_size=8),
)
def test_importance_is_that_of_the_paper_s_four_scores(
    weights: list[float], gradients: list[float]
) -> None:
    w = torch.tensor(weights, dtype=torch.float64)
    g = torch.tensor(gradients[: len(weights)], dtype=torch.float64)
    assert importance("gradient", w, g).tolist() == [abs(x) for x in g.tolist()]
    assert importance("weight_gradient", w, g).tolist() == [
        abs(x * y) for x, y in zip(w.tolist(), g.tolist(), strict=True)
    ]
    assert importance("magnitude", w, g).tolist() == [abs(x) for x in w.tolist()]
    ratio = importance("gradient_over_weight", w, g)
    assert torch.isfinite(ratio).all()
    for value, x, y in zip(ratio.tolist(), w.tolist(), g.tolist(), strict=True):
        assert value == pytest.approx(abs(y) / max(abs(x), SMALLEST_WEIGHT))


def take_in_alone(score: SmoothedScore, taken: torch.Tensor | None, step: int) -> None:
    """One operation after the other, on one matrix."""

    def smooth(now: torch.Tensor) -> None:
        score.sensitivity.mul_(score.beta1).add_(now * (1.0 - score.beta1))
        deviation = (now - score.sensitivity).abs_()
        score.uncertainty.mul_(score.beta2).add_(deviation * (1.0 - score.beta2))

    if score.window is None:
        if taken is not None:
            smooth(taken)
        return
    window, position = divmod(step, score.window_steps)
    if window > (step - 1) // score.window_steps:
        smooth(score.window)
        score.window.zero_()
    if taken is not None:
        score.window.mul_(position).add_(taken).div_(position + 1)


shapes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=4)


@given(betas, betas, shapes, st.integers(0, 3), st.integers(1, 7), st.randoms())
def test_all_matrices_at_once_are_as_each_alone(
    beta1: float,
    beta2: float,
    matrices: list[tuple[int, int]],
    width: int,
    steps: int,
    random: Random,
) -> None:
    """Bit for bit, whichever of them have no gradient at a step."""
    draw = torch.Generator().manual_seed(random.getrandbits(32))
    together, alone = (
        [SmoothedScore(torch.zeros(shape), beta1, beta2, width) for shape in matrices]
        for _ in range(2)
    )
    for step in range(steps):
        taken = [
            torch.rand(shape, generator=draw) if random.random() < 0.7 else None
            for shape in matrices
        ]
        take_in(together, [None if t is None else t.clone() for t in taken], step)
        for score, now in zip(alone, taken, strict=True):
            take_in_alone(score, now, step)
    for one, other in zip(together, alone, strict=True):
        for name, tensor in one.state().items():
            assert torch.equal(tensor, other.state()[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_gradient_with_one_element_that_is_no_number_is_found(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    good = torch.tensor([[0.0, -largest], [largest, 1.0]], dtype=dtype)
    bad = [good.clone() for _ in range(3)]
    for gradient, value in zip(bad, (float("nan"), float("inf"), -float("inf")), strict=True):
        gradient[0, 0] = value
    other = torch.ones(3)
    assert finite([good, *bad, None, other]) == [True, False, False, False, None, True]
    assert finite([None, None]) == [None, None]
