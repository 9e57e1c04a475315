"""What the search asks of a method, on models it cannot train here."""

from types import SimpleNamespace
from typing import Any

import pytest

from search.spec.settings import AFLoRASettings
from search.trial.methods import AFLoRAMethod
from tests.tiny_models import tiny_model


@pytest.mark.parametrize("kind", ["bart", "t5-gated", "gpt2", "bert", "opt"])
def test_every_matrix_has_a_place_of_its_own_in_the_account_of_freezing(kind: str) -> None:
    settings = AFLoRASettings(rank=2, trainable_projections="all", freeze={"interval": 2})  # type: ignore[arg-type]
    method = AFLoRAMethod(settings)
    model = method.apply(tiny_model(kind))
    (callback,) = method.callbacks(None, None)
    arguments: Any = SimpleNamespace(
        max_grad_norm=0, deepspeed=None, fsdp=None, world_size=1, output_dir="."
    )
    state: Any = SimpleNamespace(max_steps=20, global_step=0)
    callback.on_train_begin(arguments, state, None, model=model)  # type: ignore[arg-type]
    events = method.freezing()
    places = {(event.layer, event.role, event.matrix) for event in events}
    assert len(places) == len(events) == len(callback.freezer.timeline)  # type: ignore[attr-defined]
    roles = {event.role for event in events}
    if kind in {"bart", "t5-gated"}:
        assert {"encoder query", "decoder query", "decoder cross query", "decoder ffn_in"} <= roles
    else:
        assert not any(" " in role for role in roles)
