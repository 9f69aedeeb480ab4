"""From how things stand to alerts: each is opened once, told once, and ended when what it tells of is over."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from billing.alerts.actions.deliveries import queue
from billing.alerts.actions.rules import ensure_rules, lock_alerts
from billing.alerts.core.kinds import KINDS, Fact, RuleTerms, crossed, severity_of
from billing.alerts.models import Alert, Delivery
from billing.choices import AlertEvent, AlertKind
from costhub.lib import clock
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import Organization


def report(
    org: Organization, kind: AlertKind, facts: Sequence[Fact], *, now: datetime, is_complete: bool
) -> list[Alert]:
    """Open an alert for every threshold that a fact crosses, and end the open ones that no fact speaks for any more.
    Gives those that were opened.

    ``facts`` tell of everything that was looked at, also of what is well; ``is_complete`` says that there is nothing
    else of this kind, so that what they leave out is over. The organisation is open, and so is a transaction.
    """
    lock_alerts(org)
    open_alerts = {
        (str(alert.rule), alert.subject, alert.threshold): alert
        for alert in Alert.objects.filter(org=org, kind=kind.value, ended_at=None)
    }
    rules = {rule.id: rule for rule in ensure_rules(org) if rule.kind is kind}
    opened: list[Alert] = []
    standing: set[tuple[str, str, int]] = set()
    for rule in rules.values():
        for fact in facts:
            levels = crossed(rule, fact)
            standing |= {(rule.id, fact.subject, level) for level in crossed(rule, fact, is_standing=True)}
            opened += _open_levels(org, rule, fact, levels, open_alerts, now)
    by_subject = {fact.subject: fact for fact in facts}
    for key, alert in open_alerts.items():
        found = by_subject.get(alert.subject)
        if found is not None and found.is_group and found.window_start == alert.window_start:
            continue
        if key not in standing and (found is not None or is_complete):
            _end(org, alert, rules.get(key[0]), found, now)
    return opened


def acknowledge(*, actor: Actor, alert: Alert) -> Alert:
    """Somebody takes care of it. Raises Forbidden for who may not see money; doing it again changes nothing."""
    actor.check(Permission.READ_MONEY)
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by = clock.now(), actor.name
        alert.save(update_fields=["acknowledged_at", "acknowledged_by"])
        record(actor, "acknowledged", alert, kind=alert.kind, subject=alert.subject)
    return alert


def _open_levels(
    org: Organization,
    rule: RuleTerms,
    fact: Fact,
    levels: Iterable[int],
    open_alerts: dict[tuple[str, str, int], Alert],
    now: datetime,
) -> list[Alert]:
    """Alerts for levels that have none in this window. Whoever jumps over several at once hears of the gravest only."""
    opened = []
    for level in levels if fact.opens else ():
        key = (rule.id, fact.subject, level)
        known = open_alerts.get(key)
        window = fact.window_start or (known.window_start if known else now)
        if known is not None:
            # What comes late from a window that is over changes nothing.
            if known.window_start >= window:
                continue
            _finish(open_alerts.pop(key), now)
        alert, is_new = Alert.objects.get_or_create(
            org=org,
            rule=UUID(rule.id),
            subject=fact.subject,
            window_start=window,
            threshold=level,
            defaults={
                "kind": fact.kind.value,
                "severity": severity_of(fact, level).value,
                "facts": dict(fact.details),
                "created_at": now,
            },
        )
        if is_new:
            open_alerts[key] = alert
            opened.append(alert)
    if opened:
        queue(org, opened[-1], AlertEvent.OPENED, rule, now)
    return opened


def _end(org: Organization, alert: Alert, rule: RuleTerms | None, fact: Fact | None, now: datetime) -> None:
    """It is over. People are told where it went well, not where its window has passed or its subject is gone."""
    _finish(alert, now)
    traits = KINDS[AlertKind(alert.kind)]
    if traits.is_episode:
        went_well = fact is None or not fact.is_gone
    else:
        went_well = fact is not None and fact.window_start == alert.window_start
    if rule is None or not (traits.tells_end and rule.tells_recovery and went_well):
        return
    if Delivery.objects.filter(org=org, alert=alert.pk, event=AlertEvent.OPENED.value).exists():
        queue(org, alert, AlertEvent.RECOVERED, rule, now)


def _finish(alert: Alert, now: datetime) -> None:
    alert.ended_at = now
    alert.save(update_fields=["ended_at"])
