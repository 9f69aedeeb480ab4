"""Checks of a model's answer that need no other model: is it there, whole, an answer at all, and does it add up."""

import json
import math
import re
from enum import StrEnum
from typing import Final, NamedTuple


class Failure(StrEnum):
    """Why an answer cannot be right, whatever it says."""

    EMPTY = "empty"
    CUT_OFF = "cut_off"
    FILTERED = "filtered"
    REFUSED = "refused"
    NOT_JSON = "not_json"
    BREAKS_SCHEMA = "breaks_schema"
    BAD_TOOL_CALL = "bad_tool_call"


class Arithmetic(NamedTuple):
    """The sums that an answer writes down, and how many of them do not hold."""

    sums: int
    wrong: int


_REFUSAL: Final = re.compile(
    r"\s*(?:i['’]m sorry|sorry|i apologi[sz]e|unfortunately|as an ai|i can(?:no|['’])t|i am (?:not able|unable)|"
    r"i['’]m (?:not able|unable)|i won['’]t|i will not|i do not have access|i don['’]t have access)\b",
    re.IGNORECASE,
)
# Possessive throughout, and no number begins within another: a model may write ten thousand digits, or spaces, and who
# tries them in every possible way keeps a process from its other calls for a minute.
_NUMBER: Final = r"\$?\s?-?(?<![\d,])\d[\d,]*+(?:\.\d++)?+%?+"
_SUM: Final = re.compile(rf"({_NUMBER}(?:\s*+(?:[-+*/x×÷·]|\btimes\b)\s*+{_NUMBER}){{1,12}}+)\s*+=\s*+({_NUMBER})")
_PART: Final = re.compile(rf"({_NUMBER})|([-+*/x×÷·]|times)")
#: steps of an answer are rounded as people round
_TOLERANCE: Final = 0.006
_MOST_CHARACTERS: Final = 40_000


def find_failure(
    text: str,
    finish_reason: str | None,
    *,
    wants_json: bool = False,
    breaks_schema: bool = False,
    tool_arguments: tuple[str, ...] = (),
) -> Failure | None:
    """The first hard check that an answer fails, None when it passes them all.

    ``tool_arguments``: those of the answer's tool calls, as the model wrote them; ``breaks_schema``: what
    ``answer_schema`` found, of those where there are any, else of the text.
    """
    if finish_reason in ("length", "max_tokens"):
        return Failure.CUT_OFF
    if finish_reason == "content_filter":
        return Failure.FILTERED
    if tool_arguments:
        is_bad = breaks_schema or not all(_is_object(arguments) for arguments in tool_arguments)
        return Failure.BAD_TOOL_CALL if is_bad else None
    if not text.strip():
        return Failure.EMPTY
    if _REFUSAL.match(text):
        return Failure.REFUSED
    if wants_json and not _is_json(text):
        return Failure.NOT_JSON
    if breaks_schema:
        return Failure.BREAKS_SCHEMA
    return None


def check_arithmetic(text: str) -> Arithmetic:
    """Recompute every sum of numbers in a text, such as "3 * $1.50 = $4.50"."""
    sums = wrong = 0
    for match in _SUM.finditer(text[:_MOST_CHARACTERS]):
        value = _compute(match[1])
        if value is None:
            continue
        sums += 1
        said = parse_number(match[2])
        if not math.isclose(value, said, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) and not (
            # A quarter may be written as 25 %.
            match[2].endswith("%") and math.isclose(value, said * 100, rel_tol=_TOLERANCE)
        ):
            wrong += 1
    return Arithmetic(sums, wrong)


def parse_number(text: str) -> float:
    """A number as people write it: "$1,200.50", "25%"."""
    bare = text.replace(",", "").replace("$", "").replace(" ", "")
    return float(bare[:-1]) / 100 if bare.endswith("%") else float(bare)


def _compute(expression: str) -> float | None:
    """Products and quotients first, then sums. None where nothing can be computed."""
    total, term, operator = 0.0, None, "+"
    sign = 1.0
    for number, sign_text in _PART.findall(expression):
        if sign_text:
            operator = sign_text
            continue
        text = number.replace(" ", "")
        if term is not None and text.startswith("-") and not operator:
            operator, text = "-", text[1:]
        value = parse_number(text)
        if term is None:
            term = value
        elif operator in ("*", "x", "×", "·", "times"):
            term *= value
        elif operator in ("/", "÷"):
            if value == 0:
                return None
            term /= value
        else:
            total += sign * term
            sign, term = (-1.0 if operator == "-" else 1.0), value
        operator = ""
    return None if term is None else total + sign * term


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def bare_json(text: str) -> str:
    """What models write into a fence, without it."""
    return text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")


def _is_json(text: str) -> bool:
    try:
        json.loads(bare_json(text))
    except (ValueError, RecursionError):
        return False
    return True
