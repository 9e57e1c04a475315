"""The backbone on nodes that lack it: sent through Ray's object store, kept once on each node."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock
from huggingface_hub import snapshot_download
from numpy.typing import NDArray

from search.trial.places import WEIGHTS, NotFound, locate, within

#: Files that make a model, without its tokenizer: rows come as token ids.
CONFIG = "config.json"
INDEX = ("*.safetensors.index.json", "pytorch_model*.bin.index.json")
DOWNLOAD_SECONDS = 3600.0
CACHE = "AFLORA_SEARCH_CACHE"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The files of a model.

    Attributes:
        fingerprint: SHA-256 of names and contents, hexadecimal.
        files: content of each, shape (bytes,), by name.
    """

    fingerprint: str
    files: Mapping[str, NDArray[np.uint8]]


def pack(model: str) -> Backbone:
    """Read the files of a model.

    Raises:
        NotFound: it is not there, cannot be reached, or holds no weights.
    """
    names = [CONFIG]
    for weights, index in zip(WEIGHTS, INDEX, strict=True):
        folder = _folder_of(model, [CONFIG, weights, index])
        found = sorted(path.name for path in folder.glob(weights))
        if found:
            names += [*found, *sorted(path.name for path in folder.glob(index))]
            break
    else:
        raise NotFound(f"{model!r}: {folder} holds no weights ({' or '.join(WEIGHTS)})")
    files = {name: np.fromfile(folder / name, dtype=np.uint8) for name in names}
    return Backbone(_fingerprint(files), files)


def _folder_of(model: str, patterns: list[str]) -> Path:
    """Where the model's files lie; those of a hub model that match are downloaded first."""
    place = locate(model)
    if Path(place).is_dir():
        return Path(place)
    hint = "name a local copy with model: /path/to/folder"

    def download() -> Path:
        return Path(snapshot_download(place, allow_patterns=patterns))

    return within(DOWNLOAD_SECONDS, f"model {model!r}", hint, download)


def kept(fingerprint: str) -> Path:
    """Where the files of a model lie on this node, or will."""
    cache = Path(os.environ.get(CACHE) or "~/.cache/aflora-search").expanduser()
    return cache / "models" / fingerprint


def unpack(backbone: Backbone) -> Path:
    """A folder of this node that holds the files; trials that load them share their pages.

    It is named by its content, so that it is written once whoever asks, and kept for later runs.
    """
    folder = kept(backbone.fingerprint)
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{backbone.fingerprint}.lock"):
        if not folder.is_dir():
            # A folder that is there is whole: it is filled under another name first.
            partial = cache / f".{backbone.fingerprint}-{uuid.uuid4().hex}"
            partial.mkdir()
            try:
                for name, content in backbone.files.items():
                    content.tofile(partial / name)
                partial.rename(folder)
            except OSError:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return folder


def _fingerprint(files: Mapping[str, NDArray[np.uint8]]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content.data)
    return digest.hexdigest()
