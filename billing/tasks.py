"""The jobs of billing: each may run twice, or on two workers at once, and die anywhere.

The schedule is one table, in ``costhub.celery``.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from celery import shared_task

from billing.actions import anomalies, forecasts
from costhub.lib import clock
from tenants.access import Actor, list_org_ids, org_scope
from tenants.choices import Role
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: one run goes on for so long: the drain of the ledger has two processes, and this keeps one of them
RUN_SECONDS: Final = 90
_NANOS: Final = 1_000_000_000
#: who acts: the product itself, which may read money
_NAME: Final = "costhub"
#: runs that do not reach every organisation begin at another one each hour
_STRIDE: Final = 7919


@shared_task
def refresh_forecasts() -> int:
    """Forecast the month of every organisation."""
    return run_for_all(forecasts.refresh_forecasts)


@shared_task
def detect_anomalies() -> int:
    """Look for what was unusual in the last finished hour and day of every organisation."""
    return run_for_all(anomalies.detect_anomalies)


def run_for_all(act: Callable[[Actor, datetime], int]) -> int:
    """Act in every active organisation until time is up; one that fails keeps no other waiting."""
    now, done = clock.now(), 0
    ends = clock.monotonic_ns() + RUN_SECONDS * _NANOS
    for org_id in _list_orgs(now):
        if clock.monotonic_ns() > ends:
            _log.warning("not every organisation had its turn", extra={"job": act.__name__})
            break
        try:
            actor = _find_actor(org_id)
            done += act(actor, now) if actor else 0
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("a job failed for an organisation", extra={"job": act.__name__, "org": str(org_id)})
    return done


def _find_actor(org_id: UUID) -> Actor | None:
    with org_scope(org_id):
        org = Organization.objects.filter(pk=org_id, is_active=True).first()
    return Actor(org, Role.FINANCE, _NAME) if org else None


def _list_orgs(now: datetime) -> list[UUID]:
    org_ids = sorted(org_id for org_id, _, _ in list_org_ids())
    turn = int(now.timestamp()) // 3600 * _STRIDE % max(len(org_ids), 1)
    return org_ids[turn:] + org_ids[:turn]
