"""The space file: what to search, checked before anything starts."""

from search.spec.errors import Mistake, SpecError
from search.spec.load import LoadedSpace, load_space
from search.spec.schema import Space

__all__ = ["LoadedSpace", "Mistake", "Space", "SpecError", "load_space"]
