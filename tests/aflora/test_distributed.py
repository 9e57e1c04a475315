"""Two processes that share their gradients freeze the same matrices as one does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn
from torch.distributed.fsdp import fully_shard

from aflora import Freezer
from aflora.callback import AFLoRACallback
from tests.aflora.loop import STEPS, adapted, trained, weights
from tests.aflora.test_callback import trainer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes wrote what each of them ended with."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    run = subprocess.run(
        [*command, "-m", "tests.aflora.ddp_training", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("how", ["loop", "trainer"])
def test_two_processes_train_as_one_with_both_their_batches(
    how: str, trained_by_two: Path, tmp_path: Path
) -> None:
    first, second = (load_file(trained_by_two / f"{how}-{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    if how == "loop":
        model, freezer = trained(adapted())
    else:
        callback = AFLoRACallback(clip=0.5)
        alone = trainer(tmp_path / "alone", callback)
        alone.train()
        assert alone.model is not None
        model, freezer = alone.model, callback.freezer
    assert freezer.frozen_at
    assert freezer.frozen_at == {
        name.removeprefix("frozen/"): int(step)
        for name, step in first.items()
        if name.startswith("frozen/")
    }
    for name, parameter in weights(model).items():
        torch.testing.assert_close(first[f"weight/{name}"], parameter, rtol=1e-3, atol=1e-4)


def pretend(package: str, name: str, base: type, **content: object) -> type:
    """A class as it would come from a package that is not installed here."""
    return type(name, (base,), {"__module__": package, **content})


def test_deepspeed_is_refused_wherever_it_shows_itself() -> None:
    model = adapted()
    engine = pretend("deepspeed.runtime.engine", "DeepSpeedEngine", nn.Module)()
    engine.module = model
    with pytest.raises(ValueError, match=r"cannot train with DeepSpeed \(DeepSpeedEngine\): ZeRO"):
        Freezer.for_model(engine, STEPS)
    zero = pretend("deepspeed.runtime.zero.stage_1_and_2", "DeepSpeedZeroOptimizer", object)()
    freezer = Freezer.for_model(model, STEPS)
    with pytest.raises(ValueError, match=r"cannot train with DeepSpeed \(DeepSpeedZeroOptimizer\)"):
        freezer.step(0, zero)
    around = type("AcceleratedOptimizer", (), {"optimizer": zero})()
    with pytest.raises(ValueError, match="DeepSpeedZeroOptimizer"):
        freezer.step(0, around)
    next(model.parameters()).ds_id = 0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"ZeRO has partitioned bert\.embeddings"):
        Freezer.for_model(model, STEPS)


def test_fsdp_is_refused(tmp_path: Path) -> None:
    wrapper = pretend("torch.distributed.fsdp.fully_sharded_data_parallel", "FSDP", nn.Module)()
    with pytest.raises(ValueError, match=r"cannot train with FSDP \(FSDP\): a shard"):
        Freezer.for_model(wrapper, STEPS)
    model = adapted()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        fully_shard(model)
        with pytest.raises(ValueError, match=r"cannot train (with FSDP|a sharded model)"):
            Freezer.for_model(model, STEPS)
    finally:
        dist.destroy_process_group()
