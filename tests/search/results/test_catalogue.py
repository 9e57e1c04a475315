"""What the report's scripts are told of the trials."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from search.record import FreezeEvent, StudyRecord
from search.results.catalogue import COMMANDS, catalogue, courses
from search.spec.load import load_space
from tests.search.spec.spaces import QUICKSTART

Maker = Callable[..., Any]


def test_every_column_has_a_value_for_every_trial(whole_search: StudyRecord) -> None:
    found = catalogue(whole_search)
    count = len(whole_search.trials)
    whole = {"objectives", "commands", "axes"}
    columns = [
        column for name, column in found.items() if isinstance(column, list) and name not in whole
    ]
    columns += [axis["values"] for axis in found["axes"] if "values" in axis]
    columns += [*found["told"].values(), *found["settings"].values()]
    columns += [measure["course"] for measure in found["measures"].values()]
    assert {len(column) for column in columns} == {count}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_methods_share_is_one_setting(study: Maker, trial: Maker) -> None:
    lora = {"method": {"lora": {"rank": 8, "learning_rate": 1e-3}}, "head_learning_rate": 2e-3}
    elora = {"method": {"elora": {"rank": 1024}}, "learning_rate": 1e-2, "head_learning_rate": 1e-3}
    bare = {"method": {"head": None}, "head_learning_rate": 1e-3}
    found = catalogue(
        study(trial(0, settings=lora), trial(1, settings=elora), trial(2, settings=bare))
    )
    assert found["settings"]["rank"] == ["8", "1024", None]
    assert found["settings"]["learning_rate"] == ["0.001", "0.01", None]
    assert found["settings"]["method"] == found["method"] == ["lora", "elora", "head"]


def test_a_setting_of_the_method_s_own_is_told_in_place_of_the_one_that_all_share(
    study: Maker, trial: Maker
) -> None:
    both = {"method": {"lora": {"rank": 8, "learning_rate": 1e-3}}, "learning_rate": 5e-2}
    assert catalogue(study(trial(0, settings=both)))["settings"]["learning_rate"] == ["0.001"]
    left = {"method": {"lora": {"rank": 8, "learning_rate": None}}, "learning_rate": 5e-2}
    assert catalogue(study(trial(0, settings=left)))["settings"]["learning_rate"] == ["0.05"]


def test_a_trial_that_stopped_is_told_as_it_was_and_drawn_where_it_was_heading(
    study: Maker, trial: Maker
) -> None:
    found = catalogue(study(trial(0, seconds=100.0), trial(1, "pruned", seconds=50.0)))
    assert found["told"]["training time"] == ["1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}40\N{NO-BREAK SPACE}s",
                                              "30.0\N{NO-BREAK SPACE}s"]  # fmt: skip
    assert found["measures"]["train_seconds"]["course"] == [100.0, 50.0]


def test_what_failed_is_on_no_plot(study: Maker, trial: Maker) -> None:
    found = catalogue(study(trial(0), trial(1, "failed", rungs=2), trial(2, "running")))
    assert found["measures"]["trainable_params"]["course"][1:] == [None, None]
    assert found["measures"]["score"]["course"][1:] == [None, None]


def test_what_still_runs_has_a_score_where_it_has_a_place_on_every_axis(
    study: Maker, trial: Maker
) -> None:
    """Else its line would go along the spots of those without a value."""
    record = study(
        trial(0, score=0.8, settings={"method": {"lora": {"rank": 2}}}),
        trial(1, "pruned", score=0.7, settings={"method": {"lora": {"rank": 4}}}),
        *(
            trial(2 + n, s, score=0.3, rungs=2)
            for n, s in enumerate(["running", "paused", "failed"])
        ),
    )
    found = catalogue(record)
    (rank,) = [axis for axis in found["axes"] if axis["title"] == "rank"]
    course = found["measures"]["score"]["course"]
    assert [value is None for value in course] == [value is None for value in rank["values"]]
    # The table tells how far each of them came.
    assert None not in found["told"]["accuracy"]
    assert found["measures"]["score"]["axis"]["range"][0] > 0.6


def test_a_trial_is_trained_once_more_without_what_came_before_its_run(tmp_path: Path) -> None:
    content = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
    whole = content | {"warm_start": "runs/gone", "confirm": {"seeds": 5}}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(whole))
    settings = load_space(QUICKSTART).enqueued[0].settings
    (command,) = [text for _, needs, text in COMMANDS if not needs]
    enqueue = shlex.quote(f"enqueue={json.dumps([settings])}")
    words = shlex.split(command.replace("{run}", str(tmp_path)).replace("{enqueue}", enqueue))
    overrides = [value for flag, value in itertools.pairwise(words) if flag == "--set"]
    loaded = load_space(words[3], overrides)
    assert [entry.settings for entry in loaded.enqueued] == [settings]
    assert loaded.space.warm_start is None


def test_the_axes_that_are_offered_first_are_those_that_are_drawn(
    study: Maker, trial: Maker
) -> None:
    """Parameters before costs, whatever the order of the objectives."""
    objectives = {"score": "max", "train_seconds": "min", "trainable_params": "min"}
    found = catalogue(study(trial(0), objectives=objectives))
    assert found["drawn"] == {"across": "trainable_params", "colour": "train_seconds"}
    two = {"score": "max", "trainable_params": "min"}
    shown = catalogue(study(trial(0, objectives=tuple(two)), objectives=two))["drawn"]["colour"]
    assert shown == "train_seconds"


def test_the_metric_that_is_the_score_is_told_once(study: Maker, trial: Maker) -> None:
    one = trial(0)
    both = trial(0, measures={**one.measures, "accuracy": 0.9})
    assert catalogue(study(both))["told"]["accuracy"] == ["0.9000"]


def test_the_knee_is_named_where_there_is_one(study: Maker, trial: Maker) -> None:
    ends = [trial(0, score=0.5, params=10), trial(1, score=0.9, params=100_000)]
    assert catalogue(study(*ends))["knee"] is None
    assert catalogue(study(*ends, trial(2, score=0.88, params=100)))["knee"] == 2


def test_matrices_are_told_for_trials_that_have_different_ones(study: Maker, trial: Maker) -> None:
    one = (FreezeEvent(0, "query", "A", 5), FreezeEvent(0, "query", "B", None))
    other = (FreezeEvent(3, "ffn_in", "B", 9),)
    found = courses(study(trial(0, freezing=one), trial(1, freezing=other), trial(2, freezing=())))
    assert found["matrices"] == [(0, "query", "A"), (0, "query", "B"), (3, "ffn_in", "B")]
    assert found["frozen"] == [[5, -1, None], [None, None, 9], []]


def test_a_course_has_every_rung(study: Maker, trial: Maker) -> None:
    pruned = trial(0, "pruned", score=0.8)
    (rungs,) = courses(study(pruned))["rungs"]
    assert rungs["step"] == [80, 160, 240]
    assert rungs["score"] == [rung.measures["score"] for rung in pruned.rungs]
