"""What a search tells about AFLoRA itself: effects of its settings, and what froze when."""

from search.results.lessons.learned import Curve, Effect, Lessons, learn
from search.results.lessons.pattern import Pattern, Tendency
from search.results.lessons.words import in_words

__all__ = ["Curve", "Effect", "Lessons", "Pattern", "Tendency", "in_words", "learn"]
