"""A stand-in for a dear teacher: it answers questions of a data set with their labels, errs as often as it is told, and
counts tokens as a model would. Its quality is drawn and no model's."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

import orjson

from proxy.core.tokens import count_text
from tenants.choices import Tokenizer

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_OF: Final = 10_000
_VOCABULARY: Final = Tokenizer.O200K.value


class StandIn:
    """The answers. ``errs`` of a thousand questions, drawn by a digest of the question, get another label."""

    def __init__(self, answers: Mapping[str, str], errs_per_mille: int) -> None:
        self._answers = answers
        self._labels = sorted(set(answers.values()))
        self._errs = errs_per_mille * _OF // 1_000

    def say(self, question: str) -> str:
        """The label, or another one."""
        label = self._answers.get(question, self._labels[0])
        drawn = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big")
        if drawn % _OF >= self._errs:
            return label
        others = [other for other in self._labels if other != label]
        return others[drawn // _OF % len(others)]

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A chat's answer."""
        messages: Sequence[Mapping[str, Any]] = body["messages"]
        text = self.say(str(messages[-1]["content"]))
        read = sum(count_text(str(message["content"]), _VOCABULARY) + 4 for message in messages)
        written = count_text(text, _VOCABULARY)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {
            "id": "chatcmpl-stand-in",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The same as an ASGI application, whatever the path."""
        raw, has_more = b"", True
        while has_more:
            message = await receive()
            raw += message.get("body", b"")
            has_more = message.get("more_body", False)
        body = orjson.dumps(self.complete(orjson.loads(raw)))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
