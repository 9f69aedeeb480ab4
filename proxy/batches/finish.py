"""The end of a batch: its answers in files, what is left of its hold given back, its row written. Any step may be the
last of a worker that dies; the next one does it again, to the same effect."""

from collections import Counter
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from costhub.lib import clock, failpoints, keyspace
from costhub.lib.redis import client
from proxy.batches import results, store
from proxy.batches.files import OUTPUT
from proxy.batches.ids import object_path
from proxy.batches.model import Batch, StoredFile
from proxy.batches.saver import InThread
from proxy.batches.sealed_files import SealedFiles
from proxy.core.batch_lines import read_outcome
from proxy.core.row import dump_row
from proxy.edges.settle_batch import SETTLE, Settle, settle_command

#: answers are kept for so long
KEPT_SECONDS: Final = 30 * 86_400
_AT_ONCE: Final = 2_000
_MOST_BYTES: Final = 8 * 1024 * 1024
ENDS_AS: Final = "ends_as"
#: in what is noted of a batch's end: how many of its lines were not answered because it was cancelled, or out of time
UNASKED: Final = "unasked"
CANCELLED_LINE: Final = "batch_cancelled"
EXPIRED_LINE: Final = "batch_expired"
#: its bytes are not where they were put
GONE_LINE: Final = "file_gone"
GONE_TEXT: Final = "The bytes of the input file are gone."
_MOMENTS: Final = {
    store.COMPLETED: "completed_at",
    store.EXPIRED: "expired_at",
    store.CANCELLED: "cancelled_at",
    store.FAILED: "failed_at",
}


async def begin_to_end(batch: Batch, status: str, in_thread: InThread) -> None:
    """Note that every line has ended, so that from here on only ``finish`` touches the batch. ``status`` is what it
    ends as."""
    await in_thread(
        store.move_on,
        batch,
        (store.IN_PROGRESS, store.CANCELLING),
        status=store.FINALIZING,
        finalizing_at=clock.now(),
        output_file_id=UUID(clock.new_id_of(clock.now_ms())),
        error_file_id=UUID(clock.new_id_of(clock.now_ms())),
        remote=batch.remote | {ENDS_AS: status},
    )


async def finish(batch: Batch, shard: int, stored: SealedFiles, in_thread: InThread) -> None:
    """Bring a batch that is finalizing to its end."""
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    unasked: Counter[str] = Counter()
    written = {
        "output_file_id": await _write(batch, store.DONE, batch.output_file_id, stored, in_thread),
        "error_file_id": await _write(batch, store.LINE_FAILED, batch.error_file_id, stored, in_thread, unasked),
    }
    batch.remote |= {UNASKED: {code: unasked[code] for code in (CANCELLED_LINE, EXPIRED_LINE)}}
    failpoints.reach("batch_written")
    await in_thread(give_back_rest, batch, shard)
    failpoints.reach("batch_settled")
    status = batch.remote[ENDS_AS]
    changes: dict[str, Any] = {name: None for name, file in written.items() if file is None}
    files = [file for file in written.values() if file is not None]
    await in_thread(store.finish, batch, files, status=status, **{_MOMENTS[status]: clock.now()}, **changes)


def give_back_rest(batch: Batch, shard: int) -> None:
    """What no line has drawn goes back into its budgets, and the call that handed the batch in gets its row."""
    hold_id, event = str(batch.pk), dump_row(batch.row)
    keys, arguments = settle_command(shard, [Settle(hold_id, 0, event, b"")], clock.now_ms())
    (settled,) = client().register_script(SETTLE.source)(keys=keys, args=arguments)
    if not settled:
        # Done before, or Valkey has lost it: the ledger knows a row that it has.
        client().xadd(keyspace.ledger_key(shard), {"e": event})
    client().delete(keyspace.drawn_key(shard, hold_id))


async def _write(
    batch: Batch,
    state: str,
    file_id: UUID,
    stored: SealedFiles,
    in_thread: InThread,
    unasked: Counter[str] | None = None,
) -> StoredFile | None:
    """The answers of one state as a file; None where there are none. ``unasked`` counts why lines were not answered."""
    after, size = 0, 0
    path = object_path(batch.org_id, file_id)
    async with stored.writer(path) as writer:
        while found := await in_thread(results.read_answers, batch, state, after, _AT_ONCE, _MOST_BYTES):
            after, text = found
            size += len(text)
            if unasked is not None:
                unasked.update(read_outcome(line).code for line in text.splitlines() if line)
            await writer.write(text)
    if not size:
        await stored.delete(path)
        return None
    now = clock.now()
    kind = "output" if state == store.DONE else "errors"
    return StoredFile(
        id=file_id,
        org_id=batch.org_id,
        project_id=batch.project_id,
        end_user=batch.end_user,
        filename=f"batch_{batch.pk.hex}_{kind}.jsonl",
        purpose=OUTPUT,
        bytes=size,
        created_at=now,
        expires_at=now + timedelta(seconds=batch.remote.get(store.OUTPUTS_KEPT, KEPT_SECONDS)),
    )
