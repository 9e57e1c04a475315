from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import aflora
from aflora import AFLoRAConfig, Epochs, FreezeConfig
from aflora.callback import FREEZER_FILE, AFLoRACallback
from aflora.checkpoint import adapter_state
from aflora.config import Rule
from tests.tiny_models import tiny_model

STEPS = 12


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(row)
        ids = torch.randint(3, 50, (8,), generator=generator)
        return {"input_ids": ids, "labels": ids[0] % 2}


class StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step >= self.step


def trainer(
    folder: Path,
    callback: AFLoRACallback,
    rule: Rule = "paper",
    *extra: TrainerCallback,
    freeze: FreezeConfig | None = None,
    **change: Any,
) -> Trainer:
    freeze = freeze or FreezeConfig(rule, start=0.1, end=0.8, interval=2)
    torch.manual_seed(3)
    model = aflora.adapt(tiny_model("bert"), AFLoRAConfig(rank=2, freeze=freeze))
    arguments: dict[str, Any] = {
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.01,
        "max_grad_norm": 0.0,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": 1,
        "logging_strategy": "no",
        "seed": 3,
    }
    args = TrainingArguments(output_dir=str(folder), **(arguments | change))
    made = Trainer(model, args, train_dataset=Rows(), callbacks=[callback, *extra])
    # Trainer takes BERT for a model that averages over accumulated batches itself; it does not.
    made.model_accepts_loss_kwargs = False
    return made


def weights(model: nn.Module | None) -> dict[str, torch.Tensor]:
    assert model is not None
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("rule", ["paper", "official"])
def test_resuming_after_any_step_is_as_never_having_stopped(tmp_path: Path, rule: Rule) -> None:
    whole_callback = AFLoRACallback(clip=0.5)
    whole = trainer(tmp_path, whole_callback, rule)
    whole.train()
    assert whole_callback.freezer.frozen_at
    expected = weights(whole.model)
    for stop in range(1, STEPS):
        callback = AFLoRACallback(clip=0.5)
        resumed = trainer(tmp_path, callback, rule, save_strategy="no")
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
        assert callback.freezer.timeline == whole_callback.freezer.timeline
        assert all(torch.equal(p, expected[n]) for n, p in weights(resumed.model).items())


def test_a_training_that_was_cut_off_is_resumed_too(tmp_path: Path) -> None:
    whole_callback = AFLoRACallback(clip=0.5)
    whole = trainer(tmp_path / "whole", whole_callback)
    whole.train()
    folder = tmp_path / "cut"
    trainer(folder, AFLoRACallback(clip=0.5), "paper", StopAfter(5)).train()
    moved = folder.rename(tmp_path / "moved") / "checkpoint-5"
    callback = AFLoRACallback(clip=0.5, resume_from=moved)
    resumed = trainer(folder, callback)
    resumed.train(resume_from_checkpoint=str(moved))
    assert callback.freezer.timeline == whole_callback.freezer.timeline
    expected = weights(whole.model)
    assert all(torch.equal(p, expected[n]) for n, p in weights(resumed.model).items())


def test_a_checkpoint_holds_the_adapter_of_the_training_that_wrote_it(tmp_path: Path) -> None:
    for seed in (3, 4):
        made = trainer(tmp_path, AFLoRACallback(), seed=seed, save_steps=STEPS)
        made.train()
    fresh = aflora.load(tiny_model("bert"), tmp_path / f"checkpoint-{STEPS}")
    assert made.model is not None
    found, expected = (adapter_state(m) for m in (fresh, made.model))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_a_model_that_was_trained_before_is_refused(tmp_path: Path) -> None:
    made = trainer(tmp_path, AFLoRACallback(), save_strategy="no")
    made.train()
    with pytest.raises(ValueError, match="was frozen by an earlier training of this model"):
        made.train()


def test_a_search_by_trainer_is_refused(tmp_path: Path) -> None:
    made = trainer(tmp_path, AFLoRACallback())
    made.state.is_hyper_param_search = True
    with pytest.raises(ValueError, match="cannot tell the checkpoints of Trainer"):
        AFLoRACallback().on_train_begin(made.args, made.state, made.control, model=made.model)


def test_start_and_end_in_epochs_are_trainer_s_own(tmp_path: Path) -> None:
    freeze = FreezeConfig(start=Epochs(1), end=Epochs(2), interval=2)
    # 24 rows, 4 in a batch, 2 batches in a step: 3 steps in an epoch.
    callback = AFLoRACallback()
    made = trainer(tmp_path, callback, freeze=freeze, gradient_accumulation_steps=2, max_steps=9)
    made.train()
    schedule = callback.freezer.schedule
    assert (schedule.start_step, schedule.end_step, schedule.total_steps) == (3, 6, 9)
    assert made.state.epoch == 3


def test_epochs_of_data_without_a_length_are_refused(tmp_path: Path) -> None:
    class Endless(torch.utils.data.IterableDataset[dict[str, torch.Tensor]]):
        def __iter__(self) -> Any:
            rows = Rows()
            yield from (rows[i % 24] for i in range(1000))

    made = trainer(tmp_path, AFLoRACallback(), freeze=FreezeConfig(end=Epochs(2), interval=2))
    made.train_dataset = Endless()
    with pytest.raises(ValueError, match="cannot be given in epochs: the training data has no len"):
        made.train()


@pytest.mark.parametrize("by_trainer", [False, True])
def test_fp16_gradients_are_unscaled_once_before_they_are_scored(
    by_trainer: bool, tmp_path: Path
) -> None:
    """As Trainer does under fp16, which unscales them first where it logs their norm."""
    seen = []
    for scale in (None, 2.0**10):
        callback = AFLoRACallback(clip=0.5)
        made = trainer(tmp_path, callback, "paper", StopAfter(3), save_strategy="no")
        made.train()
        assert made.model is not None
        assert isinstance(made.optimizer, AcceleratedOptimizer)  # what a callback is given
        scaler = None if scale is None else torch.amp.GradScaler("cpu", init_scale=scale)
        trainable = [p for p in made.model.parameters() if p.requires_grad]
        optimizer = AcceleratedOptimizer(torch.optim.SGD(trainable, lr=0.1), scaler=scaler)
        optimizer.zero_grad()
        loss = made.model(**{k: v[None] for k, v in Rows()[0].items()}).loss
        (loss if scaler is None else scaler.scale(loss)).backward()
        if scaler is not None and by_trainer:
            scaler.unscale_(optimizer.optimizer)
        callback.on_pre_optimizer_step(
            made.args, made.state, made.control, model=made.model, optimizer=optimizer
        )
        optimizer.step()
        seen.append((callback.freezer.state_dict(), weights(made.model)))
    (plain, plain_weights), (scaled, scaled_weights) = seen
    assert len(plain) > 1
    assert all(torch.equal(scaled[key], plain[key]) for key in plain)
    assert all(torch.equal(p, plain_weights[name]) for name, p in scaled_weights.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deepspeed": "zero.json"}, "cannot train with DeepSpeed: ZeRO"),
        ({"fsdp": "full_shard"}, "cannot train with FSDP"),
        ({"restore_callback_states_from_checkpoint": True}, "puts a new callback in place"),
        ({"world_size": 2}, "set ddp_find_unused_parameters=True"),
        ({"world_size": 2, "ddp_find_unused_parameters": False}, "ddp_find_unused_parameters=True"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(tmp_path, AFLoRACallback())
    # The arguments themselves would need DeepSpeed installed, or two processes.
    arguments = SimpleNamespace(**made.args.to_dict() | {"world_size": 1} | change)
    with pytest.raises(ValueError, match=message):
        AFLoRACallback().on_train_begin(arguments, made.state, made.control, model=made.model)  # type: ignore[arg-type]


def test_trainer_s_own_clipping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set max_grad_norm=0 .*AFLoRACallback\(clip=1.0\)"):
        trainer(tmp_path, AFLoRACallback(), max_grad_norm=1.0).train()


def test_scores_see_the_gradient_before_it_is_clipped(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []

    class Watch(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            grads = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
            norm = float(torch.stack([g.norm() for g in grads]).norm())
            seen.append((norm, callback.freezer.matrices[-1].parameter.grad.abs().max().item()))  # type: ignore[union-attr]

    callback = AFLoRACallback(clip=1e-4)
    trainer(tmp_path, callback, "paper", Watch(), max_steps=2, warmup_steps=0).train()
    # At step 0 every b is 0, and so is every gradient of A and B.
    (_, first), (norm, largest) = seen
    assert first == 0.0
    assert norm == pytest.approx(1e-4, rel=1e-3)
    state = callback.freezer.state_dict()
    sensitivity = state[f"sensitivity/{callback.freezer.matrices[-1].name}"]
    assert sensitivity.max().item() / 0.15 > 10 * largest > 0


def test_accumulated_gradients_are_scored_once(tmp_path: Path) -> None:
    callback = AFLoRACallback()
    trainer(tmp_path, callback, max_steps=2, gradient_accumulation_steps=3).train()
    one = AFLoRACallback()
    trainer(tmp_path / "one", one, max_steps=2, per_device_train_batch_size=12).train()
    for name, tensor in callback.freezer.state_dict().items():
        torch.testing.assert_close(tensor, one.freezer.state_dict()[name], rtol=1e-3, atol=1e-13)


def test_a_checkpoint_without_the_freezer_cannot_be_resumed(tmp_path: Path) -> None:
    trainer(tmp_path, AFLoRACallback(), "paper", StopAfter(3)).train()
    (tmp_path / "checkpoint-3" / FREEZER_FILE).unlink()
    with pytest.raises(ValueError, match=f"checkpoint-3/{FREEZER_FILE} is missing"):
        trainer(tmp_path, AFLoRACallback()).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-3")
        )


@pytest.mark.parametrize("clip", [0.0, -1.0, float("inf"), "1"])
def test_a_bound_that_is_none_is_refused(clip: float) -> None:
    with pytest.raises(ValueError, match="clip must be larger than 0, or None"):
        AFLoRACallback(clip=clip)


def test_the_freezer_of_another_training_is_not_resumed_from(tmp_path: Path) -> None:
    """Both folders hold a checkpoint-3; Trainer resumes the one, the callback would read the other."""
    for name, seed in (("here", 3), ("there", 4)):
        made = trainer(tmp_path / name, AFLoRACallback(), "paper", StopAfter(3), seed=seed)
        made.train()
    there = str(tmp_path / "there" / "checkpoint-3")
    with pytest.raises(ValueError, match="is not of the checkpoint that Trainer resumes from"):
        trainer(tmp_path / "here", AFLoRACallback()).train(resume_from_checkpoint=there)
    callback = AFLoRACallback(resume_from=there)
    trainer(tmp_path / "here", callback, "paper", StopAfter(4)).train(resume_from_checkpoint=there)


def test_a_damaged_freezer_is_named(tmp_path: Path) -> None:
    trainer(tmp_path, AFLoRACallback(), "paper", StopAfter(3)).train()
    file = tmp_path / "checkpoint-3" / FREEZER_FILE
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"{FREEZER_FILE} is damaged"):
        trainer(tmp_path, AFLoRACallback()).train(resume_from_checkpoint=str(file.parent))


def test_the_optimizer_forgets_what_is_frozen(tmp_path: Path) -> None:
    callback = AFLoRACallback()
    made = trainer(tmp_path, callback, save_strategy="no")
    made.train()
    assert made.optimizer is not None
    held = made.optimizer.state
    assert callback.freezer.frozen_at
    for matrix in callback.freezer.matrices:
        assert (matrix.parameter in held) == (matrix.name not in callback.freezer.frozen_at)


def test_a_part_of_a_step_at_the_end_of_an_epoch_counts_as_one(tmp_path: Path) -> None:
    freeze = FreezeConfig(start=Epochs(1), end=Epochs(2), interval=1)
    # 24 rows, 4 in a batch, 4 batches in a step: a step and a half, so two.
    callback = AFLoRACallback()
    trainer(tmp_path, callback, freeze=freeze, gradient_accumulation_steps=4, max_steps=4).train()
    assert (callback.freezer.schedule.start_step, callback.freezer.schedule.end_step) == (2, 4)


def test_the_adapter_can_be_taken_out_of_any_checkpoint(tmp_path: Path) -> None:
    made = trainer(tmp_path, AFLoRACallback(), "paper", StopAfter(3))
    made.train()
    assert made.model is not None
    loaded = aflora.load(tiny_model("bert"), tmp_path / "checkpoint-3")
    ids = {"input_ids": torch.arange(3, 11)[None]}
    assert torch.equal(loaded.eval()(**ids).logits, made.model.eval()(**ids).logits)
