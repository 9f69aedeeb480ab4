"""How lines came out, in PostgreSQL: noted once, and read for the files that they end in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from costhub.lib import clock
from proxy.batches.model import Batch, BatchLine
from proxy.batches.sealed_lines import ANSWER, open_answer, place_of_line
from proxy.batches.store import OPEN
from tenants.access import org_scope, run_in_org
from tenants.sealed_rows import open_sealer


class Result(NamedTuple):
    """How a line came out that was asked as the call ``request_id``: ``answer`` is its line of the output or error
    file, ``cost`` in nano-USD. ``again_at``: it waits for another try. ``event`` is the ledger event that settles its
    money next."""

    number: int
    request_id: UUID | None
    state: str
    answer: bytes | None = None
    cost: int = 0
    again_at: datetime | None = None
    event: bytes | None = None


def save_results(batch: Batch, results: Sequence[Result]) -> None:
    """Note how lines came out, and how many have by now, in one statement. What is out already, or is asked anew as
    another call, stays as it is. What a deferred call asked is not needed any more when it is out. Raises
    UnusableCredential where the organisation's data key cannot be opened."""
    rows, texts, begins = [], list[bytes](), 1
    sealer = None
    if any(result.answer is not None for result in results):
        sealer = open_sealer(batch.org_id)
    for result in results:
        row: dict[str, Any] = result._asdict()
        if sealer is not None and result.answer is not None:
            row["answer"] = sealer.seal(place_of_line(batch.pk, result.number, ANSWER), result.answer)
        for name in ("answer", "event"):
            if (text := row.pop(name)) is not None:
                row |= {f"{name}_from": begins, f"{name}_length": len(text)}
                texts.append(text)
                begins += len(text)
        rows.append(row)
    run_in_org(
        batch.org_id,
        "WITH saved AS (UPDATE proxy_batchline AS line SET state = new.state,"
        " answer = substring(texts FROM answer_from FOR answer_length), cost = line.cost + new.cost,"
        " again_at = new.again_at, event = substring(texts FROM event_from FOR event_length),"
        # What a line may cost when it is asked again is what is left of its share; a deferred call holds anew.
        " amount = CASE WHEN %s THEN line.amount ELSE greatest(line.amount - new.cost, 0) END,"
        " body = CASE WHEN new.state = 'waiting' THEN line.body END,"
        " ended_at = CASE WHEN new.state <> 'waiting' THEN %s::timestamptz END"
        # Arrays of texts and ids would take ten times as long to be written.
        " FROM (SELECT %s::bytea) AS told (texts), json_to_recordset(%s) AS new (number int, request_id uuid, state text,"
        " cost bigint, again_at timestamptz, answer_from int, answer_length int, event_from int, event_length int)"
        # Without the list every line of the batch may be looked at, to be joined with these.
        " WHERE line.org_id = %s AND line.batch_id = %s AND line.number = ANY(%s::int[]) AND line.number = new.number"
        " AND line.request_id = new.request_id AND line.state IN ('waiting', 'running') RETURNING line.state)"
        " UPDATE proxy_batch SET completed = completed + (SELECT count(*) FROM saved WHERE state = 'done'),"
        " failed = failed + (SELECT count(*) FROM saved WHERE state = 'failed') WHERE org_id = %s AND id = %s",
        [
            batch.is_pool,
            clock.now(),
            b"".join(texts),
            orjson.dumps(rows).decode(),
            batch.org_id,
            batch.pk,
            [result.number for result in results],
            batch.org_id,
            batch.pk,
        ],
    )


def list_saved(batch: Batch, held: Sequence[str]) -> dict[str, bytes]:
    """The ledger events of those calls that hold money and whose answers are noted, by the call's id."""
    with org_scope(batch.org_id):
        rows = BatchLine.objects.filter(
            org_id=batch.org_id, batch_id=batch.pk, request_id__in=held, event__isnull=False
        )
        return {str(request_id): bytes(event or b"") for request_id, event in rows.values_list("request_id", "event")}


def find_saved(org_id: str, request_id: str) -> bytes | None:
    """The ledger event of a call that was a line of a batch, and whose answer is noted."""
    with org_scope(org_id):
        batches = Batch.objects.filter(org_id=org_id, status__in=OPEN).values("pk")
        found = BatchLine.objects.filter(
            org_id=org_id, batch_id__in=batches, request_id=request_id, event__isnull=False
        )
        event = found.values_list("event", flat=True).first()
    return None if event is None else bytes(event)


def read_answers(batch: Batch, state: str, after: int, most: int, most_bytes: int) -> tuple[int, bytes] | None:
    """The next lines of an output or error file, in the order of the input: the number of the last line, and the lines.
    At most so many, and at most so many bytes, except that one line is always given. None at the end."""
    lines = run_in_org(
        batch.org_id,
        "SELECT number, answer FROM (SELECT number, answer,"
        " sum(octet_length(answer)) OVER (ORDER BY number) AS bytes FROM (SELECT number, coalesce(answer, '') AS answer"
        " FROM proxy_batchline WHERE org_id = %s AND batch_id = %s AND state = %s AND number > %s ORDER BY number LIMIT %s) AS due)"
        " AS line WHERE bytes <= %s OR bytes = octet_length(answer) ORDER BY number",
        [batch.org_id, batch.pk, state, after, most, most_bytes],
    )
    if not lines:
        return None
    sealer = open_sealer(batch.org_id)
    opened = (open_answer(sealer, batch.pk, number, bytes(answer)) for number, answer in lines)
    # One that does not open any more has no end of a line.
    return lines[-1][0], b"".join(text if not text or text.endswith(b"\n") else text + b"\n" for text in opened)
