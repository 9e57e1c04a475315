"""What fresh seeds said of the configurations a search has chosen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.measured import method_title
from search.results.noise import Interval, Resampled
from search.spec.tasks import Metric
from search.writing import write_atomically

T = TypeVar("T")

FOLDER = "confirm"
FILE = "confirm.json"
LABELS = "labels.json"


def chosen(study: StudyRecord, top: Literal["front"] | int) -> list[TrialRecord]:
    """The configurations of every method that are trained again, in the order of their numbers.

    None that breaks a limit.

    Args:
        study: whose complete trials are chosen from.
        top: ``front``: what no other configuration of the method dominates; or so many of each by
            their score, of two alike the one with fewer trainable parameters.
    """
    by_method: dict[str, list[TrialRecord]] = {}
    complete = study.in_state("complete")
    for trial in (trial for trial in complete if trial.feasible):
        by_method.setdefault(method_title(trial), []).append(trial)
    found: list[TrialRecord] = []
    for trials in by_method.values():
        if top == "front":
            found += front(trials, list(study.objectives))
        else:
            best = sorted(
                trials, key=lambda t: (-t.measures["score"], t.measures["trainable_params"])
            )
            found += best[:top]
    return sorted(found, key=lambda trial: trial.number)


def file_of(trial: int, seed: int) -> str:
    """Name of the file that holds one training."""
    return f"{trial:05d}-seed{seed}.json"


class Labels(BaseModel):
    """What every training is measured against, as ``labels.json`` has it.

    Attributes:
        metric: of the task.
        apart: whether no choice was made on the splits.
        labels: of every split.
    """

    metric: Metric
    apart: bool
    labels: dict[str, list[int | float]]


class Training(BaseModel):
    """A configuration trained with one fresh seed, as its file has it.

    Attributes:
        trial: its number in the search.
        seed: that it was trained with.
        measures: of the training.
        scores: of every split, by metric.
        predictions: of every row of every split.
    """

    trial: int
    seed: int
    measures: dict[str, float]
    scores: dict[str, dict[str, float]]
    predictions: dict[str, list[int | float]]


@dataclass(frozen=True)
class Confirmed:
    """One configuration after its fresh seeds.

    Attributes:
        trial: its number in the search.
        label: a short name made of its settings.
        method: which method it is of.
        chosen_with: its score in the search, by which it was chosen: the best of many flatters.
        scores: one for each seed.
        score: mean and interval.
        measures: means over the seeds, of trainable parameters and so on.
        on_front: whether no other dominates it, with the mean scores.
        no_better_than: the cheapest configuration with fewer trainable parameters that it is not
            better than by more than noise, or None.
    """

    trial: int
    label: str
    method: str
    chosen_with: float
    scores: tuple[float, ...]
    score: Interval
    measures: dict[str, float]
    on_front: bool
    no_better_than: int | None


@dataclass(frozen=True)
class Difference:
    """Two configurations compared; ``larger_than_noise`` if the interval leaves out zero."""

    trial: int
    other: int
    score: Interval
    larger_than_noise: bool


@dataclass(frozen=True)
class Confirmation:
    """All that fresh seeds said, on one split.

    Attributes:
        split: on which it was measured.
        rows: of that split.
        seeds: that configurations were trained with; one may lack some, see its scores.
        apart: whether no choice was made on the split.
        members: in the order of their mean scores, best first.
        differences: of every two.
        with_one_seed: trials left out of all this, for one seed has no interval.
    """

    split: str
    rows: int
    seeds: tuple[int, ...]
    apart: bool
    members: tuple[Confirmed, ...]
    differences: tuple[Difference, ...]
    with_one_seed: tuple[int, ...] = ()

    @property
    def lacking(self) -> tuple[Confirmed, ...]:
        """Members without some of the seeds: those failed, or were not run."""
        return tuple(member for member in self.members if len(member.scores) < len(self.seeds))


def compare(study: StudyRecord, root: Path) -> list[Confirmation]:
    """Compare what lies in ``confirm/``: one confirmation for each split that was measured.

    Configurations count that have two seeds or more, each with those it has.

    Raises:
        ValueError: a file is damaged.
    """
    about = _read(root / FOLDER / LABELS, Labels)
    rows = {split: len(labels) for split, labels in about.labels.items()}
    runs = read_trainings(study, root, about.metric, rows)
    whole = {n: dict(sorted(found.items())) for n, found in runs.items() if len(found) > 1}
    trials = {trial.number: trial for trial in study.trials}
    if not whole:
        return []
    with_one_seed = tuple(sorted(runs.keys() - whole.keys()))
    found = [
        _confirmation(study, trials, whole, split, labels, about.metric, about.apart)
        for split, labels in about.labels.items()
    ]
    return [dataclasses.replace(each, with_one_seed=with_one_seed) for each in found]


def read_trainings(
    study: StudyRecord, root: Path, metric: Metric, rows: Mapping[str, int]
) -> dict[int, dict[int, Training]]:
    """What lies in ``confirm/``, by trial and seed.

    Args:
        study: whose trials were trained again.
        root: of the study.
        metric: of the task.
        rows: of every split that was measured.

    Raises:
        ValueError: a file is damaged, or of something else; it is named.
    """
    runs: dict[int, dict[int, Training]] = {}
    for path in sorted((root / FOLDER).glob("*-seed*.json")):
        run = _read(path, Training)
        if wrong := _unlike(run, path.name, study, metric, rows):
            raise ValueError(f"{path} is damaged: {wrong}")
        runs.setdefault(run.trial, {})[run.seed] = run
    return runs


def _unlike(
    run: Training, name: str, study: StudyRecord, metric: Metric, rows: Mapping[str, int]
) -> str | None:
    """What a training lacks of those that its file should hold, or None."""
    if name != file_of(run.trial, run.seed):
        return f"it holds trial {run.trial} with seed {run.seed}"
    if run.trial not in {trial.number for trial in study.trials}:
        return f"the study has no trial {run.trial}"
    needed = {"trainable_params", "train_seconds", *study.objectives} - {"score"}
    if missing := sorted(needed - run.measures.keys()):
        return f"it lacks {', '.join(missing)}"
    for split, count in rows.items():
        if len(run.predictions.get(split, ())) != count:
            return f"it has no predictions of all {count} rows of {split}"
        if metric not in run.scores.get(split, {}):
            return f"it has no {metric} on {split}"
    return None


def _read(path: Path, kind: type[T]) -> T:
    """What a file of JSON holds.

    Raises:
        ValueError: it is damaged, or holds something else; it is named.
    """
    try:
        return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = "".join(f"{part}: " for part in found["loc"])
        raise ValueError(f"{path} is damaged: {where}{found['msg']}") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _confirmation(
    study: StudyRecord,
    trials: dict[int, TrialRecord],
    runs: Mapping[int, Mapping[int, Training]],
    split: str,
    labels: Sequence[float],
    metric: Metric,
    apart: bool,
) -> Confirmation:
    resampled = Resampled(
        labels,
        {n: [run.predictions[split] for run in found.values()] for n, found in runs.items()},
        metric,
    )
    means = {
        n: {
            name: float(np.mean([run.measures[name] for run in found.values()]))
            for name in next(iter(found.values())).measures
            # An earlier version may have measured less.
            if all(name in run.measures for run in found.values())
        }
        for n, found in runs.items()
    }
    scores = {n: resampled.interval(n) for n in runs}
    again = [
        _as_measured(trials[n], means[n] | {"score": scores[n].mean}, study) for n in sorted(runs)
    ]
    on_front = {trial.number for trial in front(again, list(study.objectives))}
    members = [
        Confirmed(
            trial=n,
            label=trials[n].label,
            method=method_title(trials[n]),
            chosen_with=trials[n].measures["score"],
            scores=tuple(run.scores[split][metric] for run in found.values()),
            score=scores[n],
            measures=means[n],
            on_front=n in on_front,
            no_better_than=_no_better_than(n, means, resampled),
        )
        for n, found in runs.items()
    ]
    members.sort(key=lambda member: -member.score.mean)
    order = [member.trial for member in members]
    differences = [
        Difference(a, b, gap, gap.low > 0 or gap.high < 0)
        for at, a in enumerate(order)
        for b in order[at + 1 :]
        for gap in [resampled.difference(a, b)]
    ]
    seeds = tuple(sorted({seed for found in runs.values() for seed in found}))
    return Confirmation(split, len(labels), seeds, apart, tuple(members), tuple(differences))


def _as_measured(trial: TrialRecord, measures: dict[str, float], study: StudyRecord) -> TrialRecord:
    values = {name: measures[name] for name in study.objectives}
    # Limits are of the search: they chose what is trained again, and say nothing of its means.
    return dataclasses.replace(trial, values=values, state="complete", feasible=True)


def _no_better_than(
    number: int, means: dict[int, dict[str, float]], resampled: Resampled
) -> int | None:
    own = means[number]["trainable_params"]
    cheaper = [n for n, of in means.items() if of["trainable_params"] < own]
    noise = [n for n in cheaper if not resampled.difference(number, n).low > 0]
    return min(noise, key=lambda n: means[n]["trainable_params"], default=None)


def write_confirmations(confirmations: Sequence[Confirmation], root: Path) -> Path:
    """Write ``confirm.json``."""
    path = root / FILE
    content = [asdict(confirmation) for confirmation in confirmations]
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


def read_confirmations(root: Path) -> list[Confirmation]:
    """What :func:`write_confirmations` wrote; empty where nothing was confirmed.

    Raises:
        ValueError: the file is damaged.
    """
    path = root / FILE
    try:
        return _read(path, list[Confirmation]) if path.is_file() else []
    except ValueError as error:
        what = "delete it, and python -m search.confirm writes it again"
        raise ValueError(f"{error}; {what}") from None
