"""What holds for every method on every shape: counts, learning, resuming, and what is saved."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForSequenceClassification

from aflora.roles import head_modules
from search.record import RungReport
from search.results.adapters import ADAPTER_FILES
from search.spec.schema import Train
from search.spec.settings import METHODS, TrialSettings
from search.spec.tasks import Task
from search.trial import training
from search.trial.backbone import empty_classifier, load_classifier, read_config
from search.trial.data import Encoded, TaskData
from search.trial.methods import counts_at_start, head_parameters, method_for
from search.trial.training import TrialJob
from tests.search.trial import stopped
from tests.search.trial.stopped import without_clock
from tests.tiny_models import VOCABULARY, tiny_batch, tiny_model

TASK = Task("made_up", ("text",))
KINDS = ("bert", "roberta", "deberta-v3", "llama")
MODULES = ["query", "value", "ffn_in", "ffn_out"]
OWN: dict[str, dict[str, Any]] = {
    "aflora": {"rank": 2, "freeze": {"start": 0.1, "end": 0.6, "interval": 2}},
    "lora": {"rank": 2},
    "adalora": {"rank": 4, "kept": 0.5, "interval": 2},
    "vera": {"rank": 8},
    "elora": {"rank": 8},
    "sora": {"rank": 4, "threshold": 0.02},
    "full": {},
    "head": {},
    "peft": {"type": "IA3"},
}
RATES = {"full": 1e-3}
STEPS = 12


def settings_of(method: str) -> TrialSettings:
    own = dict(OWN[method])
    if method not in {"full", "head"}:
        own["modules"] = MODULES
    rate = RATES.get(method, 2e-2)
    return TrialSettings(method={method: own}, learning_rate=rate, head_learning_rate=1e-2)


def encoded(rows: int, seed: int) -> Encoded:
    """Sequences of one of two tokens; the label says which, so that there is something to learn."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    lengths = random.integers(4, 9, rows)
    tokens = [
        np.concatenate([np.where(random.random(n - 1) < 0.8, 5 + label, 5), [2]])
        for n, label in zip(lengths, labels, strict=True)
    ]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.concatenate(tokens).astype(np.int32)
    assert flat.max() < VOCABULARY
    return Encoded(flat, np.empty(0, np.int8), starts, labels.astype(np.int64), 0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        tiny_model(kind).save_pretrained(folder / kind)
    return {kind: str(folder / kind) for kind in KINDS}


def train(
    model: str,
    method: str,
    keep: Path,
    stop: int | None = None,
    resume: Path | None = None,
    gpu: float = 0,
) -> list[RungReport]:
    job = TrialJob(model, TASK, Train(steps=STEPS, batch_size=8, clip=1.0), 4, 0, gpu=gpu)
    data = TaskData(encoded(40, 1), encoded(20, 2), {}, "")
    return stopped.train(job, settings_of(method), data, keep, stop, resume)


@pytest.fixture(scope="module")
def trained(
    models: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[list[RungReport], Path]]:
    """A method on a shape, trained once."""

    @cache
    def once(kind: str, method: str) -> tuple[list[RungReport], Path]:
        folder = tmp_path_factory.mktemp(f"{kind}-{method}")
        return train(models[kind], method, folder), folder

    return once


def test_a_classifier_with_an_encoder_and_a_decoder_is_measured_too(tmp_path: Path) -> None:
    tiny_model("bart").save_pretrained(tmp_path / "bart")
    reports = train(str(tmp_path / "bart"), "aflora", tmp_path / "kept")
    assert len(reports) == 4
    assert all(0 <= report.rung.measures["score"] <= 1 for report in reports)


@pytest.mark.parametrize("gpu", [0, 1])
def test_without_a_gpu_of_its_own_a_trial_trains_on_the_cpu(
    gpu: float, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where torch sees one, as outside of Ray."""

    class Asked(Exception):
        pass

    def arguments(**given: Any) -> None:
        raise Asked(given["use_cpu"])

    monkeypatch.setattr(training, "TrainingArguments", arguments)
    monkeypatch.setattr(training, "set_seed", torch.manual_seed)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(Asked) as asked:
        train(models["bert"], "lora", tmp_path, gpu=gpu)
    assert asked.value.args == (not gpu,)


def test_a_gpu_that_torch_does_not_see_is_no_reason_to_train_on_the_cpu(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"was given a GPU on .*, but torch .* sees none"):
        train(models["bert"], "lora", tmp_path, gpu=0.5)


def test_a_part_of_a_gpu_is_a_part_of_its_memory(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Limited(Exception):
        pass

    def limit(part: float) -> None:
        raise Limited(part)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limit)
    with pytest.raises(Limited) as limited:
        train(models["bert"], "lora", tmp_path, gpu=0.25)
    assert 0.2 < limited.value.args[0] < 0.25


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_on_a_gpu_it_trains_and_goes_on_too(
    method: str, models: dict[str, str], tmp_path: Path
) -> None:
    """Some sums have no fixed order there: the end is near the same, not the same."""
    whole = train(models["bert"], method, tmp_path / "whole", gpu=1)
    train(models["bert"], method, tmp_path / "cut", stop=2, gpu=1)
    rest = train(models["bert"], method, tmp_path / "rest", resume=tmp_path / "cut/rung2", gpu=1)
    for name in ("trainable_params", "train_flops", "score"):
        ends = [reports[-1].rung.measures[name] for reports in (whole, rest)]
        assert ends[1] == pytest.approx(ends[0], rel=0.1, abs=0.1), name


def test_what_adalora_has_smoothed_follows_its_model(models: dict[str, str], trained: Any) -> None:
    """A trial that goes on loads it before Trainer moves the model to the GPU."""
    _, folder = trained("bert", "adalora")
    model, own = adapted(models["bert"], "adalora")
    own.load(model, folder / "rung2")
    (callback,) = own.callbacks(None, None)
    arguments = SimpleNamespace(device=torch.device("meta"))
    callback.on_train_begin(arguments, None, None, model=model)
    peft_model: Any = model
    allocator = peft_model.base_model.rankallocator
    for kind in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
        held = getattr(allocator, kind)
        assert {tensor.device.type for tensor in held.values()} == {"meta"}, kind


@pytest.mark.parametrize("method", ["vera", "elora", "aflora"])
def test_another_seed_draws_other_projections(method: str) -> None:
    def drawn(seed: int) -> list[torch.Tensor]:
        bert = tiny_model("bert")
        torch.manual_seed(seed)
        model = method_for(settings_of(method)).apply(bert, STEPS)
        found = [*model.named_parameters(), *model.named_buffers()]
        return [t.detach() for n, t in found if "vera_A" in n or "vera_B" in n or n.endswith(".A")]

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


every = [
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.parametrize("method", METHODS),
]


def for_every(test: Any) -> Any:
    for mark in every:
        test = mark(test)
    return test


def adapted(model: str, method: str) -> tuple[nn.Module, Any]:
    own = method_for(settings_of(method))
    classifier = load_classifier(model, TASK, 0)
    torch.manual_seed(0)
    return own.apply(classifier, STEPS), own


def logits(model: nn.Module) -> torch.Tensor:
    batch = {k: v for k, v in tiny_batch().items() if k != "labels"}
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


@for_every
def test_it_is_counted_alike_before_and_while_it_trains(
    kind: str, method: str, models: dict[str, str], trained: Any
) -> None:
    reports, _ = trained(kind, method)
    measures = reports[-1].rung.measures
    empty = empty_classifier(read_config(models[kind]), TASK)
    start, floor = counts_at_start(settings_of(method), empty)
    assert measures["trainable_params_start"] == start
    # AdaLoRA stops ranks of equal importance together and can end below its target.
    slack = 0.05 * start if method == "adalora" else 0
    assert floor - slack <= measures["trainable_params_end"] <= start
    assert floor <= measures["trainable_params"] <= start
    whole = load_classifier(models[kind], TASK, 0)
    head = sum(
        p.numel() for path in head_modules(whole) for p in whole.get_submodule(path).parameters()
    )
    assert measures["head_params"] == head
    everything = sum(p.numel() for p in whole.parameters())
    assert (start == everything - head) == (method == "full")
    assert (start == 0) == (method == "head")
    assert measures["train_flops"] > 0


@for_every
def test_head_and_adapter_learn_and_the_backbone_does_not(
    kind: str, method: str, models: dict[str, str], trained: Any
) -> None:
    _, folder = trained(kind, method)
    model, own = adapted(models[kind], method)
    adapter = own.adapter_parameters(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    own.load(model, folder / "rung4")
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    allowed = {*adapter, *head_parameters(model, adapter)}
    assert moved <= allowed
    assert moved & set(head_parameters(model, adapter))
    if method != "head":
        assert len(moved & set(adapter)) >= len(adapter) / 2


@for_every
def test_a_trial_that_goes_on_ends_as_if_it_had_never_stopped(
    kind: str, method: str, models: dict[str, str], trained: Any, tmp_path: Path
) -> None:
    whole, folder = trained(kind, method)
    train(models[kind], method, tmp_path / "cut", stop=2)
    rest = train(models[kind], method, tmp_path / "rest", resume=tmp_path / "cut" / "rung2")

    assert [without_clock(r) for r in rest] == [without_clock(r) for r in whole[2:]]
    weights = [
        f for f in ADAPTER_FILES if f.endswith(".safetensors") and (folder / "rung4" / f).is_file()
    ]
    assert weights
    for name in weights:
        ends = [(place / "rung4" / name).read_bytes() for place in (folder, tmp_path / "rest")]
        assert ends[0] == ends[1], name


@for_every
def test_what_is_handed_out_computes_the_same_elsewhere(
    kind: str, method: str, models: dict[str, str], trained: Any, tmp_path: Path
) -> None:
    _, folder = trained(kind, method)
    model, own = adapted(models[kind], method)
    own.load(model, folder / "rung4")
    wanted = logits(model)
    for name in ADAPTER_FILES:
        if (folder / "rung4" / name).is_file():
            shutil.copy(folder / "rung4" / name, tmp_path / name)
    base = load_classifier(models[kind], TASK, 7)
    if method == "full":
        used = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    elif (tmp_path / "adapter_config.json").is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            used = PeftModel.from_pretrained(base, tmp_path)
    else:
        torch.manual_seed(7)
        used = own.apply(base, STEPS)
        own.load(used, tmp_path)
    torch.testing.assert_close(logits(used), wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(load_classifier(models[kind], TASK, 0)), wanted, atol=1e-3)


@for_every
def test_no_file_holds_the_backbone_but_that_of_full_fine_tuning(
    kind: str, method: str, models: dict[str, str], trained: Any
) -> None:
    _, folder = trained(kind, method)
    with safe_open(Path(models[kind]) / "model.safetensors", "pt") as file:
        embeddings = next(key for key in file.keys() if "embed" in key)  # noqa: SIM118
    names: set[str] = set()
    for path in (folder / "rung4").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names |= set(file.keys())
    assert any(name.endswith(embeddings) for name in names) == (method == "full")
