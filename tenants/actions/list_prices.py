"""The providers' public prices, kept in step with the packaged table. A version is never edited."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from costhub.lib import clock
from tenants.access import list_org_ids, org_scope
from tenants.actions.changes import publish
from tenants.models import ListPrice, Organization
from tenants.price_table import ListedPrice


def add_list_prices(listed: Iterable[ListedPrice]) -> int:
    """Store the versions that are new, and tell every proxy. Gives how many there were; none the second time.

    A model's price that differs from what is stored, without a date of its own in the table, holds from now.
    """
    by_model: dict[tuple[str, str], list[ListedPrice]] = defaultdict(list)
    for price in listed:
        by_model[price.provider, price.model].append(price)
    now = clock.now()
    with transaction.atomic():
        stored = _load(by_model.keys())
        new = [price for key, versions in by_model.items() for price in _find_new(stored.get(key, []), versions, now)]
        ListPrice.objects.bulk_create(_row(price) for price in new)
        for org_id in list_org_ids() if new else []:
            with org_scope(org_id):
                publish(Organization.objects.get(pk=org_id))
    return len(new)


def _find_new(stored: list[ListedPrice], table: list[ListedPrice], now: datetime) -> list[ListedPrice]:
    """Which versions must be added so that the stored history says what the table does from now on."""
    if not stored:
        return table
    history = {price.effective_from: price for price in stored}
    added = []
    # The table's first version holds since always; once something is stored, only its later ones can be news.
    for price in table[1:]:
        if price.effective_from not in history and _amounts_at(history, price.effective_from) != price.amounts:
            history[price.effective_from] = price
            added.append(price)
    current = [price for price in table if price.effective_from <= now]
    if current and _amounts_at(history, now) != current[-1].amounts:
        added.append(replace(current[-1], effective_from=now))
    return added


def _amounts_at(history: dict[datetime, ListedPrice], moment: datetime) -> dict[str, Decimal | None] | None:
    begun = [start for start in history if start <= moment]
    return history[max(begun)].amounts if begun else None


def _load(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[ListedPrice]]:
    found: dict[tuple[str, str], list[ListedPrice]] = defaultdict(list)
    for row in ListPrice.objects.filter(provider__in={provider for provider, _ in keys}).order_by("effective_from"):
        amounts = {name: getattr(row, name) for name in _AMOUNTS}
        price = ListedPrice(row.provider, row.model, row.effective_from, amounts, row.context_window, row.source)
        found[row.provider, row.model].append(price)
    return found


_AMOUNTS = (
    "input_per_million",
    "output_per_million",
    "cached_input_per_million",
    "cache_write_per_million",
    "audio_input_per_million",
    "audio_output_per_million",
    "per_request",
)


def _row(price: ListedPrice) -> ListPrice:
    return ListPrice(
        provider=price.provider,
        model=price.model,
        effective_from=price.effective_from,
        context_window=price.context_window,
        source=price.source,
        **price.amounts,
    )
