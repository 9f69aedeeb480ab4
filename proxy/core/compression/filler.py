"""Politeness that a model does not need, taken out where nothing else hangs on it.

The list is the usual one: "please", "could you", "I would like you to", "thank you". A phrase goes only at the edge of
a sentence, outside code and quotations; a request of two synonyms ("detailed and comprehensive") keeps one of them.
"""

import re
from typing import Final

from proxy.core.compression.protect import find_blocks, split

_MOST_ROUNDS: Final = 8

_START: Final = r"(?P<start>\A\s{0,8}|[.!?\n]\s{0,8})"
_OPENING: Final = re.compile(
    _START + r"(?:(?:hi|hello|hey)(?: there)?[,!.]?\s+(?=(?:please|could|can|would|i would|i['’]d)\b)"
    r"|(?:please|kindly)[,]?\s+(?=\w)"
    r"|(?:could|can|would|will) you (?:please |kindly )?(?=(?:\w+)\b(?! (?:like|mind)\b))"
    r"|(?:i would|i['’]d) like (?:you to (?:please )?)(?=\w)"
    r"|i (?:was wondering|wonder) if you could (?:please )?(?=\w)"
    r"|would you mind (?=\w+ing\b))",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"(?P<end>[.!?\n])\s{0,8}(?:thank you|thanks)(?: (?:so |very )?much| a lot)?(?: in advance)?(?: for your (?:help|time))?"
    r"\s{0,8}[.!]{0,8}\s{0,8}\Z",
    re.IGNORECASE,
)
_MIDDLE: Final = re.compile(r",? please(?=\s{0,8}(?:[.?!]|\Z))", re.IGNORECASE)
_DOUBLED: Final = re.compile(
    r"\b(?P<first>detailed|comprehensive|thorough|complete|full)(?:,? and |, )"
    r"(?:detailed|comprehensive|thorough|complete|full)\b",
    re.IGNORECASE,
)
#: a text without any of these has no phrase of the list
_ANY: Final = (
    "please", "kindly", "thank", "could you", "can you", "would you", "will you", "you could", "like you", "detailed",
    "comprehensive", "thorough", "complete", "full",
)  # fmt: skip
_QUOTED: Final = re.compile(r"[\"“”«»]")


def drop_filler(text: str) -> str:
    """The text without empty phrases. Dropping twice changes nothing more; a text of filler alone stays as it is."""
    small = text.casefold()
    if not any(phrase in small for phrase in _ANY):
        return text
    for _ in range(_MOST_ROUNDS):
        shorter = "".join(piece if is_block else _drop(piece) for piece, is_block in split(text, find_blocks(text)))
        if shorter == text or not shorter.strip():
            return text
        text = shorter
    return text


def _drop(text: str) -> str:
    # Within quotation marks each word is somebody's.
    if _QUOTED.search(text):
        return text
    text = _OPENING.sub(_reopen, text)
    text = _CLOSING.sub(lambda match: match["end"].rstrip("\n"), text)
    text = _MIDDLE.sub("", text)
    return _DOUBLED.sub(lambda match: match["first"], text)


def _reopen(match: re.Match[str]) -> str:
    return match["start"]
