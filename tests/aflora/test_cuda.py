"""The same training on a GPU; skipped where there is none."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import aflora
from aflora import Freezer
from aflora.callback import AFLoRACallback
from aflora.score import finite
from tests.aflora.loop import STEPS, adamw, adapted, batch, train, trained, weights
from tests.aflora.test_callback import trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def on_gpu(step: int) -> list[dict[str, torch.Tensor]]:
    return [{name: tensor.cuda() for name, tensor in batch(step).items()}]


@pytest.mark.parametrize("rule", ["paper", "official"])
def test_it_freezes_the_same_matrices_as_on_the_cpu(rule: str) -> None:
    model, freezer = trained(adapted(rule))
    gpu, gpu_freezer = trained(adapted(rule).cuda(), batches=on_gpu)
    assert gpu_freezer.timeline == freezer.timeline
    expected = weights(model)
    for name, parameter in weights(gpu).items():
        torch.testing.assert_close(parameter.cpu(), expected[name], rtol=1e-2, atol=1e-3)


def test_a_model_may_be_moved_after_its_freezer_was_made() -> None:
    model = adapted("official")
    freezer = Freezer.for_model(model, STEPS)
    train(model.cuda(), freezer, adamw(model), batches=on_gpu)
    assert len(freezer.frozen_at) == 8


def test_fp16_with_a_scaler_trains_and_freezes() -> None:
    model = adapted().cuda()
    optimizer = adamw(model)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**10)
    freezer = Freezer.for_model(model, STEPS)
    train(
        model,
        freezer,
        optimizer,
        batches=on_gpu,
        autocast=partial(torch.autocast, "cuda", torch.float16),
        backward=lambda loss: scaler.scale(loss).backward(),
        unscale=lambda: scaler.unscale_(optimizer),
        update=lambda: (scaler.step(optimizer), scaler.update()),
    )
    assert len(freezer.frozen_at) == 8
    assert freezer.skipped_gradients == 0


def test_trainer_in_fp16_trains_and_freezes(tmp_path: Path) -> None:
    callback = AFLoRACallback(clip=0.5)
    made = trainer(tmp_path, callback, use_cpu=False, fp16=True, save_strategy="no")
    made.train()
    assert len(callback.freezer.frozen_at) == 8


def test_bf16_autocast_compiled_trains_and_freezes() -> None:
    model: Any = adapted().cuda()
    model.config.problem_type = "single_label_classification"
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=2, fail_on_recompile_limit_hit=True):
        compiled: Any = torch.compile(model)
        freezer = Freezer.for_model(compiled, STEPS)
        autocast = partial(torch.autocast, "cuda", torch.bfloat16)
        train(compiled, freezer, adamw(model), batches=on_gpu, autocast=autocast)
    torch._dynamo.reset()
    assert len(freezer.frozen_at) == 8


def test_freezing_frees_memory() -> None:
    """The optimizer's two moments and the gradient of what is frozen."""
    model = adapted().cuda()
    freezer, optimizer = Freezer.for_model(model, STEPS), adamw(model)
    train(model, freezer, optimizer, range(2), batches=on_gpu)
    held = sum(t.numel() for s in optimizer.state.values() for t in s.values())
    train(model, freezer, optimizer, range(2, STEPS), batches=on_gpu)
    left = sum(t.numel() for s in optimizer.state.values() for t in s.values())
    assert held - left == 2 * sum(m.parameter.numel() for m in freezer.matrices) + 8
    merged = aflora.merge(model)
    assert next(merged.parameters()).is_cuda


def test_a_gradient_that_is_no_number_is_found_on_a_gpu_too() -> None:
    good = torch.ones(300, 700, device="cuda")
    bad = [good.clone() for _ in range(2)]
    bad[0][123, 456], bad[1][299, 699] = float("nan"), float("-inf")
    assert finite([good, *bad]) == [True, False, False]
