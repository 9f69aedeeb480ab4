"""Counters of budgets against the ledger: they agree, or somebody must hear of it."""

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind
from billing.spend.selectors.names import name_subject
from costhub.lib import keyspace
from proxy.ledger.recount import find_drift
from tenants.access import job_scope
from tenants.models import Budget


def watch_drift(shard: int, now: datetime) -> int:
    """Report the counters of a shard that do not agree with the ledger. Gives how many."""
    by_budget: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for name, counted, ledger in find_drift(shard):
        if found := keyspace.read_counter(name):
            by_budget[found[0]].append((found[2], counted, ledger))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT org_id, budget_id FROM costhub_orgs_of_budgets(%s::uuid[])"
            " UNION SELECT o.org_id, NULL::uuid FROM costhub_alerted_orgs(%s) o",
            [list(by_budget), [AlertKind.DRIFT.value]],
        )
        owners: dict[UUID, list[str]] = defaultdict(list)
        for org_id, budget_id in cursor.fetchall():
            owners[org_id] += [str(budget_id)] if budget_id else []
    for org_id, budget_ids in owners.items():
        _report(org_id, shard, {budget_id: by_budget[budget_id] for budget_id in budget_ids}, now)
    return sum(len(found) for found in by_budget.values())


def _report(org_id: UUID, shard: int, by_budget: dict[str, list[tuple[str, int, int]]], now: datetime) -> None:
    with job_scope(org_id) as actor:
        org = actor.org
        if org.shard != shard:
            return
        facts = []
        for budget in Budget.objects.filter(org=org, pk__in=list(by_budget)):
            drifted = by_budget[str(budget.pk)]
            subject, counted, ledger = max(drifted, key=lambda each: abs(each[1] - each[2]))
            details: dict[str, Any] = {
                "who": name_subject(org, budget.scope, subject),
                "counted": counted,
                "ledger": ledger,
                "counters": len(drifted),
            }
            facts.append(Fact(AlertKind.DRIFT, str(budget.pk), len(drifted), details))
        report(org, AlertKind.DRIFT, facts, now=now, is_complete=True)
