"""The figures of a search: each a pure function of its record."""

from search.results.figures.confirmed import confirmed_figure
from search.results.figures.curves import curves_figure
from search.results.figures.effects import effects_figure
from search.results.figures.freezing import freezing_figure, freezing_members, pattern_figure
from search.results.figures.front import front_figure
from search.results.figures.fronts import methods_in, small_front_figure
from search.results.figures.history import hypervolume_figure
from search.results.figures.importances import importance_figure, importance_methods
from search.results.figures.responses import response_figure
from search.results.figures.slots import slots_caption, slots_figure
from search.results.figures.trials import trials_figure

__all__ = [
    "confirmed_figure",
    "curves_figure",
    "effects_figure",
    "freezing_figure",
    "freezing_members",
    "front_figure",
    "hypervolume_figure",
    "importance_figure",
    "importance_methods",
    "methods_in",
    "pattern_figure",
    "response_figure",
    "slots_caption",
    "slots_figure",
    "small_front_figure",
    "trials_figure",
]
