"""The page of the cache: its numbers are the ledger's, and what it gives up is given up."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client

from billing.routes.core.holdout import Effect
from costhub.lib import clock
from proxy.cache import semantic_store
from proxy.cache.model import CacheEntry
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy
from tenants.choices import CacheMode
from tenants.models import CachePurge
from tests.billing.ledger import record_call
from tests.proxy.cache.rows import keep_question
from tests.world import Api, World


@pytest.fixture
def ada(world: World, client: Client) -> Client:
    client.force_login(world.ada)
    return client


def test_without_a_policy_it_says_so(ada: Client) -> None:
    page = ada.get("/o/acme/cache").content.decode()
    assert "There is no cache policy: every call goes to its upstream." in page
    assert "No call was looked up in this time." in page


def test_its_numbers_are_the_ledgers(ada: Client, world: World) -> None:
    with org_scope(world.acme.org.pk):
        create_cache_policy(actor=world.acme.owner, mode=CacheMode.ON, semantic=CacheMode.SHADOW)
    now = clock.now() - timedelta(minutes=1)
    for status, saved in (("hit-l1", 8_000), ("coalesced", 4_000), ("miss", 0)):
        mechanism = "coalescing" if status == "coalesced" else "cache"
        record_call(
            world.acme,
            now,
            cache_status=status,
            list_cost=8_400,
            effective_cost=8_400 - saved,
            savings={mechanism: saved} if saved else {},
        )
    # Who found an answer and was refused got none.
    record_call(world.acme, now, cache_status="hit-l1", status=429, error_code="rate_limit_exceeded")
    answer = ada.get("/o/acme/cache?range=24h")
    stats = answer.context["stats"]
    assert (stats.looked_up, stats.hits, stats.saved) == (3, 2, 12_000)
    page = answer.content.decode()
    assert "2 of 3 looked up" in page
    assert "exactly $0.000012" in page
    assert "similar questions shadow" in page


def test_an_entry_is_given_up_by_its_button(ada: Client, world: World) -> None:
    entry_id = keep_question(world.acme, "Where is <Rome>?")
    assert "Where is &lt;Rome&gt;?" in ada.get("/o/acme/cache").content.decode()
    form = {"kind": "entry", "subject": entry_id, "from": "list"}
    assert ada.post("/o/acme/cache/purge", form).status_code == 302
    assert ada.post("/o/acme/cache/purge", form).status_code == 302
    with org_scope(world.acme.org.pk):
        assert not CacheEntry.objects.filter(org_id=world.acme.org.pk).exists()
        assert [(one.kind, one.subject) for one in CachePurge.objects.filter(org=world.acme.org)] == [
            ("entry", entry_id)
        ]


def test_questions_are_searched_and_rows_sorted(ada: Client, world: World) -> None:
    for question in ("Where is my order?", "How do I get a refund?"):
        keep_question(world.acme, question)
    page = ada.get("/o/acme/cache?q=REFUND").content.decode()
    assert ("How do I get a refund?" in page, "Where is my order?" in page, "1 kept" in page) == (True, False, True)
    ordered = ada.get("/o/acme/cache?sort=kept").content.decode()
    assert ordered.index("Where is my order?") < ordered.index("How do I get a refund?")
    assert "No question matches." in ada.get("/o/acme/cache?q=nothing").content.decode()
    # They are sealed: PostgreSQL cannot put them in an order.
    assert ada.get("/o/acme/cache?sort=question").status_code == 400
    assert ada.get("/o/acme/cache?sort=colour").status_code == 400


@pytest.mark.parametrize(("kind", "words"), [("all", "Type Acme exactly"), ("model", ""), ("x", "Give one of all")])
def test_what_cannot_be_purged_is_explained(ada: Client, kind: str, words: str) -> None:
    answer = ada.post("/o/acme/cache/purge", {"kind": kind, "subject": ""})
    page = answer.content.decode()
    assert (answer.status_code, 'role="alert"' in page, words in page) == (400, True, True)


def test_all_is_given_up_by_the_organisation_s_name(ada: Client, world: World) -> None:
    keep_question(world.acme, "Where is my order?")
    assert "Type Acme to confirm" in ada.get("/o/acme/cache").content.decode()
    assert ada.post("/o/acme/cache/purge", {"kind": "all", "confirm": "Acme"}).status_code == 302
    with org_scope(world.acme.org.pk):
        assert [(one.kind, one.subject) for one in CachePurge.objects.filter(org=world.acme.org)] == [("all", "")]


def test_nobody_sees_anothers(ada: Client, world: World) -> None:
    keep_question(world.mallcorp, "What is Mallory's secret?")
    assert "secret" not in ada.get("/o/acme/cache").content.decode()
    assert ada.get("/o/mallcorp/cache").status_code == 404
    assert ada.post("/o/mallcorp/cache/purge", {"kind": "all"}).status_code == 404


def test_a_developer_may_look_and_not_purge(client: Client, world: World) -> None:
    client.force_login(world.ben)
    assert "Purge" not in client.get("/o/acme/cache").content.decode()
    assert client.post("/o/acme/cache/purge", {"kind": "all"}).status_code == 403


def test_why_shows_both_questions_and_how_far_apart_they_are(ada: Client, world: World) -> None:
    entry_id, request_id = keep_question(world.acme, "What is the capital of France?"), uuid4()
    call = record_call(
        world.acme,
        clock.now() - timedelta(minutes=1),
        id=request_id,
        cache_status="hit-semantic",
        route_reason=f"cached: {entry_id}, similarity 0.9100",
        savings={"cache": 8_400},
    )
    with org_scope(world.acme.org.pk):
        semantic_store.note_lookup(
            world.acme.org_id,
            str(call.id),
            {
                "asked": "Which city is <France>'s capital?",
                "kept_question": "What is the capital of France?",
                "entry_id": entry_id,
                "similarity": 0.91,
                "likelihood": 0.985,
                "threshold": 0.83,
                "was_served": True,
                "is_guarded": True,
                "is_recheck": True,
                "right": True,
            },
        )
    page = ada.get(f"/o/acme/cache?why={call.id}").content.decode()
    asked, kept = "Which city is &lt;France&gt;&#x27;s capital?", "What is the capital of France?"
    texts = page[page.index('data-part="texts"') :]
    assert texts.index(asked) < texts.index("<h3>Kept</h3>") < texts.index(kept)
    assert "their distance is 0.0900" in page
    assert "0.9850, served from 0.8300 on" in page
    assert "right, asked all the same" in page
    assert "1 asked all the same (100 % of look-ups)" in page


def test_what_calls_held_out_prove_stands_beside_what_the_ledger_attributes(ada: Client, world: World) -> None:
    """Of two models one has enough calls of both arms: sixty looked up, half of them hits, and thirty held out."""
    now = clock.now() - timedelta(minutes=1)
    for number in range(30):
        record_call(world.acme, now, cache_status="hit-l1", list_cost=8_000, savings={"cache": 8_000})
        record_call(world.acme, now, cache_status="miss", cost=8_000)
        record_call(world.acme, now, cache_status="held-out", cost=7_900 + 200 * (number % 2))
        record_call(world.acme, now, cache_status="miss", cost=90_000, request_model="large")
    record_call(world.acme, now, cache_status="held-out", cost=90_000, request_model="large")
    answer = ada.get("/o/acme/cache?range=24h")
    proof = answer.context["proof"]
    assert (proof.treated.calls, proof.held_out.calls) == (60, 30)
    # 8,000 less a mean of 4,000, whose error is 4,000 / sqrt(59)
    assert proof.effect == Effect(4_000, 2_979, 5_021)
    page = answer.content.decode()
    assert 'data-tile="proven"' in page
    found = Api(user=world.ada).get("/cache/stats", range="24h").json()
    assert (found["looked_up"], found["hits"], found["saved"]) == (90, 30, "0.000240000")
    assert found["effect"] == {"a_call": "0.000004000", "low": "0.000002979", "high": "0.000005021"}
    assert found["proven"]["a_call"] == "0.000240000"
    assert found["quality"] is None
