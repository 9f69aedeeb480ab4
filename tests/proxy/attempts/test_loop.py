"""Who is asked next, where a budget crosses a step of its ladder while the first upstream is asked: what is held is for
the request that is sent, and an upstream that bills whole answers is read to the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from threading import Event
from typing import Any

import pytest

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetAction, Tokenizer
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.cache.calls import call, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.proxy.routing.test_compressor import TIDY, WIDE
from tests.proxy.scripted_upstream import ScriptedUpstream, whole
from tests.world import Tenant, World, make_budget, make_catalog

#: a call of the model that crosses the step costs 12 millidollars and more; the step is at 10
STEP = 10_000_000


class Slow(ScriptedUpstream):
    """An upstream that answers 503, and not before it is ``released``."""

    def __init__(self) -> None:
        self.released = Event()
        super().__init__(self._fail)

    def _fail(self, body: dict[str, Any]) -> list[bytes]:
        assert self.released.wait(PATIENCE_SECONDS)
        return whole({"error": {"message": "no"}}, 503)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.released.set()
    slow.close()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    assert app._edges is not None
    # What shortens a prompt counts what that saves; while its vocabulary is not there it leaves prompts as they are.
    await app._edges.counting.load(Tokenizer.O200K)
    yield app
    await app.close()


def spent_of(app: App) -> int:
    assert app._edges is not None
    return max(app._edges.reservations.spent.values(), default=0)


#: makes a budget with one rung, from ``STEP`` on
Limit = Callable[[dict[str, Any]], Awaitable[None]]


@pytest.fixture
def acme(committed_world: World, bank: Bank, slow: Slow) -> Tenant:
    """Acme's model ``first`` falls back to ``second``; ``cheap`` bills whole answers."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, model="dear", output_per_million="1000")
    make_catalog(acme, base_url=bank.base_url, model="second", input_per_million="0.30")
    cheap = make_catalog(acme, base_url=bank.base_url, model="cheap", input_per_million="0.01")
    first = make_catalog(acme, base_url=slow.base_url, model="first", tokenizer=Tokenizer.O200K)
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=first.model, fallbacks=["second"])
        update_upstream(actor=acme.owner, upstream=cheap.upstream, drain_on_disconnect=True)
    return acme


@pytest.fixture
def limit(acme: Tenant) -> Limit:
    async def limit(rung: dict[str, Any]) -> None:
        await in_thread(lambda: make_budget(acme, "1", action=BudgetAction.DEGRADE, ladder=[{"at": 1} | rung]))

    return limit


async def cross(app: App, acme: Tenant) -> None:
    """Spend until that process knows that the step was crossed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while spent_of(app) < STEP:
            assert (await call(app, acme, chat(model="dear", max_tokens=20))).status == 200


async def ask_meanwhile(
    app: App, acme: Tenant, slow: Slow, body: dict[str, Any], limit: Callable[[], Awaitable[None]] | None = None
) -> tuple[Conversation, asyncio.Task[Conversation]]:
    """A call whose step is crossed before its first upstream has failed; the budget is there before, or made then."""
    conversation = converse(acme.api_key, body)
    serving = asyncio.create_task(serve(app, conversation))
    await until(lambda: bool(slow.bodies))
    if limit is not None:
        await limit()
    await cross(app, acme)
    slow.released.set()
    return conversation, serving


@pytest.mark.parametrize("begins_meanwhile", [True, False])
async def test_a_stand_in_is_sent_what_its_money_is_held_for(
    app: App, acme: Tenant, bank: Bank, slow: Slow, limit: Limit, *, begins_meanwhile: bool
) -> None:
    """On the rung the prompt is shortened, and so little is held. It was sent as long as it had come."""
    make: Callable[[], Awaitable[None]] = partial(limit, {"rung": "compress"})
    if not begins_meanwhile:
        await make()
    body = chat(model="first", max_tokens=20, messages=[{"role": "user", "content": WIDE}])
    answer, serving = await ask_meanwhile(app, acme, slow, body, make if begins_meanwhile else None)
    await serving
    assert (answer.status, answer.headers["x-costhub-model"]) == (200, "second")
    assert {one["messages"][0]["content"] for one in slow.bodies} == {WIDE}
    (sent,) = [one.json for one in await in_thread(bank.calls_received) if one.json["model"] == "second"]
    assert sent["messages"][0]["content"] == TIDY
    before, _, after = answer.headers["x-costhub-compression"].partition(">")
    assert int(before) > int(after)
    await written(app)
    row = next(row for row in events_of(acme) if row["request_model"] == "first")
    assert row["savings"]["compression"] == (int(before) - int(after)) * 300
    assert row["effective_cost"] <= row["held"]


async def test_a_stand_in_that_came_with_a_rung_is_read_to_its_end(
    app: App, acme: Tenant, slow: Slow, limit: Limit
) -> None:
    """The model's own fallback does not bill what nobody waits for; the one that the rung names does."""
    await limit({"rung": "cheaper_model", "model": "cheap"})
    body = chat(model="first", max_tokens=20, stream=True, bank={"output_tokens": 12, "pace_ms": 5})
    answer, serving = await ask_meanwhile(app, acme, slow, body)
    await answer.has_begun.wait()
    answer.incoming.put_nowait({"type": "http.disconnect"})
    await serving
    await written(app)
    row = next(row for row in events_of(acme) if row["request_model"] == "first")
    assert row["attempts"][-1]["model"] == "cheap"
    assert (row["status"], row["output_tokens"], row["is_estimated"]) == (200, 12, False)
