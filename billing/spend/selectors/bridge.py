"""The bill bridge of an organisation, a project, a key or a tag: two stretches of the ledger, and what lies between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from billing.spend.core.bridge import Bridge, ClassSums, ModelSums, build_bridge
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import UsageSums, add_up_usage, find_rates
from tenants.access import Actor
from tenants.choices import Permission
from tenants.price_histories import PaidPrice, load_price_versions
from tenants.price_snapshots import INPUT_CLASSES, PriceSnapshot

Span = tuple[datetime, datetime]

_SPLIT = ("request_model", "response_model", "price_id", "adjustment_id", "service_tier")


@dataclass(frozen=True, slots=True)
class FoundBridge:
    """A bridge and the stretches that it joins."""

    bridge: Bridge
    before: Span
    after: Span


def find_bridge(actor: Actor, *, before: Span, after: Span, filters: LedgerFilters | None = None) -> FoundBridge:
    """Split what ``after`` cost more than ``before``, by cause.

    Raises Forbidden if the actor may not see money, InvalidField for a filter that sums do not know.
    """
    actor.check(Permission.READ_MONEY)
    sums = [add_up_usage(actor, *span, _SPLIT, filters) for span in (before, after)]
    prices = load_price_versions(actor, {row.keys[2:4] for rows in sums for row in rows})
    old, new = (read_period(rows, prices) for rows in sums)
    return FoundBridge(build_bridge(old, new), before, after)


def read_period(rows: Iterable[UsageSums], prices: Mapping[PaidPrice, PriceSnapshot]) -> dict[str, ModelSums]:
    """Sums by model and price version as the bridge wants them."""
    found: dict[str, ModelSums] = {}
    for row in rows:
        model, version, price_id, adjustment_id, service_tier = row.keys
        rates = find_rates(prices.get((price_id, adjustment_id)), service_tier)
        classes = {name: ClassSums(tokens, tokens * rates.get(name, 0)) for name, tokens in row.tokens.items()}
        sums = ModelSums(
            calls=row["calls"],
            hits=row["hits"],
            billed=row["billed"],
            effective=row["effective_cost"],
            retried=row["retried"],
            compressed=row["saved_by_compression"],
            routed=row["saved_by_routing"] + row["saved_by_cascade"] + row["saved_by_distillation"],
            batched=row["saved_by_batch"],
            classes=classes,
            versions={version: (row["billed"], sum(row[name] for name in INPUT_CLASSES))} if version else {},
        )
        found[model] = found.get(model, ModelSums()) + sums
    return found
