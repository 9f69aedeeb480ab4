"""Answers to like questions, with the real model and the real tables."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from billing.cache.selectors import CacheStats, read_stats
from costhub.lib import clock
from proxy.app import App
from proxy.cache.semantic import Semantic
from proxy.ledger import recount
from tenants.access import org_scope
from tenants.choices import BudgetScope, CacheMode
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.books import open_holds, settle_the_dead
from tests.proxy.cache.calls import call, make_policy, told, written
from tests.proxy.cache.rows import read_entries, read_lookups
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, converse, events_of, serve
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

COST_OF_8_WORDS = 8_400


def ask(question: str, system: str = "Be brief.", **fields: object) -> dict[str, object]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"model": "small", "messages": messages, **fields}


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose calls may be answered by answers to like questions."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    make_policy(committed_world.acme, semantic=CacheMode.ON)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    """An application that has time for its model, and re-checks nothing."""
    app = App()
    await app.open()
    level_of(app)._deadline = 60
    level_of(app)._draw = lambda: 1.0
    yield app
    await app.close()


def level_of(app: App) -> Semantic:
    assert app._edges is not None
    assert app._edges.cache.semantic is not None
    return app._edges.cache.semantic


async def learned(app: App) -> None:
    """Return when all that is learned beside calls is written."""
    while level_of(app)._learning:
        await asyncio.wait(level_of(app)._learning)
    await written(app)


async def status_of(app: App, tenant: Tenant, body: dict[str, object], **headers: str) -> str:
    answer = await answer_to(app, tenant, body, **headers)
    return answer.headers["x-costhub-cache"]


async def answer_to(app: App, tenant: Tenant, body: dict[str, object], **headers: str) -> Conversation:
    answer = await call(app, tenant, body, **headers)
    assert answer.status == 200, answer.body
    await learned(app)
    return answer


def entries_of(tenant: Tenant) -> list[tuple[str, int]]:
    """Questions, each with the number of its answer."""
    return [(entry.question, entry.answer_id) for entry in read_entries(tenant)]


async def test_equal_calls_at_once_get_the_answer_to_a_like_question_but_for_who_wants_none_such(
    app: App, acme: Tenant
) -> None:
    first = await answer_to(app, acme, ask("What is the capital city of France?"))
    asked = ask("Which city is the capital of France?")
    leading = asyncio.create_task(call(app, acme, asked))
    await asyncio.sleep(0)  # it leads, and waits for its vector
    strict = asyncio.create_task(call(app, acme, asked, x_costhub_cache_control="exact-only"))
    followers = [asyncio.create_task(call(app, acme, asked)) for _ in range(2)]
    leader, alone, *others = await asyncio.gather(leading, strict, *followers)
    await learned(app)
    assert [each.headers["x-costhub-cache"] for each in (leader, *others)] == ["hit-semantic"] * 3
    assert alone.headers["x-costhub-cache"] == "miss"
    similarity = leader.headers["x-costhub-similarity"]
    assert [each.headers["x-costhub-similarity"] for each in others] == [similarity] * 2
    assert {each.body for each in (leader, *others)} == {first.body}

    def why() -> list[tuple[str, str]]:
        served = {str(one.request_id): one for one in read_lookups(acme) if one.was_served}
        assert served.keys() == {each.headers["x-request-id"] for each in (leader, *others)}
        return [(one.asked, one.kept_question) for one in served.values()]

    texts = ("Which city is the capital of France?", "What is the capital city of France?")
    assert await in_thread(why) == [texts] * 3


async def test_a_paraphrase_gets_the_answer_and_others_do_not(app: App, acme: Tenant) -> None:
    first = await answer_to(app, acme, ask("What is the capital city of France?"))
    like = await answer_to(app, acme, ask("Which city is the capital of France?"))
    assert (first.headers["x-costhub-cache"], like.headers["x-costhub-cache"]) == ("miss", "hit-semantic")
    assert like.body == first.body
    similarity = like.headers["x-costhub-similarity"]
    assert 0.83 <= float(similarity) < 1
    assert like.headers["x-costhub-route"] == (f"cached: {first.headers['x-request-id']}, similarity {similarity}")
    row = next(row for row in events_of(acme) if row["id"] == like.headers["x-request-id"])
    assert (row["cache_status"], row["effective_cost"]) == ("hit-semantic", 0)
    assert row["savings"] == {"cache": row["list_cost"]}
    # Near misses, other scopes, and those who want no like answer.
    others = [
        (ask("What is the capital city of Germany?"), {}),
        (ask("Which city is not the capital of France?"), {}),
        (ask("Which city is the capital of France?", system="Be long."), {}),
        (ask("Which city is the capital of France?", temperature=0.3), {}),
        (ask("Which city is France's capital?"), {"x_costhub_cache_control": "exact-only"}),
    ]
    assert [await status_of(app, acme, body, **headers) for body, headers in others] == ["miss"] * len(others)
    with_why = await in_thread(lambda: read_lookups(acme))
    assert [(one.asked, one.kept_question, one.was_served) for one in with_why[:2]] == [
        ("What is the capital city of France?", "", False),
        ("Which city is the capital of France?", "What is the capital city of France?", True),
    ]
    assert with_why[2].veto == "names"


async def test_shadow_serves_nothing_and_learns_whether_it_would_have_been_right(
    app: App, committed_world: World, bank: Bank
) -> None:
    mallcorp = committed_world.mallcorp
    await in_thread(lambda: make_catalog(mallcorp, base_url=bank.base_url))
    await in_thread(lambda: make_policy(mallcorp, semantic=CacheMode.SHADOW))
    assert await status_of(app, mallcorp, ask("What is the capital city of France?")) == "miss"
    assert await status_of(app, mallcorp, ask("Which city is the capital of France?")) == "shadow-hit-semantic"
    _, shadow = await in_thread(lambda: read_lookups(mallcorp))
    assert (shadow.was_served, shadow.is_shadow, shadow.right, shadow.share) == (True, True, True, 1.0)
    assert [row["effective_cost"] > 0 for row in events_of(mallcorp)] == [True, True]


async def test_some_hits_are_checked_against_the_upstream(app: App, acme: Tenant) -> None:
    await answer_to(app, acme, ask("What is the capital city of France?"))
    level_of(app)._draw = lambda: 0.0
    assert await status_of(app, acme, ask("Which city is the capital of France?")) == "recheck"
    checked = (await in_thread(lambda: read_lookups(acme)))[-1]
    assert (checked.was_served, checked.is_recheck, checked.right, checked.share) == (True, True, True, 0.02)
    # Both questions have one answer, as the upstream says the same to both.
    (first, one), (second, other) = await in_thread(lambda: entries_of(acme))
    assert (first != second, one == other) == (True, True)


async def test_nobody_else_finds_it(app: App, acme: Tenant, committed_world: World, bank: Bank) -> None:
    mallcorp = committed_world.mallcorp
    await in_thread(lambda: make_catalog(mallcorp, base_url=bank.base_url))
    await in_thread(lambda: make_policy(mallcorp, semantic=CacheMode.ON))
    assert await status_of(app, acme, ask("What is the capital city of France?")) == "miss"
    assert await status_of(app, mallcorp, ask("Which city is the capital of France?")) == "miss"


async def test_what_finding_an_answer_costs_is_in_the_books(app: App, acme: Tenant, bank: Bank) -> None:
    first = await answer_to(app, acme, ask("What is the capital city of France?"))
    cost = next(row["effective_cost"] for row in events_of(acme) if row["id"] == first.headers["x-request-id"])
    # One that has room for half of it, one of the model, and a window in which it is a request.
    await in_thread(lambda: make_budget(acme, "0.000000125"))
    await in_thread(lambda: make_budget(acme, "1", scope=BudgetScope.MODEL, subject="small"))
    await in_thread(lambda: make_rate_limit(acme, 2))
    await told(app, acme)
    level_of(app).lookup_cost = 250
    like = [await answer_to(app, acme, ask("Which city is the capital of France?")) for _ in range(2)]
    assert [one.headers["x-costhub-cache"] for one in like] == ["hit-semantic", "hit-semantic"]
    assert [one.headers["x-costhub-cost"] for one in like] == ["0.000000250"] * 2
    refused = await call(app, acme, ask("Which city is the capital of France?"))
    assert refused.status == 429
    ids = {one.headers["x-request-id"] for one in like}
    rows = [row for row in events_of(acme) if row["id"] in ids]
    assert [(row["list_cost"], row["effective_cost"], row["savings"], row["held"]) for row in rows] == [
        (cost, 250, {"cache": cost - 250}, 250)
    ] * 2
    await in_thread(settle_the_dead)
    assert await in_thread(lambda: (open_holds(acme.org), recount.find_drift(acme.org.shard))) == ([], [])

    def sums() -> CacheStats:
        with org_scope(acme.org.pk):
            now = clock.now()
            return read_stats(acme.owner, now - timedelta(days=1), now + timedelta(days=1))

    stats = await in_thread(sums)
    assert [(one.status, one.requests, one.effective_cost, one.saved) for one in stats.levels] == [
        ("hit-semantic", 2, 500, 2 * (cost - 250)),
        ("miss", 1, cost, 0),
    ]


async def test_too_late_is_a_miss_whose_answer_is_kept_and_compared(app: App, acme: Tenant) -> None:
    await answer_to(app, acme, ask("What is the capital city of France?"))
    level_of(app)._deadline = 0
    assert await status_of(app, acme, ask("Which city is the capital of France?")) == "miss"
    late = (await in_thread(lambda: read_lookups(acme)))[-1]
    assert (late.kept_question, late.was_served, late.right) == ("What is the capital city of France?", False, True)
    (first, one), (second, other) = await in_thread(lambda: entries_of(acme))
    assert {first, second} == {"What is the capital city of France?", "Which city is the capital of France?"}
    assert one == other


async def test_a_model_that_fails_is_a_miss(app: App, acme: Tenant) -> None:
    def fail() -> None:
        raise MemoryError

    level_of(app)._embedder._load = fail  # type: ignore[assignment]
    assert await status_of(app, acme, ask("What is the capital city of France?")) == "miss"
    assert await in_thread(lambda: read_lookups(acme)) == []


async def test_who_leaves_while_like_questions_are_looked_up_holds_up_nobody(app: App, acme: Tenant) -> None:
    assert app._edges is not None
    level, flights = level_of(app), app._edges.cache.flights
    may_go = threading.Event()
    # The model's thread is busy: the look-up waits for its vector.
    level._embedder._thread.submit(may_go.wait, 30)
    leader = converse(acme.api_key, ask("Where is the Eiffel tower?"))
    leading = asyncio.create_task(serve(app, leader))
    await until(lambda: bool(level._embedder._waiting) or level._embedder._is_running)
    leader.incoming.put_nowait({"type": "http.disconnect"})
    await leading
    may_go.set()
    assert flights._open == {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await status_of(app, acme, ask("Where is the Eiffel tower?")) == "miss"
