"""What each pure step of a call costs on this machine: ``python -m bench.steps``.

The least of many repetitions, so that a busy machine disturbs little; a step alone in a loop has warm caches, so that
the steps' sum is less than they cost in a server. Where a row is for several calls, it says so.
"""

import os
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")

import django

django.setup()

import hiredis  # noqa: E402
import orjson  # noqa: E402
from django.conf import settings  # noqa: E402

from bench.upstream import completion, events  # noqa: E402
from costhub.lib import clock, secrets  # noqa: E402
from proxy.call import Call  # noqa: E402
from proxy.core import sse  # noqa: E402
from proxy.core.controls import parse_controls  # noqa: E402
from proxy.core.plan import make_plan  # noqa: E402
from proxy.core.row import add_attempts, add_plan, add_request, dump_row, open_row  # noqa: E402
from proxy.dialects.openai_chat import parse_request  # noqa: E402
from proxy.edges.reserve_batch import Reserve, reserve_command  # noqa: E402
from proxy.edges.valkey import Argument  # noqa: E402
from proxy.upstreams import openai  # noqa: E402
from proxy.values.attempt import Attempt, Certainty, Usage  # noqa: E402
from proxy.values.plan import Hold  # noqa: E402
from proxy.values.request import Endpoint  # noqa: E402
from tenants.price_snapshots import PriceSnapshot, make_rates  # noqa: E402
from tenants.sealed_rows import Sealer  # noqa: E402
from tenants.snapshots import (  # noqa: E402
    BudgetSnapshot,
    KeySnapshot,
    ModelSnapshot,
    OrgSnapshot,
    UpstreamSnapshot,
)

ROUNDS = 60
REPETITIONS = 200
#: at full speed so many calls come in one tick
TOGETHER = 8
Step = tuple[str, Callable[[], object]]


def make_tenant() -> tuple[OrgSnapshot, KeySnapshot]:
    """An organisation with one model and four hard budgets, and a key of it."""
    ids = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(8)]
    upstream = UpstreamSnapshot(
        ids[5],
        "up",
        "openai_compatible",
        "http://127.0.0.1/v1",
        "http://127.0.0.1:80",
        None,
        False,
        "",
        5_000,
        600_000,
        2,
    )
    price = PriceSnapshot(ids[6], 0, make_rates({"input": 150_000, "output": 600_000}), source="bench")
    model = ModelSnapshot("small", ids[5], "small", 128_000, 16_384, "bytes", 0, (price,))
    budgets = tuple(
        BudgetSnapshot(ids[number], scope, "", "day", 10**14, "block", scope, created_ms=0)
        for number, scope in enumerate(("organization", "project", "key", "end_user"))
    )
    org = OrgSnapshot(ids[0], "acme", 1, 1, "UTC", True, b"", {"small": model}, {ids[5]: upstream}, budgets)
    return org, KeySnapshot(ids[1], ids[0], ids[2], 1, None, None, None, False)


def make_steps() -> Iterator[Step]:
    """The steps in the order in which a call takes them, each ready to be repeated."""
    org, key = make_tenant()
    secret = secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER).text
    raw = orjson.dumps({"model": "small", "messages": [{"role": "user", "content": "x" * 60}], "user": "u1"})
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + secret.encode()),
        (b"content-length", str(len(raw)).encode()),
    ]

    async def never() -> dict[str, object]:
        raise AssertionError

    def arrive() -> Call:
        return Call({"headers": headers}, never, Endpoint.CHAT, 1_000_000)

    yield "read the head, make the id", arrive
    call = arrive()
    yield "find the bearer", call.bearer
    yield "check the key's form", lambda: secrets.is_well_formed(secret, secrets.API_KEY)
    yield "HMAC of the key", lambda: secrets.digest_of(secret, settings.KEY_PEPPER)
    yield "parse the body", lambda: parse_request(Endpoint.CHAT, raw)
    request = parse_request(Endpoint.CHAT, raw)
    controls = parse_controls(call.headers)
    yield "plan, with four budgets", lambda: make_plan(request, controls, key, org, call.started_ms)
    plan = make_plan(request, controls, key, org, call.started_ms)
    yield "open the row", lambda: open_row(call.id, call.started_ms, key, "chat/completions")
    row = open_row(call.id, call.started_ms, key, "chat/completions")
    add_request(row, request)
    add_plan(row, plan)
    yield "write the row as JSON (twice a call)", lambda: dump_row(row)
    reserves = [Reserve(call.id, 1, plan.first.bound, None, dump_row(row))] * TOGETHER

    def put_together() -> tuple[list[Argument], list[Argument]]:
        return reserve_command(
            org.shard, plan.first.layout, plan.first.bands, org.id, org.version, reserves, call.started_ms
        )

    yield f"put the reserves of {TOGETHER} calls together", put_together
    keys, arguments = put_together()
    command = (b"EVALSHA", b"0" * 40, len(keys), *keys, *arguments)
    yield f"pack those of {TOGETHER} calls for the wire", lambda: hiredis.pack_command(command)  # type: ignore[arg-type]
    habits = openai.find_habits(plan.first.upstream, "small")
    yield "write the upstream's body", lambda: openai.encode_request(request, "small", habits=habits, max_output=100)
    answer, stream = completion(), b"".join(events())
    yield "read an answer", lambda: openai.AnswerReader().read_answer(answer)
    yield "split and read a stream of 62 events", lambda: _read_stream(stream)
    hold = Hold(call.id, 10_000_000, 16_384, 10**13)
    attempt = Attempt(1, 200, Certainty.EXACT, Usage(input=24, output=60), 39_600)
    yield "sum up the attempts", lambda: add_attempts(row, [attempt], hold)
    # What an answer costs more that is cached, or kept for an Idempotency-Key.
    sealer = Sealer(org.id, secrets.make_data_key(settings.MASTER_KEYS, org.id))
    place, long = "cached answer " + "0" * 40, b"x" * 2_048
    sealed = sealer.seal(place, long)
    yield "seal an answer of 2 kB that is kept", lambda: sealer.seal(place, long)
    yield "open one that is found", lambda: sealer.open(place, sealed)


def _read_stream(stream: bytes) -> None:
    datas = [data for event in sse.EventSplitter().feed(stream) if (data := sse.data_of(event)) not in {None, sse.DONE}]
    openai.AnswerReader().read_events([data for data in datas if data is not None])


def least_microseconds(step: Callable[[], object]) -> float:
    """The least mean of ``REPETITIONS`` in ``ROUNDS`` tries."""
    least = float("inf")
    for _ in range(ROUNDS):
        began = clock.monotonic_ns()
        for _ in range(REPETITIONS):
            step()
        least = min(least, (clock.monotonic_ns() - began) / REPETITIONS / 1000)
    return least


def main() -> None:
    """Print the table in Markdown."""
    print("| step | µs |\n|---|---:|")
    began = time.perf_counter()
    for name, step in make_steps():
        print(f"| {name} | {least_microseconds(step):.1f} |", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
