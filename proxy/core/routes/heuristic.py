"""A router that has learned nothing yet: the length of a prompt and a few of its words.

It is where a tenant starts. What it is worth is measured beside the learned one (docs/quality.md): little more than
the length alone.
"""

from enum import StrEnum
from typing import Final

from proxy.core.routes.text_features import CREATION, REASONING
from proxy.core.words import split_words

_SHORT: Final = 20
_LONG: Final = 100
#: characters that nearly always have more words than that
_SURELY_LONG: Final = 1_500


class Complexity(StrEnum):
    """How hard a prompt looks."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


#: finding a member of an enumeration costs as much as a sum
_SIMPLE: Final = Complexity.SIMPLE
_MEDIUM: Final = Complexity.MEDIUM
_COMPLEX: Final = Complexity.COMPLEX


def classify(prompt: str) -> Complexity:
    """Simple: short, and nothing to reason about. Complex: long, or something to make. Medium: the rest."""
    if len(prompt) > _SURELY_LONG and len(split_words(prompt[:_SURELY_LONG])) > _LONG + 1:
        # The last one may be half a word. What else a long prompt says changes nothing.
        return _COMPLEX
    words = split_words(prompt)
    if len(words) > _LONG or not CREATION.isdisjoint(words):
        return _COMPLEX
    if len(words) < _SHORT and REASONING.isdisjoint(words):
        return _SIMPLE
    return _MEDIUM


def rate(prompt: str) -> float:
    """The same as a number from 0 (simple) to 1 (complex), longer prompts higher within a class."""
    rank = (Complexity.SIMPLE, Complexity.MEDIUM, Complexity.COMPLEX).index(classify(prompt))
    return (rank + min(len(prompt), 9_999) / 10_000) / 3
