"""Why a trial of Ray Tune failed, in words and as the engine's policy needs to know it."""

from __future__ import annotations

from pathlib import Path

from ray import cloudpickle
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayTaskError
from ray.tune.experiment import Trial

from search.engine.failures import Failure
from search.spec.errors import first_line
from search.store import StoreLost

# Raised where the model's output is no number: the next attempt would compute the same.
_FINAL = frozenset({"MetricError"})
_NO_GPU_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def failure_of(trial: Trial) -> Failure:
    """Why an attempt failed: the error that its code raised, not Ray's around it."""
    # Trial.get_pickled_error looks in the storage, where Tune copies the file only later.
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return Failure("Ray gave no reason")
    return failure_from(cloudpickle.loads(Path(file).read_bytes()))


def failure_from(error: BaseException) -> Failure:
    """Name an error of a trial, or of Ray about it."""
    if isinstance(error, RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        error = cause
    text = str(error)
    if isinstance(error, NodeDiedError) or _lost_its_node(error, text):
        return Failure("its node was lost", counted=False)
    if isinstance(error, OutOfMemoryError) or "memory pressure" in text:
        return Failure("out of memory (CPU): Ray stopped it before the machine had none left")
    if isinstance(error, StoreLost):
        reason = f"the store cannot be used: {first_line(error)}"
        return Failure(reason, counted=False, of_store=True)
    kind = type(error).__name__
    # torch's, which this package does not import, and what CUDA and cuBLAS say themselves.
    if kind == "OutOfMemoryError" or any(words in text for words in _NO_GPU_MEMORY):
        return Failure(f"out of memory (GPU): {first_line(error)}")
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return Failure(f"out of memory (CPU): {first_line(error)}")
    if isinstance(error, ActorDiedError):
        return Failure(
            "its process died: killed from outside, by the system for want of memory, or crashed"
        )
    return Failure(f"{kind}: {first_line(error)}", final=kind in _FINAL)


def _lost_its_node(error: BaseException, text: str) -> bool:
    return isinstance(error, ActorDiedError) and (
        bool(getattr(error, "preempted", False)) or "node has died" in text
    )
