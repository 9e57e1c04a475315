"""One trial: a configuration trained once, measured at every rung. Knows nothing of Ray."""

from __future__ import annotations

import math
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import (
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    get_linear_schedule_with_warmup,
    set_seed,
)
from transformers.trainer_utils import EvalLoopOutput

from search.metrics import evaluate
from search.spec.relations import Length
from search.spec.schema import Train
from search.spec.settings import TrialSettings
from search.spec.tasks import Task
from search.trial.backbone import load_classifier
from search.trial.batches import LengthBatches
from search.trial.callbacks import Beats, CountedSteps, Reporter, Rungs
from search.trial.data import PadToLongest, TaskData, TokenDataset
from search.trial.flops import StepFlops
from search.trial.ledger import Ledger
from search.trial.methods import Method, head_parameters, method_for, trainable
from search.trial.process import why_no_gpu

# On a CPU larger batches leave the cache and pad more; on a GPU small ones leave it idle, but what
# trains in a few rows at a time may have no room for many.
_EVAL_ROWS, _EVAL_ROWS_ON_GPU, _EVAL_ROWS_OF_BATCH = 32, 128, 4
# Of the part of a GPU's memory that a trial was given; outside of it lies what CUDA itself needs.
_OF_ITS_MEMORY = 0.95


@dataclass(frozen=True)
class TrialJob:
    """What is the same for every trial of a study.

    Attributes:
        model: as in the space file.
        task: what is trained for.
        train: how it is trained.
        rungs: evaluations at equal parts of the training; the last one is its end.
        seed: draws the head, the adapter and the order of the data.
        after_freezing: no rung is to be judged before the freezing schedule has begun to act.
        place: folder of the model on this node; None where it is found by its name.
        gpu: the part of a GPU that Ray has given it, in [0, 1], and as much of the memory; 0 trains
            on the CPU.
    """

    model: str
    task: Task
    train: Train
    rungs: int
    seed: int
    after_freezing: bool = False
    place: str | None = None
    gpu: float = 0


def length_of(train: Train, rows: int) -> Length:
    """How long a trial trains on so many rows."""
    batches = math.ceil(rows / train.batch_size)
    epoch = math.ceil(batches / train.accumulation)
    if train.steps is not None:
        return Length(train.steps, epoch)
    assert train.epochs is not None
    return Length(max(1, math.ceil(train.epochs * epoch)), epoch)


def rung_steps(steps: int, rungs: int) -> list[int]:
    """The step after which each rung is measured; fewer rungs where there are fewer steps."""
    return sorted({max(1, round(steps * (k + 1) / rungs)) for k in range(rungs)})


def run_trial(
    job: TrialJob,
    settings: TrialSettings,
    data: TaskData,
    report: Reporter,
    resume_from: Path | None = None,
    beat: Callable[[], None] = lambda: None,
    outputs: dict[str, NDArray[np.floating]] | None = None,
) -> None:
    """Train one configuration to the end, or go on from a checkpoint.

    Args:
        job: what all trials share.
        settings: the configuration.
        data: tokenised; not written to.
        report: told every rung; may raise to stop the trial.
        resume_from: a checkpoint folder as ``report`` was given one.
        beat: called at every step, so that a trial that hangs is noticed.
        outputs: where it is given, the trial is measured on the test splits of ``data`` instead of
            the selection split, and their logits are put here at every rung, by split, rows in the
            order of the split.

    Raises:
        ValueError: the settings do not fit the model.
        MetricError: the output became NaN, or a score is not defined.
        RuntimeError: it was given a GPU that torch does not see.
    """
    started = time.perf_counter()
    if job.gpu:
        _claim_gpu(job.gpu)
    set_seed(job.seed)
    model = load_classifier(job.model, job.task, job.seed, job.place)
    config: Any = model.config
    # A causal model reads its answer off the last token that is no padding.
    config.pad_token_id = data.train.pad
    set_seed(job.seed)
    method = method_for(settings)
    steps = length_of(job.train, len(data.train)).steps
    model = method.apply(model, steps)
    adapter = method.adapter_parameters(model)
    head = head_parameters(model, adapter)
    ledger = Ledger.load(resume_from) if resume_from is not None else Ledger()
    ledger.head_params = trainable(head)
    if resume_from is not None:
        method.load(model, resume_from)

    optimizer = torch.optim.AdamW(_parameter_groups(job.train, settings, method, adapter, head))
    schedule = get_linear_schedule_with_warmup(
        optimizer, math.ceil(job.train.warmup * steps), steps
    )
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        rungs = Rungs(
            method,
            ledger,
            steps,
            rung_steps(steps, job.rungs),
            job.after_freezing,
            report,
            started,
            Path(folder),
        )
        trainer = _TrialTrainer(
            method=method,
            ledger=ledger,
            model=model,
            args=_arguments(job, method, steps, folder),
            train_dataset=TokenDataset(data.train),
            eval_dataset=TokenDataset(data.selection)
            if outputs is None
            else {name: TokenDataset(split) for name, split in data.tests.items()},
            outputs=outputs,
            data_collator=PadToLongest(data.train.pad),
            compute_metrics=lambda prediction: _score(job.task, prediction),
            preprocess_logits_for_metrics=_logits_alone,
            optimizers=(optimizer, schedule),
            # The order matters: at a checkpoint the method writes its state before the rung,
            # which hands the folder over, and counts a step before freezing changes what trains.
            callbacks=[
                Beats(beat),
                CountedSteps(ledger, method),
                *method.callbacks(job.train.clip, resume_from),
                rungs,
            ],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)


def _claim_gpu(part: float) -> None:
    """Keep to a part of the GPU: whoever has the rest must not run out of memory for this trial."""
    if (why := why_no_gpu()) is not None:
        raise RuntimeError(f"the trial was given a GPU on {socket.gethostname()}, but {why}")
    if part < 1:
        torch.cuda.set_per_process_memory_fraction(part * _OF_ITS_MEMORY)


def _arguments(job: TrialJob, method: Method, steps: int, folder: str) -> TrainingArguments:
    rows = (
        min(_EVAL_ROWS_ON_GPU, _EVAL_ROWS_OF_BATCH * job.train.batch_size)
        if job.gpu
        else _EVAL_ROWS
    )
    made = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=job.train.batch_size,
        per_device_eval_batch_size=job.train.eval_batch_size or rows,
        gradient_accumulation_steps=job.train.accumulation,
        max_grad_norm=method.trainer_clip(job.train.clip),
        bf16=job.train.precision == "bf16",
        seed=job.seed,
        data_seed=job.seed,
        use_cpu=not job.gpu,
        dataloader_pin_memory=bool(job.gpu),
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        save_total_limit=1,
    )
    # Trainer would spread a batch of so many rows for each over all GPUs that it sees.
    made._n_gpu = min(1, made.n_gpu)
    return made


def _parameter_groups(
    train: Train,
    settings: TrialSettings,
    method: Method,
    adapter: dict[str, nn.Parameter],
    head: dict[str, nn.Parameter],
) -> list[dict[str, Any]]:
    """Adapter and head with a learning rate each; the method says what is decayed."""
    groups = []
    for parameters, rate in (
        (adapter, settings.adapter_learning_rate),
        (head, settings.head_learning_rate),
    ):
        for decay in (True, False):
            members = [p for name, p in parameters.items() if method.decays(name, p) == decay]
            if members:
                weight_decay = train.weight_decay if decay else 0.0
                groups.append({"params": members, "lr": rate, "weight_decay": weight_decay})
    return groups


def _logits_alone(outputs: Any, labels: Any) -> torch.Tensor:
    """Of what a classifier puts out: those with an encoder and a decoder add hidden states."""
    logits: torch.Tensor = outputs[0] if isinstance(outputs, tuple | list) else outputs
    return logits


def _score(task: Task, prediction: EvalPrediction) -> dict[str, float]:
    return evaluate(task, np.asarray(prediction.predictions), np.asarray(prediction.label_ids))


class _TrialTrainer(Trainer):
    """Trainer that counts its steps and whose checkpoints hold adapter and head only."""

    def __init__(
        self,
        method: Method,
        ledger: Ledger,
        outputs: dict[str, NDArray[np.floating]] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._outputs = outputs
        # Trainer takes classifiers for models that average over accumulated batches themselves,
        # because they accept any keyword; they do not, and their gradient would be a sum.
        self.model_accepts_loss_kwargs = False
        adapted = self.model
        assert isinstance(adapted, nn.Module)
        self._adapted = adapted
        self._method = method
        self._ledger = ledger
        self._flops = StepFlops(adapted)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if model.training:
            rows, length = inputs["input_ids"].shape
            self._ledger.flops += self._flops.step(rows, length)
            self._ledger.tokens += int(inputs["attention_mask"].sum())
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        data = self.train_dataset if train_dataset is None else train_dataset
        assert isinstance(data, TokenDataset)
        return LengthBatches(data.lengths, self.args.train_batch_size, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Dataset[Any]) -> Sampler[int]:
        # Splits that are measured are sorted by length. No random number is drawn, so how often a
        # trial is measured does not change how it trains.
        assert isinstance(eval_dataset, TokenDataset)
        return SequentialSampler(eval_dataset)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        found = super().evaluation_loop(*args, **kwargs)
        if self._outputs is not None:
            split = kwargs["metric_key_prefix"].removeprefix("eval_")
            self._outputs[split] = np.asarray(found.predictions)
        return found

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        self._method.save(self._adapted, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Adapter and head are loaded before the trainer is made."""
