"""``costhub scorer-server``: says of each token of a prompt how likely it was, as vLLM's server does, so that a policy
of compression may ask it (the method ``perplexity``).

It is an upstream as any other, with a model that has a price; it writes nothing, and knows no organisation. Whoever
gives the credential that it was started with is answered.
"""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import orjson

from costhub.lib import clock
from proxy.learning.lora.prompt_scorer import MOST_TOKENS, PromptScorer, Scored, TooLong
from proxy.learning.own_upstream import Answer, Receive, Scope, Send, read_body, refuse, run_server

MOST_BYTES: Final = 1024 * 1024
_STOP_SECONDS: Final = 30
_JSON: Final = "application/json"


class ScorerServer:
    """An ASGI application. One text is scored at a time: a second would only take the other's cores."""

    def __init__(self, score: Callable[[str], Sequence[Scored]], name: str, credential: str) -> None:
        """``credential``: what callers give as their bearer; empty for none."""
        self._score = score
        self._name = name
        self._credential = credential
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        if scope["type"] != "http":
            return
        status, content_type, body = await self._answer(scope, receive)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        kind = ""
        while kind != "lifespan.shutdown":
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                self._thread.shutdown(wait=False, cancel_futures=True)
            await send({"type": f"{kind}.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if self._credential and not hmac.compare_digest(given, f"Bearer {self._credential}".encode()):
            return refuse(401, "Give the credential that this server was started with.", "invalid_api_key")
        route = (scope["method"], scope["path"])
        if route == ("GET", "/v1/models"):
            listed = {"object": "list", "data": [{"id": self._name, "object": "model"}]}
            return 200, _JSON, orjson.dumps(listed)
        if route != ("POST", "/v1/completions"):
            return refuse(404, "A scorer answers /v1/completions and /v1/models.", "not_found")
        raw = await read_body(receive, MOST_BYTES)
        if raw is None:
            return refuse(413, f"A scorer reads at most {MOST_BYTES:,} bytes.", "body_too_large")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return refuse(400, f"The body is not valid JSON: {error}.", "invalid_json")
        return await self._complete(body)

    async def _complete(self, body: Any) -> Answer:
        prompt = body.get("prompt") if isinstance(body, dict) else None
        if not isinstance(prompt, str) or not prompt:
            return refuse(400, "prompt must be a text.", "invalid_request_error")
        if body.get("echo") is not True or body.get("logprobs") is None or body.get("stream") is True:
            return refuse(
                400, "A scorer writes nothing: ask for echo and logprobs, and no stream.", "invalid_request_error"
            )
        try:
            scored = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, prompt)
        except TooLong:
            return refuse(400, f"A scorer reads at most {MOST_TOKENS:,} tokens.", "context_length_exceeded")
        except MemoryError:
            return refuse(503, "The scorer has no memory for a text of this length.", "out_of_memory")
        return 200, _JSON, orjson.dumps(_render(self._name, prompt, scored))


def _render(name: str, prompt: str, scored: Sequence[Scored]) -> dict[str, Any]:
    offsets, place = [], 0
    for one in scored:
        offsets.append(place)
        place += len(one.text)
    logprobs = {
        "tokens": [one.text for one in scored],
        "token_logprobs": [one.logprob for one in scored],
        "top_logprobs": None,
        "text_offset": offsets,
    }
    return {
        "id": "cmpl-scored",
        "object": "text_completion",
        "created": clock.now_ms() // 1_000,
        "model": name,
        "choices": [{"index": 0, "text": prompt, "logprobs": logprobs, "finish_reason": "length"}],
        "usage": {"prompt_tokens": len(scored), "completion_tokens": 0, "total_tokens": len(scored)},
    }


def run_scorer_server(host: str, port: int, *, scorer: PromptScorer, name: str, credential: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    run_server(ScorerServer(scorer.score, name, credential), host, port, stop_seconds=_STOP_SECONDS)
