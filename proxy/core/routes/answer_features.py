"""What an answer's text and its tokens' probabilities tell about whether it is right."""

import math
import re
from collections.abc import Sequence
from typing import Final

from proxy.core.routes.answer_checks import check_arithmetic, find_failure, parse_number
from proxy.core.words import split_words

#: how many numbers ``describe_answer`` gives
ANSWER_FEATURES: Final = 27
#: how many ``describe_logprobs`` gives
LOGPROB_FEATURES: Final = 6

_MOST_CHARACTERS: Final = 20_000
_HUGE: Final = 1e30
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?%?")
_HEDGE: Final = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|probably|seems?|appears?|assum\w+|unclear|not sure|approximately|about|roughly|"
    r"i think|i believe|guess)\b",
    re.IGNORECASE,
)
_TURN: Final = re.compile(
    r"\b(?:however|wait|but|actually|mistake|incorrect|instead|correction|error)\b", re.IGNORECASE
)
_THEREFORE: Final = re.compile(r"\b(?:so|therefore|thus|hence|in total|altogether|then)\b", re.IGNORECASE)
_FINAL: Final = re.compile(r"####\s*\S|\b(?:the )?(?:final )?answer is\b|\\boxed", re.IGNORECASE)


def describe_answer(question: str, answer: str) -> list[float]:
    """Twenty-seven numbers of like size: lengths, steps, sums that hold or do not, numbers used and new, hedges."""
    text = answer[:_MOST_CHARACTERS]
    words, asked_words = split_words(text), set(split_words(question))
    lines = [line for line in text.splitlines() if line.strip()]
    arithmetic = check_arithmetic(text)
    asked = [_value(number) for number in _NUMBER.findall(question)]
    said = [_value(number) for number in _NUMBER.findall(text)]
    last = said[-1] if said else 0.0
    equals = text.count("=")
    return [
        math.log1p(len(words)),
        math.log1p(len(asked_words)),
        math.log1p(len(lines)),
        len(words) / (len(asked_words) + 1),
        len(set(words)) / (len(words) + 1),
        len(asked_words.intersection(words)) / (len(asked_words) + 1),
        math.log1p(arithmetic.sums),
        float(arithmetic.wrong > 0),
        arithmetic.wrong / (arithmetic.sums + 1),
        math.log1p(equals),
        math.log1p(max(0, equals - arithmetic.sums)),
        math.log1p(len(asked)),
        math.log1p(len(said)),
        len(set(asked).difference(said)) / (len(set(asked)) + 1),
        len(set(said).difference(asked)) / (len(set(said)) + 1),
        float(bool(_FINAL.search(text))),
        math.log1p(abs(last)),
        float(last != int(last)),
        float(last < 0),
        float(last in asked),
        float(said.count(last) > 1),
        math.log1p(len(_HEDGE.findall(text))),
        math.log1p(len(_TURN.findall(text))),
        math.log1p(len(_THEREFORE.findall(text))),
        float(find_failure(text, None) is not None),
        len(lines) - len(set(lines)),
        float(text.rstrip()[-1:] in (".", "!", ")", "}", "%") or text.rstrip()[-1:].isdigit()),
    ]


def describe_logprobs(logprobs: Sequence[float | None]) -> list[float] | None:
    """Six numbers about the probabilities of an answer's tokens: mean, least, quantiles, how many.

    Those that are no number, or more than certain, are left out: servers write such things. None when none is left.
    """
    known = sorted(value for value in logprobs if value is not None and math.isfinite(value) and value <= 0)
    if not known:
        return None
    return [
        sum(known) / len(known),
        known[0],
        *(known[min(len(known) - 1, int(part * len(known)))] for part in (0.1, 0.25, 0.5)),
        math.log1p(len(known)),
    ]


def _value(number: str) -> float:
    # A feature that is infinite would make an answer certainly right, or certainly wrong.
    return parse_number(number) if len(number) < 30 else _HUGE
