"""A proposal for a shorter system prompt, for a person to approve.

The sentences that instruct are kept: those that say must, should, always or never, forbid something, set a format or a
number, or name a thing. What is left out is shown beside it. Nothing here is applied by itself: an instruction that
looks idle may be the one that a product rests on.
"""

import re
from collections import defaultdict
from typing import Final, NamedTuple

from proxy.core.compression.lossless import tidy
from proxy.core.compression.protect import find_blocks, find_words, split
from proxy.core.words import split_words

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])(?=\s)|(?<=\n)")
_INSTRUCTS: Final = re.compile(
    r"\b(?:must|shall|should|always|never|only|do not|don['’]t|cannot|can['’]t|avoid|ensure|make sure|require[sd]?|"
    r"forbidden|allowed|refuse|respond|reply|answer|return|output|use|write|format|limit|at most|at least|if|when|"
    r"unless|except|instead|before|after|language|you are)\b",
    re.IGNORECASE,
)
_LISTED: Final = re.compile(r"\s*(?:[-*•]|\d+[.)]|#+)\s")
#: a sentence that shares so many of a hundred of its words with a kept one says it again
_SAME_PERCENT: Final = 80


class Distilled(NamedTuple):
    """The proposal, and the sentences that it leaves out."""

    text: str
    dropped: tuple[str, ...]


def distil(prompt: str) -> Distilled:
    """The instructions of a system prompt without what does not instruct. The first sentence always stays."""
    kept: list[str] = []
    dropped: list[str] = []
    said = _Said()
    for piece, is_block in split(prompt, find_blocks(prompt)):
        if is_block:
            kept.append(piece)
            continue
        for sentence in _SENTENCE_END.split(piece):
            words = frozenset(split_words(sentence))
            if not words or not said.sentences or (_instructs(sentence) and not said.has(words)):
                kept.append(sentence)
                if words:
                    said.add(words)
            else:
                dropped.append(sentence.strip())
                if sentence.endswith("\n"):
                    kept.append("\n")
    return Distilled(tidy("".join(kept)), tuple(dropped))


def _instructs(sentence: str) -> bool:
    return bool(_INSTRUCTS.search(sentence) or _LISTED.match(sentence) or find_words(sentence, names=False))


class _Said:
    """The words of the sentences that are kept, found by their words: to look at every one of them would take seconds
    where there are thousands."""

    def __init__(self) -> None:
        self.sentences: list[frozenset[str]] = []
        self._of_word: dict[str, list[int]] = defaultdict(list)

    def add(self, words: frozenset[str]) -> None:
        for word in words:
            self._of_word[word].append(len(self.sentences))
        self.sentences.append(words)

    def has(self, words: frozenset[str]) -> bool:
        """Whether one of them says the same."""
        # One that shares enough lacks so few of the words that it has one of these, whichever they are: the rarest.
        may_lack = len(words) * (100 - _SAME_PERCENT) // 100
        rarest = sorted(words, key=lambda word: len(self._of_word.get(word, ())))[: may_lack + 1]
        found = {number for word in rarest for number in self._of_word.get(word, ())}
        return any(_is_same(words, self.sentences[number]) for number in found)


def _is_same(words: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(words & other)
    return shared * 100 >= _SAME_PERCENT * (len(words) + len(other) - shared)
