"""What a run that asks models has cost, by the ledger.

Whoever asks hears of most costs with the answers. Not of those of a call that was given up after a while, nor of one
whose answer came to nobody, nor of corrections. All of a run's calls have its tag: when the last of them must have come
to the ledger, the run's own sum becomes that of its rows.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Sum

from costhub.lib import clock
from proxy.learning.choices import JobState
from proxy.learning.models import PaidReplay, TeacherRun
from proxy.ledger.model import LedgerEntry
from tenants.access import Actor, job_scope

RUN_TAG: Final = "learning-run"
#: a call that nobody waits for any more has ended by then, and its row is in the ledger
SETTLED_AFTER: Final = timedelta(minutes=5)
#: clocks of several machines
_SLACK: Final = timedelta(minutes=5)


def tag_run(run: TeacherRun | PaidReplay) -> dict[str, str]:
    """The header by which the ledger knows a run's calls. Runs from before there was one have none."""
    return {"x-costhub-tags": f"{RUN_TAG}={run.pk}"} if run.is_tagged else {}


def read_spent(actor: Actor, run_id: UUID, since: datetime) -> int:
    """Nano-USD of a run's calls that the ledger knows by now."""
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk, started_at__gte=since - _SLACK, tags__contains={RUN_TAG: str(run_id)}
    )
    return int(rows.aggregate(total=Sum("effective_cost"))["total"] or 0)


def read_spent_within(actor: Actor, run_id: UUID, since: datetime, until: datetime | None = None) -> int:
    """The same of calls that began in ``[since, until)``: what is tagged for months is not added up from its start each
    time."""
    rows = LedgerEntry.objects.filter(org_id=actor.org.pk, started_at__gte=since, tags__contains={RUN_TAG: str(run_id)})
    if until is not None:
        rows = rows.filter(started_at__lt=until)
    return int(rows.aggregate(total=Sum("effective_cost"))["total"] or 0)


def settle_runs(org_id: UUID) -> int:
    """Have each run that ended a while ago cost what the ledger says. Gives how many."""
    settled = 0
    with job_scope(org_id) as actor:
        for table in (TeacherRun, PaidReplay):
            due = table._default_manager.filter(org=actor.org, settle_at__lte=clock.now())
            for run in due.select_for_update(skip_locked=True):
                run.cost_nanos = read_spent(actor, run.pk, run.created_at)
                run.settle_at = None
                run.save(update_fields=["cost_nanos", "settle_at"])
                settled += 1
    return settled


def end_run(run: TeacherRun | PaidReplay, state: JobState) -> None:
    """A run is over: its key is gone, and what it has cost is read from the ledger in a while."""
    run.state, run.api_key = state.value, None
    run.settle_at = clock.now() + SETTLED_AFTER if run.is_tagged else None
    run.save(update_fields=["state", "api_key", "settle_at"])
