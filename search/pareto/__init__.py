"""Dominance, hypervolume, and the front of a study."""

from search.pareto.dominance import crowding_distance, non_dominated, non_domination_rank
from search.pareto.hypervolume import hypervolume

__all__ = ["crowding_distance", "hypervolume", "non_dominated", "non_domination_rank"]
