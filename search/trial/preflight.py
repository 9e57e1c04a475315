"""What can be known before any trial starts: that every configuration fits, and its parameters."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from search.spec.distributions import Branch
from search.spec.errors import Mistake, first_line
from search.spec.load import LoadedSpace
from search.spec.settings import TrialSettings
from search.spec.tasks import Task
from search.spec.tree import variants
from search.trial.backbone import empty_classifier, read_config
from search.trial.methods import counted_settings, counts_at_start
from search.trial.places import NotFound


@dataclass(frozen=True)
class Size:
    """Trainable adapter parameters of one configuration, head excluded.

    Attributes:
        settings: the configuration.
        start: at the first step.
        floor: once everything that freezes is frozen.
    """

    settings: dict[str, Any]
    start: int
    floor: int


def smallest_and_largest(loaded: LoadedSpace, task: Task) -> tuple[Size, Size]:
    """The configurations with the fewest and the most trainable parameters at the start.

    Every method is put on the model's shapes at the extremes of its settings, so that what does
    not fit is found before anything starts.

    Raises:
        SpecError: the model cannot be found, or a configuration does not fit it.
    """
    try:
        config = read_config(loaded.space.model)
        # There are many configurations, and a model is read from bytes much sooner than copied.
        empty = pickle.dumps(empty_classifier(config, task))
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None
    except ValueError as error:
        first = first_line(error)
        what = f"{loaded.space.model!r} is no sequence classifier: {first}"
        raise loaded.error(Mistake("model", what)) from None
    sizes: list[Size] = []
    mistakes: dict[tuple[str, str], Mistake] = {}
    for method, settings in _corners(loaded):
        try:
            start, floor = counts_at_start(
                TrialSettings.model_validate(settings),
                pickle.loads(empty),  # noqa: S301 - of our own making, above
            )
            sizes.append(Size(settings, start, floor))
        except (ValueError, TypeError) as error:
            mistake = Mistake(f"search.method.{method}", f"does not fit the model: {error}")
            mistakes[mistake.where, mistake.what] = mistake
    if mistakes:
        raise loaded.error(*mistakes.values())
    return extremes(sizes)


def extremes(sizes: Sequence[Size]) -> tuple[Size, Size]:
    """The smallest and the largest."""
    return min(sizes, key=lambda s: (s.start, s.floor)), max(sizes, key=lambda s: s.start)


def _corners(loaded: LoadedSpace) -> Iterator[tuple[str, dict[str, Any]]]:
    methods = loaded.tree.children["method"]
    assert isinstance(methods, Branch)
    for method in methods.options:
        for settings in variants(loaded.tree, method, counted_settings(method)):
            yield method, settings
