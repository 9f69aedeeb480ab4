"""Names of fields that some servers read as others.

Go's encoding/json, which Ollama and LocalAI read bodies with, takes a name in any spelling that Unicode's simple
folding makes equal; protobuf's JSON takes ``maxTokens`` for ``max_tokens``; others compare what their language calls
upper or lower case. What such a server obeys must be what we have read.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from proxy.errors import InvalidRequest

_MOST_CHARACTERS: Final = 64
_SHOWN_CHARACTERS: Final = 200


def check_names(names: Iterable[str], known: Mapping[str, str], place: str = "") -> None:
    """Raise InvalidRequest for a name that is none of the known ones and may be read as one of them. ``known`` is by
    ``fold``; ``place`` says where the names stand, as ``messages[0].``."""
    for name in names:
        if len(name) > _MOST_CHARACTERS:
            continue
        meant = known.get(fold(name))
        if meant is not None and meant != name:
            how = "in lower case" if name.lower() == meant else "as it stands here"
            raise InvalidRequest(f"Write {place}{meant} {how}.", param=f"{place}{name}"[:_SHOWN_CHARACTERS])


def list_known(names: Iterable[str]) -> dict[str, str]:
    """Names by what they fold to."""
    return {fold(name): name for name in names}


@lru_cache(maxsize=4_096)
def fold(name: str) -> str:
    """What is left of a name when case, compatible forms (U+017F, U+212A, full width), accents and the signs between
    words make no difference."""
    if not name.isascii():
        # Upper case first: it knows the dotless i and the long s, that is only then folded.
        parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).upper())
        name = "".join(sign for sign in parts if not unicodedata.combining(sign)).casefold()
    return name.lower().replace("_", "").replace("-", "")
