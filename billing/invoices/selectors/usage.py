"""What an organisation used in a period, as invoices want it; and what of a period was billed. It is open."""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime

from django.db.models import QuerySet, Sum

from billing.invoices.choices import USAGE_KINDS, InvoiceKind, LineKind
from billing.invoices.core.calendar import billed_spans
from billing.invoices.core.lines import Line, Span, Stretch, Usage, group_of
from billing.invoices.models import InvoiceLine
from billing.spend.selectors import find_spend
from billing.spend.selectors.names import find_names
from billing.spend.selectors.usage import UsageSums, add_up_marked, add_up_usage, find_rates, name_price
from tenants.access import Actor
from tenants.price_histories import load_price_versions

_SPLIT = ("project_id", "request_model", "price_id", "adjustment_id", "service_tier")

Billed = dict[tuple[str, str, str], tuple[dict[str, int], int]]


def find_usage(actor: Actor, start: datetime, end: datetime) -> list[Usage]:
    """The ledger's usage of ``[start, end)`` by project, model and price version, to the nano."""
    return _with_prices(actor, add_up_usage(actor, start, end, _SPLIT))


def find_rerated(actor: Actor, start: datetime, end: datetime, reason: str) -> list[Usage]:
    """What a re-rating has changed of ``[start, end)``; its rows of the ledger say so by their ``reason``."""
    return _with_prices(actor, add_up_marked(actor, start, end, _SPLIT, reason))


def _with_prices(actor: Actor, sums: Sequence[UsageSums]) -> list[Usage]:
    rows = [row for row in sums if any(_amounts(row.amounts))]
    prices = load_price_versions(actor, {row.keys[2:4] for row in rows})
    names = find_names(actor.org, {row.keys[0] for row in rows})
    found = []
    for row in rows:
        project, model, price_id, adjustment_id, service_tier = row.keys
        rates = find_rates(prices.get((price_id, adjustment_id)), service_tier)
        tokens = row.tokens | row.units
        found.append(
            Usage(
                project=str(project),
                project_name=names.get(str(project), ""),
                model=model,
                price=name_price(price_id, adjustment_id, service_tier),
                calls=row["calls"],
                tokens=tokens,
                unit_prices={name: rates.get(name, 0) for name in tokens},
                cost=row["effective_cost"],
                saved=row.saved,
            )
        )
    return found


def find_cost(actor: Actor, start: datetime, end: datetime) -> int:
    """The ledger's sum of ``[start, end)`` in nano-USD."""
    return sum(row["effective_cost"] for row in add_up_usage(actor, start, end, ()))


def find_billed(actor: Actor, start: datetime, end: datetime) -> Billed:
    """What all issued invoices, and notes over re-rated calls, billed of the usage of exactly ``[start, end)``: a
    draft's lines are made anew."""
    found: Billed = {}
    rows = _billed_rows(actor).filter(start=start, end=end)
    for document, project, model, price, token_class, quantity, nanos in rows.values_list(
        "invoice__kind", "project", "model", "price", "token_class", "quantity", "nanos"
    ):
        sign = -1 if document == InvoiceKind.CREDIT_NOTE else 1
        tokens, cost = found.get((project, model, price), ({}, 0))
        tokens[token_class] = tokens.get(token_class, 0) + quantity * sign
        found[project, model, price] = tokens, cost + nanos * sign
    return found


def sum_billed(actor: Actor, start: datetime, end: datetime) -> int:
    """Nano-USD that were billed, as above, of all usage within ``[start, end)``."""
    rows = _billed_rows(actor).filter(start__gte=start, end__lte=end)
    sums = rows.order_by().values_list("invoice__kind").annotate(total=Sum("nanos"))
    return sum(int(-total if kind == InvoiceKind.CREDIT_NOTE else total) for kind, total in sums)


def _billed_rows(actor: Actor) -> QuerySet[InvoiceLine]:
    kinds = [kind.value for kind in (*USAGE_KINDS, LineKind.RERATED)]
    return InvoiceLine.objects.filter(org=actor.org, kind__in=kinds).exclude(invoice__number="")


def find_spans(actor: Actor, start: datetime, end: datetime, stretches: Sequence[Stretch]) -> Sequence[Span]:
    """The parts of the month ``[start, end)`` whose usage is billed apart. An invoice that was made when a month was
    billed by its last plan alone has lines over more than one of them: what follows it does as it did."""
    spans = billed_spans(stretches)
    if len(spans) < 2:
        return spans
    known = {(span.start, span.end) for span in spans}
    kinds = [kind.value for kind in USAGE_KINDS]
    rows = InvoiceLine.objects.filter(org=actor.org, start__gte=start, end__lte=end, kind__in=kinds)
    billed = set(rows.exclude(invoice__number="").order_by().values_list("start", "end").distinct())
    return spans if billed <= known else billed_spans(stretches, by_rule=False)


def list_billed(actor: Actor, spans: Iterable[Span]) -> list[Line]:
    """What was billed of the usage of these parts of a month, as lines by project, model and price version."""
    return [
        Line(
            kind=LineKind.USAGE,
            group=group_of(LineKind.USAGE, span.start, project, model),
            text=model,
            nanos=cost,
            start=span.start,
            end=span.end,
            project=project,
            model=model,
            price=price,
        )
        for span in spans
        for (project, model, price), (_, cost) in find_billed(actor, span.start, span.end).items()
    ]


def _amounts(amounts: dict[str, int]) -> list[int]:
    """All but counts of calls: refusals are no lines."""
    return [amount for name, amount in amounts.items() if name not in {"calls", "hits"}]


def hourly_usage(actor: Actor, start: datetime, end: datetime) -> dict[datetime, int]:
    """The ledger's nano-USD by the hour of UTC, without empty ones."""
    # Local hours may be half an hour off.
    org = copy(actor.org)
    org.time_zone = "UTC"
    spend = find_spend(replace(actor, org=org), start=start, end=end, group_by=["hour"], measures=["effective_cost"])
    found = {datetime.fromisoformat(row.group["hour"]).astimezone(UTC): row.totals.effective_cost for row in spend.rows}
    return {hour: nanos for hour, nanos in found.items() if nanos}


def floor_hour(moment: datetime) -> datetime:
    """The beginning of the hour of UTC that a moment is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
