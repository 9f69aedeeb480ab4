"""What a model produced, as far as it must be counted when its upstream does not say. Pure.

Servers put what they produce under many names and in many shapes, so that everything is taken for a text that is not
known to be none: a field that nobody here has heard of is counted rather than given away.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

#: they describe, and are no output
_NO_TEXT: Final = frozenset(
    {
        *("role", "id", "type", "index", "object", "status", "format", "name_of_format", "call_id", "item_id"),
        *("created", "created_at", "expires_at", "finish_reason", "stop_reason", "logprobs", "signature"),
        *("annotations", "citations", "mime_type", "media_type", "detail", "model", "usage"),
    }
)
#: sound and pictures, or what was thought and is not shown: a text that says nothing of its tokens
_NOT_COUNTABLE: Final = frozenset(
    {
        "data",
        "b64_json",
        "url",
        "image_url",
        "image",
        "encrypted_content",
        "encrypted",
        "file_data",
        "thought_signature",
    }
)
#: the same thoughts, which some servers say twice
_THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_details")


class Produced:
    """Texts in the order in which they came, and whether something came that no count of texts can hold."""

    # Sound, pictures, thoughts that were kept back: as many tokens as the upstream says.
    hides: bool = False
    has_unread: bool = False

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def is_countable(self) -> bool:
        """Whether the tokens of the texts are the tokens that were produced, and not just more than those."""
        return not self.hides and not self.has_unread

    @property
    def is_empty(self) -> bool:
        """Nothing came."""
        return not self.texts and not self.hides

    def keep_text(self, text: Any) -> None:
        """A text, if it is one."""
        if text:
            if isinstance(text, str):
                self.texts.append(text)
            else:
                self.keep(text)

    def keep_delta(self, delta: dict[str, Any]) -> None:
        """A message, or what one event adds to it."""
        if self._keep_usual(delta):
            return
        thoughts = [delta[name] for name in _THOUGHTS if delta.get(name)]
        if len(thoughts) > 1:
            delta = {name: value for name, value in delta.items() if name not in _THOUGHTS}
            self._keep_longest(thoughts)
        self.keep(delta)

    def _keep_usual(self, delta: dict[str, Any]) -> bool:
        """Keep what is made of texts alone, thoughts under one name at most. False, and nothing kept, for any other."""
        texts, has_thoughts = [], False
        for name, value in delta.items():
            if not value or name in _NO_TEXT:
                continue
            if type(value) is not str or name in _NOT_COUNTABLE:
                return False
            if name in _THOUGHTS:
                if has_thoughts:
                    return False
                has_thoughts = True
            texts.append(value)
        self.texts += texts
        return True

    def keep(self, value: Any) -> None:
        """Whatever it is made of."""
        for text in self._walk(value):
            self.texts.append(text)

    def keep_unread(self, raw: bytes) -> None:
        """What could not be read, and so may hold any of that: at most its own length."""
        self.texts.append(raw.decode("utf-8", "replace"))
        self.has_unread = True

    def _keep_longest(self, thoughts: list[Any]) -> None:
        said = [list(self._walk(thought)) for thought in thoughts]
        whole = {"".join(texts) for texts in said}
        # The same words under two names were thought once; different words are different thoughts.
        kept = max(said, key=lambda texts: sum(map(len, texts)))
        if all(words in "".join(kept) for words in whole):
            self.texts.extend(kept)
        else:
            self.texts.extend(text for texts in said for text in texts)

    def _walk(self, value: Any) -> Iterator[str]:
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                if item:
                    yield item
            elif isinstance(item, list):
                waiting.extend(reversed(item))
            elif isinstance(item, dict):
                waiting.extend(self._fields(item))

    def _fields(self, item: dict[str, Any]) -> Iterator[Any]:
        """The fields of an object that are output, the last one first."""
        for name, value in reversed(item.items()):
            if not value or name in _NO_TEXT:
                continue
            if name in _NOT_COUNTABLE:
                self.hides = True
            elif name in {"arguments", "input"} and isinstance(value, dict | list):
                # a tool's arguments as JSON, which the model has written as JSON
                yield json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            else:
                yield value
