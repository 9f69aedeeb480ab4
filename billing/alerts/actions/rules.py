"""Alert rules: when people want to be told."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from billing.alerts.core.kinds import KINDS, RuleTerms
from billing.alerts.models import AlertRule, Channel
from billing.choices import KNOWN_KINDS, AlertKind
from costhub.lib.errors import Conflict, InvalidField, NotFound
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import store_changes
from tenants.actions.values import check_name
from tenants.choices import Permission
from tenants.models import Budget, Organization

MAX_THRESHOLDS: Final = 10
MAX_RULES: Final = 100
MAX_CHANNELS: Final = 20
_LOCK_CLASS: Final = 0x414C5254  # "ALRT"


def ensure_rules(org: Organization) -> list[RuleTerms]:
    """The active rules. A kind that never had a rule gets one, so that nobody has to set up anything to be told; who
    wants none switches it off."""
    rows, missing = _read_rules(org)
    if missing:
        # Two that find the same kinds missing make them once.
        lock_alerts(org)
        rows, missing = _read_rules(org)
        rows += AlertRule.objects.bulk_create(
            AlertRule(org=org, name=KINDS[kind].title, kind=kind.value, tells_recovery=KINDS[kind].tells_end)
            for kind in missing
        )
    return [_terms(row) for row in rows if row.is_active]


def lock_alerts(org: Organization) -> None:
    """Nobody else opens or ends an organisation's alerts, or makes its first rules, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_CLASS, str(org.pk)])


def create_rule(
    *,
    actor: Actor,
    kind: AlertKind,
    name: str,
    thresholds: Sequence[int] = (),
    budget: str | None = None,
    channels: Sequence[str] = (),
    tells_recovery: bool = True,
) -> AlertRule:
    """Create a rule. Raises InvalidField for thresholds or a budget that cannot be, NotFound for a channel or budget
    that does not exist, Conflict at ``MAX_RULES``."""
    actor.check(Permission.WRITE_MONEY)
    ensure_rules(actor.org)
    if AlertRule.objects.filter(org=actor.org).count() >= MAX_RULES:
        raise Conflict(f"There are {MAX_RULES} rules already: change one of them.")
    rule = AlertRule(
        org=actor.org,
        kind=kind.value,
        name=check_name(name),
        thresholds=_check_thresholds(kind, thresholds),
        budget=_check_budget(actor, kind, budget),
        channels=_check_channels(actor, channels),
        tells_recovery=tells_recovery,
    )
    with transaction.atomic():
        rule.save(force_insert=True)
        record(actor, "created", rule, kind=kind, name=rule.name, thresholds=rule.thresholds)
    return rule


def update_rule(*, actor: Actor, rule: AlertRule, **changes: Any) -> AlertRule:
    """Change a rule; ``changes`` are ``create_rule``'s arguments but ``kind``, and ``is_active``. Raises the same."""
    actor.check(Permission.WRITE_MONEY)
    kind = AlertKind(rule.kind)
    new: dict[str, Any] = {name: changes[name] for name in ("tells_recovery", "is_active") if name in changes}
    if "name" in changes:
        new["name"] = check_name(changes["name"])
    if "thresholds" in changes:
        new["thresholds"] = _check_thresholds(kind, changes["thresholds"])
    if "budget" in changes:
        new["budget"] = _check_budget(actor, kind, changes["budget"])
    if "channels" in changes:
        new["channels"] = _check_channels(actor, changes["channels"])
    store_changes(actor, rule, new)
    return rule


def list_known_rules(org: Organization) -> QuerySet[AlertRule]:
    """Its rules of kinds that this release knows, inactive ones included."""
    return AlertRule.objects.filter(org=org, kind__in=KNOWN_KINDS)


def _read_rules(org: Organization) -> tuple[list[AlertRule], list[AlertKind]]:
    rows = list(list_known_rules(org).order_by("created_at", "id"))
    known = {row.kind for row in rows}
    return rows, [kind for kind in AlertKind if kind.value not in known]


def _terms(row: AlertRule) -> RuleTerms:
    return RuleTerms(
        id=str(row.pk),
        kind=AlertKind(row.kind),
        thresholds=tuple(row.thresholds),
        budget=str(row.budget) if row.budget else "",
        channels=frozenset(str(channel) for channel in row.channels),
        tells_recovery=row.tells_recovery,
    )


def _check_thresholds(kind: AlertKind, thresholds: Sequence[int]) -> list[int]:
    most = KINDS[kind].most
    rising = all(low < high for low, high in pairwise(thresholds))
    if not rising or not all(1 <= each <= most for each in thresholds) or len(thresholds) > MAX_THRESHOLDS:
        raise InvalidField(
            f"Give up to {MAX_THRESHOLDS} rising whole numbers from 1 to {most}: {KINDS[kind].unit}.",
            field="thresholds",
        )
    return list(thresholds)


def _check_budget(actor: Actor, kind: AlertKind, budget: str | None) -> UUID | None:
    if not budget:
        return None
    if kind not in {AlertKind.BUDGET, AlertKind.FORECAST}:
        raise InvalidField("Only a rule of kind budget or forecast is about a budget.", field="budget")
    try:
        found = Budget.objects.filter(org=actor.org, pk=UUID(budget)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound("There is no such budget.", field="budget")
    return found.pk


def _check_channels(actor: Actor, channels: Sequence[str]) -> list[UUID]:
    if len(channels) > MAX_CHANNELS:
        raise InvalidField(f"Give at most {MAX_CHANNELS} channels.", field="channels")
    known = {str(pk): pk for pk in Channel.objects.filter(org=actor.org).values_list("pk", flat=True)}
    found = [known.get(text.lower()) for text in channels]
    if None in found:
        raise NotFound("There is no such channel.", field="channels")
    return [pk for pk in dict.fromkeys(found) if pk is not None]
