"""Billing's jobs: every one may run twice, or on two workers at once, and die anywhere.

The schedule is one table, ``costhub.ops.schedule``.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from celery import shared_task
from django.db import connections

from billing.alerts.actions.calls import list_orgs_with_ended_calls, queue_ended
from billing.alerts.actions.changes import list_orgs_with_untold_changes, queue_changes
from billing.alerts.actions.retention import forget_old
from billing.alerts.checks import budgets, calls, drift, outlook, standing
from billing.alerts.sender import TURN_SECONDS, list_due_orgs, send_due
from billing.bills.actions import fetch_bills as fetch_of
from billing.gpu.actions import charge_hours, end_gone, list_orgs_with_gpus
from billing.spend.actions import anomalies, forecasts
from billing.spend.actions.rollups import roll_up as roll_up_some
from billing.summaries import sender as summaries
from costhub.lib import clock
from costhub.lib.database import try_to_be_only
from costhub.lib.net import gate_from_settings
from tenants.access import Actor, job_scope, list_org_ids, list_shards
from tenants.actions.endpoints import end_lapsed, list_endpoint_orgs

_log = logging.getLogger(__name__)

Place = TypeVar("Place", UUID, int)
Result = TypeVar("Result")

#: locks of PostgreSQL, one for each job that may run once at a time
_WATCHING: Final = 0x57415443_48425544  # "WATCHBUD"
_SENDING: Final = 0x53454E44_4D41494C  # "SENDMAIL"
#: so many organisations are sent for at once
_SENDERS: Final = 8
SEND_FOR_SECONDS: Final = 20
_LOOK_AGAIN_SECONDS: Final = 0.5
#: one run of the sums goes on for so long while there is something to do
ROLL_UP_FOR_SECONDS: Final = 30
#: one run of forecasts or anomalies goes on for so long: it keeps others from their turn
RUN_SECONDS: Final = 90
#: runs that do not reach every organisation begin at another one each hour
_STRIDE: Final = 7919


@shared_task
def fetch_bills() -> int:
    """Fetch what upstreams' providers bill, and alert where the ledger says otherwise. Gives how many bills."""
    gate = gate_from_settings()

    def fetch_bills_of(actor: Actor, now: datetime) -> int:
        return fetch_of(actor.org.pk, gate, now)

    return run_for_all(fetch_bills_of)


@shared_task
def charge_gpu_hours() -> int:
    """Put the hours of GPU endpoints that are over into the ledger. Gives how many stretches of time."""
    now, charged = clock.now(), 0
    for org_id in list_orgs_with_gpus(now):
        try:
            with job_scope(org_id) as actor:
                charged += charge_hours(actor, now)
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("hours of GPUs could not be charged", extra={"org": str(org_id)})
    return charged


@shared_task
def keep_endpoints() -> int:
    """End servers of upstreams whose workers are not heard of any more, and the hours of those that are gone. Gives the
    number of servers that ended."""
    ended = 0
    for org_id in list_endpoint_orgs():
        try:
            ended += end_lapsed(org_id)
            with job_scope(org_id) as actor:
                end_gone(actor)
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("servers could not be ended", extra={"org": str(org_id)})
    return ended


@shared_task
def roll_up() -> int:
    """Bring the ledger's sums up to date, until they are or the next run takes over."""
    ends = clock.ends_in(ROLL_UP_FOR_SECONDS)
    rolled = 0
    while clock.monotonic_ns() < ends:
        batch = roll_up_some()
        rolled += batch
        if batch == 0:
            break
    return rolled


@shared_task
def refresh_forecasts() -> int:
    """Forecast the month of every organisation."""
    return run_for_all(forecasts.refresh_forecasts)


@shared_task
def detect_anomalies() -> int:
    """Look for what was unusual in the last finished hour and day of every organisation."""
    return run_for_all(anomalies.detect_anomalies)


@shared_task
def send_summaries() -> int:
    """Mail what the week and the month that have ended did cost."""
    return run_for_all(summaries.send_summaries)


@shared_task
def watch_budgets() -> int:
    """Alert of budgets whose counters moved."""
    with try_to_be_only(_WATCHING) as is_ours:
        return budgets.watch_changed() if is_ours else 0


@shared_task
def review_budgets() -> None:
    """End alerts of budgets whose period is over, or that were raised."""
    _each(budgets.list_alerted_orgs(), budgets.review_open)


@shared_task
def watch_calls() -> None:
    """Alert of unpriced models, overruns and failing upstreams."""
    now = clock.now()
    _each(calls.list_active_orgs(now), lambda org_id: calls.watch_calls(org_id, now))


@shared_task
def watch_standing() -> None:
    """Alert of expiring keys, of channels that were switched off, of forecasts and of anomalies."""
    now = clock.now()
    org_ids = list_org_ids()
    _each(org_ids, lambda org_id: standing.watch_standing(org_id, now))
    _each(org_ids, lambda org_id: outlook.watch_outlook(org_id, now))


@shared_task
def watch_drift() -> int:
    """Alert of counters that do not agree with the ledger. Gives how many do not."""
    now = clock.now()
    return sum(_each(list_shards(), lambda shard: drift.watch_drift(shard, now)))


@shared_task
def send_messages() -> int:
    """Send what is due, organisations beside each other, so that one whose receivers hang keeps no other waiting.

    One run at a time in the whole installation: receivers that hang may take this process, and no other.
    """
    with try_to_be_only(_SENDING) as is_ours:
        return _send_to_all() if is_ours else 0


def _send_to_all() -> int:
    """Until nothing is due, or the run is over. Looks again and again for who is due: a run with a receiver that hangs
    lasts, and others' messages come meanwhile."""
    ends = clock.ends_in(SEND_FOR_SECONDS)
    sent, turns = 0, dict[UUID, Future[int]]()
    with ThreadPoolExecutor(_SENDERS) as senders:
        while True:
            _tell_of_calls()
            _tell_of_changes()
            for org_id in list_due_orgs(clock.now()):
                if org_id not in turns and len(turns) < _SENDERS:
                    turns[org_id] = senders.submit(_send_turn, org_id)
            if not turns:
                return sent
            wait(turns.values(), timeout=_LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
            for org_id in [org_id for org_id, turn in turns.items() if turn.done()]:
                sent += turns.pop(org_id).result()
            if clock.monotonic_ns() > ends:
                return sent + sum(turn.result() for turn in turns.values())


def _tell_of_calls() -> None:
    """Put the news of calls that are out among the messages."""
    for org_id in list_orgs_with_ended_calls():
        try:
            queue_ended(org_id, clock.now())
        except Exception:  # noqa: BLE001 - the others' calls have done nothing wrong
            _log.exception("webhooks could not be told of answered calls", extra={"org": str(org_id)})


def _tell_of_changes() -> None:
    """Put what somebody has changed among the messages."""
    for org_id in list_orgs_with_untold_changes():
        try:
            queue_changes(org_id, clock.now())
        except Exception:  # noqa: BLE001 - the others' changes have done nothing wrong
            _log.exception("webhooks could not be told of changes", extra={"org": str(org_id)})


def _send_turn(org_id: UUID) -> int:
    """An organisation's turn: until nothing is due, or its time is up."""
    gate, sent = gate_from_settings(), 0
    ends = clock.ends_in(TURN_SECONDS)
    try:
        while clock.monotonic_ns() < ends and (taken := send_due(org_id, gate)):
            sent += taken
    except Exception:  # noqa: BLE001 - whatever it is, the others' messages have done nothing wrong
        _log.exception("messages could not be sent", extra={"org": str(org_id)})
    finally:
        # This thread's: it ends.
        connections.close_all()
    return sent


@shared_task
def forget_old_alerts() -> None:
    """Delete old alerts and messages."""
    now = clock.now()
    _each(list_org_ids(), lambda org_id: forget_old(org_id, now))


def run_for_all(act: Callable[[Actor, datetime], int]) -> int:
    """Act in every active organisation until time is up; one that fails keeps no other waiting."""
    now, done = clock.now(), 0
    ends = clock.ends_in(RUN_SECONDS)
    for org_id in _list_orgs(now):
        if clock.monotonic_ns() > ends:
            _log.warning("not every organisation had its turn", extra={"job": act.__name__})
            break
        try:
            with job_scope(org_id) as actor:
                is_active = actor.org.is_active
            done += act(actor, now) if is_active else 0
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("a job failed for an organisation", extra={"job": act.__name__, "org": str(org_id)})
    return done


def _list_orgs(now: datetime) -> list[UUID]:
    org_ids = sorted(list_org_ids())
    turn = int(now.timestamp()) // 3600 * _STRIDE % max(len(org_ids), 1)
    return org_ids[turn:] + org_ids[:turn]


def _each(places: Iterable[Place], work: Callable[[Place], Result]) -> list[Result]:
    """What came of each. The trouble of one organisation or shard must not keep the others waiting; it is told of and
    comes again."""
    results = []
    for place in places:
        try:
            results.append(work(place))
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("a job failed in one place", extra={"place": str(place)})
    return results
