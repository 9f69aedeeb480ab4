"""Fewer words by rule: words of grammar first, then those that the rest of the text says anyway.

What an answer hangs on stays: blocks, numbers, dates, identifiers, quotations, negations, names, and the small words
between names ("Bank of England"). A model reads the rest as telegrams are read.
"""

import re
from collections import Counter
from typing import Final, NamedTuple

from proxy.core.compression.protect import Span, find_words
from proxy.core.words import STOP_WORDS

_TOKEN: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]+|_+|\s+")
#: how much a word of grammar counts beside one of content
_STOP_WORD: Final = 0.0
_PUNCTUATION: Final = 0.5


class _Word(NamedTuple):
    start: int
    end: int
    worth: float


def prune_words(text: str, keep: float = 0.0, *, counts: Counter[str] | None = None) -> str:
    """The text without its least telling words.

    ``keep``: the share of the words to keep, from 0 to 1; 0 drops words of grammar only, whatever share they are.
    ``counts``: how often each word stands in other texts of the tenant; without it the text itself tells.
    """
    protected = find_words(text)
    words = _weigh(text, protected, counts)
    total = len(words) + sum(len(text[span.start : span.end].split()) for span in protected)
    stops = [word for word in words if word.worth <= _STOP_WORD]
    if keep <= 0:
        dropped = stops
    else:
        spare = max(0, int(total * (1 - keep)))
        dropped = sorted(words, key=lambda word: word.worth)[:spare]
    return _without(text, sorted(dropped))


def _weigh(text: str, protected: list[Span], counts: Counter[str] | None) -> list[_Word]:
    """The unprotected words with what each is worth: a rare and long word tells more than a common and short one."""
    spans = iter(protected)
    span = next(spans, None)
    found: list[tuple[int, int, str]] = []
    for match in _TOKEN.finditer(text):
        while span is not None and span.end <= match.start():
            span = next(spans, None)
        if match[0].isspace() or (span is not None and match.end() > span.start):
            continue
        found.append((match.start(), match.end(), match[0].casefold()))
    seen = counts or Counter(word for _, _, word in found)
    return [_Word(start, end, _worth(word, seen)) for start, end, word in found]


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
    for word in dropped:
        pieces.append(text[place : word.start])
        place = word.end
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
