"""What becomes of a confirmation where there is nothing to confirm, or nobody to record it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from search import confirming, tracked
from search.confirm import main
from search.confirming import Confirming, copied_to, worth_confirming, write_confirmed
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.record import StudyRecord
from search.results.confirmed import FOLDER, LABELS, file_of, read_confirmations
from search.spec import LoadedSpace, SpecError, load_space
from search.spec.schema import Confirm
from search.store import Store
from search.trial.data import prepare, task_of
from tests.search.records import study, trial
from tests.search.results.run_directories import write_run
from tests.search.spec.spaces import changed


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class Negation:
    """A task that is made here, in a run of which it is one.

    Args:
        folder: of the run.
        change: what its space says beside that.
    """

    def __init__(self, folder: Path, **change: object) -> None:
        data = {"generated": {"train": 60, "validation": 20}}
        path = changed(folder, tasks=["negation"], data=data, **change)
        self._loaded = load_space(path).for_task("negation")
        self._task = task_of(self._loaded.space)
        self._rows = prepare(self._loaded.space, self._task)
        self.directory = RunDirectory(folder / "negation", folder)

    def confirming(
        self, record: StudyRecord, wanted: Confirm, trials: Sequence[int] | None = None
    ) -> Confirming:
        return Confirming(
            self._loaded, self._task, self._rows, self.directory, record, wanted, trials
        )


@pytest.fixture
def negation(tmp_path: Path) -> Negation:
    return Negation(tmp_path)


def loaded(folder: Path, **change: object) -> LoadedSpace:
    return load_space(changed(folder, **change)).for_task("rte")


def test_a_task_of_which_nothing_is_complete_is_told_and_left_out(
    negation: Negation, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing, something = study(trial(0, "pruned"), trial(1, "failed")), study(trial(0))
    made = [negation.confirming(record, Confirm()) for record in (nothing, something)]
    assert worth_confirming(made) == made[1:]
    told = capsys.readouterr().out
    assert told == "No trial is complete on negation: nothing is confirmed there.\n"
    assert not negation.directory.root.exists()


def test_a_tracking_server_that_does_not_answer_is_told_and_not_waited_for(
    tmp_path: Path,
    silent: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracked, "FINISH_SECONDS", 0.5)
    space = loaded(tmp_path, tracking={"uri": silent})
    tracked.track_confirmations([tracked.Tracked(space, RunDirectory(tmp_path), "s1")])
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
    negation: Negation,
) -> None:
    record = study(trial(0), trial(1, "pruned"), trial(2))

    def confirming(*numbers: int) -> Confirming:
        return negation.confirming(record, Confirm(seeds=3), numbers)

    negation.directory.root.mkdir()
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


def training(number: int, seed: int, rows: int = 20) -> dict[str, Any]:
    """What a training comes to, as its file has it."""
    return {
        "trial": number,
        "seed": seed,
        "measures": {"trainable_params": 1000.0, "train_seconds": 10.0},
        "scores": {"validation": {"score": 0.5, "accuracy": 0.5}},
        "predictions": {"validation": [0] * rows},
    }


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "Expecting value"),
        (json.dumps([1]), "dictionary"),
        (json.dumps({"seed": 2}), "trial: Field required"),
        (json.dumps(training(0, 3)), "it holds trial 0 with seed 3"),
        (json.dumps(training(0, 2, rows=19)), "it has no predictions of all 20 rows of validation"),
        (json.dumps(training(0, 2) | {"scores": {}}), "it has no accuracy on validation"),
        (json.dumps(training(0, 2) | {"measures": {}}), "it lacks train_seconds, trainable_params"),
    ],
)
def test_a_damaged_file_is_named_before_anything_is_trained(
    negation: Negation, content: str, what: str
) -> None:
    folder = negation.directory.root / FOLDER
    folder.mkdir(parents=True)
    (folder / file_of(0, 1)).write_text(json.dumps(training(0, 1)))
    file = folder / file_of(0, 2)
    file.write_text(content)
    with pytest.raises(SpecError) as error:
        negation.confirming(study(trial(0)), Confirm(seeds=3))
    assert f"{file} is damaged: " in str(error.value)
    assert what in str(error.value)
    assert not (folder / LABELS).exists()
    file.write_text(json.dumps(training(0, 2)))
    made = negation.confirming(study(trial(0)), Confirm(seeds=3))
    assert [seed for seed, _ in made.begin(lambda line: None)] == [3]
    made.conclude()
    (found,) = read_confirmations(negation.directory.root)
    assert found.seeds == (1, 2)


def test_a_training_of_a_trial_that_is_none_is_refused(negation: Negation) -> None:
    folder = negation.directory.root / FOLDER
    folder.mkdir(parents=True)
    (folder / file_of(7, 1)).write_text(json.dumps(training(7, 1)))
    with pytest.raises(SpecError, match="the study has no trial 7"):
        negation.confirming(study(trial(0)), Confirm())


def test_fresh_seeds_are_such_as_numpy_takes(tmp_path: Path) -> None:
    made = Negation(tmp_path, seed=2**32 - 2).confirming(study(trial(0)), Confirm(seeds=3))
    made._folder.mkdir(parents=True)
    seeds = [seed for seed, _ in made.begin(lambda line: None)]
    assert seeds == [2**32 - 1, 0, 1]


def test_a_report_that_cannot_be_written_keeps_nothing_from_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking: list[Any] = []
    monkeypatch.setattr(confirming, "track_confirmations", tracking.append)
    root = write_run(tmp_path / "run", study(trial(0), task="rte"), study(trial(0), task="cola"))
    (root / "rte" / "confirm.json").write_text("[{")
    run = Run.at(root)
    assert not write_confirmed(run, Store.at(root), [])
    told = capsys.readouterr()
    assert told.out == f"{root}/cola/report.html\n"
    for page in (root / "rte" / "report.html", root / "report.html"):
        assert f"{page} is not written: {root}/rte/confirm.json is damaged" in told.err
        assert not page.exists()
    assert (root / "cola" / "report.html").is_file()
    assert tracking == [[]]
    (root / "rte" / "confirm.json").unlink()
    assert write_confirmed(run, Store.at(root), [])
    pages = [root / "rte" / "report.html", root / "cola" / "report.html", root / "report.html"]
    assert capsys.readouterr().out.splitlines() == [str(page) for page in pages]
