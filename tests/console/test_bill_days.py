"""A provider's bill against the ledger, day by day: what differs, what it comes from, and the way to what mends it."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.bills.actions import connect_bill, disconnect_bill
from billing.bills.models import BilledDay, BillSource
from billing.choices import AlertKind
from tenants.access import org_scope
from tenants.actions.models import create_model
from tenants.actions.orgs import add_member, update_organization
from tenants.choices import Role
from tenants.models import User
from tests.billing.alerts.examples import FACTS
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, read_form, rows_of, text_of
from tests.world import Api, Catalog, World, make_catalog

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
NOON = timedelta(hours=12)


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def catalog(world: World) -> Catalog:
    """In Berlin: ``small`` is called ``gpt-4o`` at its upstream."""
    made = make_catalog(world.acme, upstream_model="gpt-4o")
    with org_scope(world.acme.org.pk):
        update_organization(actor=world.acme.owner, time_zone="Europe/Berlin")
    return made


@pytest.fixture
def source(world: World, catalog: Catalog) -> BillSource:
    """Of a dated name of ``small`` two days cost a tenth more on the bill; Tuesday's embeddings are on it alone."""
    acme = world.acme
    used = {"input_tokens": 900, "output_tokens": 100, "upstream_id": catalog.upstream.pk}
    for day in (MONDAY, TUESDAY):
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + NOON
        record_call(acme, at, cost=2 * 10**9, response_model="gpt-4o-2026-08-06", **used)
    # After the bill was fetched: it is on no bill that is known.
    record_call(acme, NOW, cost=10**9, response_model="gpt-4o-2026-08-06", **used)
    with org_scope(acme.org.pk):
        made = connect_bill(actor=acme.owner, upstream=catalog.upstream, credential="sk-admin-0123456789")
        made.fetched_at = NOW
        made.save(update_fields=["fetched_at"])
        for day, model, cost in (
            (MONDAY, "gpt-4o-2026-08-06", 2_200_000_000),
            (TUESDAY, "gpt-4o-2026-08-06", 2_200_000_000),
            (TUESDAY, "text-embedding-3-small", 50_000_000),
        ):
            tokens = {"input_tokens": 900, "output_tokens": 100}
            BilledDay.objects.create(org=acme.org, source=made, day=day, model=model, cost_nanos=cost, **tokens)
    return made


def page_of(catalog: Catalog) -> str:
    return f"/o/acme/upstreams/{catalog.upstream.pk}/bill/days"


def links_of(html: str, label: str) -> list[str]:
    return [unescape(link) for link in re.findall(rf'<a href="([^"]*)">{re.escape(label)}</a>', html)]


def test_each_day_that_differs_says_what_it_comes_from(world: World, catalog: Catalog, source: BillSource) -> None:
    ada = Visit(world.ada)
    page = ada.get(page_of(catalog))
    assert "The ledger covers 89.8 % of the bill; they are $0.45 apart." in text_of(page)
    assert [row.partition(" As much")[0] for row in rows_of(page)] == [
        "17 Nov 2026 gpt-4o-2026-08-06 $2.20 $2.00 -$0.20 wrong price",
        "17 Nov 2026 text-embedding-3-small $0.05 – -$0.05 missing calls It is on the bill, and no call of it came"
        " through CostHub: is a key used elsewhere?",
        "16 Nov 2026 gpt-4o-2026-08-06 $2.20 $2.00 -$0.20 wrong price",
    ]
    found = [(row["day"], row["finding"]) for row in days_of(world, source)]
    assert found == [("2026-11-16", "wrong_price"), ("2026-11-17", "wrong_price"), ("2026-11-17", "missing_calls")]
    only = ada.get(f"{page_of(catalog)}?finding=missing_calls&sort=billed")
    assert [row.split()[3] for row in rows_of(only)] == ["text-embedding-3-small"]
    assert "Nothing matches" in text_of(ada.get(f"{page_of(catalog)}?finding=unpriced"))
    refused = ada.get(f"{page_of(catalog)}?finding=none")
    assert (refused.status_code, error_of(refused).startswith("finding: give one of all, agrees")) == (400, True)


def days_of(world: World, source: BillSource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        Api(token=world.acme.admin_token).get(f"/bill-sources/{source.pk}/days").json()["data"]
    )
    return found


def test_a_finding_leads_to_the_forms_that_mend_it_filled_in(
    world: World, catalog: Catalog, source: BillSource
) -> None:
    ada = Visit(world.ada)
    html = ada.get(page_of(catalog)).content.decode()
    # Of both days: what one mends, it mends for the other.
    (again, same) = links_of(html, "Re-rate its calls")
    assert again == same
    form = read_form(ada.get(again).content.decode())
    assert {name: form[name] for name in ("start", "to", "reason")} == {
        "start": "2026-11-16T01:00",
        "to": "2026-11-18T01:00",
        "reason": "As the bill of for small has it",
    }
    assert again.startswith(f"/o/acme/models/{catalog.model.pk}/reratings/new?")
    price = links_of(html, "Correct the price")[0]
    form = read_form(ada.get(price).content.decode())
    assert {name: form[name] for name in ("model", "effective_from", "input_per_million")} == {
        "model": "small",
        "effective_from": "2026-11-16T01:00",
        "input_per_million": "0.15",
    }
    # A day of UTC's lies on two of Berlin's.
    (calls, _) = links_of(html, "Calls of its two days")
    assert calls.endswith(f"?from=2026-11-17&to=2026-11-18&model=small&upstream={catalog.upstream.pk}")
    assert ada.get(calls).status_code == 200
    # What no call of is here, no form here mends.
    assert "Give it a price" not in html


def test_of_several_models_that_answer_by_one_name_each_has_its_forms(
    world: World, catalog: Catalog, source: BillSource
) -> None:
    with org_scope(world.acme.org.pk):
        other = create_model(actor=world.acme.owner, name="clever", upstream=catalog.upstream, upstream_model="gpt-4o")
        create_model(actor=world.acme.owner, name="mini", upstream=catalog.upstream, upstream_model="gpt-4o-mini")
    html = Visit(world.ada).get(page_of(catalog)).content.decode()
    assert links_of(html, "Re-rate its calls") == []
    (first, _) = links_of(html, "Re-rate its calls: clever")
    assert f"/models/{other.pk}/" in first
    assert len(links_of(html, "Re-rate its calls: small")) == 2
    assert "mini" not in html.partition("<tbody>")[2]


def test_who_may_not_write_money_sees_what_differs_and_no_form(
    world: World, catalog: Catalog, source: BillSource
) -> None:
    for role in (Role.DEVELOPER, Role.VIEWER):
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email=f"{role}@acme.example", role=role)
    page = Visit(User.objects.get(email="developer@acme.example")).get(page_of(catalog))
    assert ("wrong price" in text_of(page), "Re-rate its calls" in text_of(page)) == (True, False)
    assert "Calls of its two days" in text_of(page)
    assert Visit(User.objects.get(email="viewer@acme.example")).get(page_of(catalog)).status_code == 403
    assert Visit(world.mallory).get(page_of(catalog)).status_code == 404


def test_the_first_page_the_upstream_and_the_alert_lead_there(
    world: World, catalog: Catalog, source: BillSource
) -> None:
    ada, page = Visit(world.ada), page_of(catalog)
    facts = FACTS[AlertKind.BILL][0]
    with org_scope(world.acme.org.pk):
        fact = Fact(AlertKind.BILL, str(catalog.upstream.pk), 10, facts)
        report(world.acme.org, AlertKind.BILL, [fact], now=NOW, is_complete=False)
    for path in ("overview/money", f"upstreams/{catalog.upstream.pk}", "alerts"):
        assert f'href="{page}"' in ada.get(f"/o/acme/{path}").content.decode(), path
    # A bill that is fetched no more has no days; the upstream's page says so.
    with org_scope(world.acme.org.pk):
        disconnect_bill(actor=world.acme.owner, source=source)
    assert ada.get(page).headers["Location"] == f"/o/acme/upstreams/{catalog.upstream.pk}"


def test_a_bill_that_was_never_fetched_or_could_not_be_says_so(
    world: World, catalog: Catalog, source: BillSource
) -> None:
    ada = Visit(world.ada)
    with org_scope(world.acme.org.pk):
        BillSource.objects.filter(pk=source.pk).update(problem="Incorrect API key provided.")
    assert "The bill could not be fetched: Incorrect API key provided." in text_of(ada.get(page_of(catalog)))
    with org_scope(world.acme.org.pk):
        BillSource.objects.filter(pk=source.pk).update(fetched_at=None, problem="")
    assert "Nothing was fetched yet" in text_of(ada.get(page_of(catalog)))
    assert days_of(world, source) == []


CSV = "Date,Model name,Amount\n2026-11-16,gpt-4o-2026-08-06,2.20\n2026-11-17,gpt-4o-2026-08-06,2.00\n"
CALLED = {"day": "Date", "model": "Model name", "cost": "Amount"}


def hand_in(visit: Visit, catalog: Catalog, text: bytes, **typed: str) -> HttpResponse:
    return visit.submit(
        f"/o/acme/upstreams/{catalog.upstream.pk}/bill/table", file=SimpleUploadedFile("bill.csv", text), **typed
    )


def test_a_table_of_any_provider_is_held_against_the_ledger(world: World, catalog: Catalog, source: BillSource) -> None:
    ada = Visit(world.ada)
    upstream = f"/o/acme/upstreams/{catalog.upstream.pk}"
    assert f'href="{upstream}/bill/table"' in ada.get(upstream).content.decode()
    page = hand_in(ada, catalog, CSV.encode(), **CALLED)
    assert page.status_code == 200
    assert "95.2 % of the bill is covered, $0.20 apart" in text_of(page)
    (row,) = rows_of(page)
    assert row.startswith(
        "16 Nov 2026 gpt-4o-2026-08-06 $2.20 $2.00 -$0.20 unexplained The money differs; give the bill"
    )
    # With its tokens it is clear what mends it.
    tokens = "day,model,cost,input_tokens,output_tokens\n2026-11-16,gpt-4o-2026-08-06,2.20,900,100\n"
    (way,) = links_of(hand_in(ada, catalog, tokens.encode()).content.decode(), "Re-rate its calls")
    form = read_form(ada.get(way).content.decode())
    assert (form["start"], form["to"]) == ("2026-11-16T01:00", "2026-11-17T01:00")
    agreeing = hand_in(ada, catalog, CSV.replace("2.20", "2.00").encode(), **CALLED)
    assert "Nothing differs." in text_of(agreeing)


@pytest.mark.parametrize(
    ("text", "typed", "words"),
    [
        (b"", {}, "Give a header with day, model and cost"),
        (b"\xff\xfe", {}, "This is no CSV in UTF-8: save it as that."),
        (b"day,model,cost\n16.11.2026,x,1\n", {}, "Line 2: Give days as 2026-10-31."),
        (b"day,model,cost\n9999-12-31,x,1\n", {}, "Line 2: Give days as 2026-10-31."),
        (b"day,model,cost\n2026-11-16,x,one\n", {}, "Line 2: Give money as a decimal number of USD."),
        (b"day,model,cost\n2026-11-16,x,1\n", {"cost": "Betrag"}, "The bill's header has no such column"),
        (b"day,model,cost\n2026-01-16,x,1\n2026-11-16,x,1\n", {}, "Give a bill over at most 62 days."),
        (b"day,model,cost\n" + b"2026-11-16,x,1\n" * 61_000, {}, "Give at most 900 kB at once: fewer days or models."),
    ],
)
def test_what_is_wrong_with_a_table_is_said_at_its_field(
    world: World, catalog: Catalog, text: bytes, typed: dict[str, str], words: str
) -> None:
    page = hand_in(Visit(world.ada), catalog, text, **typed)
    assert (page.status_code, words in error_of(page)) == (400, True), error_of(page)
    field = "cost" if "cost" in typed else "file"
    assert f'id="field-{field}-error"' in page.content.decode()


def test_a_table_is_compared_by_who_may_see_money(world: World, catalog: Catalog) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="viewer@acme.example", role=Role.VIEWER)
    path = f"/o/acme/upstreams/{catalog.upstream.pk}/bill/table"
    for visit, code in ((Visit(User.objects.get(email="viewer@acme.example")), 403), (Visit(world.mallory), 404)):
        assert (visit.get(path).status_code, visit.post(path, {}).status_code) == (code, code)
