"""How a text is split into words, and which English words carry little by themselves."""

import re
import unicodedata
from typing import Final

#: a word; a script without spaces is read sign by sign
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\W_]+(?:['’][^\W_]+)*")
_SHORTEST_STEM: Final = 4
_ENDINGS: Final = ("'s", "’s", "ing", "ies", "ed", "es", "s", "e")

#: words of grammar; no negation, no question word, no word of quantity, time or direction is among them
STOP_WORDS: Final = frozenset(
    "a an the this that these those there here i me my mine we us our ours you your yours he him his she her hers it"
    " its they them their theirs who whom whose which what am is are was were be been being do does did doing done"
    " have has had having will would shall should can could may might must ought of at by for with about into through"
    " to from in on as and or but so than too very just also then if because while such own same s t ve ll d m re"
    " i'm i've i'd i'll it's that's there's you're we're they're let's get got".split()
)


def split_words(text: str) -> list[str]:
    """The words of a text in small letters, in its order. However its letters were composed, a word is the same: a
    mark that stands behind its letter, as some systems write names of files, is part of it."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return _WORD.findall(text.casefold())


def stem(word: str) -> str:
    """A word without the ending of its number or tense, where enough of it stays (after Porter 1980, step 1 only)."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM - 1:
            return word[: -len(ending)]
    return word


def list_forms(word: str) -> frozenset[str]:
    """Every word that has the stem of this one, in small letters: who asks for many words once has no stem to find."""
    found = stem(word)
    return frozenset(form for form in (found, *(found + ending for ending in _ENDINGS)) if stem(form) == found)
