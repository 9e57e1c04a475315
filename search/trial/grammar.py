"""The embedded default task: sentences generated from a small seeded grammar.

A sentence of the ``negation`` task is one clause, or two joined by a word that says which of them
counts:

    waiters were hardly helpful
    although rooms were hardly clean , doctors were really helpful

Its label is the sentiment of the clause that *wins*: the one a ``but`` leads to, or the one an
``although`` makes way for. A clause's sentiment is that of its adjective, flipped by a negation
before it. Every adjective occurs about as often under either label, so a bag of words is worth
next to nothing; the splits share the function words and no noun or adjective, so what is learnt
must be the rule. Single clauses are the easy part, from which negation can be learnt first.

The sentences of a split under one label are numbered, from 0 on, by the choices that make them up.
Drawing rows is drawing numbers without replacement: no sentence comes twice, and the rows depend
on the arguments alone.
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
    """How clauses are joined: which of them (0 or 1) wins, and whether the other agrees."""

    pattern: str
    winner: int
    agree: bool


class Verb(NamedTuple):
    """A verb with its adverbs, and whether they flip the adjective after it."""

    text: str
    flips: bool


class Clause(NamedTuple):
    """``<noun> <verb> <adjective>``; ``positive`` is the adjective's own sentiment."""

    noun: str
    verb: Verb
    adjective: str
    positive: bool


class Sentence(NamedTuple):
    """The clauses of a frame, one or two."""

    frame: Frame
    clauses: tuple[Clause, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LEXICONS: Mapping[str, Lexicon] = MappingProxyType(
    {
        "train": Lexicon(
            nouns=_words(
                "rooms hotels shops films actors stories books songs bands doctors nurses "
                "teachers lessons cars engines gardens houses phones games players towns beaches"
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
                "meals dishes novels writers singers albums schools coaches trains drivers "
                "cameras markets bars guides tours parks"
            ),
            positive=_words(
                "wonderful nice amazing fantastic perfect fun gorgeous magnificent remarkable "
                "outstanding enjoyable graceful"
            ),
            negative=_words(
                "unpleasant miserable filthy pathetic ridiculous worthless cruel hideous "
                "inferior harsh sloppy hopeless"
            ),
        ),
    }
)

SINGLE = Frame("{}", 0, True)
PAIRS = (
    Frame("{} and {}", 1, True),
    Frame("{} but {}", 1, False),
    Frame("{} yet {}", 1, False),
    Frame("although {} , {}", 1, False),
    Frame("{} although {}", 0, False),
)

VERBS = (
    Verb("were", False),
    Verb("seemed", False),
    Verb("were really", False),
    Verb("were not", True),
    Verb("were never", True),
    Verb("were hardly", True),
    Verb("were far from", True),
)

#: part of the rows that are a single clause
SINGLE_PART = 0.4

TASKS = ("negation",)


def label(sentence: Sentence) -> int:
    """1 where the clause that wins is positive once its verb has had its say, else 0."""
    clause = sentence.clauses[sentence.frame.winner]
    return int(clause.positive != clause.verb.flips)


def text(sentence: Sentence) -> str:
    """The sentence in lower-case words, its tokens set apart by single spaces."""
    return sentence.frame.pattern.format(
        *(f"{clause.noun} {clause.verb.text} {clause.adjective}" for clause in sentence.clauses)
    )


class Singles:
    """The numbered single clauses of one split under one label: a product of choices."""

    def __init__(self, lexicon: Lexicon, wanted: int) -> None:
        self._lexicon, self._positive = lexicon, bool(wanted)
        adjectives = min(len(lexicon.positive), len(lexicon.negative))
        self._sizes = (len(lexicon.nouns), len(VERBS), adjectives)

    def __len__(self) -> int:
        return math.prod(self._sizes)

    def __getitem__(self, number: int) -> Sentence:
        """The sentence whose choices are the digits of ``number``, least significant first."""
        noun, verb, adjective = _digits(number, self._sizes)
        return Sentence(SINGLE, (_clause(self._lexicon, noun, verb, adjective, self._positive),))


class Pairs:
    """The numbered pairs of clauses of one split under one label: a product of choices."""

    def __init__(self, lexicon: Lexicon, wanted: int) -> None:
        self._lexicon, self._positive = lexicon, bool(wanted)
        nouns = len(lexicon.nouns)
        clause = (len(VERBS), min(len(lexicon.positive), len(lexicon.negative)))
        self._sizes = (len(PAIRS), nouns, *clause, nouns - 1, *clause)

    def __len__(self) -> int:
        return math.prod(self._sizes)

    def __getitem__(self, number: int) -> Sentence:
        """The sentence whose choices are the digits of ``number``, least significant first."""
        digits = _digits(number, self._sizes)
        frame_at, noun, verb, adjective, other, other_verb, other_adjective = digits
        frame = PAIRS[frame_at]
        other += other >= noun  # the second clause is about something else
        loser = self._positive == frame.agree
        first, second = (loser, self._positive) if frame.winner else (self._positive, loser)
        return Sentence(
            frame,
            (
                _clause(self._lexicon, noun, verb, adjective, first),
                _clause(self._lexicon, other, other_verb, other_adjective, second),
            ),
        )


def _digits(number: int, sizes: tuple[int, ...]) -> list[int]:
    digits = []
    for size in sizes:
        number, digit = divmod(number, size)
        digits.append(digit)
    return digits


def _clause(lexicon: Lexicon, noun: int, verb: int, adjective: int, sentiment: bool) -> Clause:
    """The clause that has this sentiment after its verb."""
    positive = sentiment != VERBS[verb].flips
    adjectives = lexicon.positive if positive else lexicon.negative
    return Clause(lexicon.nouns[noun], VERBS[verb], adjectives[adjective], positive)


def generate(task: str, split: str, rows: int, seed: int) -> list[tuple[str, int]]:
    """Draw different labelled sentences of a split, half of them under either label.

    Args:
        task: one of :data:`TASKS`.
        split: a key of :data:`LEXICONS`.
        rows: how many; where it is odd, label 0 has one more.
        seed: what the draw depends on, with the split; the same rows on every machine.

    Raises:
        ValueError: for an unknown task or split, or rows the grammar cannot give.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} is not one of {', '.join(TASKS)}")
    if split not in LEXICONS:
        raise ValueError(f"split {split!r} is not one of {', '.join(LEXICONS)}")
    lexicon = LEXICONS[split]
    limit = int(2 * len(Singles(lexicon, 0)) / SINGLE_PART)
    if not 0 <= rows <= limit:
        raise ValueError(f"rows {rows} is not between 0 and {limit}, the most for {split!r}")
    rng = random.Random(f"{task} {split} {seed}")  # noqa: S311 - a draw to repeat, not a secret
    drawn = []
    for wanted in (0, 1):
        count = (rows + 1 - wanted) // 2
        singles = int(count * SINGLE_PART)
        for space, part in (
            (Singles(lexicon, wanted), singles),
            (Pairs(lexicon, wanted), count - singles),
        ):
            drawn += [(text(space[i]), wanted) for i in rng.sample(range(len(space)), part)]
    rng.shuffle(drawn)
    return drawn
