"""What a caller has marked to be cached by a provider, which stays as it was written."""

from collections.abc import Mapping, Sequence
from typing import Any


def first_after_marks(messages: Sequence[Mapping[str, Any]]) -> int:
    """The place of the first message behind all that the caller has marked to be cached."""
    first = 0
    for place, message in enumerate(messages):
        content = message.get("content")
        if message.get("cache_control") or (
            isinstance(content, list) and any(isinstance(part, dict) and part.get("cache_control") for part in content)
        ):
            first = place + 1
    return first
