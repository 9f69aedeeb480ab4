"""A stand-in for a dear teacher: it answers questions of a data set with their labels, errs as often as it is told, and
counts tokens as a model would. Its quality is drawn and no model's."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import orjson

from proxy.core.tokens import count_text
from tenants.choices import Tokenizer

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


@contextmanager
def serve_stand_in(stand_in: StandIn) -> Iterator[str]:
    """On loopback, in threads, until the block ends; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = orjson.dumps(stand_in.complete(body))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
