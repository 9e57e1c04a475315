"""Real trials of a few steps on the packaged backbone, without Ray."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search.record import FreezeEvent, RungReport
from search.spec.data import Data, Generated
from search.spec.relations import Length
from search.spec.schema import Space, Train
from search.spec.settings import TrialSettings
from search.spec.tasks import TASKS
from search.trial.data import Encoded, TaskData, prepare
from search.trial.methods import counts_at_start
from search.trial.training import TrialJob, length_of, rung_steps
from tests.conftest import MINILM
from tests.search.trial import stopped
from tests.search.trial.stopped import without_clock
from tests.tiny_models import tiny_model

TASK = TASKS["negation"]
MODULES = ["query", "ffn_in"]
SETTINGS = {
    "aflora": {"rank": 2, "modules": MODULES, "freeze": {"start": 0.1, "end": 0.7, "interval": 2}},
    "lora": {"rank": 2, "modules": MODULES},
}


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(
        name="t",
        model=MINILM,
        tasks=["negation"],
        data=Data(generated=Generated(train=80, validation=20)),
        train=Train(steps=8, batch_size=8, max_length=32, clip=1.0),
        search={},
    )


@pytest.fixture(scope="module")
def data(space: Space) -> TaskData:
    return prepare(space, TASK)


def train(
    space: Space,
    data: TaskData,
    method: str,
    keep: Path,
    stop: int | None = None,
    resume: Path | None = None,
) -> list[RungReport]:
    settings = TrialSettings(
        method={method: SETTINGS[method]}, learning_rate=1e-2, head_learning_rate=1e-3
    )
    job = TrialJob(MINILM, TASK, space.train, 4, 0)
    return stopped.train(job, settings, data, keep, stop, resume)


@pytest.mark.parametrize("method", ["aflora", "lora"])
def test_a_trial_resumed_from_a_rung_ends_as_if_it_had_never_stopped(
    method: str, space: Space, data: TaskData, tmp_path: Path
) -> None:
    whole = train(space, data, method, tmp_path / "whole")
    assert [r.rung.step for r in whole] == [2, 4, 6, 8]
    train(space, data, method, tmp_path / "cut", stop=2)
    rest = train(space, data, method, tmp_path / "rest", resume=tmp_path / "cut" / "rung2")
    assert [without_clock(r) for r in rest] == [without_clock(r) for r in whole[2:]]
    name = "aflora.safetensors" if method == "aflora" else "adapter_model.safetensors"
    ends = [(tmp_path / run / "rung4" / name).read_bytes() for run in ("whole", "rest")]
    assert ends[0] == ends[1]
    assert rest[-1].rung.measures["train_seconds"] > 0


def test_the_ledger_counts_what_really_trained(
    space: Space, data: TaskData, tmp_path: Path
) -> None:
    reports = train(space, data, "aflora", tmp_path)
    last = reports[-1]
    measures = last.rung.measures
    floor = 6 * (2 + 384) + 6 * (2 + 1536)
    matrices = {"A": 2 * 384, "B": 2 * 1536}
    start = floor + 6 * sum(matrices.values())
    assert measures["trainable_params_start"] == start
    assert measures["trainable_params_end"] == floor
    frozen = {event.step for event in last.freezing}
    assert None not in frozen
    total = sum(
        floor + sum(matrices[e.matrix] for e in last.freezing if e.step is None or step <= e.step)
        for step in range(8)
    )
    assert measures["trainable_params"] == pytest.approx(total / 8)
    assert measures["head_params"] == 384 * 384 + 384 + 2 * 384 + 2
    assert measures["accuracy"] == measures["score"]
    assert FreezeEvent(0, "ffn_in", "A", last.freezing[0].step) == last.freezing[0]
    # While it trains, the parameters to come are foreseen: close to what they turned out to be.
    foreseen = reports[1].rung.projected["trainable_params"]
    assert foreseen == pytest.approx(measures["trainable_params"], rel=0.15)


def test_lora_counts_and_freezes_nothing(space: Space, data: TaskData, tmp_path: Path) -> None:
    last = train(space, data, "lora", tmp_path)[-1]
    wanted = 6 * 2 * (384 + 384) + 6 * 2 * (384 + 1536)
    for name in ("trainable_params", "trainable_params_start", "trainable_params_end"):
        assert last.rung.measures[name] == wanted
    assert last.freezing == ()
    assert last.rung.projected["trainable_params"] == wanted


def test_a_checkpoint_never_holds_the_backbone(
    space: Space, data: TaskData, tmp_path: Path
) -> None:
    for method in SETTINGS:
        train(space, data, method, tmp_path / method, stop=1)
        files = [p for p in (tmp_path / method / "rung1").iterdir() if p.is_file()]
        assert {"optimizer.pt", "scheduler.pt", "ledger.json"} <= {p.name for p in files}
        assert sum(p.stat().st_size for p in files) < 10e6


def test_data_from_the_object_store_is_not_written_to(
    space: Space, data: TaskData, tmp_path: Path
) -> None:
    arrays = [data.train.tokens, data.train.labels, data.selection.tokens]
    for array in arrays:
        array.setflags(write=False)
    before = [array.copy() for array in arrays]
    train(space, data, "aflora", tmp_path, stop=1)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


def test_rungs_lie_at_equal_parts_and_the_last_is_the_end() -> None:
    assert rung_steps(100, 5) == [20, 40, 60, 80, 100]
    assert rung_steps(3, 5) == [1, 2, 3]
    assert rung_steps(1, 1) == [1]


def test_epochs_become_optimizer_steps() -> None:
    assert length_of(Train(epochs=2, batch_size=8), 17) == Length(6, 3)
    assert length_of(Train(epochs=1, batch_size=8, accumulation=2), 17) == Length(2, 2)
    assert length_of(Train(steps=5), 17) == Length(5, 1)


def test_counts_equal_the_published_ones_for_lora() -> None:
    from benchmarks.average_parameters import deberta_v3_base
    from search.trial.backbone import empty_classifier

    settings = TrialSettings(
        method={"lora": {"rank": 8}}, learning_rate=1e-3, head_learning_rate=1e-3
    )
    empty = empty_classifier(deberta_v3_base(), TASK)
    assert counts_at_start(settings, empty) == (1_327_104, 1_327_104)


def test_a_step_of_several_batches_takes_the_mean_of_their_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are the same, so that a mean is that of one batch, and a sum is not."""
    tiny_model("bert").save_pretrained(tmp_path / "bert")
    rows = 24
    tokens, starts = np.tile(np.array([4, 5, 2], np.int32), rows), np.arange(0, 3 * rows + 1, 3)
    split = Encoded(tokens, np.empty(0, np.int8), starts, np.ones(rows, np.int64), 0)
    settings = TrialSettings(
        method={"lora": SETTINGS["lora"]}, learning_rate=1e-2, head_learning_rate=1e-2
    )
    seen: list[list[torch.Tensor]] = []
    step = torch.optim.AdamW.step

    def stepping(optimizer: torch.optim.AdamW, *given: Any, **named: Any) -> Any:
        held = [p for group in optimizer.param_groups for p in group["params"]]
        seen.append([p.grad.clone() for p in held if p.grad is not None])
        return step(optimizer, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", stepping)
    for accumulation in (1, 3):
        train = Train(steps=1, batch_size=4, accumulation=accumulation, clip=None)
        job = TrialJob(str(tmp_path / "bert"), TASK, train, 1, 0)
        keep = tmp_path / str(accumulation)
        stopped.train(job, settings, TaskData(split, split, {}, ""), keep)
    one, several = seen
    assert any(gradient.abs().max() > 1e-4 for gradient in one)
    for gradient, accumulated in zip(one, several, strict=True):
        torch.testing.assert_close(accumulated, gradient)
