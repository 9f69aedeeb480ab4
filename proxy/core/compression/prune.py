"""Fewer words by rule: words of grammar first, then those that the rest of the text says anyway.

What an answer hangs on stays: blocks, numbers, dates, identifiers, quotations, negations, names, and the small words
between names ("Bank of England"). A model reads the rest as telegrams are read.
"""

import re
from collections import Counter
from operator import itemgetter
from typing import Final

from proxy.core.compression.protect import Span, find_words
from proxy.core.words import STOP_WORDS

_TOKEN: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]+|_+")
_NOWHERE: Final = Span(2**62, 2**62)
#: how much a word of grammar counts beside one of content
_STOP_WORD: Final = 0.0
_PUNCTUATION: Final = 0.5

#: where it begins and ends, and what it is worth: a tuple, since a text has thousands
_Word = tuple[int, int, float]


def prune_words(text: str, keep: float = 0.0, *, counts: Counter[str] | None = None) -> str:
    """The text without its least telling words.

    ``keep``: the share of the words to keep, from 0 to 1; 0 drops words of grammar only, whatever share they are.
    ``counts``: how often each word stands in other texts of the tenant; without it the text itself tells.
    """
    protected = find_words(text)
    words = _weigh(text, protected, counts)
    if keep <= 0:
        # As they stand: words of grammar.
        return _without(text, [word for word in words if word[2] <= _STOP_WORD])
    total = len(words) + sum(len(text[span.start : span.end].split()) for span in protected)
    spare = max(0, int(total * (1 - keep)))
    return _without(text, sorted(sorted(words, key=itemgetter(2))[:spare]))


def _weigh(text: str, protected: list[Span], counts: Counter[str] | None) -> list[_Word]:
    """The unprotected words with what each is worth: a rare and long word tells more than a common and short one."""
    spans = iter(protected)
    start, end = next(spans, _NOWHERE)
    places: list[tuple[int, int]] = []
    said: list[str] = []
    folded = text.casefold()
    # Folding may change how long a text is ("ß"): then each word is folded alone.
    is_aligned = len(folded) == len(text)
    for match in _TOKEN.finditer(text):
        first, last = match.span()
        while end <= first:
            start, end = next(spans, _NOWHERE)
        if last > start:
            continue
        places.append((first, last))
        said.append(folded[first:last] if is_aligned else match[0].casefold())
    seen = counts or Counter(said)
    worth = {word: _worth(word, seen) for word in set(said)}
    return [(first, last, worth[word]) for (first, last), word in zip(places, said, strict=True)]


def _worth(word: str, seen: Counter[str]) -> float:
    if word in STOP_WORDS:
        return _STOP_WORD
    if not word[0].isalnum():
        return _PUNCTUATION
    return 1.0 + min(len(word), 12) / 12 + 1.0 / (1 + seen[word])


def _without(text: str, dropped: list[_Word]) -> str:
    """The text without some words, and without the space before each."""
    pieces: list[str] = []
    place = 0
    for first, last, _ in dropped:
        pieces.append(text[place:first])
        place = last
        if text[place : place + 1] in (" ", ""):
            _strip_space(pieces)
    pieces.append(text[place:])
    shorter = "".join(pieces)
    return shorter if text.startswith(" ") else shorter.lstrip(" ")


def _strip_space(pieces: list[str]) -> None:
    """Take the space from the end of what is kept so far: another one follows."""
    while pieces and not pieces[-1]:
        pieces.pop()
    if pieces:
        pieces[-1] = pieces[-1].removesuffix(" ")
