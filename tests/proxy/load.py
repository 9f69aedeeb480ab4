"""Callers: so many at once, each with the next call as soon as its last has ended, however it ended."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.proxy.deployment import NO_TLS

Body = dict[str, Any]

CHAT = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended for its caller. ``status`` 0: the connection broke before an answer began. ``cache`` is what
    its head says of the cache."""

    status: int
    request_id: str
    error_code: str = ""
    is_whole: bool = True
    cache: str = ""


def make_bodies(count: int, model: str, *, seed: int = 1, **fields: Any) -> Iterator[Body]:
    """Calls of many shapes: streams and not, one or several choices, short and long."""
    chance = random.Random(seed)
    for number in range(count):
        words = " ".join(["word"] * chance.randint(1, 40))
        yield {
            "model": model,
            "messages": [{"role": "user", "content": f"{number} {words}"}],
            "stream": chance.random() < 0.6,
            "n": chance.choice([1, 1, 1, 2]),
            "max_tokens": chance.randint(5, 60),
            "bank": {"output_tokens": chance.randint(1, 60), "pace_ms": chance.choice([0, 0, 1])},
        } | fields


async def call_all(
    base_url: str,
    api_key: str,
    bodies: Iterator[Body],
    *,
    clients: int,
    path: str = CHAT,
    leave_after: Callable[[int], int | None] = lambda _: None,
    on_end: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Make every call of ``bodies``. ``leave_after(n)``: of the n-th call read so many bytes and hang up.

    ``on_end(n)`` is told when n calls have ended.
    """
    outcomes: list[Outcome] = []
    numbered = enumerate(bodies)
    limits = httpx2.Limits(max_connections=clients)
    headers = {"authorization": f"Bearer {api_key}"}
    async with httpx2.AsyncClient(
        base_url=base_url, headers=headers, limits=limits, timeout=240, trust_env=False, verify=NO_TLS
    ) as http:

        async def work() -> None:
            for number, body in numbered:
                outcomes.append(await call_once(http, body, leave_after(number), path))
                on_end(len(outcomes))

        await asyncio.gather(*(work() for _ in range(clients)))
    return outcomes


async def call_once(
    http: httpx2.AsyncClient,
    body: Body,
    leave_after: int | None = None,
    path: str = CHAT,
    headers: dict[str, str] | None = None,
) -> Outcome:
    """One call, read to its end or to the byte at which its caller loses interest."""
    try:
        async with http.stream("POST", path, json=body, headers=headers) as answer:
            request_id = answer.headers.get("x-request-id", "")
            cache = answer.headers.get("x-costhub-cache", "")
            received = b""
            try:
                async for part in answer.aiter_raw():
                    received += part
                    if leave_after is not None and len(received) >= leave_after:
                        return Outcome(answer.status_code, request_id, "left", is_whole=False, cache=cache)
            except httpx2.TransportError:
                return Outcome(answer.status_code, request_id, "broken", is_whole=False, cache=cache)
            return Outcome(answer.status_code, request_id, _error_code(answer, received), cache=cache)
    except httpx2.TransportError:
        return Outcome(0, "", "broken", is_whole=False)


def _error_code(answer: httpx2.Response, received: bytes) -> str:
    if b'"error":{' not in received:
        return ""
    return str(received.partition(b'"code":"')[2].partition(b'"')[0].decode())
