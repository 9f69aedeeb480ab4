"""Looks at the last finished day and hour of an organisation, its projects, keys and models, and keeps what is
unusual."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from billing.choices import AnomalyUnit
from billing.spend.core.anomalies import (
    BUCKETS_A_DAY,
    DIMENSIONS,
    FLOOR_NANOS,
    MAX_DAYS,
    Driver,
    Finding,
    Volume,
    detect,
    find_driver,
    split_excess,
)
from billing.spend.filters import LedgerFilters
from billing.spend.models import Anomaly
from billing.spend.selectors import find_spend
from billing.spend.spend_series import find_last_bucket, make_filters, make_volume, read_buckets, read_volumes
from tenants.access import Actor, org_scope
from tenants.choices import BudgetScope
from tenants.periods import period_bounds

SCOPES: Final = (BudgetScope.PROJECT, BudgetScope.KEY, BudgetScope.MODEL)
#: of each scope the dearest so many are looked at
MAX_SUBJECTS: Final = 200
#: a finished day is looked at for so long: later runs would find the same
LOOK_BACK: Final = timedelta(hours=12)
#: a busy hour of the day costs this many times the mean
_PEAK: Final = 4
_MAX_NAME: Final = 200


def detect_anomalies(actor: Actor, now: datetime) -> int:
    """Store what is unusual and not stored yet. Returns how many anomalies that were."""
    stored = 0
    for unit in AnomalyUnit:
        bounds = find_last_bucket(unit, now, actor.org.time_zone)
        if now - bounds[1] > LOOK_BACK:
            continue
        with org_scope(actor.org.pk):
            subjects = [(BudgetScope.ORGANIZATION, ""), *_list_worthwhile(actor, unit, bounds)]
            known = set(
                Anomaly.objects.filter(org=actor.org, unit=unit, starts=bounds[0]).values_list("scope", "subject")
            )
        stored += sum(
            detect_anomaly(actor, unit, bounds, scope, subject)
            for scope, subject in subjects
            if (scope.value, subject) not in known
        )
    return stored


def detect_anomaly(
    actor: Actor, unit: AnomalyUnit, bounds: tuple[datetime, datetime], scope: BudgetScope, subject: str
) -> bool:
    """Look at one subject's finished day or hour. Whether it was unusual; it is stored once, however often one
    looks."""
    filters = make_filters(scope, subject)
    if filters is None:
        return False
    start, end = bounds
    since = _since(unit, start, actor.org.time_zone)
    with org_scope(actor.org.pk):
        *history, actual = read_buckets(actor, unit, since, end, filters)
    finding = detect(unit, history, actual)
    if finding is None:
        return False
    with org_scope(actor.org.pk):
        row = _explain(actor, finding, scope, filters, (since, start, end))
        row.scope, row.subject, row.unit, row.starts = scope.value, subject, unit.value, start
        Anomaly.objects.bulk_create([row], ignore_conflicts=True)
    return True


def _list_worthwhile(
    actor: Actor, unit: AnomalyUnit, bounds: tuple[datetime, datetime]
) -> Iterator[tuple[BudgetScope, str]]:
    """Subjects that spent, or usually spend, enough for a difference to matter; the dearest first."""
    start, end = bounds
    since = _since(unit, start, actor.org.time_zone)
    buckets = MAX_DAYS[unit] * BUCKETS_A_DAY[unit]
    for scope in SCOPES:
        actual = read_volumes(actor, start, end, scope.value, LedgerFilters())
        usual = read_volumes(actor, since, start, scope.value, LedgerFilters())
        likely = {
            name: max(actual.get(name, Volume()).cost, usual.get(name, Volume()).cost * _PEAK // buckets)
            for name in [*actual, *(name for name in usual if name not in actual)]
            if len(name) <= _MAX_NAME
        }
        dearest = sorted(likely, key=lambda name: (-likely[name], name))[:MAX_SUBJECTS]
        yield from ((scope, name) for name in dearest if likely[name] >= FLOOR_NANOS)


def _explain(
    actor: Actor,
    finding: Finding,
    scope: BudgetScope,
    filters: LedgerFilters,
    moments: tuple[datetime, datetime, datetime],
) -> Anomaly:
    since, start, end = moments
    actual, usual = (
        make_volume(find_spend(actor, start=first, end=last, filters=filters).total)
        for first, last in ((start, end), (since, start))
    )
    expected = finding.usual.expected
    children: dict[tuple[str, str], tuple[Volume, Volume]] = {}
    for dimension in _dimensions(scope):
        now = read_volumes(actor, start, end, dimension, filters)
        before = read_volumes(actor, since, start, dimension, filters)
        names = {name for name in [*now, *before] if name}
        children |= {(dimension, name): (now.get(name, Volume()), before.get(name, Volume())) for name in names}
    driver = find_driver(children, actual, usual, expected) or Driver("", "", 0)
    excess = split_excess(actual, usual, expected)
    return Anomaly(
        org=actor.org,
        severity=finding.severity.value,
        actual=actual.cost,
        expected=expected,
        low=finding.usual.low,
        high=finding.usual.high,
        cause=excess.cause.value,
        calls=excess.calls,
        tokens=excess.tokens,
        price=excess.price,
        driver_dimension=driver.dimension,
        driver_subject=driver.subject[:_MAX_NAME],
        driver_excess=driver.excess,
    )


def _dimensions(scope: BudgetScope) -> list[str]:
    """What lies inside a scope: not itself, and a key has one project."""
    outside = {BudgetScope.KEY: {"key", "project"}}.get(scope, {scope.value})
    return [dimension for dimension in DIMENSIONS if dimension not in outside]


def _since(unit: AnomalyUnit, start: datetime, time_zone: str) -> datetime:
    return period_bounds("day", start - timedelta(days=MAX_DAYS[unit]), time_zone)[0]
