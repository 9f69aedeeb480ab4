"""The demo's second organisation: whole, quick, marked, and gone by one click."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection

from billing.bills.actions import fetch_bills
from billing.bills.models import BillSource
from billing.demo.seed import NAME, seed_history
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.models import Invoice, InvoiceLine
from billing.models import Alert, Anomaly, Forecast
from billing.spend.selectors import find_spend
from costhub.console.first_page import TABLES
from costhub.console.navigation import ENTRIES
from costhub.lib import clock
from costhub.lib.net import Gate
from proxy.models import LedgerEntry
from tenants.access import Actor, org_scope
from tenants.actions.tokens import create_token
from tenants.choices import Role
from tenants.models import AuditEntry, Budget, Organization, User
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, rows_of, text_of
from tests.world import Api, World, close_scopes


def test_it_is_seeded_shown_as_a_demo_and_removed_with_every_row(world: World) -> None:
    started = time.process_time()
    org = seed_history(owner=world.ada)
    assert org is not None
    assert time.process_time() - started < 10
    assert seed_history(owner=world.ada) is None
    with org_scope(org.pk):
        assert Forecast.objects.filter(org=org, expected__isnull=False).exists()
        assert Anomaly.objects.filter(org=org, scope="organization").count() == 1
        assert set(Alert.objects.filter(org=org, ended_at=None).values_list("kind", flat=True)) >= {"anomaly"}
    record_call(world.acme, clock.now(), cost=5)
    ada = Visit(world.ada)
    page = ada.get(f"/o/{org.slug}/?range=30d")
    assert "Demo data. Nothing here was ever called or billed." in text_of(page)
    assert "Support assistant" in text_of(ada.get(f"/o/{org.slug}/projects"))
    assert "Demo data" not in text_of(ada.get("/o/acme/"))
    with org_scope(org.pk):
        now = clock.now()
        spend = find_spend(Actor(org, Role.OWNER, "x"), start=now.replace(year=now.year - 1), end=now)
        rows = LedgerEntry.objects.filter(org_id=org.pk)
        assert spend.total.requests == rows.count() > 10_000
        issued = [
            (row.kind, row.state, row.number.startswith("DEMO-"))
            for row in Invoice.objects.filter(org=org).order_by("issued_at")
        ]
        assert issued == [
            ("invoice", "paid", True),
            ("credit_note", "issued", True),
            ("invoice", "issued", True),
        ]
        note, last = (Invoice.objects.get(org=org, kind=kind, state="issued") for kind in ("credit_note", "invoice"))
        assert (note.total_cents, last.usage_nanos > 10**9) == (1_190, True)
        org.refresh_from_db()
        assert settle_standing(Actor(org, Role.OWNER, "x"), now + timedelta(days=90)) == "none"
        assert not org.is_suspended
    assert last.number in text_of(ada.get(f"/o/{org.slug}/invoices"))
    # Somebody who may not, the wrong name, another organisation.
    assert Visit(world.ben).post(f"/o/{org.slug}/settings/remove-demo").status_code == 404
    ada.post("/o/acme/settings/remove-demo", {"confirm": "acme"})
    assert "Only demo data" in text_of(ada.get("/o/acme/settings"))
    wrong = ada.press(f"/o/{org.slug}/settings", f"/o/{org.slug}/settings/remove-demo", confirm=NAME)
    assert wrong.headers["Location"] == f"/o/{org.slug}/settings"
    assert f"Nothing was removed. Type {org.slug} to remove this demo." in text_of(ada.get(wrong.headers["Location"]))
    gone = ada.press(f"/o/{org.slug}/settings", f"/o/{org.slug}/settings/remove-demo", confirm=org.slug)
    assert (gone.status_code, gone.headers["Location"]) == (302, "/")
    assert_gone(org, world, ada)


def assert_gone(org: Organization, world: World, ada: Visit) -> None:
    """Nothing is left of the demo, and everything of others."""
    assert ada.get(f"/o/{org.slug}/").status_code == 404
    close_scopes()
    with org_scope(org.pk, world.acme.org.pk):
        for model in (LedgerEntry, Budget, AuditEntry, Invoice, InvoiceLine):
            assert not model.objects.filter(org_id=org.pk).exists(), model
        assert not Organization.objects.filter(name=NAME).exists()
        assert LedgerEntry.objects.filter(org_id=world.acme.org.pk).count() == 1


def test_the_api_removes_it_for_whoever_may_and_names_it(world: World) -> None:
    org = seed_history(owner=world.ada)
    assert org is not None
    record_call(world.acme, clock.now(), cost=5)
    with org_scope(org.pk):
        actor = Actor(org, Role.OWNER, "x")
        viewer = User.objects.get(email="vic@northwind.example")
        program = create_token(actor=actor, name="scripts", role=Role.ADMIN).secret
    ada, body = Api(user=world.ada, org=org.slug), {"confirm": org.slug}
    assert Api(user=viewer, org=org.slug).post("/remove-demo", body).status_code == 403
    other = Api(user=world.ada).post("/remove-demo", {"confirm": "acme"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    for wrong in ({"confirm": NAME}, {"confirm": ""}, {"confirm": 5}, {}):
        refused = ada.post("/remove-demo", wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "confirm"), wrong
    assert ada.get("/keys").status_code == 200
    done = Api(token=program).post("/remove-demo", body, Idempotency_Key="gone-1")
    assert (done.status_code, done.content) == (204, b"")
    assert Api(token=program).post("/remove-demo", body).status_code == 401
    assert_gone(org, world, Visit(world.ada))


#: where nothing stands of what is each organisation's own to give: its domains and providers of identity
WITHOUT = {"sign-ons"}
EMPTY = re.compile(
    r'class="card empty"|class="nothing|<td colspan|>(?:None yet|No [a-z ]+ (?:yet|in this (?:range|time)))'
)


@pytest.mark.parametrize("moment", [NOW, datetime(2026, 12, 1, 0, 30, tzinfo=UTC)], ids=["in a month", "as it begins"])
def test_every_page_of_it_is_alive(world: World, moment: datetime) -> None:
    with time_machine.travel(moment, tick=True):
        _look_at_every_page(world)


def _look_at_every_page(world: World) -> None:
    org = seed_history(owner=world.ada)
    assert org is not None
    ada, slug = Visit(world.ada), org.slug
    pages = {entry.section: f"/o/{slug}/{'' if entry.section == 'overview' else entry.section}" for entry in ENTRIES}
    pages |= {
        "overview by tag": f"/o/{slug}/?by=tag",
        "money": f"/o/{slug}/overview/money",
        "invitations": f"/o/{slug}/invitations",
        **{f"table by {group}": f"/o/{slug}/overview/table?by={group}" for group in TABLES},
    }
    for name, path in pages.items():
        page = ada.get(path)
        main = re.search(r"<main.*</main>", page.content.decode(), re.DOTALL)
        assert main is not None, name
        found = [] if name in WITHOUT else EMPTY.findall(main[0])
        assert (page.status_code, found) == (200, []), name
    assert "support-answers" in text_of(ada.get(pages["routes"]))
    assert "Ticket sorter" in text_of(ada.get(pages["learning"]))
    assert "The launch of the new help centre" in text_of(ada.get(pages["budget-requests"]))
    assert "nora@northwind.example" in text_of(ada.get(pages["invitations"]))
    assert "How can I get a refund?" in text_of(ada.get(pages["cache"]))
    money = ada.get(pages["money"])
    assert "in place of gpt-4o" in text_of(money)
    (bill,) = re.findall(r'href="([^"]*/bill/days)"', money.content.decode())
    assert [row.split()[3] for row in rows_of(ada.get(bill)) if "wrong price" in row] == ["gpt-4.1"] * 2
    # Nobody is asked for it: its provider knows nothing of it.
    assert fetch_bills(org.pk, Gate(), clock.now() + timedelta(days=1)) == 0
    with org_scope(org.pk):
        assert BillSource.objects.get(org=org).problem == ""
        viewer = User.objects.get(email="vic@northwind.example")
    # Who may not remove it is sent to no button.
    assert ("Remove it" in text_of(money), "Remove it" in text_of(Visit(viewer).get(pages["settings"]))) == (
        True,
        False,
    )


def test_the_function_removes_nothing_but_an_open_demo(world: World) -> None:
    org = world.mallcorp.org
    with connection.cursor() as cursor:
        for is_demo in (False, True):
            with org_scope(org.pk):
                Organization.objects.filter(pk=org.pk).update(is_demo=is_demo)
            close_scopes()
            cursor.execute("SELECT costhub_remove_demo(%s)", [org.pk])
            assert cursor.fetchone() == (False,)
        with org_scope(world.acme.org.pk):
            cursor.execute("SELECT costhub_remove_demo(%s)", [world.acme.org.pk])
            assert cursor.fetchone() == (False,)
