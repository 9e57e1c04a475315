"""A run's task and data, loaded for a command: what is wrong with them is the space file's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.engine.study import SearchStudy
from search.spec import LoadedSpace, Mistake
from search.spec.tasks import Task
from search.trial.backbone import most_tokens
from search.trial.data import DataError, TaskData, prepare, task_of
from search.trial.places import NotFound

if TYPE_CHECKING:
    from search.trial.delivery import Delivery


def read_task(loaded: LoadedSpace) -> Task:
    """The task; that of one's own data is known once its labels were read.

    Raises:
        SpecError: the data cannot be found or used.
    """
    try:
        return task_of(loaded.space)
    except (NotFound, DataError) as error:
        raise loaded.error(Mistake("data", str(error))) from None


def prepare_data(loaded: LoadedSpace, task: Task) -> TaskData:
    """The data, split and tokenised.

    Raises:
        SpecError: model or data cannot be found or used, or a row is longer than the model takes.
    """
    space = loaded.space
    try:
        most = most_tokens(space.model)
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None
    try:
        data = prepare(space, task)
    except (NotFound, DataError) as error:
        raise loaded.error(Mistake("data", str(error))) from None
    splits = (data.train, data.selection, *data.tests.values())
    longest = max(int(np.diff(split.starts).max()) for split in splits)
    if most is not None and longest > most:
        wanted = f"is {space.train.max_length}, and a row has {longest} tokens"
        what = f"{wanted}; {space.model} takes {most}"
        raise loaded.error(Mistake("train.max_length", what))
    return data


def deliver(loaded: LoadedSpace) -> Delivery:
    """The backbone, for the other nodes of the Ray that is connected.

    Raises:
        SpecError: it cannot be found or reached, or holds no weights.
    """
    # Ray takes seconds to import, and the checks before it need none of it.
    from search.trial.delivery import Delivery

    try:
        return Delivery.of(loaded.space.model)
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None


def check_same_data(loaded: LoadedSpace, study: SearchStudy, task: Task, data: TaskData) -> None:
    """A run goes on only with the data that it was started with.

    Raises:
        SpecError: it is other data.
    """
    was, now = study.header.provenance["data"], data.fingerprint
    if was != now:
        what = f"is other data than the run was started with (fingerprint {now}, was {was})"
        raise loaded.error(Mistake("data", what))
    named, names = study.header.classes, task.classes
    if named is not None and names is not None and tuple(named) != tuple(names):
        what = f"has the classes {', '.join(names)}; the run was started with {', '.join(named)}"
        raise loaded.error(Mistake("data", what))
