"""How long one request keeps all others of its process waiting: ``python -m bench.turns``.

Each body is the largest of its kind that is taken, or that is refused as late as possible. It is received, read,
planned, counted and written for an upstream on an event loop, beside a task that asks for its turn all the time: the
longest time between two of its turns is what any other call may have to wait for. ``CPU`` is what the loop's own thread
worked meanwhile, which other programs of the machine do not disturb; ``wall`` holds what they took, too.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import orjson
import uvloop

from bench.steps import make_tenant
from proxy.call import Call
from proxy.core.bounds import exact_bound, loose_bound
from proxy.core.plan import make_plan
from proxy.core.weight import MAX_NODES, MAX_VALUES
from proxy.dialects import openai_chat
from proxy.edges.counting import Counting
from proxy.errors import ApiError
from proxy.upstreams.openai import encode_request, find_habits
from proxy.values.request import Controls, Endpoint

MOST_BYTES = 20 * 1024 * 1024
ROUNDS = 5
_SENTENCE = 'The quick brown fox, it says, jumps "over" the lazy dog.\n'


def make_bodies() -> dict[str, bytes]:
    """The largest bodies of each kind, by what they are."""
    text = _SENTENCE * ((MOST_BYTES - 1_000_000) // len(orjson.dumps(_SENTENCE)))
    tools = {f"name {place}": place for place in range(MAX_NODES - 100)}
    chat = {"model": "small", "messages": [{"role": "user", "content": text}]}
    return {
        "a chat of one long text": orjson.dumps(chat),
        "the same with as many members": orjson.dumps(chat | {"metadata": tools}),
        "messages, as many": orjson.dumps(
            {"model": "small", "messages": [{"role": "user", "content": "Hi"}] * (MAX_NODES // 3 - 9)}
        ),
        "token ids, as many": b'{"model":"small","input":[' + b"15339," * (MAX_VALUES - 10) + b"1]}",
        "token ids, too many": b'{"model":"small","input":[' + b"1," * (MOST_BYTES // 2 - 100) + b"1]}",
        "empty objects, too many": b'{"model":"none","tools":[' + b"{}," * (MOST_BYTES // 3 - 100) + b"{}]}",
        "brackets": b'{"model":"none","deep":' + b"[" * (MOST_BYTES - 100),
        "a text of quotes": b'{"model":"small","prompt":"' + b'\\"' * (MOST_BYTES // 2 - 100) + b'"}',
        "a model that is not there": orjson.dumps(chat | {"model": "none"}),
    }


async def serve_one(raw: bytes, counting: Counting) -> str:
    """What the pipeline does with a body, up to an upstream. Gives the code of its refusal, or nothing."""
    org, key = make_tenant()
    model = replace(org.models["small"], tokenizer="o200k_base", context_window=40_000_000)
    org = replace(org, models={"small": model})
    sent = False

    async def receive() -> dict[str, object]:
        nonlocal sent
        assert not sent
        sent = True
        return {"type": "http.request", "body": raw, "more_body": False}

    call = Call({"headers": [(b"content-type", b"application/json")]}, receive, Endpoint.CHAT, MOST_BYTES)
    try:
        request = openai_chat.parse_request(None, await call.body())
        await asyncio.sleep(0)
        plan = partial(make_plan, request, Controls(), key, org, call.started_ms)
        planned = await counting.run(request.body_bytes, plan, partial(plan, count=loose_bound))
        first = planned.first
        await counting.run(request.body_bytes, partial(exact_bound, request, first), lambda: first.bound)
        encode_request(request, "small", habits=find_habits(first.upstream, "small"), max_output=None)
    except ApiError as error:
        return error.error_code
    return ""


async def longest_turn(serve: Callable[[], object]) -> tuple[float, float, str]:
    """The longest time between two turns while a request is served, CPU and wall in ms, and how it was refused."""
    is_over, cpu, wall = False, 0.0, 0.0

    async def ask_for_turns() -> None:
        nonlocal cpu, wall
        while not is_over:
            began, began_cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0)
            wall, cpu = max(wall, time.perf_counter() - began), max(cpu, time.thread_time() - began_cpu)

    asking = asyncio.create_task(ask_for_turns())
    await asyncio.sleep(0)
    refused = await serve()  # type: ignore[misc]
    is_over = True
    with suppress(asyncio.CancelledError):
        await asking
    return cpu * 1_000, wall * 1_000, str(refused)


async def main() -> None:
    """Print a line for each body: the least of several rounds."""
    counting = Counting()
    for name, raw in make_bodies().items():
        found = [await longest_turn(partial(serve_one, raw, counting)) for _ in range(ROUNDS)]
        cpu, wall = min(each[0] for each in found), min(each[1] for each in found)
        print(f"{name:32} {len(raw) / 2**20:5.1f} MiB  CPU {cpu:6.1f} ms  wall {wall:6.1f} ms  {found[0][2]}")
    counting.close()


if __name__ == "__main__":
    uvloop.run(main())
