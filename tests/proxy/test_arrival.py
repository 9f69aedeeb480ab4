"""The first steps of a call are the same whether it is answered at once or later."""

import asyncio
import json
from unittest.mock import patch

import pytest

from costhub.lib import clock
from proxy.core.spans import CallTrace, Parent
from proxy.telemetry.tracer import Tracer
from tests.bank import Bank
from tests.proxy.in_process import Message, chat, converse, events_of, make_known, running
from tests.world import Tenant, World, make_catalog

_LATE_NS = 5_000_000_000


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with a model at the bank known to Valkey as a proxy would make it known."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_known(acme)
    return acme


@pytest.mark.parametrize("headers", [{}, {"x_costhub_deadline": "600"}], ids=["at once", "later"])
async def test_a_slow_sender_is_no_overhead_of_ours_and_who_is_refused_is_in_its_callers_trace(
    acme: Tenant, headers: dict[str, str]
) -> None:
    """Ada's body comes five seconds late, and asks for a model that there is not."""
    asked = converse(acme.api_key, chat(model="none"), traceparent=f"00-{7:032x}-{9:016x}-01", **headers)
    body: Message | None = asked.incoming.get_nowait()
    ahead_ns, monotonic_ns = 0, clock.monotonic_ns
    traces: list[CallTrace] = []

    async def receive() -> Message:
        nonlocal ahead_ns, body
        if body is None:
            await asyncio.Event().wait()
        ahead_ns, message, body = _LATE_NS, body, None
        assert message is not None
        return message

    def export(ended: list[CallTrace]) -> tuple[int, int]:
        traces.extend(ended)
        return len(ended), 0

    with patch.object(clock, "monotonic_ns", lambda: monotonic_ns() + ahead_ns):
        async with running() as app:
            assert app._edges is not None
            app._edges.ledger._tracer = Tracer(export)
            await app(asked.scope, receive, asked.send)
    assert (asked.status, json.loads(asked.body)["error"]["code"]) == (404, "model_not_found")
    (row,) = events_of(acme)
    assert row["duration_us"] - row["overhead_us"] >= _LATE_NS // 1000
    assert [(trace.row["id"], trace.parent) for trace in traces] == [(row["id"], Parent(7, 9, is_sampled=True))]
