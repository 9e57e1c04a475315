"""An adapter taken out of a run: written for whoever uses it, read back, and measured."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification

import aflora
from aflora import checkpoint, export
from search.metrics import evaluate
from search.spec.settings import TrialSettings
from search.spec.tasks import Task
from search.trial.backbone import load_classifier
from search.trial.data.encoded import Encoded, PadToLongest, TokenDataset, load_tokenizer
from search.trial.methods import NOMINAL_STEPS, method_for

Form = Literal["peft", "aflora", "merged"]
FORMS: tuple[Form, ...] = get_args(Form)

_BATCH = 32
# What differs in the last bits of a logit may fall on the other side for a row or two, in bf16 for
# a few; so much may the score differ.
_ROWS_APART = {"fp32": 2, "bf16": 4}
# Of many rows more do: in bf16 one of a thousand.
_OF_ROWS = {"fp32": 0.0, "bf16": 1e-3}
_VALUES_APART = 2e-3
_TRIED = 200


@dataclass(frozen=True)
class Trained:
    """A trial's adapter, as the search keeps it.

    Attributes:
        model: backbone, as in the space file.
        task: what its head is for.
        settings: the configuration.
        folder: of the adapter's files.
        precision: in which it was trained and measured.
        gpu: whether it was trained on a GPU; then it is measured on one, where there is one.
    """

    model: str
    task: Task
    settings: TrialSettings
    folder: Path
    precision: str
    gpu: bool = False

    @property
    def forms(self) -> tuple[Form, ...]:
        """In which forms it can be written, the most useful first."""
        method = self.settings.method_name
        if method in ("aflora", "elora"):
            return ("peft", "aflora", "merged")
        return ("merged",) if method in ("full", "head") else ("peft", "merged")

    def backbone(self) -> nn.Module:
        """The model with a head that nobody has trained."""
        return load_classifier(self.model, self.task, seed=0)


def write(trained: Trained, form: Form, out: Path) -> None:
    """Write an adapter into a folder.

    ``peft``: for ``PeftModel.from_pretrained``. ``aflora``: for ``aflora.load``. ``merged``: a
    model of plain layers with its tokenizer, for ``from_pretrained``.

    Args:
        out: a folder; made where it is not there.

    Raises:
        ValueError: its method cannot be written in this form, or its files do not fit the model.
    """
    if form not in trained.forms:
        raise ValueError(
            f"{trained.settings.method_name} cannot be written as {form}; "
            f"choose {' or '.join(trained.forms)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    of_aflora = "aflora" in trained.forms
    if form == "aflora" or (form == "peft" and not of_aflora):
        files = checkpoint if of_aflora else export
        for name in (files.CONFIG_FILE, files.WEIGHTS_FILE):
            shutil.copyfile(trained.folder / name, out / name)
    elif form == "peft":
        aflora.export_lora(aflora.load(trained.backbone(), trained.folder), out)
    else:
        merged: Any = _merged(trained)
        tokenizer = load_tokenizer(trained.model)
        merged.config.pad_token_id = tokenizer.pad_token_id
        merged.save_pretrained(out)
        tokenizer.save_pretrained(out)


def _merged(trained: Trained) -> nn.Module:
    backbone = trained.backbone()
    if "aflora" in trained.forms:
        return aflora.merge(aflora.load(backbone, trained.folder))
    if "peft" in trained.forms:
        return _merged_by_peft(_with_peft(backbone, trained.folder))
    method = method_for(trained.settings)
    model = method.apply(backbone, NOMINAL_STEPS)
    method.load(model, trained.folder)
    return model


def _merged_by_peft(adapted: Any) -> nn.Module:
    """The backbone with PEFT's updates in its weights, and with the head that was trained.

    PEFT's own ``merge_and_unload`` stumbles, for tuners other than LoRA, over a part of the head
    that is no single layer, as a pooler is.
    """
    adapted.merge_adapter()
    whole: nn.Module = adapted.get_base_model()
    for name, module in list(whole.named_modules()):
        if isinstance(module, BaseTunerLayer):
            whole.set_submodule(name, module.get_base_layer())
        elif isinstance(module, ModulesToSaveWrapper):
            (trained,) = module.modules_to_save.values()
            whole.set_submodule(name, trained)
    return whole


def _with_peft(backbone: nn.Module, folder: Path) -> Any:
    with warnings.catch_warnings():
        # PEFT asks transformers by an old name whether gradient checkpointing is on.
        warnings.simplefilter("ignore", FutureWarning)
        return PeftModel.from_pretrained(backbone, str(folder))


def read(trained: Trained, form: Form, folder: Path) -> nn.Module:
    """What :func:`write` wrote, as whoever uses it loads it."""
    if form == "merged":
        model: nn.Module = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32
        )
        return model
    if form == "aflora":
        return aflora.load(trained.backbone(), folder)
    adapted: nn.Module = _with_peft(trained.backbone(), folder)
    return adapted


@torch.no_grad()
def outputs(trained: Trained, model: nn.Module, data: Encoded) -> NDArray[np.floating]:
    """Logits of every row of a split, in its order, in the precision of the search.

    The model is left on the device on which they are computed.
    """
    config: Any = model.config
    config.pad_token_id = data.pad
    device = "cuda" if trained.gpu and torch.cuda.is_available() else "cpu"
    model.eval().to(device)
    autocast = torch.autocast(device, torch.bfloat16) if trained.precision == "bf16" else None
    logits = []
    for batch in DataLoader(TokenDataset(data), _BATCH, collate_fn=PadToLongest(data.pad)):
        del batch["labels"]
        with autocast or nullcontext():
            on_device = {name: tensor.to(device) for name, tensor in batch.items()}
            logits.append(model(**on_device).logits.float().cpu())
    return torch.cat(logits).numpy()


def check(
    trained: Trained, model: nn.Module, data: Encoded, recorded: Mapping[str, float]
) -> dict[str, float]:
    """That a model scores on a split as its trial did in the search.

    Returns:
        Every metric of the task, ``score`` among them.

    Raises:
        MetricError: an output is NaN or infinite.
        ValueError: the score differs by more than rounding could do.
    """
    logits = outputs(trained, model, data)
    found = evaluate(trained.task, logits, data.labels)
    apart = abs(found["score"] - recorded["score"])
    if apart > _rounding(trained, logits, data.labels, found["score"]):
        raise ValueError(
            f"what was written scores {found['score']:.4f} on the selection split, the trial "
            f"scored {recorded['score']:.4f}"
        )
    return found


def _rounding(
    trained: Trained, logits: NDArray[np.floating], labels: NDArray[np.generic], score: float
) -> float:
    """By how much the score may differ: as much as a few rows matter that are decided otherwise."""
    if trained.task.is_regression:
        return _VALUES_APART
    one = 0.0
    for row in np.unique(np.linspace(0, len(logits) - 1, _TRIED, dtype=int)):
        turned = logits.copy()
        # The second choice in place of the first.
        first, second = turned[row].argsort()[::-1][:2]
        turned[row, [first, second]] = turned[row, [second, first]]
        one = max(one, abs(evaluate(trained.task, turned, labels)["score"] - score))
    precision = trained.precision
    return max(_ROWS_APART[precision], _OF_ROWS[precision] * len(logits)) * one + 1e-9
