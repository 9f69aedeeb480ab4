"""A batch on an upstream that knows no batches: its lines are asked one by one, so many at a time, while the upstream
is off its peak."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Final
from uuid import UUID

from django.db import Error as AnyDatabaseError

from costhub.lib import clock
from costhub.lib.errors import AppError
from costhub.lib.moments import to_ms
from costhub.lib.net import gate_from_settings
from proxy.batches import pools, store
from proxy.batches.background import is_background
from proxy.batches.feed import Feed
from proxy.batches.finish import CANCELLED_LINE, EXPIRED_LINE, GONE_LINE, GONE_TEXT, begin_to_end, finish
from proxy.batches.ids import upstream_path
from proxy.batches.line import STOPS, Asking, Stopped
from proxy.batches.line_request import endpoint_of
from proxy.batches.lock import is_locked
from proxy.batches.model import Batch
from proxy.batches.queues import Slots
from proxy.batches.remote import Remote, is_due
from proxy.batches.remote_api import open_remote
from proxy.batches.saver import InThread, Saver
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.shift import Shift
from proxy.batches.silence import charge_lines_unheard, charge_unheard, is_listened_to, listen
from proxy.core.deadlines import END_WITHIN_MS, GATHERED_MS
from proxy.core.off_peak import is_off_peak
from proxy.core.plan import check_running
from proxy.core.rate_limits import without_rate_limits
from proxy.errors import ApiError
from proxy.wiring import Edges
from tenants.access import org_scope
from tenants.models import ApiKey
from tenants.sealed_rows import Sealer
from tenants.selectors import load_whole_org
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

_MOST_CLAIMED: Final = 256
_WATCHED_EVERY_SECONDS: Final = 1.0
_DEFAULT_CONCURRENCY: Final = 8
#: a file's batch that is so late at its upstream is ended
_LATE_MS: Final = 60 * 60_000


@dataclass(slots=True)
class Run:
    """What a worker runs an organisation's batches with. ``in_feed`` is for what is claimed ahead, which need not wait
    for what is noted, nor that for it. ``slots`` are those of each upstream, ``online_from`` says from which moment on,
    in ms, pools are asked online; both change while a batch runs. ``is_soon``: what was promised for soon is brought
    on, for as long as that may begin."""

    edges: Edges
    in_thread: InThread
    in_feed: InThread
    shift: Shift
    slots: dict[UUID | None, Slots]
    online_from: dict[UUID, int]
    is_soon: bool = False
    #: no line of this batch begins any more
    is_paused: bool = False

    @property
    def is_over(self) -> bool:
        """Whether no line may begin any more."""
        return self.is_paused or self.shift.is_over(for_soon=self.is_soon)

    async def step(self, batch: Batch) -> None:
        """Bring a batch as far as it can be brought now. Raises ApiError where what it needs cannot be had."""
        org = await self.edges.catalog.get_org(str(batch.org_id))
        if batch.is_pool:
            await self._step_pool(batch, org)
        elif batch.is_remote and batch.status in {store.IN_PROGRESS, store.CANCELLING}:
            if await self._step_remote_file(batch, org):
                await begin_to_end(batch, self._ends_as(batch), self.in_thread)
        elif batch.status == store.IN_PROGRESS and clock.now() < batch.expires_at:
            key = await self._find_key(batch)
            if key is None:
                await self._fail_rest(batch, "invalid_api_key", "The API key of this batch is not valid any more.")
            else:
                await self._run_lines(batch, key, org)
        if batch.is_remote or batch.is_pool:
            pass
        elif batch.status == store.CANCELLING:
            await self._fail_rest(batch, CANCELLED_LINE, "This request was not asked before the batch was cancelled.")
            await begin_to_end(batch, store.CANCELLED, self.in_thread)
        elif batch.status == store.IN_PROGRESS:
            is_late = clock.now() >= batch.expires_at
            if is_late:
                text = "This request could not be executed before the completion window expired."
                await self._fail_rest(batch, EXPIRED_LINE, text)
            if await self.in_thread(store.count_open, batch) == 0:
                await begin_to_end(batch, store.EXPIRED if is_late else store.COMPLETED, self.in_thread)
        if batch.status == store.FINALIZING:
            # What a line's event is kept for until then goes with the line.
            await self.edges.ledger.wait_written(org.shard)
            await finish(batch, org.shard, self._files_of(org), self.in_thread)

    def _files_of(self, org: OrgSnapshot) -> SealedFiles:
        return SealedFiles(self.edges.objects, Sealer(org.id, org.data_key))

    async def _step_remote_file(self, batch: Batch, org: OrgSnapshot) -> bool:
        """Bring a file on that its upstream runs. One that is not over an hour after its time is ended; where the
        upstream does not say then what it has answered, its lines are charged and end as expired. True when every line
        is out."""
        now_ms = clock.now_ms()
        if "near" not in batch.remote and now_ms > to_ms(batch.expires_at) + _LATE_MS:
            await self.in_thread(store.update_batch, batch, remote=batch.remote | {"near": now_ms})
        is_silent = now_ms - batch.remote.get("near", now_ms) > END_WITHIN_MS
        try:
            is_told = await self._step_remote(batch, org)
        except AppError:
            if not is_silent:
                raise
            is_told = False
        if is_silent and not is_told:
            if "made" in batch.remote:
                await self.in_thread(charge_lines_unheard, batch, org.shard, endpoint_of(batch))
            await self._forget_copy(batch, org)
            await self._fail_rest(batch, EXPIRED_LINE, "The upstream did not say what became of this request.")
        return is_told or is_silent

    async def _step_remote(self, batch: Batch, org: OrgSnapshot) -> bool:
        """Bring a batch on that its upstream runs. True when every line is out."""
        is_out, is_ending = "batch" in batch.remote, batch.status == store.CANCELLING or "near" in batch.remote
        if not is_due(batch, is_ending=is_ending):
            return False
        if is_out:
            # What its upstream has is paid for: also a model that was switched off since, or calls that were stopped.
            org = allow_all(await self.in_thread(load_whole_org, str(batch.org_id)) or org)
        upstream = org.upstreams.get(str(batch.upstream_id))
        key = await self._find_key(batch, only_valid=False)
        if upstream is None or key is None:
            await self._forget_copy(batch, org)
            await self._fail_rest(batch, "upstream_gone", "The upstream of this batch is not there any more.")
            return True
        remote = Remote(
            batch=batch,
            api=open_remote(gate_from_settings(), upstream, org),
            edges=self.edges,
            key=replace(key, models=None) if is_out else key,
            org=without_rate_limits(org),
            endpoint=endpoint_of(batch),
            in_thread=self.in_thread,
            is_ending=is_ending,
        )
        return await remote.step()

    async def _step_pool(self, batch: Batch, org: OrgSnapshot) -> None:
        """Bring calls with deadlines on: handed on together while there is time, asked online near their deadlines."""
        if batch.is_remote:
            await self._step_remote_pool(batch, org)
        if not batch.is_remote and batch.status == store.IN_PROGRESS:
            # What was promised is kept, also to a key that was revoked meanwhile.
            key = await self._find_key(batch, only_valid=False)
            if key is not None:
                await self._run_lines(batch, key, org)
            if is_listened_to(batch):
                upstream = org.upstreams.get(str(batch.upstream_id))
                if upstream is not None and "batch" in batch.remote:
                    await listen(batch, open_remote(gate_from_settings(), upstream, org), org, self.in_thread)
            if not is_listened_to(batch):
                await self.in_thread(pools.end, batch)

    async def _step_remote_pool(self, batch: Batch, org: OrgSnapshot) -> None:
        now_ms, is_near = clock.now_ms(), self._is_near(batch)
        if batch.status == store.POOLING:
            if is_near:
                await self.in_thread(pools.go_online, batch)
            elif now_ms - batch.created_ms >= GATHERED_MS or batch.total >= pools.MOST_LINES:
                await self.in_thread(store.move_on, batch, (store.POOLING,), status=store.IN_PROGRESS)
        if batch.status != store.IN_PROGRESS or not batch.is_remote:
            return
        if is_near and "near" not in batch.remote:
            await self.in_thread(store.update_batch, batch, remote=batch.remote | {"near": now_ms})
        is_silent = now_ms - batch.remote.get("near", now_ms) > END_WITHIN_MS
        try:
            is_told = await self._step_remote(batch, org)
        except AppError:
            if not is_silent:
                raise
            is_told = False
        if is_silent and not is_told and "made" in batch.remote:
            await self.in_thread(charge_unheard, batch, org.shard)
        if is_told or is_silent:
            await self.in_thread(pools.go_online, batch)
            # Then: a store in trouble keeps no call from its deadline.
            await self._forget_copy(batch, org)

    async def _forget_copy(self, batch: Batch, org: OrgSnapshot) -> None:
        """Delete the copy that was made for an upstream: nobody hands the batch's lines on any more."""
        await self._files_of(org).delete(upstream_path(batch.org_id, batch.pk))

    @staticmethod
    def _ends_as(batch: Batch) -> str:
        if batch.status == store.CANCELLING:
            return store.CANCELLED
        return store.EXPIRED if clock.now() >= batch.expires_at else store.COMPLETED

    async def _run_lines(self, batch: Batch, key: KeySnapshot, org: OrgSnapshot) -> None:
        """Ask lines until none is left, or no more may begin."""
        if not self._may_begin(batch, key, org):
            return
        concurrency, slots = concurrency_of(org, batch.upstream_id), self.slots[batch.upstream_id]
        # Beside those that are asked as many may wait to be noted: the disk keeps no upstream waiting.
        workers = concurrency if batch.is_pool else 2 * concurrency
        asking = Asking(
            batch=batch,
            edges=self.edges,
            key=key,
            org=without_rate_limits(org),
            controls=pools.controls_of(batch),
            endpoint=endpoint_of(batch),
            saver=Saver(batch, self.in_thread, workers),
            in_thread=self.in_thread,
        )
        is_stopped = False
        trouble: list[Exception] = []

        def may_go_on() -> bool:
            return not (is_stopped or trouble or self.is_over) and batch.status == store.IN_PROGRESS

        # Of a pool few are claimed ahead: one with a nearer deadline may join it.
        at_once = max(concurrency, 2) if batch.is_pool else min(8 * concurrency, _MOST_CLAIMED)
        feed = Feed(batch, self._files_of(org), self.in_feed, at_once, may_go_on)

        async def work() -> None:
            nonlocal is_stopped
            try:
                while (found := await feed.next()) is not None:
                    line, raw = found
                    due_ms = to_ms(line.deadline_at) if line.deadline_at is not None else inf
                    is_soon = self._is_near(batch)
                    try:
                        async with slots.turn(due_ms, is_soon=is_soon) as end_turn:
                            if not may_go_on():
                                raise Stopped
                            with self.shift.keep(for_soon=is_soon):
                                await asking.ask(line, raw, end_turn)
                    except Stopped:
                        is_stopped = True
                        await self.in_thread(store.give_back, batch, [line])
            except Exception as error:  # noqa: BLE001 - no other begins, and those that are asked come to their end
                trouble.append(error)

        watching = asyncio.create_task(self._watch(batch, key, asking))
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(work())
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await feed.close()
        if trouble:
            raise trouble[0]
        if feed.is_lost:
            await self._fail_rest(batch, GONE_LINE, GONE_TEXT)

    async def _watch(self, batch: Batch, key: KeySnapshot, asking: Asking) -> None:
        """Follow what people do to a batch while it runs, and whether it is this worker's still."""
        org_id = str(batch.org_id)
        while True:
            await asyncio.sleep(_WATCHED_EVERY_SECONDS)
            try:
                is_ours = await self.in_thread(is_locked, org_id)
                now = await self.in_thread(store.read_batch, org_id, batch.pk)
                if is_background(batch):
                    for number in await self.in_thread(pools.list_cancelled, batch):
                        asking.leave(number)
                org = await self.edges.catalog.get_org(org_id)
                is_valid = batch.is_pool or await self._find_key(batch) is not None
                may_begin = is_ours and is_valid and self._may_begin(batch, key, org)
            except (AppError, AnyDatabaseError, Batch.DoesNotExist) as error:
                # Who cannot know whether calls were stopped begins none.
                _log.warning("a batch pauses", extra={"batch": str(batch.pk), "why": str(error)})
                self.is_paused = True
                continue
            batch.cancelling_at = now.cancelling_at
            if now.status != store.IN_PROGRESS:
                batch.status = now.status
            elif not may_begin:
                self.is_paused = True

    def _may_begin(self, batch: Batch, key: KeySnapshot, org: OrgSnapshot) -> bool:
        """Whether lines may begin now: nobody has stopped them, and the upstream is off its peak."""
        try:
            check_running(key, org)
        except ApiError as error:
            if error.error_code in STOPS:
                return False
            raise
        if self._is_near(batch):
            return True
        upstream = org.upstreams.get(str(batch.upstream_id))
        return upstream is None or is_off_peak(clock.now(), org.time_zone, upstream.batch_from, upstream.batch_until)

    def _is_near(self, batch: Batch) -> bool:
        """Whether a pool's calls are asked online by now."""
        return batch.pk in self.online_from and self.online_from[batch.pk] <= clock.now_ms()

    async def _fail_rest(self, batch: Batch, code: str, message: str) -> None:
        await self.in_thread(store.fail_open, batch, {"code": code, "message": message})

    async def _find_key(self, batch: Batch, *, only_valid: bool = True) -> KeySnapshot | None:
        """The key that handed the batch in, if it may still call."""
        digest: bytes | None = await self.in_thread(_read_digest, str(batch.org_id), batch.key_id)
        key = await self.edges.catalog.find_key(digest) if digest is not None else None
        if not only_valid:
            return key
        if key is None or key.is_revoked or (key.expires_at_ms is not None and key.expires_at_ms <= clock.now_ms()):
            return None
        return key


def concurrency_of(org: OrgSnapshot, upstream_id: UUID | None) -> int:
    """How many lines an upstream is asked at a time."""
    upstream = org.upstreams.get(str(upstream_id))
    return upstream.batch_concurrency if upstream else _DEFAULT_CONCURRENCY


def allow_all(org: OrgSnapshot) -> OrgSnapshot:
    """The organisation as if nothing were stopped or blocked in it."""
    nobody: frozenset[str] = frozenset()
    return replace(
        org,
        is_active=True,
        is_stopped=False,
        is_suspended=False,
        stopped_projects=nobody,
        stopped_keys=nobody,
        blocked_end_users=nobody,
    )


def _read_digest(org_id: str, key_id: UUID) -> bytes | None:
    with org_scope(org_id):
        found = ApiKey.objects.filter(org_id=UUID(org_id), pk=key_id).values_list("digest", flat=True).first()
    return bytes(found) if found is not None else None
