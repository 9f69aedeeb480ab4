"""What the ledger has of an upstream's days, as its bill would have it. The organisation is open."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.spend.core.upstream_bill import Bill, Used
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import add_up_findings, add_up_usage
from costhub.lib.errors import InvalidField
from tenants.access import Actor

MOST_DAYS: Final = 62


def find_used(actor: Actor, days: Iterable[date], upstream: UUID | None = None) -> Bill:
    """From the first to the last of these days of UTC's, by the model that answered: that is what a provider bills.
    Raises InvalidField for more than ``MOST_DAYS``."""
    ordered = sorted(set(days))
    if not ordered:
        return {}
    first, last = ordered[0], ordered[-1]
    if (last - first).days >= MOST_DAYS:
        raise InvalidField(f"Give a bill over at most {MOST_DAYS} days.", field="openai")
    filters = LedgerFilters(upstream=upstream)
    findings = add_up_findings(actor, _start_of(first), _start_of(last) + timedelta(days=1), upstream)
    found: dict[Any, Used] = {}
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        start = _start_of(day)
        for row in add_up_usage(actor, start, start + timedelta(days=1), ("response_model",), filters):
            tokens = row.tokens
            total_out = sum(tokens.get(name, 0) for name in ("output", "audio_output", "image_output"))
            total = sum(tokens.values())
            cost = row["effective_cost"] - findings.get((day, row.keys[0]), 0)
            units = row.units
            if total or units or cost:
                pieces = (units.get(name) for name in ("images", "seconds", "characters"))
                found[day, row.keys[0]] = Used(cost, total - total_out, total_out, *pieces)
    return found


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
