"""Past calls rated again, from the preview to the note: nothing twice, whoever dies in between."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from billing.invoices.actions.documents import get_document
from billing.invoices.actions.notes import find_credit_left, make_note, void_invoice
from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating
from billing.invoices.models import Invoice, InvoiceLine, Rerating, Subscription
from billing.invoices.selectors.invoices import list_line_calls
from billing.invoices.selectors.rerating import find_next_rerating, list_orgs_with_reratings
from billing.invoices.selectors.usage import find_cost
from billing.spend.actions import rerating as actions
from billing.spend.selectors import rerating as selectors
from costhub.lib import keyspace
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.core.budgets import find_scopes
from proxy.ledger.drain import drain
from tenants.access import job_scope, org_scope
from tenants.actions.models import update_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetPeriod
from tenants.models import LanguageModel
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tests.billing.invoices.einvoices import find_errors
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, SEPTEMBER, close, lines_of, make_customer
from tests.billing.ledger import record_call
from tests.world import Catalog, Tenant, World, make_budget, make_catalog

CLOSED = NOVEMBER + DAY * 3


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    """Three calls of 1,000 tokens in October, charged at 1 USD a million; it should have been 3."""
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    for hour in range(3):
        record(acme, made, OCTOBER + DAY * (1 + hour))
    return acme


def record(tenant: Tenant, made: Catalog, at: datetime, **columns: Any) -> None:
    assert made.price
    attempt = {"certainty": "exact", "model": "small", "cost": 1_000_000, "usage": {"input": 1_000}}
    values = {"cost": 1_000_000, "price_id": made.price.pk, "input_tokens": 1_000, "attempts": [attempt]}
    record_call(tenant, at, **(values | columns))


def correct_price(tenant: Tenant, amount: str = "3", at: datetime = OCTOBER) -> None:
    with org_scope(tenant.org.pk):
        create_price(
            actor=tenant.owner,
            model=LanguageModel.objects.get(org=tenant.org),
            input_per_million=Decimal(amount),
            output_per_million=Decimal(1),
            effective_from=at,
        )


def preview(tenant: Tenant, **options: Any) -> Rerating:
    values: dict[str, Any] = {"model": "small", "start": OCTOBER, "end": NOVEMBER, "reason": "Typed wrongly"}
    with org_scope(tenant.org.pk):
        return preview_rerating(actor=tenant.owner, **(values | options))


def approve(tenant: Tenant, row: Rerating) -> None:
    with org_scope(tenant.org.pk):
        approve_rerating(actor=tenant.owner, rerating=row, change_nanos=row.change_nanos)


def run(tenant: Tenant, row: Rerating) -> Rerating:
    """What the job does, step by step."""
    while True:
        with job_scope(tenant.org.pk) as actor:
            found = find_next_rerating(actor)
            if found is None:
                break
            carry_on(actor, found, CLOSED + DAY)
    with org_scope(tenant.org.pk):
        return Rerating.objects.get(pk=row.pk)


def spent(tenant: Tenant) -> int:
    with org_scope(tenant.org.pk):
        return find_cost(tenant.owner, OCTOBER, NOVEMBER)


def notes_of(tenant: Tenant) -> list[Invoice]:
    with org_scope(tenant.org.pk):
        return list(Invoice.objects.filter(org=tenant.org).exclude(kind="invoice").order_by("number"))


def behind(tenant: Tenant, document: Invoice, line: InvoiceLine) -> list[int]:
    """What the rows behind a line cost."""
    with org_scope(tenant.org.pk):
        return [call.cost for call in list_line_calls(tenant.owner, document, line).calls]


def test_a_month_that_was_invoiced_has_a_note_and_the_next_invoice_nothing(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, markup="10")
    (invoice,) = close(acme, CLOSED)
    correct_price(acme)
    row = preview(acme)
    assert (row.calls, row.changed, row.before_nanos, row.after_nanos) == (3, 3, 3_000_000, 9_000_000)
    assert (spent(acme), list_orgs_with_reratings().count(acme.org.pk)) == (3_000_000, 0)
    approve(acme, row)
    assert acme.org.pk in list_orgs_with_reratings()
    done = run(acme, row)
    assert (done.state, done.posted, done.posted_nanos, spent(acme)) == ("applied", 3, 6_000_000, 9_000_000)
    (note,) = notes_of(acme)
    assert (note.kind, note.corrects, done.notes) == ("debit_note", invoice.pk, [note.pk])
    shown = [(line.kind, line.text, line.quantity, line.unit_price, line.nanos) for line in lines_of(acme, note)]
    assert shown == [
        ("rerated", "small: input tokens", -3_000, 1_000_000, -3_000_000),
        ("rerated", "small: input tokens", 3_000, 3_000_000, 9_000_000),
        ("markup", "small: markup on usage", 0, 0, 600_000),
    ]
    taken, put = lines_of(acme, note)[:2]
    assert (behind(acme, note, taken), behind(acme, note, put)) == ([-1_000_000] * 3, [3_000_000] * 3)
    assert behind(acme, invoice, lines_of(acme, invoice)[0]) == [1_000_000] * 3
    record_call(acme, OCTOBER + DAY, cost=7, price_id=UUID(put.price), recorded_at=CLOSED + DAY * 2)
    (november,) = close(acme, DECEMBER + DAY * 3)
    late, markup = lines_of(acme, november)
    assert (markup.kind, markup.nanos) == ("markup", 1)
    assert (late.kind, late.nanos, behind(acme, november, late)) == ("late_usage", 7, [7])


def test_a_month_is_not_invoiced_in_the_middle_of_a_re_rating(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "BATCH", 2)
    make_customer(acme, since=OCTOBER)
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    for _ in range(2):
        with job_scope(acme.org.pk) as actor:
            assert carry_on(actor, row, CLOSED)
    drain(acme.org.shard)
    assert (spent(acme), close(acme, CLOSED)) == (7_000_000, [])
    with org_scope(acme.org.pk):
        assert "being re-rated" in Invoice.objects.get(org=acme.org).problem
    run(acme, row)
    (invoice,) = close(acme, CLOSED + DAY)
    assert (invoice.usage_nanos, notes_of(acme), invoice.problem) == (9_000_000, [], "")


def test_a_model_that_is_switched_off_meanwhile_is_re_rated_to_its_end(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "BATCH", 2)
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    for _ in range(2):
        with job_scope(acme.org.pk) as actor:
            assert carry_on(actor, row, CLOSED)
    with org_scope(acme.org.pk):
        model = LanguageModel.objects.get(org=acme.org)
        update_upstream(actor=acme.owner, upstream=model.upstream, is_active=False)
        update_model(actor=acme.owner, model=model, is_active=False)
    done = run(acme, row)
    drain(acme.org.shard)
    assert (done.state, done.posted, done.posted_nanos, spent(acme)) == ("applied", 3, 6_000_000, 9_000_000)


def test_what_was_re_rated_already_changes_nothing(acme: Tenant) -> None:
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    assert preview(acme).changed == 0
    correct_price(acme, "2", OCTOBER + DAY)
    row = preview(acme)
    assert row.change_nanos == -3_000_000
    approve(acme, row)
    run(acme, row)
    assert (spent(acme), preview(acme).changed) == (6_000_000, 0)


@pytest.mark.parametrize("kind", ["comparison", "scoring"])
def test_what_was_asked_beside_a_call_is_rated_again_too(acme: Tenant, kind: str) -> None:
    at, price = OCTOBER + DAY * 9, first_price_of(acme)
    record_call(acme, at, cost=1_000_000, price_id=price, input_tokens=1_000, attempts=[_attempt()], kind=kind)
    correct_price(acme)
    row = preview(acme)
    assert (row.changed, row.change_nanos) == (4, 8_000_000)
    approve(acme, row)
    run(acme, row)
    assert spent(acme) == 12_000_000


def test_a_cheaper_price_is_a_credit_note(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, fee="49.00")
    (invoice,) = close(acme, CLOSED)
    correct_price(acme, "0.5")
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    (note,) = notes_of(acme)
    assert (note.kind, note.net_nanos, note.corrects) == ("credit_note", 1_500_000, invoice.pk)
    with org_scope(acme.org.pk):
        assert find_errors(get_document(acme.owner, note, "xml")) == []
        assert get_document(acme.owner, note, "pdf").startswith(b"%PDF")
    with org_scope(acme.org.pk), pytest.raises(Conflict, match="re-rated by a note"):
        void_invoice(actor=acme.owner, invoice=invoice, reason="All of it", now=CLOSED)


@pytest.mark.parametrize(("given", "credit"), [(1_000_000, 1_500_000), (2_000_000, 1_000_000), (3_000_000, 0)])
def test_a_cheaper_price_gives_back_no_more_than_notes_before_have_left(acme: Tenant, given: int, credit: int) -> None:
    make_customer(acme, since=OCTOBER)
    (invoice,) = close(acme, CLOSED)
    assert invoice.net_nanos == 3_000_000
    with org_scope(acme.org.pk):
        make_note(actor=acme.owner, invoice=invoice, amounts={1: given}, reason="Goodwill", now=CLOSED)
    correct_price(acme, "0.5")
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    note = notes_of(acme)[-1]
    assert (note.kind, note.net_nanos) == ("credit_note", credit)
    with org_scope(acme.org.pk):
        assert find_errors(get_document(acme.owner, note, "xml")) == []
        assert find_credit_left(invoice) == 3_000_000 - given - credit
    # The calls are billed as they are: nothing is late.
    assert lines_of(acme, close(acme, DECEMBER + DAY * 3)[0]) == []
    with org_scope(acme.org.pk):
        most = f"{3_000_000 - given - credit:010d}"
        with pytest.raises(InvalidField, match=rf"at most {most[0]}\.{most[1:]} USD in all|up to 0\.000000000 USD"):
            make_note(actor=acme.owner, invoice=invoice, amounts={1: 1_000_000}, reason="More", now=CLOSED)


@pytest.mark.parametrize(("billed_for", "counted_now", "credit"), [(2, 1, 750_000), (1, 2, 1_500_000)])
def test_a_note_has_the_coupon_of_its_invoice(acme: Tenant, billed_for: int, counted_now: int, credit: int) -> None:
    """However many months a coupon is said to hold today, such as after a change of how they are counted."""
    make_customer(acme, since=SEPTEMBER, fee="49.00", coupon={"percent_off": "50", "months": billed_for})
    *_, october = close(acme, CLOSED)
    assert [line.kind for line in lines_of(acme, october)].count("coupon") == billed_for - 1
    with org_scope(acme.org.pk):
        Subscription.objects.update(coupon={"percent_off": "50", "months": counted_now})
    correct_price(acme, "0.5")
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    (note,) = notes_of(acme)
    assert (note.kind, note.net_nanos, note.corrects) == ("credit_note", credit, october.pk)


def test_else_the_next_invoice_has_it_as_late_usage(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER)
    close(acme, CLOSED)
    correct_price(acme)
    row = preview(acme, makes_notes=False)
    approve(acme, row)
    run(acme, row)
    assert notes_of(acme) == []
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert (november.usage_nanos, {line.kind for line in lines_of(acme, november)}) == (6_000_000, {"late_usage"})


def test_calls_that_had_no_price_are_filled_in(committed_world: World) -> None:
    acme = committed_world.acme
    make_catalog(acme, input_per_million=None)
    attempt = {"certainty": "exact", "model": "small", "cost": 0, "usage": {"input": 1_000}}
    record_call(acme, OCTOBER + DAY, cost=0, price_id=None, input_tokens=1_000, attempts=[attempt])
    assert preview(acme).left_out == {"unpriced": 1}
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    assert spent(acme) == 3_000_000


@pytest.mark.parametrize("dies_at", range(6))
def test_whoever_dies_is_followed_and_nothing_is_there_twice(
    acme: Tenant, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "BATCH", 1)
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    for step in range(dies_at + 1):
        try:
            with job_scope(acme.org.pk) as actor:
                if (found := find_next_rerating(actor)) is not None:
                    carry_on(actor, found, CLOSED)
                if step == dies_at:
                    # What went to Valkey is there; what PostgreSQL was told is not.
                    raise ZeroDivisionError
        except ZeroDivisionError:
            drain(acme.org.shard)
    assert run(acme, row).posted == 3
    drain(acme.org.shard)
    with org_scope(acme.org.pk), connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(effective_cost) FROM proxy_ledgerentry WHERE org_id = %s", [acme.org.pk])
        assert cursor.fetchone() == (9, 9_000_000)


def test_however_many_calls_there_are_a_job_counts_them_span_by_span(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_customer(acme, since=OCTOBER)
    close(acme, CLOSED)
    monkeypatch.setattr(selectors, "BATCH", 1)
    monkeypatch.setattr(actions, "SPAN", 1)
    correct_price(acme)
    row = preview(acme)
    assert (row.state, row.calls, row.changed) == ("counting", 1, 1)
    with org_scope(acme.org.pk), pytest.raises(Conflict, match="still being counted"):
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=row.change_nanos)
    assert acme.org.pk in list_orgs_with_reratings()
    counted = run(acme, row)
    assert (counted.state, counted.calls, counted.changed) == ("previewed", 3, 3)
    assert (counted.before_nanos, counted.after_nanos, counted.place_at) == (3_000_000, 9_000_000, None)
    assert acme.org.pk not in list_orgs_with_reratings()
    approve(acme, counted)
    steps = []
    while True:
        with job_scope(acme.org.pk) as actor:
            if (found := find_next_rerating(actor)) is None:
                break
            carry_on(actor, found, CLOSED + DAY)
            found.refresh_from_db()
            steps.append((found.state, found.checked, found.posted))
    # Before the first call is changed all of them are looked at once more.
    assert [step for step in steps if step[0] == "approved"] == [("approved", n, 0) for n in (1, 2, 3)]
    assert [step for step in steps if step[0] == "posting"] == [("posting", 3, n) for n in (0, 1, 2, 3)]
    assert steps[-1] == ("applied", 3, 3)
    assert (spent(acme), [note.kind for note in notes_of(acme)]) == (9_000_000, ["debit_note"])


def test_a_budget_that_still_counts_is_told_once(acme: Tenant) -> None:
    make_budget(acme, "10", period=BudgetPeriod.TOTAL)
    org, key = load_org_snapshot(acme.org_id), load_key_snapshot(bytes(acme.key.digest))
    assert org
    assert key
    (scope,) = find_scopes(org, key, end_user="", model="small", tags={}, session="", at_ms=to_ms(OCTOBER))
    client().hset(scope.counter, "s", 3_000_000)
    correct_price(acme)
    row = preview(acme)
    approve(acme, row)
    run(acme, row)
    assert client().hget(scope.counter, "s") == b"9000000"
    client().delete(scope.counter, keyspace.mark_key(scope.counter))


def test_what_was_approved_is_what_is_applied(acme: Tenant) -> None:
    correct_price(acme)
    row = preview(acme)
    with org_scope(acme.org.pk), pytest.raises(Conflict, match=r"changes 0\.006000000 USD"):
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=1)
    approve(acme, row)
    approve(acme, row)
    made = first_price_of(acme)
    record_call(acme, OCTOBER + DAY * 9, cost=1_000_000, price_id=made, input_tokens=1_000, attempts=[_attempt()])
    done = run(acme, row)
    assert (done.state, done.posted, spent(acme)) == ("stale", 0, 4_000_000)
    with org_scope(acme.org.pk), pytest.raises(Conflict, match="make another one"):
        approve_rerating(actor=acme.owner, rerating=done, change_nanos=done.change_nanos)


def first_price_of(tenant: Tenant) -> Any:
    from tenants.models import Price

    with org_scope(tenant.org.pk):
        return Price.objects.filter(org=tenant.org).order_by("effective_from")[0].pk


def _attempt() -> dict[str, Any]:
    return {"certainty": "exact", "model": "small", "cost": 1_000_000, "usage": {"input": 1_000}}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "unknown"}, "model"),
        ({"start": NOVEMBER, "end": OCTOBER}, "to"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
    ],
)
def test_what_cannot_be_re_rated_is_named(acme: Tenant, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as raised:
        preview(acme, **options)
    assert raised.value.field == field
