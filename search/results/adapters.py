"""Hands out the adapters of the front."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.store import Store

_FOLDER = "adapters"
#: What makes an adapter, a head or a whole model; optimizer and random state stay behind.
ADAPTER_FILES = (
    "aflora.json",
    "aflora.safetensors",
    "adapter_config.json",
    "adapter_model.safetensors",
    "head.safetensors",
    "config.json",
    "model.safetensors",
)


def collect_adapters(study: StudyRecord, root: Path, store: Store) -> StudyRecord:
    """Copy the adapter of every front member to ``adapters/<trial>``; nobody else keeps one.

    Args:
        study: as it is now.
        root: directory of the study.
        store: of the checkpoints.

    Returns:
        The study with the folder of each adapter filled in.

    Raises:
        FileNotFoundError: the checkpoint of a front member is gone.
    """
    members = {trial.number for trial in front(study.trials, list(study.objectives))}
    trials = []
    for trial in study.trials:
        folder = Path(_FOLDER) / str(trial.number)
        if trial.number in members:
            _copy(trial, root, store, folder)
            trials.append(dataclasses.replace(trial, adapter=folder.as_posix()))
        else:
            _remove(root / folder)
            trials.append(trial)
    return dataclasses.replace(study, trials=tuple(trials))


def with_adapters(study: StudyRecord, root: Path) -> StudyRecord:
    """The study with the folder of each adapter that is kept; nothing is written.

    Args:
        study: as it is now.
        root: directory of the study.
    """
    folders = {trial.number: f"{_FOLDER}/{trial.number}" for trial in study.trials}
    trials = [
        dataclasses.replace(trial, adapter=folders[trial.number])
        if (root / folders[trial.number]).is_dir()
        else trial
        for trial in study.trials
    ]
    return dataclasses.replace(study, trials=tuple(trials))


def _copy(trial: TrialRecord, root: Path, store: Store, folder: Path) -> None:
    if (root / folder).is_dir():
        return
    checkpoint = trial.rungs[-1].checkpoint
    if checkpoint is None or not store.is_folder(checkpoint):
        raise FileNotFoundError(
            f"the checkpoint of trial {trial.number}, a member of the front, is missing: "
            f"{checkpoint}"
        )
    # A folder that is there is whole: it is filled under another name first.
    partial = root / folder.with_name(f".{folder.name}-partial")
    _remove(partial)
    partial.mkdir(parents=True)
    for name in store.names(checkpoint):
        if name in ADAPTER_FILES:
            store.get(f"{checkpoint}/{name}", partial / name)
    partial.rename(root / folder)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
