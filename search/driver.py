"""One driver's work on one run directory, from the first proposal to the report."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from optuna.exceptions import StorageInternalError
from rich.console import Console

from search.console.live import LiveView, Watched
from search.console.plain import PlainView
from search.console.summary import print_overview, print_summary
from search.console.terminal import redraws
from search.engine.checkpoints import Checkpoints
from search.engine.core import STOPPED, Engine
from search.engine.fleet import Fleet
from search.engine.ray_tune import execute
from search.engine.runs import Run
from search.engine.snapshots import Snapshots
from search.environment import INTERRUPTED
from search.part import Part
from search.record import StudyRecord, TrialRecord
from search.report import write_overview
from search.spec import LoadedSpace
from search.spec.errors import first_line
from search.store import Store
from search.tracked import store_opener, system_metrics
from search.tracking.follower import Followed, Follower
from search.tracking_place import shown_uri
from search.trial.delivery import Delivery
from search.trial.worker import train

#: What reading a study and writing what it came to can fail with: a disk, what is damaged, or
#: the database.
WRITING_FAILED = (OSError, ValueError, StorageInternalError)
ALL_BEGUN = "its budget of trials is spent"


class Driver:
    """Runs a search whose space, model and data have been checked.

    Args:
        loaded: the space.
        run: locked by the caller.
        parts: of each task.
        store: where checkpoints lie.
        snapshots: keep copies of the studies there; None where the studies lie there themselves.
        slots: trials at a time, now.
        why: why they run where they run.
        console: the terminal.
        backbone: for nodes that do not have it; None where all have.
        again: the command that goes on with this run.
        since: when the command began, in seconds since the epoch.
    """

    def __init__(
        self,
        loaded: LoadedSpace,
        run: Run,
        parts: Sequence[Part],
        store: Store,
        snapshots: Snapshots | None,
        slots: Callable[[], int],
        why: str,
        console: Console,
        backbone: Delivery | None,
        again: str,
        since: float,
    ) -> None:
        self._loaded = loaded
        self._run = run
        self._parts = parts
        self._store = store
        self._snapshots = snapshots
        self._slots = slots
        self._why = why
        self._console = console
        self._backbone = backbone
        self._again = again
        self._since = since

    @property
    def ended_by_itself(self) -> bool:
        """Whether the search came to its end, by whatever limit, and nobody stopped it."""
        return not any((p.engine.ending or "").startswith(STOPPED) for p in self._parts)

    def run(self) -> int:
        """Search; the exit status."""
        space = self._loaded.space
        followed = [self._followed(part) for part in self._parts]
        follower, view = Follower(followed, system_metrics(self._loaded)), self._view()
        for index, part in enumerate(self._parts):
            # Only now: a resume that is refused leaves what is written as it was.
            part.study.over = None
            part.engine.listen(_telling(index, part.task.name, view, follower, self._snapshots))
        follower.start()
        if self._snapshots is not None:
            self._snapshots.start()
        with view, _ended_by_signals([part.engine for part in self._parts]):
            execute(
                Fleet([part.lane for part in self._parts]),
                self._store,
                self._discard if self._snapshots is None else self._snapshots.discard,
                train,
                {
                    "jobs": {part.lane.name: part.job for part in self._parts},
                    "data": {part.lane.name: part.data for part in self._parts},
                    "threads": max(1, int(space.resources.cpu)),
                    "backbone": self._backbone,
                },
                space.resources.of_ray,
                self._slots,
                space.failures.hang_minutes,
                _stepping(self._parts, view, follower),
            )
        records, written = [], []
        for part, target in zip(self._parts, followed, strict=True):
            try:
                record, target.files = part.write_results()
            except WRITING_FAILED as error:
                # The others' results, and what MLflow and the store still lack, must not be lost.
                _tell(f"The results of {part.task.name} are not written", error)
                record = part.engine.record()
            else:
                written.append((part, record))
            target.ended = part.engine.ending is None
            records.append(record)
        whole = self._write_overview() and len(written) == len(records)
        if whole and self.ended_by_itself:
            whole = self._note_ends()
        whole = self._clear(written) and whole
        problem = follower.close()
        if problem is not None:
            print(f"MLflow misses a part of this run: {problem}", file=sys.stderr)
        for part in self._parts:
            part.study.close()
            if part.engine.spent is not None and part.engine.ending is None:
                of_task = f" for {part.task.name}" if self._run.several else ""
                self._console.print(f"Nothing is left to propose{of_task}: {part.engine.spent}.")
        self._say_goodbye(records)
        return self._status(records) or (0 if whole else 1)

    def _note_ends(self) -> bool:
        """Write down that the search is over, for who looks at it later; whether it could be."""
        for part in self._parts:
            try:
                part.study.over = part.engine.ending or part.engine.spent or ALL_BEGUN
            except StorageInternalError as error:
                _tell(f"That the search of {part.task.name} is over is not written", error)
                return False
            if self._snapshots is not None:
                self._snapshots.changed(part.task.name)
        return True

    def _write_overview(self) -> bool:
        """Write the page over all tasks, of several; whether it could be written."""
        if not self._run.several:
            return True
        try:
            write_overview(self._run)
        except WRITING_FAILED as error:
            _tell("The page over all tasks is not written", error)
            return False
        return True

    def _discard(self, checkpoints: Sequence[str]) -> None:
        """Delete checkpoints; what cannot be deleted now is tried again, and told, in the end."""
        for checkpoint in checkpoints:
            with suppress(OSError):
                self._store.delete(checkpoint)

    def _clear(self, written: Sequence[tuple[Part, StudyRecord]]) -> bool:
        """Delete the checkpoints of trials that ended, once their adapters and studies are safe.

        Args:
            written: those whose results are.

        Returns:
            Whether the store has all that it should.
        """
        problem, useless = None, []
        try:
            there = Checkpoints(self._store)
            for part, record in written:
                useless += there.useless_to(record, part.directory)
            if self._snapshots is None:
                for path in useless:
                    self._store.delete(path)
        except OSError as error:
            problem = first_line(error)
        if self._snapshots is not None:
            problem = self._snapshots.close(useless) or problem
        if problem is not None:
            print(f"{self._store} is not as it should be: {problem}", file=sys.stderr)
        return problem is None

    def _followed(self, part: Part) -> Followed:
        study_id = part.study.header.provenance["study_id"]
        opener = store_opener(self._loaded, self._run.directory, study_id)
        return Followed(opener, part.engine.record)

    def _view(self) -> PlainView | LiveView:
        if not redraws(self._console):
            names = [part.task.name for part in self._parts]
            return PlainView(tuple(self._loaded.space.objectives), names, since=self._since)
        return LiveView(
            [
                Watched(part.engine.record, _ending_of(part.engine), part.total)
                for part in self._parts
            ],
            self._slots,
            self._why,
            self._console,
            self._since,
            hears=True,
        )

    def _say_goodbye(self, records: Sequence[StudyRecord]) -> None:
        endings = [part.engine.ending for part in self._parts]
        again = self._again if any(ending is not None for ending in endings) else None
        uri = shown_uri(self._loaded.space.tracking.uri, self._run.directory)
        if self._run.several:
            size = self._run.directory.bytes
            print_overview(records, self._run.root, size, uri, endings, again, self._console)
        else:
            print_summary(records[0], self._run.root, uri, endings[0], again, self._console)

    def _status(self, records: Sequence[StudyRecord]) -> int:
        return status_of(records) if self.ended_by_itself else INTERRUPTED


def status_of(records: Sequence[StudyRecord]) -> int:
    """1 where all that ended of a task has failed; what waits, or was paused, has not."""
    ended = [record.in_state("complete", "pruned", "failed") for record in records]
    return int(any(of and all(trial.state == "failed" for trial in of) for of in ended))


def _tell(what: str, error: Exception) -> None:
    """Of what is damaged the error says what helps; a disk that was full may have room again."""
    passing = isinstance(error, (OSError, StorageInternalError))
    hint = "; search.run --resume writes what is missing." if passing else ""
    print(f"{what}: {first_line(error)}{hint}", file=sys.stderr)


def deposed_by_another(parts: Sequence[Part]) -> Callable[[], None]:
    """Ends a search whose store another driver has taken over."""

    def end() -> None:
        for part in parts:
            part.engine.end(f"{STOPPED} another driver, which leads this run from the storage now")

    return end


def _telling(
    index: int,
    task: str,
    view: PlainView | LiveView,
    follower: Follower,
    snapshots: Snapshots | None,
) -> Callable[[TrialRecord], None]:
    def listen(trial: TrialRecord) -> None:
        view.on_trial(index, trial)
        follower.wake(index)
        if trial.rungs or trial.finished is not None:
            follower.release()
        if snapshots is not None:
            snapshots.changed(task)

    return listen


def _stepping(
    parts: Sequence[Part], view: PlainView | LiveView, follower: Follower
) -> Callable[[str, int], None]:
    indices = {part.task.name: index for index, part in enumerate(parts)}

    def stepped(task: str, number: int) -> None:
        follower.release()
        index = indices[task]
        view.on_step(index, parts[index].engine.record().trials[number])

    return stepped


def _ending_of(engine: Engine) -> Callable[[], str | None]:
    return lambda: engine.ending


@contextmanager
def _ended_by_signals(engines: Sequence[Engine]) -> Iterator[None]:
    """The first Ctrl-C ends the search in order, the second at once."""

    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        for engine in engines:
            engine.end(f"{STOPPED} {name}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
