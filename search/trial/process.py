"""A process that trains one configuration after the other."""

from __future__ import annotations

import functools
import gc
import os

import torch
import transformers

from search import environment


def settle(threads: int) -> None:
    """Prepare the thread that trains, and its process.

    Args:
        threads: CPU threads to use; by default each process takes every core.
    """
    torch.set_num_threads(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    _keep_imports()
    # The model of the trial before is held by a cycle, and would lie beside that of this one.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def why_no_gpu() -> str | None:
    """Which torch this is, where it sees no GPU; Ray counts them by their driver alone."""
    if torch.cuda.is_available():
        return None
    built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs"
    return f"torch {torch.__version__}, built {built}, sees none"


@functools.cache
def _keep_imports() -> None:
    """Leave out what is there so far when garbage is looked for.

    It is the modules that were imported, which stay, and Trainer has all of
    them looked at before every training. Once only: of a later trial there is garbage to be found.
    """
    gc.collect()
    gc.freeze()
    environment.collect_as_usual()
