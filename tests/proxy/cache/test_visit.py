"""Calls that are answered from the first two levels: what callers see, what the ledger says, and what is never kept."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy import app as app_module
from proxy.app import App
from proxy.cache.key import make_key
from tenants.choices import BudgetAction, CacheMode, CacheSharing, PurgeKind
from tests.bank import Bank
from tests.patience import until
from tests.proxy.cache.calls import HELD, call, call_together, make_policy, purge, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.watched import watched
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

#: 8 words in at 0.15, 12 out at 0.60 USD a million
COST = 8_400


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, with a model that costs 0.15 and 0.60 USD a million."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
def cached(acme: Tenant) -> Tenant:
    """Acme, whose calls may all be answered from the cache."""
    make_policy(acme)
    return acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


@pytest.fixture
async def other_app() -> AsyncIterator[App]:
    """Another worker, whose memory is its own."""
    app = App()
    await app.open()
    yield app
    await app.close()


def status_of(answer: Conversation) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-costhub-cache"]


async def statuses(app: App, tenant: Tenant, *bodies: dict[str, Any], **headers: str) -> list[str]:
    return [status_of(await call(app, tenant, body, **headers)) for body in bodies]


def rows_of(tenant: Tenant, answers: Sequence[Conversation]) -> list[dict[str, Any]]:
    """The rows of some calls, in the order of the calls; there are no others."""
    rows = {row["id"]: row for row in events_of(tenant)}
    assert len(rows) == len(answers)
    return [rows[answer.headers["x-request-id"]] for answer in answers]


@pytest.mark.parametrize(("words", "on_the_loop"), [(1, 2), (20_000, 0)])
async def test_what_a_long_call_is_kept_under_is_found_beside_the_loop(
    app: App, cached: Tenant, words: int, on_the_loop: int
) -> None:
    body = chat(messages=[{"role": "system", "content": "word " * words}, {"role": "user", "content": "Hi"}])
    with watched(make_key) as seen:
        assert await statuses(app, cached, body, body) == ["miss", "hit-l1"]
    assert len(seen) == on_the_loop


MONEY = ("cache_status", "list_cost", "effective_cost", "savings")


async def test_a_miss_then_this_worker_then_another(app: App, other_app: App, cached: Tenant) -> None:
    first, second = await call(app, cached, chat()), await call(app, cached, chat())
    third, fourth = await call(other_app, cached, chat()), await call(other_app, cached, chat())
    answers = (first, second, third, fourth)
    assert [status_of(answer) for answer in answers] == ["miss", "hit-l1", "hit-l2", "hit-l1"]
    assert len({answer.body for answer in answers}) == 1
    assert [answer.headers["x-costhub-cost"] for answer in answers] == ["0.000008400", *["0.000000000"] * 3]
    assert [answer.headers["x-costhub-savings"] for answer in answers] == ["0.000000000", *["0.000008400"] * 3]
    assert second.headers["x-costhub-route"] == f"cached: {first.headers['x-request-id']}"
    assert second.headers["age"] == "0"
    assert "age" not in first.headers
    await written(app)
    await written(other_app)
    saved = {"cache": COST}
    rows = rows_of(cached, answers)
    assert [tuple(row[name] for name in MONEY) for row in rows] == [
        ("miss", COST, COST, {}),
        ("hit-l1", COST, 0, saved),
        ("hit-l2", COST, 0, saved),
        ("hit-l1", COST, 0, saved),
    ]
    hit = rows[1]
    assert (hit["status"], hit["finish_reason"], hit["attempts"], hit["input_tokens"]) == (200, "stop", [], 0)


async def test_calls_that_chance_holds_out_are_made_and_kept(app: App, acme: Tenant, bank: Bank) -> None:
    """Half of forty equal calls: each of them is paid, and those that were not held out find an answer."""
    await in_thread(lambda: make_policy(acme, holdout_percent=50))
    found = Counter(await statuses(app, acme, *[chat()] * 40))
    assert found.keys() <= {"held-out", "hit-l1", "miss"}
    assert found["miss"] <= 1
    assert 0 < found["held-out"] < 40
    assert len(await in_thread(bank.calls_received)) == found["held-out"] + found["miss"]
    await written(app)
    for row in events_of(acme):
        hit = row["cache_status"] == "hit-l1"
        assert (row["effective_cost"], row["savings"]) == ((0, {"cache": COST}) if hit else (COST, {}))


async def test_a_watching_policy_holds_nothing_out(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_policy(acme, CacheMode.SHADOW, holdout_percent=50))
    assert set(await statuses(app, acme, *[chat()] * 20)) == {"miss", "shadow-hit-l1"}


async def test_on_the_rung_of_cached_answers_nothing_is_held_out(app: App, acme: Tenant) -> None:
    """Else a call that the cache can answer would be refused."""
    await in_thread(lambda: make_policy(acme, holdout_percent=50))
    ladder = [{"at": 1, "rung": "cache_only"}]
    await in_thread(lambda: make_budget(acme, "0.0001", action=BudgetAction.DEGRADE, ladder=ladder))
    # Missed or held out, its answer is kept, and what it costs is more than a hundredth of the budget.
    await statuses(app, acme, chat())
    assert await statuses(app, acme, *[chat()] * 20) == ["hit-l1"] * 20


async def test_a_stream_is_replayed_as_a_stream(app: App, cached: Tenant) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    first, second = await call(app, cached, body), await call(app, cached, body)
    assert [status_of(first), status_of(second)] == ["miss", "hit-l1"]
    assert second.headers["content-type"] == "text/event-stream"
    # The same events, but for what the call cost, which stands in the last one and behind it.
    assert first.body.partition(b'"costhub"')[0] == second.body.partition(b'"costhub"')[0]
    assert b'"costhub":{"cost":"0.000000000","list_cost":"0.000008400"' in second.body
    assert second.body.endswith(b"data: [DONE]\n\n")
    assert b": x-costhub-savings: 0.000008400\n" in second.body
    # A whole answer is another one, and so is a stream without its report.
    assert await statuses(app, cached, chat(), chat(stream=True)) == ["miss", "miss"]


async def test_a_stream_is_replayed_at_the_pace_of_its_policy(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_policy(acme, replay_ms=4))
    body = chat(stream=True, stream_options={"include_usage": True})
    first = await call(app, acme, body)
    began = clock.monotonic_ns()
    second = await call(app, acme, body)
    took_ms = (clock.monotonic_ns() - began) / 1e6
    assert [status_of(first), status_of(second)] == ["miss", "hit-l1"]
    assert second.body.partition(b'"costhub"')[0] == first.body.partition(b'"costhub"')[0]
    parts = [message["body"] for message in second.sent[1:]]
    events = first.body.partition(b'"costhub"')[0].count(b"\n\n")
    # The report of usage ends the stream, with what comes behind it.
    assert [part.count(b"\n\n") for part in parts[:events]] == [1] * events
    assert b"[DONE]" in parts[events]
    assert took_ms >= (events - 1) * 4
    await written(app)
    row = rows_of(acme, [first, second])[1]
    # Waiting on purpose is no overhead.
    assert row["duration_us"] - row["overhead_us"] >= (events - 1) * 4_000


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.9},
        {"max_tokens": 5},
        {"max_tokens": 5, "n": 2},
        {"bank": {"fault": "no_usage"}, "n": 3, "max_tokens": 4, "stream": True},
    ],
)
async def test_what_asks_for_variety_or_was_cut_is_never_kept(app: App, cached: Tenant, fields: dict[str, Any]) -> None:
    assert "hit-l1" not in await statuses(app, cached, chat(**fields), chat(**fields))


@pytest.mark.parametrize("fault", ["error_event", "eof", "http_500", "not_json"])
@pytest.mark.parametrize("is_stream", [True, False])
async def test_what_failed_is_never_kept(app: App, cached: Tenant, fault: str, is_stream: bool) -> None:
    body = chat(stream=is_stream)
    for _ in range(2):
        await call(app, cached, body | {"bank": {"fault": fault}})
    await written(app)
    assert {row["cache_status"] for row in events_of(cached)} == {"miss"}
    assert all(row["savings"] == {} for row in events_of(cached))


async def test_no_policy_no_cache(app: App, acme: Tenant) -> None:
    assert await statuses(app, acme, chat(), chat()) == ["bypass", "bypass"]


async def test_a_models_own_policy_has_the_word(app: App, cached: Tenant) -> None:
    await in_thread(lambda: make_policy(cached, CacheMode.SHADOW, model="small"))
    await told(app, cached)
    assert await statuses(app, cached, chat(), chat()) == ["miss", "shadow-hit-l1"]


async def test_one_that_is_off_is_off_beside_one_of_every_model(app: App, cached: Tenant) -> None:
    await in_thread(lambda: make_policy(cached, CacheMode.OFF, model="small"))
    await told(app, cached)
    assert await statuses(app, cached, chat(), chat()) == ["bypass", "bypass"]


async def test_shadow_asks_the_upstream_and_says_what_a_hit_would_have_been(
    app: App, other_app: App, acme: Tenant
) -> None:
    await in_thread(lambda: make_policy(acme, CacheMode.SHADOW))
    assert await statuses(app, acme, chat(), chat()) == ["miss", "shadow-hit-l1"]
    assert await statuses(other_app, acme, chat()) == ["shadow-hit-l2"]
    await written(app)
    await written(other_app)
    assert {row["effective_cost"] for row in events_of(acme)} == {COST}


@pytest.mark.parametrize(
    ("control", "found"),
    [
        ("no-cache", ["miss", "bypass", "hit-l1"]),
        ("no-store", ["miss", "hit-l1", "hit-l1"]),
        ("no-cache, no-store", ["miss", "bypass", "hit-l1"]),
        ("max-age=60", ["miss", "hit-l1", "hit-l1"]),
        ("max-age=0", ["miss", "miss", "hit-l1"]),
    ],
)
async def test_a_caller_has_a_say(app: App, cached: Tenant, control: str, found: list[str]) -> None:
    plain = chat(x=control)
    first = await statuses(app, cached, plain)
    await next_millisecond()
    second = await statuses(app, cached, plain, x_costhub_cache_control=control)
    assert first + second + await statuses(app, cached, plain) == found


async def test_what_shall_not_be_kept_is_not(app: App, cached: Tenant) -> None:
    assert await statuses(app, cached, chat(), x_costhub_cache_control="no-store") == ["miss"]
    assert await statuses(app, cached, chat()) == ["miss"]


async def test_nonsense_about_the_cache_is_refused(app: App, cached: Tenant) -> None:
    answer = await call(app, cached, chat(), x_costhub_cache_control="max-age=soon")
    assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "x-costhub-cache-control")


async def test_a_hit_needs_no_room_in_a_budget(app: App, cached: Tenant) -> None:
    await in_thread(lambda: make_budget(cached, "0.000025"))
    assert await statuses(app, cached, chat(max_tokens=13)) == ["miss"]
    refused = await call(app, cached, chat(max_tokens=13, x=1))
    assert refused.status == 402
    assert await statuses(app, cached, chat(max_tokens=13)) == ["hit-l1"]


async def test_a_hit_is_a_request_and_no_tokens(app: App, cached: Tenant) -> None:
    await in_thread(lambda: make_rate_limit(cached, 2))
    first, second, third = [await call(app, cached, chat()) for _ in range(3)]
    assert [status_of(first), status_of(second), third.status] == ["miss", "hit-l1", 429]
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    await written(app)
    rows = rows_of(cached, [first, second, third])
    assert [(row["status"], row["effective_cost"], row["savings"]) for row in rows] == [
        (200, COST, {}),
        (200, 0, {"cache": COST}),
        (429, 0, {}),
    ]
    # Others share the shard, and may hold something.
    leases = client().zrange(keyspace.leases_key(keyspace.shard_of(cached.org_id)), 0, -1)
    assert not {row["id"].encode() for row in rows} & {*leases}


class TestPurges:
    async def test_nobody_gets_what_was_given_up(self, app: App, other_app: App, cached: Tenant) -> None:
        assert await statuses(app, cached, chat(), chat()) == ["miss", "hit-l1"]
        await next_millisecond()
        await in_thread(lambda: purge(cached))
        await told(app, cached)
        await told(other_app, cached)
        assert await statuses(other_app, cached, chat()) == ["miss"]
        assert await statuses(app, cached, chat()) == ["hit-l2"]

    async def test_one_entry_goes_and_others_stay(self, app: App, cached: Tenant) -> None:
        first = await call(app, cached, chat())
        await call(app, cached, chat(x=2))
        await next_millisecond()
        await in_thread(lambda: purge(cached, PurgeKind.ENTRY, subject=first.headers["x-request-id"]))
        await told(app, cached)
        assert await statuses(app, cached, chat(), chat(x=2)) == ["miss", "hit-l1"]


async def test_tenants_and_circles_are_apart(app: App, committed_world: World, cached: Tenant, bank: Bank) -> None:
    mallcorp = committed_world.mallcorp
    await in_thread(lambda: (make_catalog(mallcorp, base_url=bank.base_url), make_policy(mallcorp)))
    assert await statuses(app, cached, chat()) == ["miss"]
    assert await statuses(app, mallcorp, chat()) == ["miss"]
    await in_thread(lambda: make_policy(cached, model="small", sharing=CacheSharing.END_USER))
    await told(app, cached)
    assert await statuses(app, cached, chat(), x_costhub_user="ben") == ["miss"]
    assert await statuses(app, cached, chat(), x_costhub_user="ada") == ["miss"]
    assert await statuses(app, cached, chat(), x_costhub_user="ben") == ["hit-l1"]


class TestCoalescing:
    SLOW = chat(bank={"first_ms": 300})

    async def test_equal_calls_at_once_are_one_upstream_call(
        self, app: App, other_app: App, cached: Tenant, bank: Bank
    ) -> None:
        before = await in_thread(lambda: len(list(bank.bill())))
        body = chat(bank=HELD)
        answers = await call_together((app, other_app), 25, lambda each: call(each, cached, body), bank)
        assert sorted(map(status_of, answers)) == ["coalesced"] * 49 + ["miss"]
        assert len({answer.body for answer in answers}) == 1
        assert await in_thread(lambda: len(list(bank.bill()))) == before + 1
        await written(app)
        await written(other_app)
        rows = events_of(cached)
        assert len({row["id"] for row in rows}) == 50
        assert sum(row["effective_cost"] for row in rows) == COST
        assert sum(row["savings"].get("coalescing", 0) for row in rows) == 49 * COST
        assert all(row["list_cost"] == COST for row in rows)

    async def test_a_leader_who_leaves_is_read_to_the_end_for_others(
        self, app: App, cached: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app_module, "LEAVE_AFTER_SECONDS", 0)
        before = await in_thread(lambda: len(list(bank.bill())))
        body = chat(bank=HELD)
        leader = converse(cached.api_key, body)
        leading = asyncio.create_task(serve(app, leader))
        await until(lambda: flights(app) == 1)
        is_followed = watch_for_a_follower(app)
        following = asyncio.create_task(call(app, cached, body))
        await until(is_followed)
        leader.incoming.put_nowait({"type": "http.disconnect"})
        await in_thread(bank.let_go)
        assert status_of(await following) == "coalesced"
        await leading
        assert await in_thread(lambda: len(list(bank.bill()))) == before + 1
        await written(app)
        assert sorted(row["effective_cost"] for row in events_of(cached)) == [0, COST]

    async def test_a_leader_who_leaves_alone_is_cancelled(self, app: App, cached: Tenant, bank: Bank) -> None:
        leader = converse(cached.api_key, chat(stream=True, bank={"output_tokens": 1_000, "pace_ms": 50}))
        leading = asyncio.create_task(serve(app, leader))
        await leader.has_begun.wait()
        leader.incoming.put_nowait({"type": "http.disconnect"})
        await leading
        await written(app)
        assert [(row["status"], row["error_code"]) for row in events_of(cached)] == [(499, "client_disconnected")]
        assert flights(app) == 0
        await in_thread(bank.wait_quiet)

    async def test_a_failure_is_everybodys_own(self, app: App, cached: Tenant) -> None:
        body = chat(bank={"first_ms": 100, "fault": "http_error", "status": 400})
        answers = await asyncio.gather(*(call(app, cached, body) for _ in range(5)))
        assert {answer.status for answer in answers} == {400}
        assert flights(app) == 0

    async def test_a_refused_leader_does_not_refuse_for_others(self, app: App, cached: Tenant) -> None:
        await in_thread(lambda: make_rate_limit(cached, 1))
        answers = await asyncio.gather(*(call(app, cached, self.SLOW) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [200, 429, 429]
        assert flights(app) == 0


async def next_millisecond() -> None:
    """Return in a later millisecond: what is kept now is older than what comes then."""
    now = clock.now_ms()
    await until(lambda: clock.now_ms() > now)


def watch_for_a_follower(app: App) -> Callable[[], bool]:
    """Gives what tells whether somebody waits for the one flight that is open: its leader is told to go on."""
    assert app._edges is not None
    (flight,) = app._edges.cache.flights._open.values()
    keep_going, followers = flight._keep_going, []

    def note() -> None:
        followers.append(flight)
        keep_going()

    flight._keep_going = note
    return lambda: bool(followers)


def flights(app: App) -> int:
    assert app._edges is not None
    return len(app._edges.cache.flights._open)
