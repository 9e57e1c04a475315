"""A model's files on their way to nodes that lack them."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from search.spec.tasks import TASKS
from search.trial import packed as packing
from search.trial.backbone import load_classifier
from search.trial.packed import pack, unpack
from search.trial.places import NotFound
from tests.tiny_models import tiny_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(packing.CACHE, str(tmp_path / "cache"))
    tiny_model("bert").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_what_arrives_is_the_same_model(model: Path) -> None:
    packed = pack(str(model))
    assert set(packed.files) == {"config.json", "model.safetensors"}
    folder = unpack(packed)
    assert folder.name == packed.fingerprint
    here, there = (load_classifier(str(at), TASKS["rte"], 0) for at in (model, folder))
    for (name, one), (_, other) in zip(
        here.named_parameters(), there.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_it_is_written_once_and_named_by_its_content(model: Path) -> None:
    packed = pack(str(model))
    first = unpack(packed)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert unpack(pack(str(shutil.copytree(model, model.with_name("copy"))))) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    config = model / "config.json"
    config.write_text(config.read_text().replace('"vocab_size"', '"vocab_size" '))
    assert unpack(pack(str(model))) != first


def test_many_who_ask_at_once_get_one_whole_folder(model: Path) -> None:
    packed = pack(str(model))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(unpack(packed))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert {path.name for path in found[0].iterdir()} == set(packed.files)
    assert not list(found[0].parent.glob(".*-*"))


def test_what_breaks_off_leaves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(str(model))

    class Full(np.ndarray):
        def tofile(self, *args: object, **kwargs: object) -> None:
            raise OSError("no space left on device")

    files = {name: content.view(Full) for name, content in packed.files.items()}
    with pytest.raises(OSError, match="no space left"):
        unpack(dataclasses.replace(packed, files=files))
    folder = unpack(packed)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_safetensors_go_before_pickles_and_a_model_without_weights_is_refused(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(b"x")
    assert set(pack(str(model)).files) == {"config.json", "model.safetensors"}
    (model / "model.safetensors").unlink()
    assert set(pack(str(model)).files) == {"config.json", "pytorch_model.bin"}
    (model / "pytorch_model.bin").unlink()
    with pytest.raises(NotFound, match="holds no weights"):
        pack(str(model))
