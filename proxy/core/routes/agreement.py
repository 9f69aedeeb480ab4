"""How sure an answer is where its upstream gives no probabilities: the model is asked the same again, and the share of
samples that say the same as the answer is taken for its confidence (self-consistency: Wang et al., arXiv 2203.11171).

Samples are paid, so they are for short answers only, and no more are asked for than can change what is decided.
"""

import re
from typing import Final

from proxy.core.routes.said import Said
from proxy.core.words import split_words

#: a longer answer is never said twice in the same words, whatever it is worth
MOST_CHARACTERS: Final = 600
#: samples are drawn at this temperature, or the caller's own where that is higher
TEMPERATURE: Final = 0.7
#: from this share of common words on, with the same numbers and negations, two answers are the same
_SAME: Final = 0.8
_NUMBER: Final = re.compile(r"-?\d+(?:[.,]\d+)*")
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "nor", "cannot", "without", "false", "nobody", "nothing"})


def can_be_sampled(said: Said) -> bool:
    """Whether asking again can tell anything about an answer."""
    return not said.tool_arguments and 0 < len(said.text.strip()) <= MOST_CHARACTERS


def agrees(answer: str, sample: str) -> bool:
    """Whether a sample says what the answer says: the same words, or nearly those, and no other number or negation.

    Answers that end in a number (the result of a calculation) are the same where that number is, however they got
    there.
    """
    one, other = split_words(answer), split_words(sample)
    if not other:
        return False
    if one == other:
        return True
    numbers, others = _NUMBER.findall(answer), _NUMBER.findall(sample)
    if numbers and others and _ends_in_number(answer) and _ends_in_number(sample):
        return bool(numbers[-1] == others[-1])
    words, said = frozenset(one), frozenset(other)
    if numbers != others or words & _NEGATIONS != said & _NEGATIONS:
        return False
    return len(words & said) >= _SAME * len(words | said)


def is_decided(agreed: int, asked: int, wanted: int, floor: float) -> bool:
    """Whether the samples still to come cannot move the share of those that agree over ``floor``, or below it."""
    return agreed >= floor * wanted or agreed + wanted - asked < floor * wanted


def _ends_in_number(text: str) -> bool:
    return bool(re.search(r"\d[\s.)\]%$€£*]*$", text))
