"""What models cost, from the rows of every source: an organisation's own prices, list prices with its discounts and
mark-ups, and its fallback."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.lib.money import compile_fee
from tenants.access import Actor, org_scope
from tenants.choices import UpstreamKind
from tenants.models import LanguageModel, ListPrice, Organization, Price, PriceAdjustment, Upstream
from tenants.models.pricing import PriceColumns
from tenants.models.upstreams import FOREVER
from tenants.price_adjustments import Adjustment, adjust, adjust_versions
from tenants.price_snapshots import PriceSnapshot
from tenants.price_terms import (
    TOKEN_FIELDS,
    compile_long_context,
    compile_rates,
    compile_service_tiers,
    list_units,
)

#: what a provider writes behind a model's name for a version of it, in PostgreSQL's and Python's expressions alike
DATED: Final = "-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4})"
#: whose list prices an upstream's kind is billed at
LIST_PRICES_OF: Final = {UpstreamKind.OPENAI.value: "openai", UpstreamKind.ANTHROPIC.value: "anthropic"}
#: providers whose dated names and aliases cost what the model does, and need no list price of their own
_ALIKE: Final = frozenset({"anthropic"})
_LATEST: Final = "-latest"


def begin_at(versions: Iterable[PriceSnapshot], until: datetime | None, now: datetime) -> list[PriceSnapshot]:
    """What is left of a history whose prices are not taken ``until`` a moment: the version that holds then, from then
    on, and the later ones. All of it where that moment is past: what was called before has its prices."""
    if until is None or until <= now:
        return list(versions)
    if until == FOREVER:
        return []
    end = to_ms(until)
    newest_first = sorted(versions, key=lambda version: version.effective_from_ms, reverse=True)
    later = [version for version in newest_first if version.effective_from_ms > end]
    holds = newest_first[len(later) :][:1]
    return [*later, *(replace(version, effective_from_ms=end) for version in holds)]


def merge_versions(*sources: Iterable[PriceSnapshot]) -> tuple[PriceSnapshot, ...]:
    """Several price histories as one, newest first. The first source that has a price at a moment has the word then.

    A version holds until the next one of its source, for ever if there is none. So from the moment of its first version
    on a source is never silent again, and of the sources behind it only what holds before that moment is left.
    """
    merged: list[PriceSnapshot] = []
    for source in sources:
        first = merged[-1].effective_from_ms if merged else None
        earlier = [version for version in source if first is None or version.effective_from_ms < first]
        merged += sorted(earlier, key=lambda version: version.effective_from_ms, reverse=True)
    return tuple(merged)


def compile_version(row: PriceColumns, row_id: UUID) -> PriceSnapshot:
    """A price row in whole picos; a class without a price of its own costs what the one nearest to it does."""
    amounts = {field: getattr(row, field) for field in TOKEN_FIELDS}
    return PriceSnapshot(
        id=str(row_id),
        effective_from_ms=to_ms(row.effective_from),
        rates=compile_rates(amounts, row.fees),
        per_request=compile_fee(row.per_request),
        source=row.source,
        long_context=compile_long_context(row.long_context, amounts, row.fees),
        service_tiers=compile_service_tiers(row.service_tiers, row.fees),
        units=list_units(amounts, row.fees),
    )


def find_price_version(org_id: str, price_id: UUID, adjustment_id: UUID | None = None) -> PriceSnapshot | None:
    """A price version by its id, the organisation's own or a list price, in effect or not, with the discount or mark-up
    that was on it."""
    with org_scope(org_id):
        row: PriceColumns | None = Price.objects.filter(org_id=UUID(org_id), pk=price_id).first()
        changes = PriceAdjustment.objects.filter(org_id=UUID(org_id))
        change = changes.filter(pk=adjustment_id).first() if adjustment_id else None
    row = row or ListPrice.objects.filter(pk=price_id).first()
    if row is None or (adjustment_id is not None and change is None):
        return None
    version = compile_version(row, price_id)
    return adjust(version, _adjustment(change)) if change else version


#: a price version and the discount or mark-up that was on it, as rows of the ledger name them
PaidPrice = tuple[UUID | None, UUID | None]


def load_price_versions(actor: Actor, paid: Iterable[PaidPrice]) -> dict[PaidPrice, PriceSnapshot]:
    """Price versions, the organisation's own and list prices, with what was on them; its rows are open.

    Those are left out of which a part is not there any more.
    """
    wanted = set(paid)
    prices = {price for price, _ in wanted if price is not None}
    own = Price.objects.filter(org=actor.org, pk__in=prices)
    versions: dict[UUID | None, PriceSnapshot] = {row.pk: compile_version(row, row.pk) for row in own}
    listed = ListPrice.objects.filter(pk__in=prices - versions.keys())
    versions |= {row.pk: compile_version(row, row.pk) for row in listed}
    changes: dict[UUID | None, Adjustment] = {}
    if change_ids := {change for _, change in wanted if change is not None}:
        rows = PriceAdjustment.objects.filter(org=actor.org, pk__in=change_ids)
        changes = {row.pk: _adjustment(row) for row in rows}
    return {
        (price, change): adjust(versions[price], changes[change]) if change is not None else versions[price]
        for price, change in wanted
        if price in versions and (change is None or change in changes)
    }


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """What a model costs, and what dated names of it cost where that is something else."""

    own: tuple[PriceSnapshot, ...]
    dated: tuple[tuple[str, tuple[PriceSnapshot, ...]], ...]


def load_prices(
    org: Organization, models: Sequence[LanguageModel], upstreams: dict[str, Upstream]
) -> dict[UUID, ModelPrices]:
    """The prices of an organisation's models: their own, else list prices with the discount or mark-up on them, else
    the fallback; of an upstream that is paid for by the hour their own alone, until its hours end."""
    now = clock.now()
    own: dict[UUID | None, list[PriceSnapshot]] = defaultdict(list)
    for price in Price.objects.filter(org=org).order_by("-effective_from"):
        own[price.model_id].append(compile_version(price, price.pk))
    changes: dict[UUID | None, list[Adjustment]] = defaultdict(list)
    for change in PriceAdjustment.objects.filter(org=org):
        changes[change.model_id or change.upstream_id].append(_adjustment(change))
    provider_of = {row.pk: LIST_PRICES_OF.get(upstreams[str(row.upstream_id)].kind) for row in models}
    listed, dated_names = _load_list_prices(
        {(provider, row.upstream_model) for row in models if (provider := provider_of[row.pk])}
    )

    def history(row: LanguageModel, name: str) -> tuple[PriceSnapshot, ...]:
        versions = listed[provider_of[row.pk] or "", name]
        paid = adjust_versions(versions, changes[row.pk], changes[row.upstream_id])
        # Calls that are paid for by the hour cost by the token what somebody has said of this model, and nothing else.
        until = upstreams[str(row.upstream_id)].hourly_until
        return merge_versions(own[row.pk], begin_at(paid, until, now), begin_at(own[None], until, now))

    found = {}
    for row in models:
        usual = history(row, row.upstream_model)
        names = dated_names[provider_of[row.pk] or "", row.upstream_model]
        dated = ((name, history(row, name)) for name in names)
        found[row.pk] = ModelPrices(
            usual, tuple((name, prices) for name, prices in dated if _tables(prices) != _tables(usual))
        )
    return found


def _load_list_prices(
    wanted: set[tuple[str, str]],
) -> tuple[dict[tuple[str, str], list[PriceSnapshot]], dict[tuple[str, str], list[str]]]:
    """The histories of models and of their dated names, newest first, and those names, by provider and model."""
    listed: dict[tuple[str, str], list[PriceSnapshot]] = defaultdict(list)
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for provider in {provider for provider, _ in wanted}:
        asked = sorted(model for of, model in wanted if of == provider)
        models = sorted({name for model in asked for name in list_price_names(provider, model)})
        pattern = rf"^({'|'.join(map(re.escape, models))})({DATED})?$"
        rows = ListPrice.objects.filter(provider=provider, model__regex=pattern).order_by("model", "-effective_from")
        for row in rows:
            listed[provider, row.model].append(compile_version(row, row.pk))
        for model in asked:
            found = [name for name in list_price_names(provider, model) if (provider, name) in listed]
            if found and found[0] != model:
                listed[provider, model] = listed[provider, found[0]]
            dated = re.compile(re.escape(model) + DATED)
            names[provider, model] = [name for of, name in listed if of == provider and dated.fullmatch(name)]
    return listed, names


def list_price_names(provider: str, upstream_model: str) -> list[str]:
    """The names under which a provider's list may have the price of a model that it knows by this one: the first that
    it has is it."""
    if provider not in _ALIKE:
        return [upstream_model]
    plain = re.sub(f"({DATED}|{_LATEST})$", "", upstream_model)
    return list(dict.fromkeys([upstream_model, plain, plain + _LATEST]))


def _tables(prices: Sequence[PriceSnapshot]) -> list[PriceSnapshot]:
    """What a history charges, whatever it is called."""
    return [replace(price, id="", source="", adjustment_id="") for price in prices]


def _adjustment(row: PriceAdjustment) -> Adjustment:
    return Adjustment(str(row.pk), to_ms(row.effective_from), row.percent)
