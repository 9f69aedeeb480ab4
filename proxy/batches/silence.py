"""An upstream that does not say what it has answered of a batch that was handed on: it may bill for that all the same.

Its calls are charged at what was held for them, as estimates. Those with deadlines are asked online then, as calls of
their own, and the upstream is listened to for another day: what it says puts the estimates right, call by call, at the
price of a batch or at nothing. The lines of a file end as expired.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import orjson

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.batches import store
from proxy.batches.model import Batch, BatchLine
from proxy.batches.remote_answers import Successes
from proxy.batches.remote_api import Refused, RemoteBatches, check_id
from proxy.batches.saver import InThread
from proxy.core.batch_cost import TIER
from proxy.core.row import dump_row, orphan_row
from proxy.edges.draw import DRAW, DRAWN_KEPT_MS, draw_keys
from proxy.edges.reserve_batch import RESERVATION_LEASE_SECONDS
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.errors import GovernanceUnavailable
from proxy.ledger import drain
from proxy.ledger.bill_corrections import NotKnownYet, post_truth, price_anew
from proxy.models import LedgerEntry
from proxy.upstreams.openai import normalise_usage
from proxy.values.attempt import Usage
from proxy.values.request import Endpoint
from tenants.access import org_scope
from tenants.snapshots import OrgSnapshot

#: in what is known of the upstream's batch: since when its calls are charged unheard, in ms
CHARGED: Final = "charged"
#: the error of their rows
UPSTREAM_SILENT: Final = "upstream_silent"
_OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_LISTENED_FOR_MS: Final = 86_400_000
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_BEGAN_BEFORE: Final = timedelta(hours=1)

Json = dict[str, Any]


def is_listened_to(batch: Batch) -> bool:
    """Whether the upstream may yet say what it answered of a batch whose calls were charged unheard."""
    charged = batch.remote.get(CHARGED)
    return charged is not None and clock.now_ms() - charged < _LISTENED_FOR_MS


def charge_unheard(batch: Batch, shard: int) -> int:
    """Charge the calls of a pool of which nobody knows whether they were answered, at what each holds. Gives how many.
    From then on they are asked as calls of their own. May be done twice."""
    charged = 0
    for call_id in store.list_open_calls(batch):
        hold = client().hmget(keyspace.hold_key(shard, call_id), "amount", "row")
        amount, row = cast("list[bytes | None]", hold)
        if amount is None or row is None:
            continue
        settle = Settle(call_id, int(amount), _unheard_row(orjson.loads(row), int(amount)), b"")
        keys, arguments = settle_command(shard, [settle], clock.now_ms())
        charged += client().register_script(SETTLE.source)(keys=keys, args=arguments)[0]
    store.ask_anew(batch)
    store.update_batch(batch, remote=batch.remote | {CHARGED: clock.now_ms(), "again_at": 0, "asked": 0})
    return charged


def charge_lines_unheard(batch: Batch, shard: int, endpoint: Endpoint) -> int:
    """The same of a file's lines, out of what their batch holds. Gives how many. May be done twice."""
    charged = 0
    row = client().hget(keyspace.hold_key(shard, str(batch.pk)), "row")
    held = orjson.loads(cast("bytes", row)) if row is not None else batch.row
    now = clock.now_ms()
    for line in store.list_handed_on(batch):
        call_id = str(line.request_id)
        event = _unheard_row(held | {"id": call_id, "endpoint": endpoint, "request_model": batch.model}, line.amount)
        ends = now + RESERVATION_LEASE_SECONDS * 1000
        client().register_script(DRAW.source)(
            keys=draw_keys(shard, str(batch.pk), call_id),
            args=[line.number, line.amount, call_id, event, now, ends, line.max_output, DRAWN_KEPT_MS],
        )
        # Nothing to settle where it has had its share before.
        keys, arguments = settle_command(shard, [Settle(call_id, line.amount, event, b"")], now)
        charged += client().register_script(SETTLE.source)(keys=keys, args=arguments)[0]
    return charged


async def listen(batch: Batch, api: RemoteBatches, org: OrgSnapshot, in_thread: InThread) -> None:
    """Put the estimates right, if the upstream says now how its batch came out. Raises AppError where it is out of
    reach."""
    if batch.remote.get("again_at", 0) > clock.now_ms():
        return
    asked = int(batch.remote.get("asked", 0)) + 1
    pause = min(timedelta(seconds=2 ** min(asked, 10)), _LONGEST_PAUSE)
    again_at = clock.now_ms() + pause // timedelta(milliseconds=1)
    await in_thread(store.update_batch, batch, remote=batch.remote | {"asked": asked, "again_at": again_at})
    try:
        found = await api.get(batch.remote["batch"])
    except Refused as error:
        # There is no such batch: nobody will ever say, and the estimates stay. Any other, such as of a credential that
        # was replaced, may pass.
        if error.is_unknown:
            await _forget(batch, in_thread)
        return
    if str(found.get("status")) not in _OVER:
        return
    rows: dict[UUID, LedgerEntry] = await in_thread(find_charged, batch, org.shard)
    is_whole, successes = True, Successes()
    try:
        for name in ("output_file_id", "error_file_id"):
            if (file_id := found.get(name)) is not None:
                async for raw in api.read_lines(check_id(file_id)):
                    call_id, response = _read(raw)
                    is_whole = is_whole and (call_id is not None or not raw.strip())
                    if call_id is not None:
                        successes.note(call_id, response)
                    if call_id in rows:
                        await in_thread(_correct, rows.pop(call_id), org, response)
    except Refused:
        return
    if rows and (not is_whole or successes.are_fewer_than_told(found)):
        return  # what breaks off, or is not there yet, may have answered them: the estimates stay
    for row in rows.values():
        # It has ended without an answer to them.
        await in_thread(_correct, row, org, None)
    await _forget(batch, in_thread)


def find_charged(batch: Batch, shard: int) -> dict[UUID, LedgerEntry]:
    """The rows of a pool's calls that were charged unheard, by their ids. The ledger is brought up to date first: an
    upstream that speaks at once must not be forgotten before they are there. Raises GovernanceUnavailable where it is
    too far behind."""
    with org_scope(batch.org_id):
        drain.wait_for_lock(shard)
        try:
            drain.append_unread(shard)
        except drain.TooManyUnread as error:
            raise GovernanceUnavailable("The ledger is behind at the moment.") from error
        lines = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk)
        names = cast("list[str]", list(lines.values_list("custom_id", flat=True)))
        rows = LedgerEntry.objects.filter(
            org_id=batch.org_id,
            # Who joined a pool may have begun before who made it.
            started_at__gte=from_ms(batch.created_ms) - _BEGAN_BEFORE,
            id__in=[UUID(name) for name in names],
            error_code=UPSTREAM_SILENT,
            kind="call",
        )
        return {row.id: row for row in rows}


def _correct(row: LedgerEntry, org: OrgSnapshot, response: Json | None) -> None:
    """What a call cost that was charged unheard; what an answer does not tell stays an estimate."""
    if response is None or response.get("status_code") != 200:
        post_truth(row, org, Usage(), {})
        return
    body = response.get("body")
    usage = body.get("usage") if isinstance(body, dict) else None
    used = normalise_usage(usage) if isinstance(usage, dict) else None
    if used is None:
        return
    try:
        post_truth(row, org, used, price_anew(row, org, used, TIER))
    except NotKnownYet:
        return


async def _forget(batch: Batch, in_thread: InThread) -> None:
    known = {name: value for name, value in batch.remote.items() if name != CHARGED}
    await in_thread(store.update_batch, batch, remote=known)


def _read(raw: bytes) -> tuple[UUID | None, Json | None]:
    """The call that a line of the upstream's file answers, by our id, and its response."""
    try:
        line = orjson.loads(raw)
        response = line.get("response")
        return UUID(line["custom_id"]), response if isinstance(response, dict) else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None, None


def _unheard_row(row: Mapping[str, Any], amount: int) -> bytes:
    """The ledger event of a call that was handed on and charged unheard."""
    charged = orphan_row(dict(row), amount, 1)
    attempts = [attempt | {"error": UPSTREAM_SILENT} for attempt in charged["attempts"]]
    return dump_row(charged | {"error_code": UPSTREAM_SILENT, "attempts": attempts})
