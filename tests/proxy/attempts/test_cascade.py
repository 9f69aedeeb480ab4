"""Who is asked next where a timer and the clock do not say the same."""

import asyncio
from collections.abc import Iterator
from threading import Event
from typing import Any, cast

import pytest

from tenants.choices import RouteKind
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.in_process import Conversation, chat, converse, running, serve
from tests.proxy.scripted_upstream import ScriptedUpstream
from tests.tenants.route_examples import make_route
from tests.world import World, make_catalog

CAP_MS = 30_000


class Hasty(asyncio.SelectorEventLoop):
    """A loop whose timers can be made to ring before the clock of durations says so, as uvloop's do by a moment: its
    time is that of the turn's beginning."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def silent() -> Iterator[ScriptedUpstream]:
    """An upstream that takes calls and does not answer."""
    is_over = Event()

    def wait(body: dict[str, Any]) -> list[bytes]:
        assert is_over.wait(PATIENCE_SECONDS)
        return []

    upstream = ScriptedUpstream(wait)
    yield upstream
    is_over.set()
    upstream.close()


def test_the_latency_cap_is_over_when_its_timer_rings_even_before_the_clock_says_so(
    committed_world: World, bank: Bank, silent: ScriptedUpstream
) -> None:
    """The last rung is asked then, and not the next one."""
    acme = committed_world.acme
    for name, base_url, price in (
        ("small", silent.base_url, "0.15"),
        ("middle", bank.base_url, "0.30"),
        ("large", bank.base_url, "3.00"),
    ):
        make_catalog(acme, base_url=base_url, model=name, input_per_million=price)
    make_route(acme, RouteKind.CASCADE, ("small", "middle", "large"), latency_cap_ms=CAP_MS)

    async def ask() -> Conversation:
        async with running() as app:
            asking = asyncio.create_task(serve(app, converse(acme.api_key, chat(model="smart"))))
            await until(lambda: bool(silent.bodies))
            cast("Hasty", asyncio.get_running_loop()).ahead = CAP_MS / 1_000
            return await asking

    with asyncio.Runner(loop_factory=Hasty) as runner:
        answer = runner.run(ask())
    assert (answer.status, answer.headers["x-costhub-model"]) == (200, "large")
    assert answer.headers["x-costhub-route"].endswith("small is too slow for the latency cap, so large")
    assert [call.json["model"] for call in bank.calls_received()] == ["large"]
