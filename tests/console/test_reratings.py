"""Past calls rated again by hand: looked at, approved by what was seen, and applied by the job."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from billing.invoices.actions.rerating import carry_on
from billing.invoices.models import Rerating
from tenants.access import job_scope, org_scope
from tenants.actions.orgs import add_member, update_organization
from tenants.actions.pricing import create_price
from tenants.choices import Role
from tenants.models import User
from tests.audit import read_audit
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, read_form, refresh, text_of
from tests.world import Catalog, World, make_catalog

CLOSED = NOVEMBER + DAY * 3
TYPED = {"start": "2026-10-01T00:00", "to": "2026-11-01T00:00", "reason": "Typed wrongly"}


@pytest.fixture(autouse=True)
def _after_october() -> Iterator[None]:
    with time_machine.travel(CLOSED, tick=False):
        yield


@pytest.fixture
def catalog(world: World) -> Catalog:
    """Three calls of 1,000 tokens in October, charged at 1 USD a million; it should have been 3."""
    made = make_catalog(world.acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert made.price is not None
    attempt = {"certainty": "exact", "model": "small", "cost": 1_000_000, "usage": {"input": 1_000}}
    for hour in range(3):
        at = OCTOBER + DAY * (1 + hour)
        record_call(world.acme, at, cost=1_000_000, price_id=made.price.pk, input_tokens=1_000, attempts=[attempt])
    with org_scope(world.acme.org.pk):
        create_price(
            actor=world.acme.owner,
            model=made.model,
            input_per_million=Decimal(3),
            output_per_million=Decimal(1),
            effective_from=OCTOBER,
        )
    return made


def new_of(catalog: Catalog) -> str:
    return f"/o/acme/models/{catalog.model.pk}/reratings/new"


def only(world: World) -> Rerating:
    with org_scope(world.acme.org.pk):
        return Rerating.objects.get(org=world.acme.org)


def test_it_is_looked_at_and_then_approved(world: World, catalog: Catalog) -> None:
    ada, new = Visit(world.ada), new_of(catalog)
    assert f'href="{new}"' in ada.get(f"/o/acme/models/{catalog.model.pk}").content.decode()
    made = ada.submit(new, **TYPED)
    row, path = only(world), made.headers["Location"]
    assert path == f"/o/acme/reratings/{row.pk}"
    assert (row.model, row.start, row.end, row.makes_notes) == ("small", OCTOBER, NOVEMBER, True)
    text = text_of(ada.get(path))
    assert "Nothing has changed yet." in text
    assert "3 of 3 calls They cost $0.003 000000 At the prices of now $0.009 000000 Change $0.006 000000" in text
    assert "1 Oct 2026, 00:00 Until before 1 Nov 2026, 00:00 Why Typed wrongly" in text
    # Another name, another amount than was seen: nothing.
    assert ada.press(path, f"{path}/apply", confirm="large").headers["Location"] == path
    assert "Nothing was done. Type small exactly" in text_of(ada.get(path))
    ada.press(path, f"{path}/apply", confirm="small", change="0.005")
    assert "This re-rating changes 0.006000000 USD" in text_of(ada.get(path))
    ada.post(f"{path}/apply", {"confirm": "small"})
    assert "Give an amount in USD" in text_of(ada.get(path))
    refresh(row)
    assert row.state == "previewed"
    ada.press(path, f"{path}/apply", confirm="small")
    refresh(row)
    assert row.state == "approved"
    page = ada.get(path)
    assert "It is applied within a minute." in text_of(page)
    assert f"{path}/apply" not in page.content.decode()
    # Pressed by two people in one moment it is approved once.
    ada.post(f"{path}/apply", {"confirm": "small", "change": "0.006"})
    told = read_audit(world.acme.org, target_id=str(row.pk))
    assert [each.action.partition(".")[2] for each in told] == ["created", "approved"]


def test_a_form_that_is_sent_twice_looks_once(world: World, catalog: Catalog) -> None:
    ada, new = Visit(world.ada), new_of(catalog)
    sent = read_form(ada.get(new).content.decode()) | TYPED
    assert [ada.post(new, sent).status_code for _ in range(2)] == [302, 409]
    assert only(world).changed == 3


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"start": ""}, "start", "Fill this in."),
        ({"start": "yesterday"}, "start", "Give a day and time, such as 2026-12-31 18:00."),
        ({"to": "2026-10-01T00:00"}, "to", "Give an end that is after the start."),
        ({"reason": ""}, "reason", "Fill this in."),
        ({"reason": "a\tb"}, "reason", "Give a reason of 1 to 200 visible characters."),
        ({"reason": "x" * 201}, "reason", "Give at most 200 characters."),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    world: World, catalog: Catalog, typed: dict[str, str], field: str, words: str
) -> None:
    answer = Visit(world.ada).submit(new_of(catalog), **(TYPED | typed))
    assert (answer.status_code, error_of(answer)) == (400, words)
    assert f'id="field-{field}-error"' in answer.content.decode()
    with org_scope(world.acme.org.pk):
        assert not Rerating.objects.filter(org=world.acme.org).exists()


@pytest.mark.parametrize(("zone", "field"), [("Pacific/Honolulu", "to"), ("Asia/Tokyo", "start")])
def test_a_moment_that_is_none_in_utc_is_said_at_its_field(
    world: World, catalog: Catalog, zone: str, field: str
) -> None:
    with org_scope(world.acme.org.pk):
        update_organization(actor=world.acme.owner, time_zone=zone)
    ends = {"start": "0001-01-01T00:00", "to": "9999-12-31T23:59"}
    answer = Visit(world.ada).submit(new_of(catalog), **(TYPED | ends))
    assert (answer.status_code, error_of(answer)) == (400, "Give a day and time, such as 2026-12-31 18:00.")
    assert f'id="field-{field}-error"' in answer.content.decode()


def test_it_is_of_the_organisations_days(world: World, catalog: Catalog) -> None:
    with org_scope(world.acme.org.pk):
        update_organization(actor=world.acme.owner, time_zone="Asia/Kolkata")
    Visit(world.ada).submit(new_of(catalog), **TYPED)
    assert only(world).start == datetime(2026, 9, 30, 18, 30, tzinfo=UTC)


def test_nothing_to_apply_is_said_without_a_button(world: World, catalog: Catalog) -> None:
    ada = Visit(world.ada)
    none = ada.submit(new_of(catalog), **(TYPED | {"start": "2026-10-20T00:00"}))
    page = ada.get(none.headers["Location"])
    assert "Nothing to apply: there are no such calls." in text_of(page)
    assert "/apply" not in page.content.decode()


def test_who_may_not_change_money_sees_it_and_no_form(world: World, catalog: Catalog) -> None:
    Visit(world.ada).submit(new_of(catalog), **TYPED)
    path = f"/o/acme/reratings/{only(world).pk}"
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
    vic, ben = Visit(User.objects.get(email="vic@acme.example")), Visit(world.ben)
    for visit in (vic, ben):
        assert "/reratings/new" not in visit.get(f"/o/acme/models/{catalog.model.pk}").content.decode()
        assert visit.get(new_of(catalog)).status_code == 403
        assert visit.post(new_of(catalog), TYPED).status_code == 403
        assert visit.post(f"{path}/apply", {"confirm": "small", "change": "0.006"}).status_code == 403
    seen = ben.get(path)
    assert (seen.status_code, "/apply" in seen.content.decode()) == (200, False)
    assert vic.get(path).status_code == 403
    assert path not in vic.get(f"/o/acme/models/{catalog.model.pk}").content.decode()
    assert Visit(world.mallory).get(path).status_code == 404
    assert only(world).state == "previewed"


def test_once_applied_the_page_says_so_with_its_note(committed_world: World) -> None:
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert made.price is not None
    attempt = {"certainty": "exact", "model": "small", "cost": 10**9, "usage": {"input": 10**6}}
    record_call(acme, OCTOBER + DAY, cost=10**9, price_id=made.price.pk, input_tokens=10**6, attempts=[attempt])
    make_customer(acme, since=OCTOBER)
    close(acme, CLOSED)
    with org_scope(acme.org.pk):
        create_price(
            actor=acme.owner,
            model=made.model,
            input_per_million=Decimal(3),
            output_per_million=Decimal(1),
            effective_from=OCTOBER,
        )
    ada, home = Visit(committed_world.ada), f"/o/{acme.org.slug}"
    path = ada.submit(f"{home}/models/{made.model.pk}/reratings/new", **TYPED).headers["Location"]
    ada.press(path, f"{path}/apply", confirm="small")
    row = only(committed_world)
    more = True
    while more:
        with job_scope(acme.org.pk) as actor:
            more = carry_on(actor, row, CLOSED + timedelta(hours=1))
    page = text_of(ada.get(path))
    assert "It is applied." in page
    assert "Applied $2.00 0000000 of 1 call, 4 Nov 2026, 01:00" in page
    assert "debit note " in page
    assert "applied 1 call, $2.00" in text_of(ada.get(f"{home}/models/{made.model.pk}"))
