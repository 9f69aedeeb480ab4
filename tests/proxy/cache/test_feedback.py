"""What applications say of answers, why they got them, and the ladder's rung on which only the cache answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from billing.cache.selectors import explain, list_entries, read_shadow_report, read_stats
from costhub.lib import clock
from costhub.lib.errors import NotFound
from proxy import tasks
from proxy.app import App
from proxy.feedback import LONGEST_CALL_MS
from proxy.routing.model import Feedback
from tenants.access import org_scope
from tenants.actions.cache import update_cache_policy
from tenants.choices import BudgetAction, CacheMode
from tenants.models import CachePolicy, CachePurge
from tenants.periods import period_bounds
from tests.bank import Bank
from tests.patience import until
from tests.proxy.cache.calls import call, make_policy, told
from tests.proxy.cache.test_semantic import answer_to, app, ask, status_of
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.world import Api, Tenant, World, make_budget, make_catalog

__all__ = ["app"]


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose calls may be answered by answers to like questions."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    make_policy(committed_world.acme, semantic=CacheMode.ON)
    return committed_world.acme


async def say(app: App, tenant: Tenant, request_id: str, body: Any) -> Conversation:
    path = f"/v1/costhub/requests/{request_id}/feedback"
    return await serve(app, converse(tenant.api_key, body, path=path))


async def test_a_wrong_answer_is_told_explained_and_given_up(
    app: App, acme: Tenant, committed_world: World, bank: Bank
) -> None:
    first = await answer_to(app, acme, ask("What is the capital city of France?"))
    like = await answer_to(app, acme, ask("Which city is the capital of France?"))
    again = await answer_to(app, acme, ask("What is the capital city of France?"))
    assert [each.headers["x-costhub-cache"] for each in (first, like, again)] == ["miss", "hit-semantic", "hit-l1"]
    first_id, like_id = first.headers["x-request-id"], like.headers["x-request-id"]

    # Nobody else can say anything about it, nor is nonsense taken.
    mallcorp = committed_world.mallcorp
    await in_thread(lambda: make_catalog(mallcorp, base_url=bank.base_url))
    assert (await say(app, mallcorp, like_id, {"verdict": "wrong"})).status == 404
    assert (await say(app, acme, "nothing", {"verdict": "wrong"})).status == 404
    for body in ({"verdict": "bad"}, {}, ["wrong"], None):
        assert (await say(app, acme, like_id, body)).status == 400
    assert (await answer_to(app, acme, ask("Which city is the capital of France?"))).headers[
        "x-costhub-cache"
    ] == "hit-semantic"

    taken = await say(app, acme, like_id, {"verdict": "wrong"})
    assert json.loads(taken.body) == {
        "object": "costhub.feedback",
        "request": like_id,
        "verdict": "wrong",
        "cache_status": "hit-semantic",
    }
    await until(lambda: knows_a_purge(app, acme))
    # The entry is gone at every level; what it taught stays.
    assert await status_of(app, acme, ask("What is the capital city of France?")) == "miss"

    def look() -> tuple[Any, ...]:
        tasks.drain_ledger()
        with org_scope(acme.org.pk):
            why, exact = explain(acme.owner, like_id), explain(acme.owner, again.headers["x-request-id"])
            start, end = period_bounds("day", clock.now(), "UTC")
            return why, exact, read_stats(acme.owner, start, end), read_shadow_report(acme.owner)

    why, exact, stats, report = await in_thread(look)
    assert (why["cache_status"], str(why["entry"])) == ("hit-semantic", first_id)
    assert (why["lookup"].asked, why["lookup"].kept_question, why["lookup"].right) == (
        "Which city is the capital of France?",
        "What is the capital city of France?",
        False,
    )
    assert (str(exact["entry"]), exact["lookup"]) == (first_id, None)
    assert [(level.status, level.requests) for level in stats.levels] == [
        ("hit-l1", 1),
        ("hit-semantic", 2),
        ("miss", 2),
    ]
    assert (stats.looked_up, stats.hits, stats.hit_rate_per_mille) == (5, 3, 600)
    rows = events_of(acme) or await in_thread(lambda: ledger_rows(acme))
    assert stats.saved == sum(row["savings"].get("cache", 0) for row in rows) > 0
    assert (report.would_serve, report.wrong) == (2, 1)


def ledger_rows(tenant: Tenant) -> list[dict[str, Any]]:
    from proxy.models import LedgerEntry

    with org_scope(tenant.org.pk):
        return [{"savings": row.savings} for row in LedgerEntry.objects.filter(org_id=tenant.org.pk)]


def knows_a_purge(app: App, tenant: Tenant) -> bool:
    assert app._edges is not None
    catalog = app._edges.catalog
    org = catalog._orgs.get(tenant.org_id)
    assert org is not None
    return catalog._versions[tenant.org_id] > org.version


async def test_entries_through_the_api(app: App, acme: Tenant) -> None:
    first = await answer_to(app, acme, ask("What is the capital city of France?"), x_costhub_tags="team=search")
    ada = Api(token=acme.admin_token)

    def use_api() -> None:
        (entry,) = ada.get("/cache/entries").json()["data"]
        assert (entry["id"], entry["question"], entry["tags"]) == (
            first.headers["x-request-id"],
            "What is the capital city of France?",
            ["team=search"],
        )
        assert ada.get(f"/cache/entries/{entry['id']}").json() == entry
        assert ada.delete(f"/cache/entries/{entry['id']}").status_code == 204
        assert ada.get(f"/cache/entries/{entry['id']}").status_code == 404
        assert ada.get("/cache/stats").json()["looked_up"] == 0
        assert ada.get("/cache/shadow").json()["lookups"] == 1
        assert ada.get("/cache/requests/nothing").status_code == 404
        with org_scope(acme.org.pk):
            assert not list_entries(acme.owner).exists()
            with pytest.raises(NotFound):
                explain(acme.owner, first.headers["x-request-id"][:-1] + "0")

    await in_thread(use_api)
    await told(app, acme)
    assert await status_of(app, acme, ask("Which city is the capital of France?")) == "miss"


async def test_what_was_never_kept_is_not_given_up(app: App, acme: Tenant) -> None:
    never = await answer_to(app, acme, chat(temperature=1.5))
    replayed = [await answer_to(app, acme, chat(), idempotency_key="one") for _ in range(2)][1]
    old = await answer_to(app, acme, chat(n=1, user="old"))
    assert [each.headers.get("x-costhub-cache") for each in (never, old)] == ["bypass", "hit-l1"]
    for answer in (never, replayed):
        assert (await say(app, acme, answer.headers["x-request-id"], {"verdict": "wrong"})).status == 200
    assert await in_thread(lambda: purges_of(acme)) == []
    # Nor what is too old to be given again.
    await in_thread(lambda: shorten_ttl(acme))
    await told(app, acme)
    clock_of = clock.now_ms
    later = clock_of() + LONGEST_CALL_MS + 2_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_ms", lambda: later)
        assert (await say(app, acme, old.headers["x-request-id"], {"verdict": "wrong"})).status == 200
    assert await in_thread(lambda: purges_of(acme)) == []


async def test_what_is_said_is_written_where_there_is_no_room_for_one_more_purge(
    app: App, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenants.actions.cache.MAX_ENTRY_PURGES", 1)
    first, second = [await answer_to(app, acme, chat(x=number)) for number in range(2)]
    said = [await say(app, acme, each.headers["x-request-id"], {"verdict": "wrong"}) for each in (first, second)]
    assert [each.status for each in said] == [200, 403]
    assert json.loads(said[1].body)["error"]["code"] == "too_many_purges"

    def words() -> dict[str, bool]:
        with org_scope(acme.org.pk):
            return {str(one.request_id): one.is_right for one in Feedback.objects.filter(org=acme.org)}

    assert await in_thread(words) == {each.headers["x-request-id"]: False for each in (first, second)}
    assert await in_thread(lambda: purges_of(acme)) == [first.headers["x-request-id"]]


def purges_of(tenant: Tenant) -> list[str]:
    with org_scope(tenant.org.pk):
        return list(CachePurge.objects.filter(org=tenant.org).values_list("subject", flat=True))


def shorten_ttl(tenant: Tenant) -> None:
    with org_scope(tenant.org.pk):
        policy = CachePolicy.objects.get(org=tenant.org)
        update_cache_policy(actor=tenant.owner, policy=policy, ttl_seconds=1)


@pytest.fixture
async def plain_app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def test_the_last_rung_before_the_end_answers_from_the_cache_only(plain_app: App, acme: Tenant) -> None:
    ladder = [{"at": 1, "rung": "cache_only"}]
    await in_thread(lambda: make_budget(acme, "0.0001", action=BudgetAction.DEGRADE, ladder=ladder))
    first = await call(plain_app, acme, chat())
    assert first.headers["x-costhub-cache"] == "miss"
    refused = await call(plain_app, acme, chat(x=1))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (402, "cache_only")
    assert (await call(plain_app, acme, chat())).headers["x-costhub-cache"] == "hit-l1"
