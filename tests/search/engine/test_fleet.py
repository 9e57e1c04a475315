"""Several studies that share the slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.engine.core import Engine
from search.engine.fleet import Fleet, Lane
from search.engine.ray_parts import EngineScheduler, EngineSearcher, EngineStopper, Supervision
from search.engine.run_directory import RunDirectory
from search.engine.study import SearchStudy
from search.spec.schema import Budget, Pruner
from tests.search.engine.curves import engine_on, new_study, report
from tests.search.engine.test_ray_parts import Quiet, suggested, tune_trial

UNPRUNED = Pruner(name="none", rungs=4)


def lane(folder: Path, name: str, trials: int = 4, **change: Any) -> Lane:
    directory = RunDirectory(folder / name, folder)
    directory.root.mkdir()
    engine = engine_on(new_study(directory.root), trials=trials, pruner=UNPRUNED, **change)
    return Lane(name, engine, directory)


def finish(engine: Engine, number: int) -> None:
    settings = engine.record().trials[number].settings
    for index in range(1, 5):
        engine.report(number, report(settings, index), 1.0)


def test_studies_get_on_alike_and_one_without_work_gives_its_slots_to_the_other(
    tmp_path: Path,
) -> None:
    small, large = lane(tmp_path, "rte", trials=2), lane(tmp_path, "qnli", trials=6)
    fleet = Fleet([small, large])
    order = []
    while (found := fleet.ask(0.0)) is not None:
        order.append(found[0].name)
        finish(found[0].engine, found[1].number)
    # Half of the one is begun when half of the other is.
    assert order == ["rte", "qnli", "qnli", "qnli", "rte", "qnli", "qnli", "qnli"]
    assert fleet.exhausted(0.0)


def test_slots_are_counted_over_all_studies(tmp_path: Path) -> None:
    fleet = Fleet([lane(tmp_path, "rte"), lane(tmp_path, "cola")])
    searcher = EngineSearcher(fleet, lambda: 3)
    begun = [suggested(searcher) for _ in range(3)]
    assert searcher.suggest("d") is None
    assert fleet.active == 3
    assert [(one["study"], one["number"]) for one in begun] == [
        ("rte", 0), ("cola", 0), ("rte", 1)
    ]  # fmt: skip
    # Ray keeps all trials in one folder, where no two attempts may meet.
    assert [one["folder"] for one in begun] == ["rte-00000-0", "cola-00000-0", "rte-00001-0"]


def test_a_report_goes_to_its_own_study(tmp_path: Path) -> None:
    fleet = Fleet([lane(tmp_path, "rte"), lane(tmp_path, "cola")])
    for name in ("rte", "cola"):
        assert fleet[name].engine.ask(0.0) is not None
    scheduler = EngineScheduler(fleet, "001", list[str]().extend)
    trial = tune_trial(0, 0, study="cola")
    told = report(fleet["cola"].engine.record().trials[0].settings, 1).to_json()
    result = {"report": told, "checkpoint_dir_name": "checkpoint_000000"}
    assert scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
    (cola,) = SearchStudy.open(tmp_path / "cola" / "study.db").trials()
    (rte,) = SearchStudy.open(tmp_path / "rte" / "study.db").trials()
    assert [rung.checkpoint for rung in cola.rungs] == ["trials/001/00000-0/checkpoint_000000"]
    assert rte.rungs == ()


@pytest.mark.parametrize("other_is_done", [False, True])
def test_a_study_that_is_over_stops_its_trials_and_no_others(
    tmp_path: Path, other_is_done: bool
) -> None:
    over, other = lane(tmp_path, "rte"), lane(tmp_path, "cola", trials=1)
    fleet = Fleet([over, other])
    assert over.engine.ask(0.0) is not None
    assert other.engine.ask(0.0) is not None
    over.engine.end("all trials failed in the same way")
    stopper, scheduler = EngineStopper(fleet), EngineScheduler(fleet, "001", list[str]().extend)
    assert not stopper.stop_all()
    decisions = {}
    for one in (over, other):
        told = report(one.engine.record().trials[0].settings, 1).to_json()
        trial = tune_trial(0, 0, study=one.name)
        decisions[one.name] = scheduler.on_trial_result(None, trial, {"report": told})
    assert decisions == {"rte": TrialScheduler.STOP, "cola": TrialScheduler.CONTINUE}
    if other_is_done:
        finish(other.engine, 0)
    # With the others done there is nothing to wait for.
    assert stopper.stop_all() is other_is_done
    ended = tune_trial(0, 0, "TERMINATED", study="rte")
    Supervision(fleet, Quiet(), 1.0).on_step_end(1, [ended])  # type: ignore[arg-type]
    assert over.engine.active == frozenset()
    # It can be taken up later.
    assert over.engine.record().trials[0].state == "paused"


def test_the_search_is_finished_when_all_studies_are(tmp_path: Path) -> None:
    fleet = Fleet([lane(tmp_path, "rte", trials=1), lane(tmp_path, "cola", trials=1)])
    searcher = EngineSearcher(fleet, lambda: 1)
    for name in ("rte", "cola"):
        assert suggested(searcher)["study"] == name
        finish(fleet[name].engine, 0)
    assert searcher.suggest("x") == Searcher.FINISHED


def test_a_trial_goes_on_from_its_checkpoint_in_the_folder_that_all_studies_share(
    tmp_path: Path,
) -> None:
    first = lane(tmp_path, "rte")
    assert first.engine.ask(0.0) is not None
    settings = first.engine.record().trials[0].settings
    place = "trials/001/rte-00000-0/checkpoint_000000"
    first.engine.report(0, report(settings, 1), 1.0, place)
    first.engine.close(2.0)
    study = first.directory.open_study()
    again = Lane("rte", engine_on(study, trials=4, pruner=UNPRUNED), first.directory)
    found = suggested(EngineSearcher(Fleet([again]), lambda: 1))
    assert (found["number"], found["checkpoint"]) == (0, place)


def test_a_study_that_is_done_is_not_ended_early_while_others_go_on(tmp_path: Path) -> None:
    hour: dict[str, Any] = {"budget": Budget(trials=1, hours=1)}
    done, other = lane(tmp_path, "rte", **hour), lane(tmp_path, "cola", **hour)
    fleet = Fleet([done, other])
    for one in (done, other):
        assert one.engine.ask(0.0) is not None
    finish(done.engine, 0)
    assert not fleet.exhausted(1.0)
    assert fleet.over(3601.0)
    assert done.engine.ending is None
    assert other.engine.ending == "the budget of 1 hours is spent"
    done.engine.end("stopped by Ctrl-C")
    assert done.engine.ending is None
