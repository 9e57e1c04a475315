import torch
from hypothesis import given
from hypothesis import strategies as st

from aflora.score import SmoothedScore, windowed

betas = st.floats(0.0, 0.99)
gradients = st.lists(st.lists(st.floats(0, 10), min_size=2, max_size=2), min_size=1, max_size=12)


@given(betas, betas, gradients)
def test_it_is_the_two_running_averages_of_the_paper(
    beta1: float, beta2: float, steps: list[list[float]]
) -> None:
    score = SmoothedScore(torch.zeros(2, dtype=torch.float64), beta1, beta2)
    sensitivity, uncertainty = [0.0, 0.0], [0.0, 0.0]
    for step in steps:
        score.update(torch.tensor(step, dtype=torch.float64))
        for i, value in enumerate(step):
            sensitivity[i] = beta1 * sensitivity[i] + (1 - beta1) * value
            deviation = abs(value - sensitivity[i])
            uncertainty[i] = beta2 * uncertainty[i] + (1 - beta2) * deviation
    expected = torch.tensor([s * u for s, u in zip(sensitivity, uncertainty, strict=True)])
    torch.testing.assert_close(score.elements(), expected, check_dtype=False)
    torch.testing.assert_close(torch.tensor(score.mean()), expected.mean(), check_dtype=False)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=10))
def test_a_window_is_the_mean_of_its_steps(values: list[float]) -> None:
    window = torch.full((1,), 123.0, dtype=torch.float64)
    for position, value in enumerate(values):
        window = windowed(window, torch.tensor([value], dtype=torch.float64), position)
    torch.testing.assert_close(float(window), sum(values) / len(values))


def test_a_new_window_does_not_share_memory_with_the_gradient() -> None:
    gradient = torch.ones(2)
    window = windowed(torch.zeros(2), gradient, 0)
    gradient.zero_()
    assert torch.equal(window, torch.ones(2))
