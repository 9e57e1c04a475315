"""Run by ``torch.distributed.run`` in two processes: trains twice, and writes what came of it.

Argument: a folder.
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


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    # Trainer makes the group of processes, in which the loop trains after it.
    write(folder / f"trainer-{rank}.safetensors", *by_trainer(folder / "trainer"))
    write(folder / f"loop-{rank}.safetensors", *plain_loop(rank))
    dist.barrier()
    dist.destroy_process_group()


def write(path: Path, model: torch.nn.Module, freezer: Freezer) -> None:
    frozen = {f"frozen/{name}": torch.tensor(step) for name, step in freezer.frozen_at.items()}
    weights = {f"weight/{name}": p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(frozen | weights, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
