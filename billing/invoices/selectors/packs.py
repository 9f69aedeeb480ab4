"""The papers of a month that are sums: the ledger by day, chargeback by project and tag, and whether all of it agrees.
The organisation is open."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from billing.invoices.choices import InvoiceKind, OutboxState
from billing.invoices.core.calendar import find_stretches
from billing.invoices.models import FinancePack, Invoice, MeterDelta
from billing.invoices.selectors.accounts import find_metered, list_contracts
from billing.invoices.selectors.focus import list_bills, list_focus
from billing.invoices.selectors.usage import find_billed, find_cost, find_spans, floor_hour, hourly_usage
from billing.spend.core.focus import COLUMNS, convert
from billing.spend.exports import SUMS, guard_cell, show_sums
from billing.spend.selectors import Totals, find_spend
from billing.spend.selectors.tags import list_tag_names
from costhub.lib.money import NANOS_PER_USD
from tenants.access import Actor


@dataclass(frozen=True, slots=True)
class Agreement:
    """The month's usage as each book has it, nano-USD: all of them should be one number, once what came late is
    billed. ``late`` is what the ledger has and no invoice yet. ``metered`` is what Stripe's meter says, and
    ``to_meter`` what it should: the ledger of the whole hours since usage goes there. None where it does not, and
    ``metered`` also where Stripe did not answer."""

    ledger: int
    billed: int
    focus: int
    chargeback: int
    to_meter: int | None
    metered: int | None

    @property
    def late(self) -> int:
        """Left to be billed by the next invoice."""
        return self.ledger - self.billed

    @property
    def is_whole(self) -> bool:
        """Whether every book says what the ledger says."""
        return self.ledger == self.billed == self.focus == self.chargeback and self.metered == self.to_meter


@dataclass(frozen=True, slots=True)
class MeteredTime:
    """The hours of a month whose usage is on a meter of Stripe's."""

    customer: str
    meter: str
    start: datetime
    end: datetime


def find_metered_time(actor: Actor, start: datetime, end: datetime) -> MeteredTime | None:
    """The whole hours of ``[start, end)`` since the organisation's usage goes to a meter; None of a month that has
    none."""
    account = find_metered(actor)
    if account is None or account.metered_from is None:
        return None
    first, last = max(floor_hour(start), floor_hour(account.metered_from)), floor_hour(end)
    return MeteredTime(account.stripe_customer, account.stripe_meter, first, last) if first < last else None


def list_owed(actor: Actor) -> list[FinancePack]:
    """The packs that were to go out by themselves and have not, oldest month first, with why."""
    return list(FinancePack.objects.filter(org=actor.org, delivered_at=None).order_by("month"))


def list_documents(actor: Actor, start: datetime, end: datetime) -> list[Invoice]:
    """Every issued document over the month: its invoice, and the notes that correct it."""
    rows = Invoice.objects.filter(org=actor.org, period_start__lt=end, period_end__gt=start).exclude(number="")
    return list(rows.order_by("number"))


def write_focus(actor: Actor, start: datetime, end: datetime) -> tuple[bytes, int]:
    """The month as FOCUS, and what it has of the ledger, in nano-USD."""
    total = Decimal(0)

    def show() -> Iterator[Sequence[str]]:
        nonlocal total
        for row in list_focus(actor, start, end):
            total += Decimal(row["x_LedgerCost"] or 0)
            yield [row[name] for name in COLUMNS]

    written = _write(COLUMNS, show())
    return written, int(total * NANOS_PER_USD)


def write_ledger(actor: Actor, start: datetime, end: datetime) -> bytes:
    """The ledger by day, project, key and model."""
    groups = ["day", "project", "key", "model"]
    found = find_spend(actor, start=start, end=end, group_by=groups)
    lines = ([*(row.group[name] for name in groups), *show_sums(row.totals)] for row in found.rows)
    return _write([*groups, *SUMS], lines)


def write_chargeback(actor: Actor, start: datetime, end: datetime, now: datetime) -> tuple[bytes, int]:
    """Who used how much: by project and by every tag, and the sum over projects in nano-USD. A call counts once in each
    tag's block; those without the tag are its empty value. What they cost is in the currency of the month's invoice,
    too, at its rate."""
    bill = next(bill for bill in list_bills(actor, start, end) if not bill.is_note)

    def show(totals: Totals) -> list[Any]:
        return [*show_sums(totals), bill.currency, f"{convert(totals.effective_cost, bill.rate):f}"]

    projects = find_spend(actor, start=start, end=end, group_by=["project"])
    lines = [["project", row.labels.get("project", row.group["project"]), *show(row.totals)] for row in projects.rows]
    for name in (f"tag:{tag}" for tag in list_tag_names(actor, now)):
        found = find_spend(actor, start=start, end=end, group_by=[name])
        lines += ([name, row.group[name], *show(row.totals)] for row in found.rows)
    return _write(["by", "value", *SUMS, "currency", "cost"], lines), projects.total.effective_cost


def find_agreement(
    actor: Actor, start: datetime, end: datetime, *, focus: int, chargeback: int, metered: int | None
) -> Agreement:
    """What the books say of the month's usage; ``metered`` is what Stripe's meter says of its hours. Months in which
    the tenant pays its upstreams itself are not billed, and are not compared."""
    invoice = Invoice.objects.filter(
        org=actor.org, kind=InvoiceKind.INVOICE.value, period_start__lt=end, period_end__gt=start
    ).exclude(number="")
    billed = ledger = 0
    for document in invoice:
        bounds = document.period_start, document.period_end
        for span in find_spans(actor, *bounds, find_stretches(list_contracts(actor, *bounds), *bounds)):
            billed += sum(cost for _, cost in find_billed(actor, span.start, span.end).values())
            ledger += find_cost(actor, span.start, span.end)
    whole = find_cost(actor, start, end)
    time = find_metered_time(actor, start, end)
    to_meter = sum(hourly_usage(actor, time.start, time.end).values()) - _sum_noted(actor, time) if time else None
    return Agreement(whole, billed + whole - ledger, focus, chargeback, to_meter, metered)


def _sum_noted(actor: Actor, time: MeteredTime) -> int:
    """What came too late for the meter: an invoice has it."""
    noted = MeterDelta.objects.filter(
        org=actor.org,
        meter=time.meter,
        hour__gte=time.start,
        hour__lt=time.end,
        state=OutboxState.NOTED.value,
    )
    return int(noted.aggregate(total=Sum("value"))["total"] or 0)


def _write(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guard_cell(cell) for cell in line] for line in lines)
    return out.getvalue().encode()
