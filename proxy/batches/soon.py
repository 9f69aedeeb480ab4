"""Calls whose deadlines are near: they are begun beside all else, so that no batch of hours makes a promise of minutes
late."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.batches import pools
from proxy.batches.background import is_background
from proxy.batches.model import Batch
from proxy.batches.pace import find_call_ms
from proxy.batches.queues import Slots, make_queues
from proxy.batches.runner import Run, concurrency_of
from proxy.core.deadlines import Due, Pace, find_online_from
from tenants.snapshots import OrgSnapshot


async def look_for_soon(run: Run, org_id: str, under_way: Collection[UUID]) -> list[Batch]:
    """The pools to be begun now. Raises AppError and django.db.Error."""
    # One that ends while it is read is there as it was before: the next look shows how it is by then.
    begun = set(under_way)
    found: list[Batch] = await run.in_thread(pools.list_open_pools, org_id)
    soon = await find_soon(run, await run.edges.catalog.get_org(org_id), found, begun)
    return [pool for pool in soon if pool.pk not in under_way]


async def find_soon(
    run: Run, org: OrgSnapshot, batches: Sequence[Batch], under_way: Collection[UUID] = ()
) -> list[Batch]:
    """Find from when on each of the pools among an organisation's batches is to be asked online. Gives those that are
    to be begun now for it."""
    due = await run.in_thread(pools.find_due, [batch for batch in batches if batch.is_pool])
    concurrency = {batch.upstream_id: concurrency_of(org, batch.upstream_id) for batch in batches}
    run.slots |= {upstream: Slots(most) for upstream, most in concurrency.items() if upstream not in run.slots}
    unanswered = [batch for batch in batches if batch.pk in due]
    by_upstream: dict[UUID | None, dict[UUID, Due]] = defaultdict(dict)
    for pool in unanswered:
        pool.first_deadline = from_ms(due[pool.pk].first_ms)
        by_upstream[pool.upstream_id][pool.pk] = due[pool.pk]
    for upstream, all_due in by_upstream.items():
        asked = {(pool.key_id, pool.row["model"]) for pool in unanswered if pool.upstream_id == upstream}
        call_ms = max([await run.in_thread(find_call_ms, org.id, upstream, *one) for one in asked])
        run.online_from |= find_online_from(all_due, Pace(concurrency[upstream], call_ms))
    # What runs in the background waits for no deadline.
    run.online_from |= {pool.pk: 0 for pool in unanswered if is_background(pool)}
    now_ms = clock.now_ms()
    near = [pool for pool in unanswered if run.online_from[pool.pk] <= now_ms and not _is_stopped(pool, org)]
    return choose_soon([pool for pool in near if due[pool.pk].ready or pool.is_remote], under_way, concurrency)


def _is_stopped(pool: Batch, org: OrgSnapshot) -> bool:
    """Whether somebody has stopped its key or project: it would take the place of one that may begin."""
    return str(pool.key_id) in org.stopped_keys or str(pool.project_id) in org.stopped_projects


def choose_soon(
    pools: Iterable[Batch], under_way: Collection[UUID], concurrency: Mapping[UUID | None, int]
) -> list[Batch]:
    """Those to be begun of the pools that are to be asked online by now: of each upstream so many as lines may run
    there, the nearest first, but for those that are ``under_way``. More would only wait for one another. Those whose
    calls their upstream has are ended there, and keep none of the others waiting."""
    chosen = []
    for queue in make_queues(pools):
        asked = [pool for pool in queue if not pool.is_remote]
        nearest = [pool for pool in queue if pool.is_remote] + asked[: concurrency[queue[0].upstream_id]]
        chosen += [pool for pool in nearest if pool.pk not in under_way]
    return chosen
