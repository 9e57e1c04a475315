"""What becomes of a confirmation where there is nothing to confirm, or nobody to record it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from search import tracked
from search.confirm import main
from search.confirming import Confirming, copied_to, worth_confirming
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.results.confirmed import Confirmation
from search.spec import LoadedSpace, SpecError, load_space
from search.spec.schema import Confirm
from search.store import Store
from search.trial.data import prepare, task_of
from tests.search.records import study, trial
from tests.search.spec.spaces import changed


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def loaded(folder: Path, **change: object) -> LoadedSpace:
    return load_space(changed(folder, **change)).for_task("rte")


def test_a_task_of_which_nothing_is_complete_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"generated": {"train": 60, "validation": 20}}
    space = load_space(changed(tmp_path, tasks=["negation"], data=data)).for_task("negation")
    task = task_of(space.space)
    nothing, something = study(trial(0, "pruned"), trial(1, "failed")), study(trial(0))
    directory = RunDirectory(tmp_path / "negation", tmp_path)
    rows = prepare(space.space, task)
    made = [
        Confirming(space, task, rows, directory, record, Confirm())
        for record in (nothing, something)
    ]
    assert worth_confirming(made) == made[1:]
    told = capsys.readouterr().out
    assert told == "No trial is complete on negation: nothing is confirmed there.\n"
    assert not directory.root.exists()


def test_a_tracking_server_that_does_not_answer_is_told_and_not_waited_for(
    tmp_path: Path,
    silent: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracked, "FINISH_SECONDS", 0.5)
    space = loaded(tmp_path, tracking={"uri": silent})
    found: list[Confirmation] = []
    tracked.track_confirmations([tracked.Tracked(space, RunDirectory(tmp_path), "s1", found)])
    told = capsys.readouterr().err
    assert told == "MLflow misses what was confirmed: it did not answer\n"


def test_what_is_written_is_in_the_store_at_once_and_a_store_that_is_down_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run", ("rte",))
    found = run.root / "confirm" / "3-seed1.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    store = Store.at(tmp_path / "there")
    copied_to(Store.at(run.root), run)(found)
    copied_to(store, run)(found)
    assert store.read("confirm/3-seed1.json") == "{}"
    (tmp_path / "file").touch()
    copied_to(Store.at(tmp_path / "file"), run)(found)
    assert f"{tmp_path}/file misses 3-seed1.json: " in capsys.readouterr().err


def test_trials_to_confirm_are_taken_as_named_and_all_that_is_wrong_is_told(
    tmp_path: Path,
) -> None:
    data = {"generated": {"train": 60, "validation": 20}}
    space = load_space(changed(tmp_path, tasks=["negation"], data=data)).for_task("negation")
    task = task_of(space.space)
    directory = RunDirectory(tmp_path / "negation", tmp_path)
    rows = prepare(space.space, task)
    record = study(trial(0), trial(1, "pruned"), trial(2))

    def confirming(*numbers: int) -> Confirming:
        return Confirming(space, task, rows, directory, record, Confirm(seeds=3), numbers)

    directory.root.mkdir()
    said: list[str] = []
    todo = confirming(2, 0, 2).begin(said.append)
    assert [t.number for _, t in todo] == [0, 2] * 3
    assert said[0].startswith("Confirming 2 configurations with 3 fresh seeds")
    with pytest.raises(SpecError) as error:
        confirming(0, 1, 7)
    assert "1 is pruned" in str(error.value)
    assert "7 is none of the 3 trials" in str(error.value)


def test_numbers_of_trials_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--trials", "3,x"])
    assert "takes numbers of trials, as in 3,7; got '3,x'" in capsys.readouterr().err
