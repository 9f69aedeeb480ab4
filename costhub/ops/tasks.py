"""The jobs that keep the installation tidy and watch over it. The schedule is one table, ``costhub.ops.schedule``."""

import logging

from celery import shared_task
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError

from billing.spend.actions.rollups import is_month_rolled
from costhub.lib import clock
from costhub.ops import erasure
from costhub.ops.watch import find_troubles, tell_troubles
from proxy.ledger import retention
from tenants.access import list_org_ids
from tenants.actions.domain_proofs import prove_again
from tenants.actions.expiry import note_expired

_log = logging.getLogger(__name__)

#: of one run: a name server that says nothing takes seconds
_PROVING_SECONDS = 120


@shared_task
def watch_jobs() -> int:
    """Tell operators of jobs that are late, of a ledger that lags and of a queue that grows."""
    return tell_troubles(find_troubles())


@shared_task
def expire_keys() -> int:
    """Tell the audit log of keys and tokens that have expired."""
    noted = 0
    for org_id in list_org_ids():
        try:
            noted += note_expired(org_id)
        except DatabaseError:
            _log.exception("expired keys could not be noted", extra={"org": str(org_id)})
    return noted


@shared_task
def drop_old_months() -> int:
    """Drop the ledger's months that are older than the operator keeps. Gives how many; the rest waits for the next
    run."""
    if not settings.LEDGER_MONTHS:
        return 0
    dropped = 0
    for month in retention.list_months(retention.first_month_kept(clock.now().date(), settings.LEDGER_MONTHS)):
        try:
            # What people see of it afterwards are its sums.
            if not retention.drop_month(month, is_month_rolled):
                _log.info("a month of the ledger cannot go yet", extra={"month": str(month)})
                break
        except DatabaseError as error:
            _log.warning("a month was not dropped", extra={"month": str(month), "error": type(error).__name__})
            break
        dropped += 1
    return dropped


@shared_task
def prove_domains() -> int:
    """Look again for the challenges of claimed domains, each once a day. Gives how many; the rest waits for the next
    run."""
    ends_at, looked = clock.ends_in(_PROVING_SECONDS), 0
    for org_id in list_org_ids():
        if clock.monotonic_ns() >= ends_at:
            break
        try:
            looked += prove_again(org_id, ends_at_ns=ends_at)
        except DatabaseError:
            _log.exception("domains could not be proved again", extra={"org": str(org_id)})
    return looked


# An organisation of many millions of calls is one long statement for each table.
@shared_task(soft_time_limit=3_300, time_limit=3_400)
def erase_departed() -> int:
    """Erase the organisations whose owners asked for it. Gives how many."""
    return erasure.erase_departed()


@shared_task
def clear_sessions() -> None:
    """Forget sign-ins that have ended."""
    call_command("clearsessions")
