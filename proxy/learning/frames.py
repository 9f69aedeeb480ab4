"""What stands around a question: under other instructions a student has learned nothing. Pure."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.learning.conversations import Example, Message

#: of a version, the commonest ones
MOST_FRAMES: Final = 64
#: of the examples under one, at least: what it saw once it has not learned
_LEAST: Final = 2
_CHARACTERS: Final = 16


def frame_of(prompt: Sequence[Message]) -> str:
    """A digest of the instructions, whatever their case and spacing, and of whether there are earlier turns."""
    spelled = "\0".join(
        f"{message.role}\1{' '.join(unicodedata.normalize('NFKC', message.content).casefold().split())}"
        for message in prompt
        if message.role in {"system", "developer"}
    )
    turns = sum(message.role == "user" for message in prompt)
    # One that continues a conversation may mean anything.
    text = f"{spelled}\0{min(turns, 2)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_CHARACTERS]


def list_frames(examples: Iterable[Example]) -> list[str]:
    """Those that a student learns under."""
    count = Counter(frame_of(example.prompt) for example in examples)
    return [frame for frame, times in count.most_common(MOST_FRAMES) if times >= _LEAST]
