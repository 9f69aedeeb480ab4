"""What breaks around the cache is a miss: servers that hang, evict or are full, clocks that step, entries that are not
what they were, prompts that nothing can be made of, and tenants who go."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
import redis
from django.conf import settings
from prometheus_client import REGISTRY

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from costhub.stack.valkey import Valkey
from proxy.app import App
from proxy.cache.entries import pack
from proxy.cache.model import CacheAnswer, CacheEntry, CacheLookup
from proxy.cache.semantic import Semantic
from tenants.access import org_scope
from tenants.choices import CacheMode
from tenants.models import Organization
from tenants.sealed_rows import Sealer
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.cache.calls import call, make_policy, written
from tests.proxy.cache.examples import make_kept
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.proxy.test_deaths import pid_of, stack, stopped
from tests.stack_fixtures import TestStack
from tests.world import Tenant, World, make_catalog

__all__ = ["stack"]

#: 8 words in at 0.15, 12 out at 0.60 USD a million
COST = 8_400
HOUR_MS = 3_600_000
FRANCE = "What is the capital city of France?"
EXACT = {"x_costhub_cache_control": "exact-only"}
LIKE_FRANCE = "Which city is the capital of France?"


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose calls may be answered from every level."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    make_policy(committed_world.acme, semantic=CacheMode.ON)
    return committed_world.acme


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """An application that has time for its model and for Valkey, and re-checks nothing."""
    monkeypatch.setattr(settings, "CACHE_TIMEOUT_MS", 5_000)
    app = App()
    await app.open()
    level_of(app)._deadline = 60
    level_of(app)._draw = lambda: 1.0
    yield app
    await app.close()


@pytest.fixture
def evicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A Valkey for answers alone, of a few megabytes, which gives up what was used least; workers keep nothing."""
    valkey = Valkey(tmp_path)
    try:
        valkey.start()
        valkey.wait_ready()
        monkeypatch.setattr(settings, "CACHE_URL", valkey.url)
        monkeypatch.setattr(settings, "CACHE_PROCESS_BYTES", 0)
        monkeypatch.setattr(settings, "CACHE_TIMEOUT_MS", 5_000)
        with redis.Redis.from_url(valkey.url) as server:
            server.config_set("maxmemory-policy", "allkeys-lru")
            server.config_set("maxmemory", server.info("memory")["used_memory"] + 3_000_000)
            yield server
    finally:
        valkey.stop()


def level_of(app: App) -> Semantic:
    assert app._edges is not None
    assert app._edges.cache.semantic is not None
    return app._edges.cache.semantic


def ask(question: str, system: str = "Be brief.") -> dict[str, Any]:
    return chat(messages=[{"role": "system", "content": system}, {"role": "user", "content": question}])


async def status_of(app: App, tenant: Tenant, body: dict[str, Any], **headers: str) -> str:
    answer = await call(app, tenant, body, **headers)
    assert answer.status == 200, answer.body
    while level_of(app)._learning:
        await asyncio.wait(level_of(app)._learning)
    return answer.headers["x-costhub-cache"]


def failures(part: str) -> float:
    return REGISTRY.get_sample_value("costhub_cache_failures_total", {"part": part}) or 0.0


def occupy_model(app: App) -> Callable[[], None]:
    """Keep the model's thread busy: look-ups wait for their vectors until the function that this gives is called."""
    may_go = threading.Event()
    level_of(app)._embedder._thread.submit(may_go.wait, 30)
    return may_go.set


async def begin(app: App, tenant: Tenant, body: dict[str, Any]) -> "asyncio.Task[Conversation]":
    """A call that is in the middle of its look-up by meaning."""
    embedder = level_of(app)._embedder
    calling = asyncio.create_task(serve(app, converse(tenant.api_key, body)))
    await until(lambda: bool(embedder._waiting) or embedder._is_running)
    return calling


async def test_while_postgresql_hangs_equal_calls_are_answered_and_others_made(
    app: App, acme: Tenant, stack: TestStack
) -> None:
    level = level_of(app)
    assert await status_of(app, acme, ask(FRANCE)) == "miss"
    before = failures("deadline")
    # Its threads connect anew, as they do after a while: nobody answers there.
    await level._disconnect()
    with stopped(pid_of(stack.postgres)):
        assert await status_of(app, acme, ask(FRANCE)) == "hit-l1"
        app._edges.cache.process.__init__(64 * 1024 * 1024)  # type: ignore[misc, union-attr]
        assert await status_of(app, acme, ask(FRANCE)) == "hit-l2"
        level._deadline = 1
        asked = [ask(f"Which {word} is the capital of France?") for word in ("town", "place", "city")]
        assert await asyncio.gather(*(status_of(app, acme, body) for body in asked)) == ["miss"] * 3
        # Three in a row: who asks next does not wait for the deadline.
        level._deadline = 60
        level._again_ns += 20 * 10**9
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await status_of(app, acme, ask("Where is the Eiffel tower?")) == "miss"
    assert failures("deadline") == before + 4
    await written(app)
    assert {row["status"] for row in events_of(acme)} == {200}


async def test_what_a_server_evicts_is_a_miss_and_accounts_lose_nothing(evicting: redis.Redis, acme: Tenant) -> None:
    app = App()
    await app.open()
    try:
        found = [await status_of(app, acme, chat(), **EXACT) for _ in range(2)]
        (kept,) = evicting.keys("costhub:cache:*")
        while evicting.exists(kept):
            # What was used last longest ago goes first, of a few that are looked at: it may take a while.
            evicting.set(keyspace.cached_key(token_bytes(20)), pack(make_kept(os.urandom(100_000))))
        found += [await status_of(app, acme, chat(), **EXACT) for _ in range(2)]
        assert found == ["miss", "hit-l2", "miss", "hit-l2"]
        assert evicting.info("stats")["evicted_keys"] > 0
        # One that is full and may give up nothing refuses: calls are made, and not kept.
        before = failures("valkey")
        evicting.config_set("maxmemory-policy", "noeviction")
        evicting.config_set("maxmemory", 1_000)
        assert [await status_of(app, acme, chat(x=1), **EXACT) for _ in range(2)] == ["miss", "miss"]
        assert failures("valkey") > before
        await written(app)
    finally:
        await app.close()
    assert [row["effective_cost"] for row in events_of(acme)] == [COST, 0, COST, 0, COST, COST]
    assert client().info("stats")["evicted_keys"] == 0


async def test_a_model_that_cannot_be_loaded_is_counted_and_not_asked_again_for_a_while(app: App, acme: Tenant) -> None:
    tries: list[None] = []

    def fail() -> None:
        tries.append(None)
        raise MemoryError

    level_of(app)._embedder._load = fail  # type: ignore[assignment]
    before = failures("embedder")
    assert [await status_of(app, acme, ask(question)) for question in (FRANCE, LIKE_FRANCE)] == ["miss", "miss"]
    assert (len(tries), failures("embedder") - before) == (1, 1)


async def test_a_slow_model_holds_up_no_call_for_longer_than_the_deadline(app: App, acme: Tenant) -> None:
    assert await status_of(app, acme, ask(FRANCE)) == "miss"
    level_of(app)._deadline = 0.05
    let_go, before = occupy_model(app), failures("deadline")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await call(app, acme, ask(LIKE_FRANCE))
        assert (answer.status, answer.headers["x-costhub-cache"]) == (200, "miss")
    finally:
        let_go()
    assert failures("deadline") == before + 1


async def test_clocks_that_step_make_nothing_live_longer(
    app: App, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clock.now_ms
    assert [await status_of(app, acme, chat(), **EXACT) for _ in range(2)] == ["miss", "hit-l1"]
    monkeypatch.setattr(clock, "now_ms", lambda: real() + 2 * HOUR_MS)
    assert [await status_of(app, acme, chat(), **EXACT) for _ in range(2)] == ["miss", "hit-l1"]
    # Back: what was kept meanwhile is from the future.
    monkeypatch.setattr(clock, "now_ms", real)
    assert [await status_of(app, acme, chat(), **EXACT) for _ in range(2)] == ["miss", "hit-l1"]


async def test_an_entry_under_another_calls_key_is_not_served(app: App, acme: Tenant) -> None:
    assert app._edges is not None
    store, sealer = app._edges.cache.valkey, Sealer(acme.org_id, bytes(acme.org.data_key))

    def read(name: str) -> bytes:
        found = client().get(name)
        assert isinstance(found, bytes)
        return found

    def list_keys() -> set[str]:
        pattern = keyspace.cached_key(b"").rstrip("}") + "*"
        return {name.decode() if isinstance(name, bytes) else name for name in client().keys(pattern)}

    async def kept() -> set[str]:
        # What is kept is not awaited, but stands in line before this.
        await store.find([b""], sealer)
        return await in_thread(list_keys)

    before = await kept()
    assert await status_of(app, acme, ask("Where is Rome?"), **EXACT) == "miss"
    (rome,) = await kept() - before
    assert await status_of(app, acme, ask("Where is Rome?", system="Lie."), **EXACT) == "miss"
    (lie,) = await kept() - before - {rome}
    client().set(rome, read(lie))
    app._edges.cache.process._slots.clear()
    assert await status_of(app, acme, ask("Where is Rome?"), **EXACT) == "miss"
    await kept()
    # Nor is one that was changed, or damaged.
    whole = read(rome)
    client().set(rome, whole[:-1] + bytes([whole[-1] ^ 1]))
    app._edges.cache.process._slots.clear()
    assert await status_of(app, acme, ask("Where is Rome?"), **EXACT) == "miss"
    await kept()
    client().set(rome, b"\x00" + read(rome))
    app._edges.cache.process._slots.clear()
    assert await status_of(app, acme, ask("Where is Rome?"), **EXACT) == "miss"
    await kept()
    app._edges.cache.process._slots.clear()
    assert await status_of(app, acme, ask("Where is Rome?"), **EXACT) == "hit-l2"


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 20}}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([{"type": "text", "text": "What is this?"}, PICTURE], ["miss", "hit-l1"]),
        ("word " * 20_000, ["miss", "hit-l1"]),
        ("\x00\x01\x7f " * 50, ["miss", "hit-l1"]),
        ("", ["miss", "hit-l1"]),
    ],
    ids=["picture", "huge", "binary", "empty"],
)
async def test_prompts_without_a_meaning_of_their_own_are_found_by_equality_only(
    app: App, acme: Tenant, content: Any, found: list[str]
) -> None:
    body = chat(messages=[{"role": "user", "content": content}])
    assert [await status_of(app, acme, body) for _ in range(2)] == found

    def lookups() -> list[str]:
        with org_scope(acme.org.pk):
            return list(CacheLookup.objects.filter(org_id=acme.org.pk).values_list("asked", flat=True))

    asked = await in_thread(lookups)
    assert asked == []


async def test_half_a_character_has_no_key_and_is_asked_every_time(app: App, acme: Tenant) -> None:
    raw = b'{"model":"small","messages":[{"role":"user","content":"\\ud83d"}]}'
    for _ in range(2):
        conversation = converse(acme.api_key)
        conversation.incoming = asyncio.Queue()
        conversation.incoming.put_nowait({"type": "http.request", "body": raw, "more_body": False})
        answer = await serve(app, conversation)
        assert answer.status in {200, 400}
        if answer.status == 200:
            assert answer.headers["x-costhub-cache"] == "bypass"


async def test_a_tenant_who_goes_in_the_middle_of_a_look_up(app: App, acme: Tenant) -> None:
    assert await status_of(app, acme, ask(FRANCE)) == "miss"
    before = failures("learning")
    let_go = occupy_model(app)
    calling = await begin(app, acme, ask(LIKE_FRANCE))

    def leave() -> None:
        with org_scope(acme.org.pk):
            for table in (CacheLookup, CacheEntry, CacheAnswer):
                table.objects.filter(org_id=acme.org.pk).delete()
            Organization.objects.filter(pk=acme.org.pk).update(is_active=False)

    try:
        await in_thread(leave)
    finally:
        let_go()
    answer = await calling
    # It was let in before, and is charged as any other.
    assert (answer.status, answer.headers["x-costhub-cache"]) == (200, "miss")
    while level_of(app)._learning:
        await asyncio.wait(level_of(app)._learning)
    assert failures("learning") == before
    await written(app)
    assert [row["effective_cost"] > 0 for row in events_of(acme)] == [True, True]
