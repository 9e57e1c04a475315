"""Run by ``torch.distributed.run`` in two processes: trains, and writes what came of it.

Arguments: ``loop`` or ``trainer``, and a folder.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from aflora import Freezer
from aflora.callback import AFLoRACallback
from tests.aflora.loop import STEPS, adamw, adapted, batch, train


def plain_loop(rank: int) -> tuple[torch.nn.Module, Freezer]:
    model = adapted()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    freezer = Freezer.for_model(wrapped, STEPS)

    def half(step: int) -> list[dict[str, torch.Tensor]]:
        return [{key: value[rank::2] for key, value in batch(step).items()}]

    train(wrapped, freezer, adamw(model), batches=half)
    return model, freezer


def by_trainer(folder: Path) -> tuple[torch.nn.Module, Freezer]:
    from tests.aflora.test_callback import trainer

    callback = AFLoRACallback(clip=0.5)
    made = trainer(folder, callback, ddp_find_unused_parameters=True, per_device_train_batch_size=2)
    made.train()
    assert made.model is not None
    return made.model, callback.freezer


def main(how: str, folder: Path) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    if how == "loop":
        dist.init_process_group("gloo")
        model, freezer = plain_loop(rank)
    else:
        model, freezer = by_trainer(folder / "trainer")
    frozen = {f"frozen/{name}": torch.tensor(step) for name, step in freezer.frozen_at.items()}
    weights = {f"weight/{name}": p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(frozen | weights, folder / f"{rank}.safetensors")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
