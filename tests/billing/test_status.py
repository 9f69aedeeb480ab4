"""How upstreams do: the word for it, the public page, and what nobody reads there."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from pytest_django import DjangoCaptureOnCommitCallbacks

from billing.alerts.models import Alert
from billing.status.core import FEWEST_BEFORE, FEWEST_CALLS, Figures, State, judge
from billing.status.public import FRESH_SECONDS, Address, read_address
from costhub.lib import replica
from costhub.lib.keyspace import cooling_key
from costhub.lib.redis import client
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.models import AuditEntry, Organization
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, text_of
from tests.world import Api, Tenant, World, make_catalog

MS = 1_000
_CALLED: dict[str, Any] = {"calls": 20, "recent_us": [900 * MS] * 20, "before_us": [800 * MS] * FEWEST_BEFORE}
JUDGED = [
    (Figures(**_CALLED), State.WORKS),
    (Figures(**_CALLED | {"recent_us": [1_700 * MS] * 20}), State.SLOW),
    # Twice as long, but nobody feels it; or too few calls to tell.
    (Figures(**_CALLED | {"recent_us": [90 * MS] * 20, "before_us": [40 * MS] * FEWEST_BEFORE}), State.WORKS),
    (Figures(**_CALLED | {"recent_us": [1_700 * MS] * (FEWEST_CALLS - 1)}), State.WORKS),
    (Figures(**_CALLED | {"recent_us": [1_700 * MS] * 20, "before_us": [800 * MS]}), State.WORKS),
    (Figures(**_CALLED, failed=10), State.DOWN),
    (Figures(**_CALLED, failed=9), State.WORKS),
    (Figures(calls=FEWEST_CALLS - 1, failed=FEWEST_CALLS - 1), State.WORKS),
    (Figures(**_CALLED, is_alerted=True), State.DOWN),
    (Figures(**_CALLED, is_cooling_down=True), State.COOLING_DOWN),
    (Figures(**_CALLED, is_cooling_down=True, is_alerted=True), State.DOWN),
    (Figures(), State.QUIET),
    (Figures(is_cooling_down=True), State.COOLING_DOWN),
    (Figures(**_CALLED, is_alerted=True, is_active=False), State.OFF),
]


@pytest.mark.parametrize(("figures", "state"), JUDGED)
def test_a_word_for_its_figures(figures: Figures, state: State) -> None:
    assert judge(figures) is state


def call(tenant: Tenant, upstream_id: object, *, minutes_ago: int = 1, **row: Any) -> None:
    attempts = [{"number": 1, "status": 200, "certainty": "exact", "cost": 1, "error": ""}]
    values = {"status": 200, "first_byte_us": 400 * MS, "attempts": attempts} | row
    record_call(tenant, NOW - timedelta(minutes=minutes_ago), upstream_id=upstream_id, **values)


@pytest.fixture(autouse=True)
def noon() -> Any:
    """The clock."""
    with time_machine.travel(NOW, tick=False) as time:
        yield time


def test_the_api_tells_each_upstream_s_state_and_when_it_failed(world: World) -> None:
    acme = world.acme
    works, slow, down, cools, quiet, off = (make_catalog(acme, model=name).upstream for name in "abcdef")
    for upstream in (works, slow, down, cools):
        for _ in range(FEWEST_BEFORE):
            call(acme, upstream.pk, minutes_ago=120)
    for _ in range(FEWEST_CALLS):
        call(acme, works.pk)
        call(acme, slow.pk, first_byte_us=3_000 * MS)
        call(acme, down.pk, status=502, error_code="upstream_error")
        # What a caller got wrong, and what was never sent, is no failure of the upstream's.
        call(acme, works.pk, status=400)
        call(acme, works.pk, status=502, attempts=[])
    client().set(cooling_key(str(cools.pk)), "1", px=60_000)
    with org_scope(acme.org.pk):
        update_upstream(actor=acme.owner, upstream=off, is_active=False)
        past = Alert.objects.create(
            org=acme.org,
            rule=uuid4(),
            kind="upstream",
            subject=str(works.pk),
            window_start=NOW,
            threshold=50,
            severity="critical",
            facts={"error": "a tenant's secret"},
            ended_at=NOW - timedelta(hours=1),
        )
        Alert.objects.filter(pk=past.pk).update(created_at=NOW - timedelta(hours=2))
    answer = Api(token=acme.admin_token).get("/upstream-states").json()
    states = {each["name"]: each["state"] for each in answer["data"]}
    assert states == {
        "for a": "works",
        "for b": "slow",
        "for c": "down",
        "for d": "cooling_down",
        "for e": "quiet",
        "for f": "off",
    }
    assert quiet.name == "for e"
    assert answer["data"][0]["incidents"] == [
        {"started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T11:00:00Z"}
    ]
    client().delete(cooling_key(str(cools.pk)))


def publish(world: World) -> str:
    url: str = Api(token=world.acme.admin_token).post("/status-page").json()["url"]
    return url.removeprefix("http://testserver")


def test_the_page_is_off_until_it_is_published_and_withdrawn_again(world: World, noon: Any) -> None:
    make_catalog(world.acme, model="small", base_url="https://llm.acme.example/very/secret/path")
    api, anybody = Api(token=world.acme.admin_token), Visit(None)
    assert api.get("/status-page").json() == {"url": None}
    path = publish(world)
    assert api.get("/status-page").json()["url"].endswith(path)
    page = anybody.get(path)
    assert page.status_code == 200
    assert "Acme" in text_of(page)
    assert "for small Not called lately It has not failed in thirty days." in text_of(page)
    for secret in ("secret", "llm.acme", str(world.acme.org.pk)):
        assert secret not in page.content.decode()
    told = json.loads(anybody.get(f"{path}.json").content)
    assert told["upstreams"] == [{"name": "for small", "state": "quiet", "incidents": []}]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "sessionid" not in page.headers.get("Set-Cookie", "")
    assert api.delete("/status-page").status_code == 204
    noon.shift(timedelta(seconds=FRESH_SECONDS + 1))
    again = publish(world)
    assert again != path
    assert anybody.get(again).status_code == 200
    with org_scope(world.acme.org.pk):
        told_of = AuditEntry.objects.filter(org=world.acme.org, action="organization.updated")
        # Its address is a way in: the log says that it changed, and not to what.
        assert [entry.changes for entry in told_of] == [{"status_page": "changed"}] * 3


def test_a_page_that_is_withdrawn_is_gone(
    world: World, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    path = publish(world)
    assert Visit(None).get(path).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        assert Api(token=world.acme.admin_token).delete("/status-page").status_code == 204
    for address in (path, f"{path}.json"):
        assert Visit(None).get(address).status_code == 404
    assert "There is nothing here" in text_of(Visit(None).get(path))


def test_an_address_that_nobody_gave_is_refused_without_a_look(world: World) -> None:
    path = publish(world)
    with org_scope(world.acme.org.pk):
        page_id = Organization.objects.get(pk=world.acme.org.pk).status_page
    assert page_id is not None
    real = Address(world.acme.org.pk, page_id).text
    assert path == f"/status/{real}"
    made_up = [
        real[:-1],
        real[:-1] + ("A" if real[-1] != "A" else "B"),
        Address(world.mallcorp.org.pk, page_id).text[:43] + real[43:],
        f"{real}=",
        "x" * 64,
        "é",
        "..",
    ]
    anybody = Visit(None)
    with CaptureQueriesContext(connection) as asked:
        for text in made_up:
            assert read_address(text) is None, text
            assert anybody.client.get(f"/status/{text}").status_code == 404
    assert len(asked) == 0


def test_a_flood_of_readers_asks_the_database_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = publish(world)
    anybody = Visit(None)
    assert anybody.get(path).status_code == 200
    with CaptureQueriesContext(connection) as asked:
        assert {anybody.client.get(path).status_code for _ in range(50)} == {200}
    assert len(asked) == 0
    # Nor does another process, which remembers nothing yet.
    monkeypatch.setattr("billing.status.public._remembered", {})
    with CaptureQueriesContext(connection) as asked:
        assert anybody.client.get(path).status_code == 200
    assert len(asked) == 0


def test_nor_is_a_replica_asked(monkeypatch: pytest.MonkeyPatch, settings: Any, rf: RequestFactory) -> None:
    settings.HAS_REPLICA = True
    asked: list[str] = []
    monkeypatch.setattr(replica, "_mark", lambda _: None)
    monkeypatch.setattr(replica, "_ask_replica", lambda _, request, *__: asked.append(request.path))
    middleware = replica.ReplicaMiddleware(lambda _: HttpResponse())
    for path in ("/status/x", "/o/acme/settings"):
        request = rf.get(path)
        request.user = AnonymousUser()
        middleware.process_view(request, resolve(path).func, (), {})
    assert asked == ["/o/acme/settings"]


def test_who_may_publish(world: World) -> None:
    ben, ada = Visit(world.ben), Visit(world.ada)
    assert ben.post("/o/acme/settings/status-page").status_code == 403
    assert "Public page of upstreams none" in text_of(ada.get("/o/acme/settings"))
    ada.post("/o/acme/settings/status-page")
    shown = ada.get("/o/acme/settings").content.decode()
    assert 'href="http://testserver/status/' in shown
    ada.post("/o/acme/settings/status-page", {"withdraw": "yes"})
    assert "Public page of upstreams none" in text_of(ada.get("/o/acme/settings"))
