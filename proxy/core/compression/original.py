"""The shorter texts of a translated request, put into what its caller wrote: an upstream that speaks the caller's own
format is sent that, and not our translation."""

from collections.abc import Sequence, Set
from typing import Any, Final

from proxy.core.compression.marks import first_after_marks
from proxy.values.request import Original, Wire

#: parts of a message that are a text of its author's
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
#: where a request has its instructions beside its messages, and where its messages are
_INSTRUCTIONS: Final = {Wire.MESSAGES: "system", Wire.RESPONSES: "instructions"}
_TURNS: Final = {Wire.MESSAGES: "messages", Wire.RESPONSES: "input"}


def replace_texts(original: Original, changes: Sequence[tuple[str, str]], roles: Set[str]) -> Original | None:
    """What the caller wrote with the texts of some roles in other words. ``changes``: each text as it came and what it
    became, once for each of its places. None where they are not found there so often, or where one text became two:
    then what is counted would not be what is sent."""
    if len(dict(changes)) < len(set(changes)):
        return None
    swapping = _Swapping(changes, roles)
    turns, instructions = _TURNS[original.wire], _INSTRUCTIONS[original.wire]
    given = original.body.get(turns)
    body = original.body | {turns: swapping.turns(given)}
    if "system" in roles and instructions in body and not (isinstance(given, list) and first_after_marks(given)):
        body[instructions] = swapping.content(body[instructions])
    return original._replace(body=body) if swapping.swapped == len(changes) else None


class _Swapping:
    def __init__(self, changes: Sequence[tuple[str, str]], roles: Set[str]) -> None:
        self._swaps = dict(changes)
        self._roles = roles
        self.swapped = 0

    def turns(self, turns: Any) -> Any:
        """Messages and whatever is between them; a text alone is its user's."""
        if not isinstance(turns, list):
            return self.content(turns) if "user" in self._roles else turns
        first = first_after_marks(turns)
        return [*turns[:first], *map(self._turn, turns[first:])]

    def content(self, content: Any) -> Any:
        """A message's text, or its parts."""
        if isinstance(content, str):
            return self._swap(content)
        if not isinstance(content, list) or first_after_marks([{"content": content}]):
            return content
        return [self._part(part) for part in content]

    def _turn(self, turn: Any) -> Any:
        if not isinstance(turn, dict) or turn.get("role") not in self._roles:
            return turn
        return turn | {"content": self.content(turn.get("content"))}

    def _part(self, part: Any) -> Any:
        if not isinstance(part, dict) or part.get("type") not in _TEXTS or not isinstance(part.get("text"), str):
            return part
        return part | {"text": self._swap(part["text"])}

    def _swap(self, text: str) -> str:
        shorter = self._swaps.get(text)
        if shorter is None:
            return text
        self.swapped += 1
        return shorter
