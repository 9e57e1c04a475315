"""A trial inside a Ray worker."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from search import environment

environment.collect_seldom()

from ray import tune  # noqa: E402 - a trial's first step waits for all that is imported here

from search.metrics import load_scores  # noqa: E402
from search.record import CheckpointNote, RungReport  # noqa: E402
from search.spec.errors import first_line  # noqa: E402
from search.spec.settings import TrialSettings  # noqa: E402
from search.store import Store, StoreLost  # noqa: E402
from search.trial.data import TaskData  # noqa: E402
from search.trial.delivery import Delivery, placed  # noqa: E402
from search.trial.process import settle  # noqa: E402
from search.trial.training import TrialJob, run_trial  # noqa: E402

#: key of a result under which the report lies as JSON: Ray flattens and copies everything else
REPORT = "report"


#: Seconds between two signs of life; a step can be much shorter.
BEAT_SECONDS = 2.0


@contextmanager
def _store_is_needed() -> Iterator[None]:
    """What goes wrong within is the store's fault, and not the trial's.

    A file that is missing is: others may be there.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        # Not chained: of a chain the first is taken for the reason.
        raise StoreLost(f"{type(error).__name__}: {first_line(error)}") from None


def train(
    config: dict[str, Any],
    jobs: Mapping[str, TrialJob],
    data: Mapping[str, TaskData],
    threads: int,
    backbone: Delivery | None,
    store: Store,
    heartbeats: Any,
) -> None:
    """Run one trial and report every rung, with its checkpoint, to Ray Tune.

    Args:
        config: ``settings`` of the trial; ``study``, by whose name job and data are found;
            ``folder``, the name of the attempt; and ``checkpoint``, the folder in the store to go
            on from, or None.
        jobs: what all trials of a study share.
        data: of each study, from the object store: shared and read only.
        threads: CPU threads the trial may use.
        backbone: for nodes that do not have it; None where all have.
        store: of the run's checkpoints.
        heartbeats: actor that is told that the trial takes steps.
    """
    settle(threads)
    load_scores(jobs[config["study"]].task)

    def report(rung: RungReport, folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
        note = CheckpointNote(config["settings"], rung, sizes)
        (folder / CheckpointNote.FILE).write_text(note.to_json(), encoding="utf-8")
        with _store_is_needed():
            tune.report({REPORT: rung.to_json()}, checkpoint=tune.Checkpoint.from_directory(folder))

    study, attempt, last = config["study"], config["folder"], -math.inf

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= BEAT_SECONDS:
            last = now
            heartbeats.beat.remote(attempt)

    checkpoint, folder = config["checkpoint"], None
    with ExitStack() as opened:
        if checkpoint:
            with _store_is_needed():
                folder = opened.enter_context(store.opened(checkpoint))
        run_trial(
            placed(jobs[study], backbone),
            TrialSettings.model_validate(config["settings"]),
            data[study],
            report,
            folder,
            beat,
        )
