"""What two texts must share before one may be answered with the other's answer, however near their vectors are.

An embedding hardly sees that a number, a date, a name or a "not" has changed, and each of these changes the answer.
A guard compares one such kind of word and vetoes the hit where they disagree. The last guard needs no list of words:
two texts with the same frame, in which one or two words were exchanged, are a *minimal pair* and ask different things.

Guards look at English words; a text in another language still has numbers, names, identifiers and minimal pairs.
They veto too often rather than too seldom: a veto costs one upstream call.
"""

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

from proxy.cache.words import IGNORED, NUMBER_WORDS, TIMES, UNITS
from proxy.core.words import split_words, stem


class Veto(StrEnum):
    """In what two texts disagree."""

    NUMBERS = "numbers"
    DATES = "dates"
    NEGATION = "negation"
    IDENTIFIERS = "identifiers"
    QUOTATIONS = "quotations"
    NAMES = "names"
    MINIMAL_PAIR = "minimal_pair"


class Unfit(StrEnum):
    """Why a text is not looked up by its meaning at all."""

    CONTINUATION = "continuation"
    TIME_BOUND = "time_bound"
    PERSONAL = "personal"


#: longer texts are compared by all guards but the alignment of their words, whose time grows with the square
_MOST_ALIGNED_WORDS: Final = 200
#: words that may be exchanged on each side of a minimal pair
_MOST_EXCHANGED: Final = 3
#: words that one text has more than the other, in one place inside it: "rarely", "fail to"
_MOST_PUT_IN: Final = 2
#: characters
_LONGEST_CONTINUATION: Final = 120
#: where two words changed places, so many places differ
_EXCHANGED_PLACES: Final = 2

_NUMBER: Final = re.compile(r"[$€£¥]?\d+(?:[.,:/-]\d+)*%?(?:\s?[a-zA-Z°µ]+)?")
_DIGITS: Final = re.compile(r"\d+(?:[.,:/-]\d+)*")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
#: a month only where it is written like one
_MAY: Final = re.compile(r"(?<![.!?] )(?<!^)\bMay\b|\bmay \d|\d (?:of )?may\b")
_FIRST_PERSON: Final = re.compile(r"I(?:['’](?:m|d|ll|ve))?")
_NEGATION: Final = re.compile(
    r"\b(?:not|no|never|none|nor|neither|without|cannot|nobody|nothing|nowhere|hardly|barely|unless|except|excluding)\b"
    r"|n['’]t\b|\bdont\b|\bcant\b|\bdoesnt\b|\bisnt\b|\bwont\b|\bdidnt\b|\barent\b",
    re.IGNORECASE,
)
_IDENTIFIER: Final = re.compile(
    r"`[^`]+`"  # code in a sentence
    r"|https?://\S+|(?<![\w.+-])[\w.+-]{1,80}@[\w-]+\.[\w.]+"  # addresses
    r"|(?<![\w./-])(?:[\w.-]{0,80}/){1,40}[\w.-]+"  # paths
    r"|\b\w+\([^)]{0,200}\)"  # calls
    r"|\b\w+(?:_\w+)+\b|\b[a-z]+[A-Z]\w*|\b[A-Za-z]+\d\w*"  # snake_case, camelCase, gpt4
    r"|\B--?[a-zA-Z][\w-]*|\b\w+\.(?:[a-z]{1,4}\b)"  # options, file names
)
_QUOTED: Final = re.compile(r"[\"“”«»]([^\"“”«»]{1,200})[\"“”«»]")
_SENTENCE_START: Final = re.compile(r"(?:^|[.!?:;\n]\s*|[\"“(]\s*)$")
_CAPITALISED: Final = re.compile(r"\b[^\W\d_a-z][\w’'-]*")
_CONTINUATION: Final = re.compile(
    r"\W*(?:(?:please|ok(?:ay)?|yes|yeah|no|and|then|now|thanks?|thank you|go|keep|just)\W+)*"
    r"(?:continue|go on|go ahead|next|more|again|proceed|keep going|carry on|yes|no|ok(?:ay)?|sure|why|how so|"
    r"the (?:same|other|first|second|last)(?: one)?|same|that one|this one|do (?:it|that)|"
    r"(?:try|explain|repeat|rewrite|shorten|translate|summari[sz]e|fix) (?:it|that|this)(?: again)?)\W*(?:please)?\W*",
    re.IGNORECASE,
)
_TIME_BOUND: Final = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|right now|currently|at the moment|latest|breaking|so far this"
    r"|this (?:morning|afternoon|evening|week|weekend|month|quarter|year)|(?:what|current) (?:time|date|day) is"
    r"|stock price|exchange rate|weather)\b",
    re.IGNORECASE,
)
_PERSONAL: Final = re.compile(
    r"\bmy (?:own |current |last |next |new )?(?:account|balance|order|bill|invoice|e-?mail|name|address|password|pin|"
    r"card|statement|appointment|subscription|payment|ticket|flight|booking|reservation|salary|location|phone)\b"
    # "how do I" asks for a way that is everybody's
    r"|\b(?:(?<!how )do|did|have|am|was|where am) i\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the guards see in a text, read once and compared with many others."""

    text: str
    words: tuple[str, ...]
    #: without their endings
    stems: tuple[str, ...]
    numbers: tuple[str, ...]
    times: tuple[str, ...]
    is_negated: bool
    identifiers: frozenset[str]
    quotations: frozenset[str]
    names: frozenset[str]


def read(text: str) -> Reading:
    """Read a text for the guards: tens of microseconds for a sentence."""
    words = split_words(text)
    return Reading(
        text=text,
        words=tuple(words),
        stems=tuple(stem(word) for word in words),
        numbers=_numbers(text, words),
        times=_times(text, words),
        # Two negations are none, as far as a cache dares to say.
        is_negated=len(_NEGATION.findall(text)) % 2 == 1,
        identifiers=frozenset(match.strip("`.,;:!?") for match in _IDENTIFIER.findall(text)),
        quotations=frozenset(quoted.strip().casefold() for quoted in _QUOTED.findall(text)),
        names=_names(text, len(words)),
    )


def find_veto(asked: Reading, kept: Reading, *, minimal_pairs: bool = True) -> Veto | None:
    """The first thing in which the asked text disagrees with the one that a cache has kept, None where they agree."""
    if asked.text == kept.text:
        return None
    for veto, is_one in (
        (Veto.NUMBERS, asked.numbers == kept.numbers),
        (Veto.DATES, asked.times == kept.times),
        (Veto.NEGATION, asked.is_negated == kept.is_negated),
        (Veto.IDENTIFIERS, asked.identifiers == kept.identifiers),
        (Veto.QUOTATIONS, asked.quotations == kept.quotations),
        (Veto.NAMES, asked.names.issubset(kept.stems) and kept.names.issubset(asked.stems)),
    ):
        if not is_one:
            return veto
    return Veto.MINIMAL_PAIR if minimal_pairs and _is_minimal_pair(asked, kept) else None


def find_unfit(text: str) -> Unfit | None:
    """Why a text must not be answered from texts of like meaning: it says what it means only here, now, or of me.

    A cheap first look. The scope of a look-up already holds the earlier turns, so a continuation finds only the same
    conversation; answers about a person belong in a scope of that end user.
    """
    if len(text) < _LONGEST_CONTINUATION and _CONTINUATION.fullmatch(text):
        return Unfit.CONTINUATION
    if _TIME_BOUND.search(text):
        return Unfit.TIME_BOUND
    if _PERSONAL.search(text):
        return Unfit.PERSONAL
    return None


def _numbers(text: str, words: list[str]) -> tuple[str, ...]:
    """Every number with its unit, in the order of the text: "from 2 to 3" is not "from 3 to 2"."""
    found = []
    if _DIGITS.search(text):
        for match in _NUMBER.finditer(text):
            digits = _DIGITS.search(match[0])
            if digits is not None:
                found.append(_normal_number(digits[0]) + _unit(match[0], digits))
    found.extend(NUMBER_WORDS[word] for word in words if word in NUMBER_WORDS)
    return tuple(found)


def _normal_number(digits: str) -> str:
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    if "." in digits and digits.count(".") == 1:
        digits = digits.rstrip("0").rstrip(".")
    return digits.lstrip("0") or "0"


def _unit(match: str, digits: re.Match[str]) -> str:
    before, after = match[: digits.start()], match[digits.end() :].strip().casefold()
    return UNITS.get(before, before) + (UNITS.get(after, "") if after else "")


def _times(text: str, words: list[str]) -> tuple[str, ...]:
    found = [TIMES[word] for word in words if word in TIMES]
    if _MAY.search(text):
        found.append("may")
    return tuple(sorted(found))


def _names(text: str, words: int) -> frozenset[str]:
    """Capitalised words that do not start a sentence, without their endings."""
    names = [
        match[0]
        for match in _CAPITALISED.finditer(text)
        if not _FIRST_PERSON.fullmatch(match[0])
        and (_is_acronym(match[0]) or not _SENTENCE_START.search(text[max(0, match.start() - 3) : match.start()]))
    ]
    # A text in capitals, or in title case, says nothing about its names.
    if len(names) * 2 > words + 1:
        return frozenset()
    return frozenset(stem(part) for name in names for part in split_words(name) if part not in IGNORED)


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _is_minimal_pair(asked: Reading, kept: Reading) -> bool:
    """Whether the texts are one frame with a few of its content words exchanged, moved, or put in."""
    if max(len(asked.words), len(kept.words)) > _MOST_ALIGNED_WORDS:
        return False
    first, second = _content(asked), _content(kept)
    if first == second:
        return False
    only_first, only_second = Counter(first) - Counter(second), Counter(second) - Counter(first)
    gone, come = only_first.total(), only_second.total()
    if not gone and not come:
        # The same words in another order: a paraphrase turns its clauses, a near miss exchanges two places.
        return sum(one != other for one, other in zip(first, second, strict=True)) == _EXCHANGED_PLACES
    changed = max(gone, come)
    if not gone or not come:
        return changed <= _MOST_PUT_IN and _is_put_in(asked, kept)
    if changed > _MOST_EXCHANGED or len(first) - gone < changed:
        return False
    return _have_one_frame(asked, kept)


def _content(reading: Reading) -> list[str]:
    return [root for root, word in zip(reading.stems, reading.words, strict=True) if word not in IGNORED]


def _have_one_frame(asked: Reading, kept: Reading) -> bool:
    """Whether the words around the exchanged ones, the small ones too, stand in one order on both sides."""
    matcher = SequenceMatcher(None, asked.stems, kept.stems, autojunk=False)
    for operation, first, last, other_first, other_last in matcher.get_opcodes():
        if operation == "equal":
            continue
        gone = [word for word in asked.words[first:last] if word not in IGNORED]
        come = [word for word in kept.words[other_first:other_last] if word not in IGNORED]
        if bool(gone) != bool(come):
            return False
    return True


def _is_put_in(asked: Reading, kept: Reading) -> bool:
    """Whether the words that one text has more stand together inside it, the rest on both sides in one order.

    Before the first word and behind the last one stand courtesies and details; between them stands what turns a
    question round without being a negation ("seldom", "refuse to", "lack" for "have").
    """
    matcher = SequenceMatcher(None, asked.stems, kept.stems, autojunk=False)
    changes = [
        (first, last, other_first, other_last)
        for operation, first, last, other_first, other_last in matcher.get_opcodes()
        if operation != "equal"
        and any(word not in IGNORED for word in (*asked.words[first:last], *kept.words[other_first:other_last]))
    ]
    if len(changes) != 1:
        return False
    first, last, other_first, other_last = changes[0]
    return all(
        any(word not in IGNORED for word in part)
        for part in (asked.words[:first], asked.words[last:], kept.words[:other_first], kept.words[other_last:])
    )
