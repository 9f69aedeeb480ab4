"""What a prompt's form tells about its difficulty: twenty numbers, and its words as places in a hash table."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from operator import mul
from typing import Final
from zlib import crc32

from proxy.core.words import split_words

#: how many numbers ``describe`` gives
FEATURES: Final = 20
#: places for words and pairs of words; those that share one are told apart by nothing, which costs little at this size
PLACES: Final = 2**15
#: longer prompts are described by their start: the time grows with the length
MOST_CHARACTERS: Final = 8_000

#: the words of a first, unlearned router
REASONING: Final = frozenset("explain analyze analyse compare why prove derive evaluate justify reason deduce".split())
CREATION: Final = frozenset("write create generate compose design implement draft build develop".split())

_NUMBER: Final = re.compile(r"\d+")
_CODE_WORDS: Final = ("def", "class", "function", "return", "import", "SELECT", "print", "printf")
_CODE: Final = re.compile(rf"```|\b(?:{'|'.join(_CODE_WORDS)})\b|[{{}};]\s*$|->|==|\w\(\w*\)", re.MULTILINE)
_MATHS_WORDS: Final = ("sqrt", "log", "sin", "cos", "equation", "integral", "theorem", "probability")
_MATHS: Final = re.compile(rf"[=+*/^<>≤≥∑∫√π]|\\\w+|\b(?:{'|'.join(_MATHS_WORDS)})\b")
_CAPITAL: Final = re.compile(r"[A-Z]")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]")
# Within its line: spaces that may be line ends, too, would be tried from each of thousands of empty lines.
_OPTION: Final = re.compile(r"^[^\S\n]*+(?:[A-J]|\d++|[-*•])[.):]?\s", re.MULTILINE)
_QUESTION_WORDS: Final = ("what", "which", "who", "when", "where", "why", "how")
_QUESTION: Final = re.compile(rf"\b(?:{'|'.join(_QUESTION_WORDS)})\b", re.IGNORECASE)
_NEGATION_WORDS: Final = ("not", "no", "never", "except", "false", "incorrect", "cannot")
_NEGATION: Final = re.compile(rf"\b(?:{'|'.join(_NEGATION_WORDS)})\b|n't\b", re.IGNORECASE)
#: without one of these signs and words there is nothing of the kind in a plain text
_SIGNS: Final = re.compile(r"[`{};>=(+*/^<\\]")
_OF_CODE: Final = frozenset(word.lower() for word in _CODE_WORDS)
_OF_MATHS: Final = frozenset(_MATHS_WORDS)
_QUESTIONS: Final = frozenset(_QUESTION_WORDS)
_NEGATIONS: Final = frozenset(_NEGATION_WORDS)


def read_words(prompt: str) -> list[str]:
    """The words that a prompt is described by, for those who ask for both descriptions."""
    return split_words(prompt[:MOST_CHARACTERS])


def describe(prompt: str, words: Sequence[str] | None = None) -> list[float]:
    """Twenty numbers of like size: lengths, digits, code, mathematics, options, language, words of difficulty.
    ``words``: what ``read_words`` gives, where that is known."""
    text = prompt[:MOST_CHARACTERS]
    words = read_words(prompt) if words is None else words
    count = max(1, len(words))
    characters = max(1, len(text))
    numbers = _NUMBER.findall(text)
    lines = text.count("\n") + 1
    known = set(words)
    code, maths, questions, negations = _count_patterns(text, words, known)
    return [
        math.log1p(len(prompt)),
        math.log1p(len(words)),
        sum(map(len, words)) / count,
        math.log1p(lines),
        math.log1p(characters / lines),
        len(known) / count,
        math.log1p(len(numbers)),
        math.log1p(sum(map(len, numbers)) / count),
        math.log1p(max(map(len, numbers), default=0)),
        math.log1p(code),
        math.log1p(maths),
        math.log1p(len(_OPTION.findall(text))),
        math.log1p(questions),
        math.log1p(negations),
        float(text.rstrip().endswith("?")),
        len(_CAPITAL.findall(text)) / characters,
        0.0 if text.isascii() else len(_FOREIGN.findall(text)) / characters,
        float(not known.isdisjoint(REASONING)),
        float(not known.isdisjoint(CREATION)),
        max(map(len, words), default=0) / 10,
    ]


def _count_patterns(text: str, words: Sequence[str], known: set[str]) -> tuple[int, int, int, int]:
    """How often code, mathematics, questions and negations stand in a text.

    Of a plain one the words tell it, in a third of the time: there each run of letters and digits is a word of its own.
    """
    if not text.isascii() or "_" in text or "'" in text:
        return (
            len(_CODE.findall(text)),
            len(_MATHS.findall(text)),
            len(_QUESTION.findall(text)),
            len(_NEGATION.findall(text)),
        )
    has_signs = _SIGNS.search(text) is not None
    return (
        len(_CODE.findall(text)) if has_signs or not _OF_CODE.isdisjoint(known) else 0,
        len(_MATHS.findall(text)) if has_signs or not _OF_MATHS.isdisjoint(known) else 0,
        0 if _QUESTIONS.isdisjoint(known) else sum(map(_QUESTIONS.__contains__, words)),
        0 if _NEGATIONS.isdisjoint(known) else sum(map(_NEGATIONS.__contains__, words)),
    )


def hash_words(
    prompt: str, task: str | None = None, words: Sequence[str] | None = None
) -> tuple[list[int], list[float]]:
    """The prompt's words and pairs of neighbouring words: their places in a table, and their weights, of length one.

    A word that stands often weighs the logarithm of it (Weinberger et al. 2009, without signs). With a task each has a
    second place of that task alone: a word may tell something else there (Daumé 2007).
    """
    words = read_words(prompt) if words is None else words
    terms = [*words, *map(" ".join, itertools.pairwise(words))]
    often = Counter(terms)
    found = _find_places(often)
    counts: dict[int, float] = dict.fromkeys(found, 1.0)
    if len(counts) < len(found):
        # Some share a place.
        counts = dict.fromkeys(found, 0.0)
        for place, times in zip(found, often.values(), strict=True):
            counts[place] += 1 if times == 1 else 1 + math.log(times)
    elif len(often) < len(terms):
        for place, times in zip(found, often.values(), strict=True):
            if times > 1:
                counts[place] = 1 + math.log(times)
    values = counts.values()
    length = math.sqrt(sum(map(mul, values, values))) or 1.0
    places, weights = list(counts), [value / length for value in values]
    if task is not None:
        places += places_of_task(places, task)
        weights += weights
    return places, weights


def _find_places(terms: Collection[str]) -> list[int]:
    try:
        return [found % PLACES for found in map(crc32, map(str.encode, terms))]
    except UnicodeEncodeError:  # half a character
        return [crc32(term.encode("utf-8", "replace")) % PLACES for term in terms]


def places_of_task(places: Sequence[int], task: str) -> list[int]:
    """Where the words of these places stand once more, for one task alone."""
    moved = crc32(task.encode("utf-8", "replace"))
    return [(31 * place + moved) % PLACES for place in places]
