"""Copies of a study in its store: as of one moment, soon, and before what they name is deleted."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.engine import snapshots
from search.engine.checkpoints import Checkpoints
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.engine.snapshots import LEADER, Snapshots, missing_here
from search.engine.study import SearchStudy
from search.record import CheckpointNote, TrialRecord
from search.spec import SpecError
from search.spec.schema import Pruner
from search.store import Store
from search.stored import fetch_run
from tests.object_store import BUCKET, object_store
from tests.search.engine.curves import RUNGS, engine_on, new_study, report
from tests.search.engine.curves import run as run_of
from tests.waiting import until

NONE = Pruner(name="none", rungs=RUNGS)


class Flaky(Store):
    """A store on a disk that does not answer as long as it is down."""

    down = False
    refuses = ""

    def put(self, source: Path, relative: str) -> None:
        if self.down or (self.refuses and self.refuses in relative):
            raise OSError("503 Slow Down")
        super().put(source, relative)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path / "here" / "run", ("rte",))
    made.root.mkdir(parents=True)
    made.directory.space.write_text("tasks: [rte]\n")
    return made


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("s3") / "log") as environment:
        yield environment


@pytest.fixture(params=["disk", "s3"])
def store(
    request: pytest.FixtureRequest,
    s3: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Flaky:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    on_disk = request.param == "disk"
    at = Store.at(tmp_path / "there" if on_disk else f"s3://{BUCKET}/{tmp_path.name}")
    return Flaky(at.filesystem, at.root)


def copied(store: Store) -> tuple[TrialRecord, ...]:
    """Trials of the study in the store, read as another machine would."""
    if not store.is_file("study.db"):
        return ()
    with tempfile.TemporaryDirectory() as folder:
        store.get("study.db", Path(folder) / "study.db")
        study = SearchStudy.open(Path(folder) / "study.db")
        trials = tuple(study.trials())
        study.close()
    return trials


def test_a_copy_follows_the_study_and_what_it_names_is_there(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    engine = engine_on(new_study(run.root), trials=1, pruner=NONE)
    for index in (1, 2):
        store.put(run.directory.space, f"trials/001/00000-0/checkpoint_{index}/head")
    keeper = Snapshots(run, store)
    engine.listen(lambda trial: keeper.changed("rte"))
    keeper.start()
    proposal = engine.ask(0.0)
    assert proposal is not None
    engine.report(0, report(proposal.settings, 1), 1.0, "trials/001/00000-0/checkpoint_1")
    until(lambda: any(trial.rungs for trial in copied(store)))

    store.down = True
    engine.report(0, report(proposal.settings, 2), 2.0, "trials/001/00000-0/checkpoint_2")
    keeper.discard(engine.obsolete_checkpoints(0))
    until(lambda: keeper.problem is not None)
    assert keeper.problem == "OSError: 503 Slow Down"
    (trial,) = copied(store)
    # Whoever goes on from this copy finds what it names.
    assert trial.rungs[-1].checkpoint is not None
    assert store.is_folder(trial.rungs[-1].checkpoint)

    store.down = False
    until(lambda: len(copied(store)[0].rungs) == 2)
    until(lambda: not store.is_folder("trials/001/00000-0/checkpoint_1"))
    assert store.is_folder("trials/001/00000-0/checkpoint_2")
    assert keeper.close() is None


def test_at_the_end_the_store_holds_all_files_and_no_adapter_of_who_left_the_front(
    run: Run, store: Flaky
) -> None:
    new_study(run.root).close()
    store.put(run.directory.space, "adapters/3/head.safetensors")
    for path in ("adapters/4/head.safetensors", "report.html", "mlflow.db", ".lock"):
        (run.root / path).parent.mkdir(parents=True, exist_ok=True)
        (run.root / path).write_text(path)
    keeper = Snapshots(run, store)
    keeper.start()
    assert keeper.close() is None
    there = ["adapters/4/head.safetensors", "report.html", "space.yaml", "study.db"]
    assert store.files() == [LEADER, *there]
    shutil.rmtree(run.root)
    assert missing_here(run, store) == ["rte"]
    fetch_run(run, store)
    assert Store.at(run.root).files(without=[".lock"]) == there
    run.check_resumable()


def test_at_the_end_nothing_is_deleted_before_the_adapters_are_safe(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    new_study(run.root).close()
    checkpoint = "trials/001/00000-0/checkpoint_1"
    store.put(run.directory.space, f"{checkpoint}/head")
    (run.root / "adapters" / "0").mkdir(parents=True)
    (run.root / "adapters" / "0" / "head").write_text("weights")
    keeper = Snapshots(run, store)
    keeper.start()
    until(lambda: store.is_file("study.db"))
    store.refuses = "adapters"
    closing = threading.Thread(target=keeper.close, args=([checkpoint],))
    closing.start()
    until(lambda: keeper.problem is not None)
    assert store.is_folder(checkpoint)
    store.refuses = ""
    closing.join(20)
    assert not closing.is_alive()
    assert keeper.problem is None
    assert store.read("adapters/0/head") == "weights"
    assert not store.is_folder(checkpoint)


def test_a_store_that_stays_down_at_the_end_is_told_and_keeps_its_checkpoints(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(snapshots, "CLOSE_SECONDS", 0.5)
    new_study(run.root).close()
    checkpoint = "trials/001/00000-0/checkpoint_1"
    store.put(run.directory.space, f"{checkpoint}/head")
    store.down = True
    keeper = Snapshots(run, store)
    keeper.start()
    assert keeper.close([checkpoint]) == "OSError: 503 Slow Down"
    assert store.is_folder(checkpoint)


def test_who_was_taken_over_writes_and_deletes_nothing_more(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    new_study(run.root).close()
    deposed: list[bool] = []
    first = Snapshots(run, store, lambda: deposed.append(True))
    first.start()
    until(lambda: store.is_file("study.db"))
    second = Snapshots(run, store)
    second.start()
    until(lambda: second._leads)
    checkpoint = "trials/001/00000-0/checkpoint_1"
    store.put(run.directory.space, f"{checkpoint}/head")
    first.discard([checkpoint])
    until(lambda: bool(deposed))
    assert first.close() == "another driver leads the run from there now"
    assert store.is_folder(checkpoint)
    assert second.close() is None
    assert deposed == [True]


def test_a_store_that_loses_the_note_of_who_leads_is_led_on(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    new_study(run.root).close()
    deposed: list[bool] = []
    keeper = Snapshots(run, store, lambda: deposed.append(True))
    keeper.start()
    until(lambda: store.is_file("study.db"))
    until(lambda: keeper.problem is None)
    store.delete(snapshots.LEADER)
    keeper.changed("rte")
    until(lambda: store.is_file(snapshots.LEADER))
    assert keeper.close() is None
    assert deposed == []


def test_a_task_that_is_missing_here_is_fetched_and_not_begun_anew(
    tmp_path: Path, store: Flaky
) -> None:
    made = Run(tmp_path / "here" / "two", ("rte", "cola"))
    made.root.mkdir(parents=True)
    made.directory.space.write_text("tasks: [rte, cola]\n")
    for directory in made.studies.values():
        directory.root.mkdir()
        directory.space.write_text("tasks: [x]\n")
        new_study(directory.root).close()
    for directory in made.studies.values():
        snapshots.copy_study(directory, store)
    kept = (made.root / "rte" / "study.db").stat().st_ino
    shutil.rmtree(made.root / "cola")
    fetch_run(made, store)
    assert made.is_complete
    assert (made.root / "rte" / "study.db").stat().st_ino == kept


def test_what_is_written_later_takes_no_adapter_from_the_store(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.05)
    new_study(run.root).close()
    for number in (1, 2):
        (run.directory.adapters / f"{number}").mkdir(parents=True)
        (run.directory.adapters / f"{number}" / "head").write_text("weights")
    store.put(run.directory.space, "adapters/9/head")
    keeper = Snapshots(run, store)
    keeper.start()
    # Who has made them knows that there are no others.
    assert keeper.close() is None
    assert sorted(store.names("adapters")) == ["1", "2"]
    shutil.rmtree(run.directory.adapters / "1")
    (run.root / "confirm.json").write_text("[]")
    snapshots.mirror(run, store)
    assert sorted(store.names("adapters")) == ["1", "2"]
    assert store.is_file("confirm.json")


@pytest.mark.parametrize("after", [0, 1, 3, 4, 5])
def test_a_fetch_that_was_interrupted_begins_anew(
    run: Run, store: Flaky, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """After so many files or moves the program is killed."""
    new_study(run.root).close()
    (run.directory.adapters / "1").mkdir(parents=True)
    (run.directory.adapters / "1" / "head").write_text("weights")
    snapshots.copy_study(run.directory, store)
    snapshots.mirror(run, store)
    shutil.rmtree(run.root)
    deeds = 0

    def counted(deed: Any) -> Any:
        def act(*given: Any) -> Any:
            nonlocal deeds
            deeds += 1
            if deeds > after:
                raise KeyboardInterrupt
            return deed(*given)

        return act

    with monkeypatch.context() as killed:
        killed.setattr(Store, "get", counted(Store.get))
        killed.setattr(Path, "rename", counted(Path.rename))
        with pytest.raises(KeyboardInterrupt):
            fetch_run(run, store)
    assert not run.begun
    fetch_run(run, store)
    assert list(run.begun) == ["rte"]
    assert (run.directory.adapters / "1" / "head").read_text() == "weights"
    assert not list(run.root.glob(".fetching*"))


def test_a_machine_that_is_behind_another_one_is_told(run: Run, store: Flaky) -> None:
    engine = engine_on(new_study(run.root), trials=1, pruner=NONE)
    proposal = engine.ask(0.0)
    assert proposal is not None
    snapshots.copy_study(run.directory, store)
    fetch_run(run, store)
    engine.report(0, report(proposal.settings, 1), 1.0)
    fetch_run(run, store)
    # It went on elsewhere from the copy, and came further there.
    moved = run.root.parent / "moved.db"
    store.get("study.db", moved)
    there = SearchStudy.open(moved)
    elsewhere = engine_on(there, trials=1, pruner=NONE, now=50.0)
    elsewhere.ask(51.0)
    for index in (1, 2):
        elsewhere.report(0, report(proposal.settings, index), 51.0 + index)
    there.close()
    store.put(moved, "study.db")
    with pytest.raises(SpecError, match="another machine has gone on with rte; move the folder"):
        fetch_run(run, store)


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "none of ours"])
def test_a_damaged_copy_is_named_and_nothing_of_it_stays_here(
    run: Run, store: Flaky, damage: str
) -> None:
    run_of(engine_on(new_study(run.root), trials=3, pruner=NONE))
    snapshots.copy_study(run.directory, store)
    copy = run.root.parent / "copy.db"
    store.get("study.db", copy)
    content = copy.read_bytes()
    if damage == "cut off":
        copy.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten":
        copy.write_bytes(content[:4096] + bytes(len(content) - 4096))
    else:
        copy.write_bytes(b"")
    store.put(copy, "study.db")
    said = rf"storage {store}: study\.db is damaged there: "
    # Whoever has the run is told as well as whoever wants to go on from the store alone.
    with pytest.raises(SpecError, match=said):
        fetch_run(run, store)
    shutil.rmtree(run.root)
    with pytest.raises(SpecError, match=said):
        fetch_run(run, store)
    assert Store.at(run.root).files(without=[".lock"]) == []


def test_rungs_whose_reports_were_lost_are_taken_in_from_their_checkpoints(
    run: Run, store: Flaky
) -> None:
    """The copy of the study was older than the last checkpoints."""
    engine = engine_on(new_study(run.root), trials=3, pruner=NONE)
    first, second, third = (engine.ask(float(number)) for number in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    engine.report(0, report(first.settings, 1), 5.0, "trials/001/00000-0/checkpoint_1")

    def leave(path: str, settings: object, index: int, folder: Path) -> None:
        (folder / "head").write_text("weights")
        note = CheckpointNote(dict(settings), report(settings, index), {"head": 7})  # type: ignore
        (folder / "note").write_text(note.to_json())
        store.put(folder / "head", f"trials/001/{path}/head")
        store.put(folder / "note", f"trials/001/{path}/{CheckpointNote.FILE}")

    scratch = run.root.parent
    leave("00000-0/checkpoint_1", first.settings, 1, scratch)
    leave("00000-0/checkpoint_3", first.settings, 3, scratch)
    leave("00000-0/checkpoint_2", first.settings, 2, scratch)
    # Two were cut off while they were written.
    leave("00000-0/checkpoint_4", first.settings, 4, scratch)
    (scratch / "head").write_text("wei")
    store.put(scratch / "head", "trials/001/00000-0/checkpoint_4/head")
    (scratch / "note").write_text('{"settings": {')
    store.put(scratch / "note", f"trials/001/00002-0/checkpoint_2/{CheckpointNote.FILE}")
    # The third trial's number was given to other settings before the study was lost.
    leave("00002-0/checkpoint_1", first.settings, 1, scratch)
    # This one had come to its end.
    for index in range(1, RUNGS + 1):
        leave(f"00001-0/checkpoint_{index}", second.settings, index, scratch)

    again = engine_on(SearchStudy.open(run.directory.study), trials=3, pruner=NONE, now=60.0)
    there = Checkpoints(store)
    for trial in again.record().trials:
        newer = there.newer(trial, RunDirectory(run.root), store)
        again.catch_up(trial.number, newer, 61.0)
    trials = again.record().trials
    assert [rung.index for rung in trials[0].rungs] == [1, 2, 3]
    assert trials[0].rungs[-1].checkpoint == "trials/001/00000-0/checkpoint_3"
    assert trials[1].state == "complete"
    assert trials[2].rungs == ()
    handed = [again.ask(62.0), again.ask(62.0)]
    assert [one.number for one in handed if one is not None] == [0, 2]
    assert again.ask(62.0) is None
