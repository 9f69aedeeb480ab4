"""The papers of a month that are sums: the ledger by day, chargeback by project and tag, and whether all of it agrees.
The organisation is open."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from billing.invoices.choices import InvoiceKind, OutboxState
from billing.invoices.core.calendar import find_stretches
from billing.invoices.models import Invoice, MeterDelta
from billing.invoices.selectors.accounts import list_contracts
from billing.invoices.selectors.usage import find_billed, find_cost, find_spans
from billing.spend.core.focus import COLUMNS
from billing.spend.exports import SUMS, guard_cell, show_sums
from billing.spend.selectors import find_spend
from billing.spend.selectors.focus import list_focus_rows
from billing.spend.selectors.tags import list_tag_names
from costhub.lib.money import NANOS_PER_USD
from tenants.access import Actor


@dataclass(frozen=True, slots=True)
class Agreement:
    """The month's usage as each book has it, nano-USD: all of them should be one number, once what came late is
    billed. ``late`` is what the ledger has and no invoice yet."""

    ledger: int
    billed: int
    focus: int
    chargeback: int
    metered: int | None

    @property
    def late(self) -> int:
        """Left to be billed by the next invoice."""
        return self.ledger - self.billed

    @property
    def is_whole(self) -> bool:
        """Whether every book says what the ledger says."""
        return self.ledger == self.billed == self.focus == self.chargeback


def list_documents(actor: Actor, start: datetime, end: datetime) -> list[Invoice]:
    """Every issued document over the month: its invoice, and the notes that correct it."""
    rows = Invoice.objects.filter(org=actor.org, period_start__lt=end, period_end__gt=start).exclude(number="")
    return list(rows.order_by("number"))


def write_focus(actor: Actor, start: datetime, end: datetime) -> tuple[bytes, int]:
    """The month as FOCUS, and its sum in nano-USD."""
    rows = list_focus_rows(actor, start, end)
    total = sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))
    return _write(COLUMNS, ([row[name] for name in COLUMNS] for row in rows)), int(total * NANOS_PER_USD)


def write_ledger(actor: Actor, start: datetime, end: datetime) -> bytes:
    """The ledger by day, project, key and model."""
    groups = ["day", "project", "key", "model"]
    found = find_spend(actor, start=start, end=end, group_by=groups)
    lines = ([*(row.group[name] for name in groups), *show_sums(row.totals)] for row in found.rows)
    return _write([*groups, *SUMS], lines)


def write_chargeback(actor: Actor, start: datetime, end: datetime, now: datetime) -> tuple[bytes, int]:
    """Who used how much: by project and by every tag, and the sum over projects in nano-USD. A call counts once in each
    tag's block; those without the tag are its empty value."""
    projects = find_spend(actor, start=start, end=end, group_by=["project"])
    lines = [
        ["project", row.labels.get("project", row.group["project"]), *show_sums(row.totals)] for row in projects.rows
    ]
    for name in (f"tag:{tag}" for tag in list_tag_names(actor, now)):
        found = find_spend(actor, start=start, end=end, group_by=[name])
        lines += ([name, row.group[name], *show_sums(row.totals)] for row in found.rows)
    return _write(["by", "value", *SUMS], lines), projects.total.effective_cost


def find_agreement(actor: Actor, start: datetime, end: datetime, *, focus: int, chargeback: int) -> Agreement:
    """What the books say of the month's usage. Months in which the tenant pays its upstreams itself are not billed, and
    are not compared."""
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
    sent = MeterDelta.objects.filter(
        org=actor.org, hour__gte=start, hour__lt=end, state=OutboxState.SENT.value
    ).aggregate(total=Sum("value"))["total"]
    metered = int(sent) if sent is not None else None
    return Agreement(whole, billed + whole - ledger, focus, chargeback, metered)


def _write(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guard_cell(cell) for cell in line] for line in lines)
    return out.getvalue().encode()
