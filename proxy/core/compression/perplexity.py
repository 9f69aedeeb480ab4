"""Fewer words by perplexity: those that a language model would have guessed are dropped (LLMLingua, arXiv 2310.05736).

Who scores is behind a seam: an endpoint that returns the log probabilities of a prompt's tokens, or a small model in
the worker. What scoring costs is part of what compression saves, and the caller counts it. Protection does most of the
work here: without it, the words that an answer hangs on are often the ones that could be guessed.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.core.compression.protect import find_words

#: a token whose probability nobody knows (the first of a text, a broken number) is as surprising as can be
_UNKNOWN: Final = math.inf


class ScoredToken(NamedTuple):
    """A token of a text by its characters, with the natural logarithm of its probability; None where unknown."""

    start: int
    end: int
    logprob: float | None


def prune_by_perplexity(text: str, scored: Sequence[ScoredToken], keep: float) -> str:
    """The text without its least surprising words. ``keep``: the share of its words to keep, from 0 to 1.

    A word is as surprising as its tokens together, so that no word is torn. Raises ValueError where the tokens do not
    lie within the text in order: such scores are of another text.
    """
    words = _group(text, scored)
    protected = find_words(text)
    free = [word for word in words if not any(span.start < word.end and word.start < span.end for span in protected)]
    spare = max(0, int(len(words) * (1 - keep)))
    dropped = sorted(sorted(free, key=lambda word: (word.surprise, word.start))[:spare], key=lambda word: word.start)
    pieces, place = [], 0
    for word in dropped:
        pieces.append(text[place : word.start])
        place = word.end
        # The word goes with the space behind it.
        if text[place : place + 1] == " ":
            place += 1
    pieces.append(text[place:])
    return "".join(pieces)


class _Word(NamedTuple):
    start: int
    end: int
    surprise: float


def _group(text: str, scored: Sequence[ScoredToken]) -> list[_Word]:
    words: list[_Word] = []
    place = 0
    for start, end, logprob in scored:
        if not place <= start <= end <= len(text):
            raise ValueError(f"The scored tokens are not of this text: one lies at {start} to {end}, after {place}.")
        place = end
        token = text[start:end]
        bare = start + len(token) - len(token.lstrip())
        if not token.strip():
            continue
        surprise = _UNKNOWN if logprob is None or math.isnan(logprob) else max(0.0, -logprob)
        if words and words[-1].end == bare and bare == start:
            words[-1] = _Word(words[-1].start, end, words[-1].surprise + surprise)
        else:
            words.append(_Word(bare, end, surprise))
    return words
