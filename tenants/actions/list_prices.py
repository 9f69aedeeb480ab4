"""The providers' public prices, kept in step with the packaged table. A version is never edited."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from costhub.lib import clock
from tenants.access import list_org_ids, org_scope
from tenants.actions.changes import publish
from tenants.models import ListPrice, Organization
from tenants.price_table import AMOUNTS, TERMS, ListedPrice


def add_list_prices(listed: Iterable[ListedPrice]) -> int:
    """Store the versions that are new, and tell every proxy. Gives how many there were; none the second time.

    A model's price that differs from what is stored, without a date of its own in the table, holds from now.
    """
    with transaction.atomic():
        new = [change.price for change in preview_list_prices(listed)]
        ListPrice.objects.bulk_create(_row(price) for price in new)
        for org_id in list_org_ids() if new else []:
            with org_scope(org_id):
                publish(Organization.objects.get(pk=org_id))
    return len(new)


class ListPriceChange(NamedTuple):
    """A version that is not stored yet. ``changed`` has what was and what will be, by column; of a model that had no
    price yet, all that it has."""

    price: ListedPrice
    changed: dict[str, tuple[Any, Any]]


def preview_list_prices(listed: Iterable[ListedPrice]) -> list[ListPriceChange]:
    """What ``add_list_prices`` would store now, in the order of the table, and what that would change."""
    by_model: dict[tuple[str, str], list[ListedPrice]] = defaultdict(list)
    for price in listed:
        by_model[price.provider, price.model].append(price)
    now = clock.now()
    stored = _load(by_model.keys())
    changes = []
    for key, versions in by_model.items():
        history = {price.effective_from: price for price in stored.get(key, [])}
        for price in _find_new(list(history.values()), versions, now):
            before = _table_at(history, price.effective_from) or {}
            changed = {
                name: (before.get(name), value)
                for name, value in price.table.items()
                if value != before.get(name) and (value or before.get(name))
            }
            changes.append(ListPriceChange(price, changed))
            history[price.effective_from] = price
    return changes


def _find_new(stored: list[ListedPrice], table: list[ListedPrice], now: datetime) -> list[ListedPrice]:
    """Which versions must be added so that the stored history says what the table does from now on."""
    if not stored:
        return table
    history = {price.effective_from: price for price in stored}
    added = []
    # The table's first version holds since always; once something is stored, only its later ones can be news.
    for price in table[1:]:
        if price.effective_from not in history and _table_at(history, price.effective_from) != price.table:
            history[price.effective_from] = price
            added.append(price)
    current = [price for price in table if price.effective_from <= now]
    if current and _table_at(history, now) != current[-1].table:
        added.append(replace(current[-1], effective_from=now))
    return added


def _table_at(history: dict[datetime, ListedPrice], moment: datetime) -> dict[str, Any] | None:
    begun = [start for start in history if start <= moment]
    return history[max(begun)].table if begun else None


def _load(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[ListedPrice]]:
    found: dict[tuple[str, str], list[ListedPrice]] = defaultdict(list)
    for row in ListPrice.objects.filter(provider__in={provider for provider, _ in keys}).order_by("effective_from"):
        amounts, terms = ({name: getattr(row, name) for name in names} for names in (AMOUNTS, TERMS))
        price = ListedPrice(row.provider, row.model, row.effective_from, amounts, row.context_window, row.source, terms)
        found[row.provider, row.model].append(price)
    return found


def _row(price: ListedPrice) -> ListPrice:
    return ListPrice(
        provider=price.provider,
        model=price.model,
        effective_from=price.effective_from,
        context_window=price.context_window,
        source=price.source,
        **price.table,
    )
