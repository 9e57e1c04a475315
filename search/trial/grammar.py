"""The embedded default task: sentences generated from a small seeded grammar.

A sentence of the ``negation`` task is two clauses that disagree, joined by a contrast:

    although the soup was hardly good , the waiter was really helpful .

Its label is the sentiment of the clause that *wins*: the one a ``but`` leads to, or the one an
``although`` makes way for. A clause's sentiment is that of its adjective, flipped by each negation
before it. Every adjective occurs as often under either label, so a bag of words is worth nothing;
the splits share the function words and no noun or adjective, so what is learnt must be the rule.

The sentences of a split under one label are numbered, from 0 to ``capacity - 1``, by the choices
that make them up. Drawing rows is drawing numbers without replacement: no sentence comes twice,
and the rows depend on the arguments alone.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple


@dataclass(frozen=True)
class Lexicon:
    """The content words of one split."""

    nouns: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def words(self) -> frozenset[str]:
        """Every content word of the split."""
        return frozenset(self.nouns + self.positive + self.negative)


class Frame(NamedTuple):
    """How two clauses are joined, and which of them (0 or 1) carries the sentence's sentiment."""

    pattern: str
    winner: int


class Verb(NamedTuple):
    """A copula with its adverbs, and whether they flip the adjective after it."""

    text: str
    flips: bool


class Clause(NamedTuple):
    """``the <noun> <verb> <adjective>``; ``positive`` is the adjective's own sentiment."""

    noun: str
    verb: Verb
    adjective: str
    positive: bool


class Sentence(NamedTuple):
    """Two clauses in a frame."""

    frame: Frame
    clauses: tuple[Clause, Clause]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LEXICONS: Mapping[str, Lexicon] = MappingProxyType(
    {
        "train": Lexicon(
            nouns=_words(
                "room hotel waiter soup film actor story book song band doctor nurse teacher "
                "lesson car engine garden house phone screen game player town beach"
            ),
            positive=_words(
                "good great lovely beautiful charming brilliant excellent pleasant helpful clean "
                "friendly exciting elegant superb delightful clever reliable impressive fresh "
                "comfortable"
            ),
            negative=_words(
                "bad terrible ugly horrible boring stupid dirty rude nasty painful useless "
                "annoying awful dull disgusting weak poor broken dangerous disappointing"
            ),
        ),
        "validation": Lexicon(
            nouns=_words(
                "dinner chef novel writer singer album school coach train driver camera "
                "market bar guide tour park"
            ),
            positive=_words(
                "wonderful nice amazing fantastic perfect fun gorgeous magnificent remarkable "
                "outstanding enjoyable graceful"
            ),
            negative=_words(
                "dreadful unpleasant miserable filthy pathetic ridiculous worthless cruel "
                "hideous tedious lousy depressing"
            ),
        ),
    }
)

FRAMES = (
    Frame("{} , but {} .", 1),
    Frame("{} , yet {} .", 1),
    Frame("although {} , {} .", 1),
    Frame("even though {} , {} .", 1),
    Frame("{} , although {} .", 0),
    Frame("{} , even though {} .", 0),
)

VERBS = (
    Verb("was", False),
    Verb("was really", False),
    Verb("was always", False),
    Verb("was not", True),
    Verb("was never", True),
    Verb("was hardly", True),
)


def label(sentence: Sentence) -> int:
    """1 where the clause that wins is positive once its verb has had its say, else 0."""
    clause = sentence.clauses[sentence.frame.winner]
    return int(clause.positive != clause.verb.flips)


def text(sentence: Sentence) -> str:
    """The sentence in words, lower-cased, its tokens set apart by single spaces."""
    return sentence.frame.pattern.format(
        *(f"the {clause.noun} {clause.verb.text} {clause.adjective}" for clause in sentence.clauses)
    )


class _Space:
    """The numbered sentences of one split under one label."""

    def __init__(self, lexicon: Lexicon, label: int) -> None:
        self._lexicon, self._label = lexicon, label
        nouns = len(lexicon.nouns)
        adjectives = min(len(lexicon.positive), len(lexicon.negative))
        # frame; the first clause's noun, verb, adjective; the second's, its noun another one
        clause = len(VERBS), adjectives
        self._sizes = (len(FRAMES), nouns, *clause, nouns - 1, *clause)

    def __len__(self) -> int:
        return math.prod(self._sizes)

    def __getitem__(self, number: int) -> Sentence:
        digits = []
        for size in self._sizes:
            number, digit = divmod(number, size)
            digits.append(digit)
        frame, first_noun, *first, second_noun, second_verb, second_adjective = digits
        chosen = FRAMES[frame]
        second_noun += second_noun >= first_noun
        choices = (first_noun, *first), (second_noun, second_verb, second_adjective)
        clauses = [
            self._clause(noun, VERBS[verb], adjective, bool(self._label) == (place == chosen.winner))
            for place, (noun, verb, adjective) in enumerate(choices)
        ]
        return Sentence(chosen, (clauses[0], clauses[1]))

    def _clause(self, noun: int, verb: Verb, adjective: int, wanted: bool) -> Clause:
        """The clause whose sentiment, after its verb, is the one wanted."""
        positive = wanted != verb.flips
        adjectives = self._lexicon.positive if positive else self._lexicon.negative
        return Clause(self._lexicon.nouns[noun], verb, adjectives[adjective], positive)


TASKS = ("negation",)


def generate(task: str, split: str, rows: int, seed: int) -> list[tuple[str, int]]:
    """Draw ``rows`` different labelled sentences of a split, half of them under either label.

    Where ``rows`` is odd, label 0 has one row more. Raises ``ValueError`` for a task or a split
    that does not exist, and for more rows than the grammar has sentences.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} is not one of {', '.join(TASKS)}")
    if split not in LEXICONS:
        raise ValueError(f"split {split!r} is not one of {', '.join(LEXICONS)}")
    spaces = [_Space(LEXICONS[split], label) for label in (0, 1)]
    wanted = [rows - rows // 2, rows // 2]
    if rows < 0 or any(count > len(space) for count, space in zip(wanted, spaces, strict=True)):
        limit = sum(map(len, spaces))
        raise ValueError(f"rows {rows} is not between 0 and {limit}, the sentences of {split!r}")
    rng = random.Random(f"{task} {split} {seed}")
    drawn = [
        (text(space[number]), label)
        for label, (space, count) in enumerate(zip(spaces, wanted, strict=True))
        for number in rng.sample(range(len(space)), count)
    ]
    rng.shuffle(drawn)
    return drawn
