"""The embedded task: the same rows everywhere, balanced, disjoint, and labelled by the rule."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from search.trial.grammar import (
    LEXICONS,
    PAIRS,
    SINGLE,
    VERBS,
    Clause,
    Pairs,
    Sentence,
    Singles,
    generate,
    label,
    text,
)

ROOT = Path(__file__).resolve().parents[2]

# Read and judged by hand; nothing here is taken from the grammar's tables.
JUDGED = {
    "meals were nice": 1,
    "meals were hardly nice": 0,
    "parks were far from filthy": 1,
    "meals were nice and parks were fun": 1,
    "meals were not nice and parks were miserable": 0,
    "guides were never cruel and bars seemed amazing": 1,
    "meals were nice but parks were filthy": 0,
    "meals were filthy yet parks were far from unpleasant": 1,
    "although meals were hardly nice , writers were never cruel": 1,
    "although tours were not harsh , coaches were far from graceful": 0,
    "albums were really gorgeous although singers were not gorgeous": 1,
    "albums were hardly gorgeous although singers were never sloppy": 0,
}

PINNED = [
    ("although games were really lovely , rooms were never elegant", 0),
    ("games were far from lovely but cars were not disappointing", 1),
    ("although houses were hardly clean , engines were not annoying", 1),
    ("doctors were hardly disappointing but films were nasty", 0),
]


def parse(sentence: str) -> Sentence:
    """The structure of a validation sentence, found by trying every frame and cut."""
    lexicon = LEXICONS["validation"]

    def clause(words: str) -> Clause | None:
        noun, *middle, adjective = words.split() if " " in words.strip() else ("", "")
        verbs = [verb for verb in VERBS if verb.text == " ".join(middle)]
        known = lexicon.positive + lexicon.negative
        if noun not in lexicon.nouns or not verbs or adjective not in known:
            return None
        return Clause(noun, verbs[0], adjective, adjective in lexicon.positive)

    found = []
    for frame in (SINGLE, *PAIRS):
        if frame is SINGLE:
            only = clause(sentence)
            if only:
                found.append(Sentence(frame, (only,)))
            continue
        before, between, after = frame.pattern.split("{}")
        if not sentence.startswith(before) or not sentence.endswith(after):
            continue
        body = sentence.removeprefix(before).removesuffix(after)
        for cut in range(len(body)):
            if body.startswith(between, cut) and body[:cut] and body[cut + len(between) :]:
                first, second = clause(body[:cut]), clause(body[cut + len(between) :])
                if first and second:
                    found.append(Sentence(frame, (first, second)))
    assert len(found) == 1, sentence
    return found[0]


@pytest.mark.parametrize(("sentence", "expected"), JUDGED.items())
def test_label_is_what_a_reader_says(sentence: str, expected: int) -> None:
    parsed = parse(sentence)
    assert text(parsed) == sentence
    assert label(parsed) == expected


def test_generated_labels_follow_the_rule() -> None:
    drawn = generate("negation", "validation", 600, 3)
    assert all(label(parse(line)) == given for line, given in drawn)


@pytest.mark.parametrize("wanted", [0, 1])
@pytest.mark.parametrize("split", LEXICONS)
def test_numbers_name_different_sentences(split: str, wanted: int) -> None:
    space = Pairs(LEXICONS[split], wanted)
    numbers = [*range(5000), *range(len(space) - 5000, len(space))]
    sentences = [space[number] for number in numbers]
    assert len({text(sentence) for sentence in sentences}) == len(numbers)
    for sentence in sentences:
        first, second = sentence.clauses
        assert label(sentence) == wanted
        assert first.noun != second.noun
        same = (first.positive != first.verb.flips) == (second.positive != second.verb.flips)
        assert same == sentence.frame.agree
    singles = Singles(LEXICONS[split], wanted)
    clauses = [singles[number] for number in range(len(singles))]
    assert len({text(sentence) for sentence in clauses}) == len(singles)
    assert {label(sentence) for sentence in clauses} == {wanted}


def test_the_first_rows_are_pinned() -> None:
    assert generate("negation", "train", 4, 0) == PINNED


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_rows_do_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    code = "from search.trial.grammar import generate; print(generate('negation', 'train', 50, 7))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == repr(generate("negation", "train", 50, 7))


def test_another_seed_gives_other_rows() -> None:
    assert generate("negation", "train", 50, 0) != generate("negation", "train", 50, 1)


@pytest.mark.parametrize(("split", "rows"), [("train", 4000), ("validation", 600)])
def test_balanced_without_duplicates(split: str, rows: int) -> None:
    drawn = generate("negation", split, rows, 0)
    assert Counter(given for _, given in drawn) == {0: rows // 2, 1: rows // 2}
    assert len({line for line, _ in drawn}) == rows
    # shuffled: neither label is bunched at the start
    assert 0.35 < sum(given for _, given in drawn[:200]) / 200 < 0.65


def test_odd_and_empty_draws() -> None:
    assert Counter(given for _, given in generate("negation", "train", 7, 0)) == {0: 4, 1: 3}
    assert generate("negation", "train", 0, 0) == []


def test_no_word_gives_the_label_away() -> None:
    drawn = generate("negation", "train", 4000, 0)
    total, positive = Counter[str](), Counter[str]()
    for line, given in drawn:
        for word in set(line.split()):
            total[word] += 1
            positive[word] += given
    assert all(0.3 < positive[word] / total[word] < 0.7 for word in total)


def test_splits_share_function_words_only() -> None:
    train, validation = LEXICONS["train"], LEXICONS["validation"]
    assert not train.words & validation.words
    function = {
        word
        for phrase in [frame.pattern for frame in PAIRS] + [verb.text for verb in VERBS]
        for word in phrase.split()
    }
    for split, lexicon in LEXICONS.items():
        listed = lexicon.nouns + lexicon.positive + lexicon.negative
        assert len(set(listed)) == len(listed)
        assert not lexicon.words & function
        used = {word for line, _ in generate("negation", split, 1000, 0) for word in line.split()}
        assert used - function <= lexicon.words


def test_unknown_task_and_split_are_named() -> None:
    with pytest.raises(ValueError, match="task 'agreement' is not one of negation"):
        generate("agreement", "train", 10, 0)
    with pytest.raises(ValueError, match="split 'test' is not one of train, validation"):
        generate("negation", "test", 10, 0)


@pytest.mark.parametrize("rows", [-1, 10**12])
def test_rows_the_grammar_cannot_give_are_named(rows: int) -> None:
    with pytest.raises(ValueError, match=f"rows {rows} is not between 0 and"):
        generate("negation", "train", rows, 0)
