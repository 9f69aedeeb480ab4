"""What stands until somebody does something: keys that will expire, channels that fail or were switched off, routes
that decide by nothing learned any more, students that were served and do not agree with their teacher any more. And
prices that are news."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import KINDS, Fact
from billing.alerts.models import Alert, Channel
from billing.choices import AlertKind
from billing.spend.selectors.usage import TOKEN_CLASSES, UsageSums, add_up_usage, find_rates
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.money import PICOS_PER_NANO
from proxy.learning.choices import Stage
from proxy.learning.models import ProviderTuning, Student, TunedModel
from proxy.routing.model import DRIFTED_SINCE, REFUSED, LearnedRoute
from tenants.access import Actor, job_scope
from tenants.models import ApiKey, LanguageModel, ListPrice, Organization, Price, PriceAdjustment, Route
from tenants.periods import period_bounds, previous_bounds
from tenants.price_histories import list_price_names
from tenants.price_snapshots import UNIT_CLASSES, PriceSnapshot
from tenants.selectors import load_org_snapshot
from tenants.snapshots import ModelSnapshot

_DAY: Final = timedelta(days=1)
#: another price is news for so long
_NEWS: Final = timedelta(days=7)


def watch_standing(org_id: UUID, now: datetime) -> None:
    """Report an organisation's expiring keys, failing and dead channels, routes whose learning has drifted or whose
    student was rolled back, and prices that changed."""
    with job_scope(org_id) as actor:
        org = actor.org
        found = {
            AlertKind.KEY_EXPIRING: _find_expiring(org, now),
            AlertKind.CHANNEL_FAILING: _find_failing_channels(org),
            AlertKind.PRICE: _find_new_prices(actor, now),
            AlertKind.CHANNEL_OFF: _find_dead_channels(org),
            AlertKind.LEARNED: [*_find_drifted(org), *_find_rolled_back(org)],
        }
        told = Alert.objects.filter(org=org, ended_at=None, kind__in=[kind.value for kind in found])
        standing = set(told.values_list("kind", flat=True))
        for kind, facts in found.items():
            # Every organisation is looked at every few minutes, and most have nothing to be told, or to be ended.
            if facts or kind in standing:
                report(org, kind, facts, now=now, is_complete=True)


def _find_expiring(org: Organization, now: datetime) -> list[Fact]:
    """Keys whose last days have come. One that was rotated has a successor already: its end is wanted."""
    keys = ApiKey.objects.filter(
        org=org,
        revoked_at=None,
        rotated_to=None,
        expires_at__gt=now,
        expires_at__lte=now + _DAY * KINDS[AlertKind.KEY_EXPIRING].most,
    )
    return [
        Fact(
            AlertKind.KEY_EXPIRING,
            str(key.pk),
            (key.expires_at - now) // _DAY,
            {"name": key.name, "prefix": key.prefix, "expires": key.expires_at.isoformat()},
            # Another end is another alert.
            window_start=key.expires_at,
        )
        for key in keys.order_by("expires_at", "id")
        if key.expires_at is not None
    ]


def _find_dead_channels(org: Organization) -> list[Fact]:
    channels = Channel.objects.filter(org=org, is_active=False).exclude(disabled_reason="").order_by("created_at", "id")
    return [make_channel_fact(channel.pk, channel.name, channel.disabled_reason) for channel in channels]


def _find_failing_channels(org: Organization) -> list[Fact]:
    """Those that fail; and with 0, as gone, those that are switched off."""
    failing = Q(failures__gt=0, failing_since__isnull=False)
    channels = Channel.objects.filter(failing | Q(is_active=False), org=org)
    return [
        Fact(
            AlertKind.CHANNEL_FAILING,
            str(channel.pk),
            channel.failures if channel.is_active else 0,
            {
                "name": channel.name,
                "failures": channel.failures,
                "since": channel.failing_since.isoformat() if channel.failing_since else "",
            },
            is_gone=not channel.is_active,
        )
        for channel in channels.order_by("created_at", "id")
    ]


def _find_new_prices(actor: Actor, now: datetime) -> list[Fact]:
    """Prices that took the place of others in the last days, typed or from a table, with what they do to a month of as
    many tokens as the last one had. The oldest first: of a model the newest stands."""
    since, org = now - _NEWS, actor.org
    if not _has_new_prices(org, Q(effective_from__gt=since, effective_from__lte=now)):
        return []
    snapshot = load_org_snapshot(str(org.pk))
    changes = [
        (model, before, after)
        for model in (snapshot.models.values() if snapshot else ())
        for start in {price.effective_from_ms for price in model.prices}
        if to_ms(since) < start <= to_ms(now)
        and (before := model.find_price(start - 1)) is not None
        and (after := model.find_price(start)) is not None
        and _terms_of(before) != _terms_of(after)
    ]
    if not changes:
        return []
    month, _ = period_bounds("month", now, org.time_zone)
    last = previous_bounds("month", month, org.time_zone)
    used = add_up_usage(actor, *last, ("upstream_id", "price_id", "service_tier"))
    ids = dict(LanguageModel.objects.filter(org=org).values_list("name", "pk"))
    changes.sort(key=lambda change: (change[2].effective_from_ms, change[0].name))
    return [
        _make_price_fact(str(ids.get(model.name, "")), model, before, after, used) for model, before, after in changes
    ]


def _has_new_prices(org: Organization, fresh: Q) -> bool:
    """Whether a price may be new to an organisation: its own, or one of a list that a model of its is in. Its whole
    snapshot is read for no other."""
    if any(rows.filter(fresh, org=org).exists() for rows in (Price.objects, PriceAdjustment.objects)):
        return True
    listed = set(ListPrice.objects.filter(fresh).values_list("provider", "model"))
    if not listed:
        return False
    models = set(LanguageModel.objects.filter(org=org).values_list("upstream_model", flat=True))
    # A dated version's name begins with the model's.
    return any(
        name.startswith(tuple(list_price_names(provider, model))) for provider, name in listed for model in models
    )


def _terms_of(price: PriceSnapshot) -> tuple[object, ...]:
    return price.rates, price.per_request, price.long_context, price.service_tiers


def _make_price_fact(
    model_id: str, model: ModelSnapshot, before: PriceSnapshot, after: PriceSnapshot, used: Sequence[UsageSums]
) -> Fact:
    versions = {price.id for price in model.prices}
    own = [one for one in used if str(one.keys[0]) == model.upstream_id and str(one.keys[1]) in versions]
    was, now = (sum(_reprice(one, price) for one in own) // PICOS_PER_NANO for price in (before, after))
    return Fact(
        AlertKind.PRICE,
        model_id,
        abs(now - was) * 100 // was if was else 0,
        {
            "model": model.name,
            "starts": from_ms(after.effective_from_ms).isoformat(),
            "input_before": before.rates.input,
            "input_now": after.rates.input,
            "output_before": before.rates.output,
            "output_now": after.rates.output,
            "month_before": was,
            "month_now": now,
            "is_drop": now < was,
        },
        window_start=from_ms(after.effective_from_ms),
    )


def _reprice(sums: UsageSums, price: PriceSnapshot) -> int:
    """Pico-USD of as many tokens and pieces at a price, without long contexts; in a tier that it has no price for, at
    its own."""
    rates = find_rates(price, sums.keys[2]) or price.rates._asdict()
    amounts = sum(sums[name] * rates[name] for name in (*TOKEN_CLASSES, *UNIT_CLASSES))
    return amounts + sums["billed"] * price.per_request


def _find_drifted(org: Organization) -> list[Fact]:
    """Routes of which the last that was learned has drifted, as long as they decide by nothing else."""
    made = LearnedRoute.objects.filter(org_id=org.pk).exclude(report__has_key=REFUSED)
    made = made.order_by("route_id", "-made_at").distinct("route_id")
    newest = {learned.route_id: learned for learned in made.defer("packed")}
    drifted = {route_id for route_id, learned in newest.items() if learned.report.get(DRIFTED_SINCE)}
    routes = Route.objects.filter(org=org, pk__in=drifted, learned="").order_by("name")
    return [
        Fact(
            AlertKind.LEARNED,
            str(route.pk),
            1,
            {
                "route": route.name,
                "learned": newest[route.pk].made_at.isoformat(),
                "labels": newest[route.pk].labels,
            },
        )
        for route in routes
    ]


def _find_rolled_back(org: Organization) -> list[Fact]:
    """What was trained and is not trusted any more, where a route that asks it is still there."""
    kinds: tuple[Iterable[ProviderTuning | Student | TunedModel], ...] = (
        Student.objects.filter(org=org, stage=Stage.ROLLED_BACK.value).exclude(route="").defer("weights"),
        TunedModel.objects.filter(org=org, stage=Stage.ROLLED_BACK.value)
        .exclude(route="")
        .defer("adapter", "served", "trials"),
        ProviderTuning.objects.filter(org=org, stage=Stage.ROLLED_BACK.value).exclude(route="").defer("trials"),
    )
    names = set(Route.objects.filter(org=org).values_list("name", flat=True))
    return [
        Fact(AlertKind.LEARNED, str(row.pk), 1, {"route": row.route, "student": row.name, "reason": row.reason})
        for rows in kinds
        for row in rows
        if row.route in names
    ]


def make_channel_fact(channel_id: UUID, name: str, reason: str) -> Fact:
    """That a channel was switched off, and why."""
    return Fact(AlertKind.CHANNEL_OFF, str(channel_id), 1, {"name": name, "reason": reason})
