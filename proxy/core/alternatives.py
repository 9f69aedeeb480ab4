"""Answers with log probabilities, read without what else each token might have been: twenty alternatives make a token
of a hundred values, which nobody here looks at and a parser makes an object of each. Pure.
"""

import re
from typing import Final

from proxy.core.weight import SMALL_BYTES

_NAME: Final = b'"top_logprobs"'
#: texts, numbers, and lists of bytes
_LIST: Final = re.compile(
    rb'"top_logprobs"\s{0,8}:\s{0,8}\[(?:[^"\[\]]++|"(?:[^"\\]++|\\.)*+"|\[[^"\[\]]*+\])*+\]', re.DOTALL
)
#: of one token: no longer than takes a millisecond. A completion's list has all tokens, with five of each at most: what
#: is longer is read as it is
_LONGEST: Final = 64 * 1024
#: after so many lists that are none the rest is left as it is: no answer has more choices
_MOST_MISSES: Final = 128


def thin(raw: bytes) -> bytes:
    """A whole answer in which no token of a chat has alternatives. One that is short stays as it is."""
    if len(raw) <= SMALL_BYTES:
        return raw
    parts, end, misses, place = list[bytes](), 0, 0, raw.find(_NAME)
    while place >= 0 and misses < _MOST_MISSES:
        # One by one: all of them at once would be one step of the interpreter, and no other call have a turn.
        found = _LIST.match(raw, place, place + _LONGEST)
        if found is None:
            misses += 1
            place = raw.find(_NAME, place + len(_NAME))
            continue
        parts += (raw[end:place], _NAME, b":[]")
        end = found.end()
        place = raw.find(_NAME, end)
    return b"".join((*parts, raw[end:]))
