"""Fewer tokens for the same words: white space that nobody reads, and what is said twice.

What it saves is little: less than one per cent of a chat's tokens (docs/quality.md). It costs nothing either, so every
policy has it unless it says otherwise. Code, JSON and tables keep every byte.
"""

import re
from collections.abc import Sequence
from typing import Final

from proxy.core.compression.protect import find_blocks, split

#: paragraphs from this length on are dropped where they stood before; shorter ones repeat for a reason
SHORTEST_REPEATED: Final = 160

# Both look back from the first blank, and not before it: so it is only at blanks that anything is tried.
_TRAILING: Final = re.compile(r"[ \t\u00a0](?<![ \t\u00a0]{2})[ \t\u00a0]*(?=\r?\n)")
_INNER: Final = re.compile(r"[ \t\u00a0](?<=\S[ \t\u00a0])[ \t\u00a0]+(?=\S)")
_EMPTY_LINES: Final = re.compile(r"(?:\r?\n){3,}")
_INVISIBLE: Final = re.compile("[\u00ad\ufeff\u2060]")
_PARAGRAPH: Final = re.compile(r"\n{2,}")
#: a text without any of these has no white space to spare; looking for them costs next to nothing
_NEEDLESS: Final = ("  ", "\t", "\u00a0", " \n", " \r", "\n\n\n", "\n\r\n\r\n", "\u00ad", "\ufeff", "\u2060")
#: without these no line has blanks at its end, and no two lines are empty
_LINE_ENDS: Final = tuple(blank + end for blank in " \t\u00a0" for end in ("\n", "\r\n"))
_EMPTY: Final = ("\n\n\n", "\n\r\n")
_MOST_ROUNDS: Final = 8


def tidy(text: str) -> str:
    """The text without needless white space and without its own repetitions. Tidying twice changes nothing more."""
    # Most texts have nothing to tidy, and seeing that costs a tenth of looking for their code.
    if not _has_one_of(_NEEDLESS, text) and text == text.strip() and not _has_repeated(text):
        return text
    for _ in range(_MOST_ROUNDS):
        tidied = _tidy_once(text)
        if tidied == text:
            return text
        text = tidied
    return text


def _tidy_once(text: str) -> str:
    if not text:
        return text
    blocks = find_blocks(text)
    pieces = [piece if is_block else _tidy_prose(piece) for piece, is_block in split(text, blocks)]
    if not blocks or blocks[-1].end < len(text):
        pieces[-1] = pieces[-1].rstrip()
    if not blocks or blocks[0].start > 0:
        pieces[0] = pieces[0].lstrip("\r\n")
    tidied = "".join(pieces)
    return tidied if blocks else _drop_repeated(tidied)


def _tidy_prose(text: str) -> str:
    if not _has_one_of(_NEEDLESS, text):
        return text
    text = _INVISIBLE.sub("", text)
    text = _INNER.sub(" ", text)
    text = _trim_lines(text)
    return _EMPTY_LINES.sub("\n\n", text) if _has_one_of(_EMPTY, text) else text


def _trim_lines(text: str) -> str:
    """The text without blanks at the ends of lines. White space at its own end stays as it is if it begins with a line
    end, which what follows may hang on."""
    body = text.rstrip()
    tail = text[len(body) :]
    if "\n" not in tail:
        tail = ""
    elif _TRAILING.match(tail):
        body, tail = text, ""
    return (_TRAILING.sub("", body) if _has_one_of(_LINE_ENDS, body) else body) + tail


def _has_one_of(parts: Sequence[str], text: str) -> bool:
    # A loop costs half of a generator's sum, and every call's texts are looked through.
    for part in parts:  # noqa: SIM110
        if part in text:
            return True
    return False


def _has_repeated(text: str) -> bool:
    if len(text) < 2 * SHORTEST_REPEATED:
        return False
    long = [part.strip() for part in _PARAGRAPH.split(text) if len(part) >= SHORTEST_REPEATED]
    return len(set(long)) < len(long)


def _drop_repeated(text: str) -> str:
    """The text without paragraphs that it has had before. Only of prose: a block's repetition may be meant."""
    if len(text) < 2 * SHORTEST_REPEATED:
        return text
    seen: set[str] = set()
    kept = []
    for paragraph in _PARAGRAPH.split(text):
        key = paragraph.strip()
        if len(key) < SHORTEST_REPEATED or key not in seen:
            kept.append(paragraph)
        seen.add(key)
    return "\n\n".join(kept)
