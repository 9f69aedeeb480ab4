"""The jobs that keep the ledger: every one may run twice, or on two workers at once, and die anywhere.

The schedule is one table, ``costhub.ops.schedule``.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.database import try_to_be_only
from costhub.lib.net import Gate, gate_from_settings
from costhub.lib.objects import Objects
from costhub.lib.redis import ShardsAway, ask_shards
from proxy.answers import store
from proxy.batches import work
from proxy.batches.results import find_saved
from proxy.batches.shift import end_shifts
from proxy.batches.upkeep import check_owner, forget_expired
from proxy.cache import upkeep
from proxy.ledger import bill_corrections, drain, reaper, recount
from proxy.ledger.recount import RecountFailed
from proxy.telemetry import figures
from tenants.access import list_org_ids, list_shards
from tenants.actions.changes import sync_versions

_log = logging.getLogger(__name__)

#: one run of the drain goes on for so long while there is something to do, so that a busy stream needs no beat
DRAIN_FOR_SECONDS: Final = 20
MONTHS_AHEAD: Final = 3
#: a run begins lines for so long, and for a while longer where some are under way; then the next one takes over
BATCHES_FOR_SECONDS: Final = 60
#: and lets those that have begun come to their end: an upstream may take an hour
BATCHES_LIMIT_SECONDS: Final = 4_000
_CORRECTING: Final = 0x434F5252_45435400  # "CORRECT"


@shared_task
def drain_ledger() -> int:
    """Move settled calls from the streams into the ledger until there are none, or the next run takes over. Raises
    ShardsAway in the end where a shard's Valkey does not answer: the others' calls do not wait for it."""
    ends = clock.ends_in(DRAIN_FOR_SECONDS)
    moved, away = 0, set[int]()
    while clock.monotonic_ns() < ends:
        found = ask_shards(set(range(keyspace.SHARDS)) - away, _ask_length)
        away |= set(range(keyspace.SHARDS)) - found.keys()
        batch, failed = _for_each(drain.drain, [shard for shard, (length,) in found.items() if length])
        away |= failed
        moved += batch
        if batch == 0:
            break
    if away:
        raise ShardsAway(away)
    return moved


@shared_task
def reap_reservations() -> int:
    """Settle the holds of dead workers. Raises ShardsAway as ``drain_ledger`` does."""
    reaped, away = _for_each(lambda shard: reaper.reap(shard, find_saved), range(keyspace.SHARDS))
    if away:
        raise ShardsAway(away)
    return reaped


@shared_task
def correct_estimates() -> int:
    """Ask upstreams for the bills of calls whose end we did not see."""
    # Two that ask at once would keep the drain waiting.
    with try_to_be_only(_CORRECTING) as is_ours:
        return _correct_all(gate_from_settings()) if is_ours else 0


def _correct_all(gate: Gate) -> int:
    return sum(bill_corrections.correct_estimates(str(org_id), gate) for org_id in list_org_ids())


@shared_task
def rebuild_counters() -> None:
    """Set every budget's counter to what the ledger says, and keep for operators what that showed."""
    for shard in list_shards():
        try:
            figures.keep(shard, recount.recount(shard, "", ()))
        except (RecountFailed, DatabaseError, RedisError):
            _log.warning("a shard's counters could not be rebuilt", extra={"shard": shard})


@shared_task
def make_partitions() -> int:
    """Make the ledger's next months."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, %s)", [clock.now().date(), MONTHS_AHEAD])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@shared_task
def announce_versions() -> int:
    """Tell proxies of changes whose announcement was lost."""
    return sync_versions()


@shared_task
def fit_cache_gates() -> int:
    """Let the gates of the semantic cache learn from what became known. Gives the number of those that did."""
    return sum(upkeep.fit_gate(org_id) for org_id in list_org_ids())


@shared_task
def forget_cached_answers() -> int:
    """Delete cached answers whose time is over, and seal questions that a version before has left open. Gives the
    number of answers."""
    org_ids = [org_id for org_id in list_org_ids() if upkeep.has_semantic_level(org_id)]
    gone = sum(upkeep.forget_what_is_over(org_id) for org_id in org_ids)
    upkeep.seal_the_rest(org_ids)
    return gone


@shared_task(soft_time_limit=BATCHES_LIMIT_SECONDS - 60, time_limit=BATCHES_LIMIT_SECONDS)
def run_batches() -> int:
    """Bring batches on. Lines that have begun come to their end: that may take as long as their upstream."""
    return work.run(BATCHES_FOR_SECONDS)


@worker_shutting_down.connect
def end_batches(**_: Any) -> None:
    """In a worker's first process, when it is asked to stop: the one that runs batches is to begin no more lines."""
    end_shifts()


@shared_task
def forget_old_files() -> int:
    """Delete files whose time is over. Gives their number. Fails, so that operators hear of it, where the store is
    another installation's."""
    objects = Objects(settings.FILES_URL)
    asyncio.run(check_owner(objects))
    return asyncio.run(forget_expired([str(org_id) for org_id in list_org_ids()], objects))


@shared_task
def forget_stored_answers() -> int:
    """Delete answers that callers wanted kept and whose time is over. Gives their number."""
    return sum(store.forget_expired(org_id) for org_id in list_org_ids())


def _ask_length(pipe: Any, shard: int) -> None:
    pipe.xlen(keyspace.ledger_key(shard))


def _for_each(act: Callable[[int], int], shards: Iterable[int]) -> tuple[int, set[int]]:
    """Do something for each shard. Gives how much was done, and the shards whose Valkey did not answer."""
    done, away = 0, set[int]()
    for shard in shards:
        try:
            done += act(shard)
        except RedisError as error:
            _log.warning("a shard waits for its Valkey", extra={"shard": shard, "why": str(error)})
            away.add(shard)
    return done, away


@shared_task
def train_routes() -> int:
    """Have routes learn from what became of their calls, and take back what has drifted."""
    from proxy.learning import route_jobs  # noqa: PLC0415 - it brings scikit-learn, which only this job needs

    return route_jobs.train_all()
