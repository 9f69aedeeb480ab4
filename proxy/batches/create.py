"""``POST /v1/batches``, and ``/v1/messages/batches``: the file is read and priced line by line, what all of it may cost
is set aside at once, and only then is it a batch. A budget that cannot take the sum refuses it here, and says it.

The call's own row costs nothing; its hold outlives it, and each line draws its share out of that.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import hiredis
import orjson

from costhub.lib import clock, failpoints, keyspace
from costhub.lib.moments import from_ms, to_ms
from proxy.batches import store
from proxy.batches.database import in_database, store_in_reach
from proxy.batches.files import forget_file, get_file, keep_lines, read_expiry
from proxy.batches.line_request import BETAS
from proxy.batches.model import Batch, StoredFile
from proxy.batches.pools import MAX_COST, UNCOMPRESSED
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.survey import survey
from proxy.call import Call
from proxy.core.batch_lines import LineError
from proxy.core.betas import parse_betas
from proxy.core.controls import parse_controls, refuse_route
from proxy.core.rate_limits import without_rate_limits
from proxy.core.refusals import check_may_ask
from proxy.core.row import BATCHES, held_row
from proxy.core.weight import SMALL_BYTES
from proxy.edges.counting import run_whole
from proxy.edges.entry import Entry
from proxy.edges.leaving import finish
from proxy.edges.reply import Reply
from proxy.edges.reserve import Replan
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import ApiError, BudgetExceeded, InvalidRequest
from proxy.values.plan import Plan
from proxy.values.request import Controls, Endpoint, Operation, Original, Request, Wire
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

WINDOW: Final = timedelta(hours=24)
#: what is held stays so much longer than its batch may run
GRACE: Final = timedelta(hours=1)
#: a file that is no longer is counted exactly where a budget is tight
EXACT_BYTES: Final = 4 * 1024 * 1024
#: what the lines of a file may be
ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    f"/v1/{endpoint.value}": endpoint
    for endpoint in (
        *(Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS),
        *(Endpoint.RESPONSES, Endpoint.MESSAGES, Endpoint.MODERATIONS, Endpoint.IMAGES),
    )
}
_MAX_PAIRS, _MAX_NAME, _MAX_VALUE = 16, 64, 512


class BatchRequest(NamedTuple):
    """What a caller asks for: the lines of a file that is there, or those that come with it, which are ``content``."""

    input_file: str
    endpoint: str
    metadata: Mapping[str, str] | None
    content: bytes = b""
    #: so long its files of answers are kept, where the caller says so
    outputs_kept: timedelta | None = None


async def create_batch(
    call: Call,
    edges: Edges,
    reply: Reply,
    read: Callable[[bytes], BatchRequest],
    show: Callable[[Batch, KeySnapshot], Json],
) -> None:
    """Take a batch, and answer, in the form of who asks. Raises ApiError; the call has one row, as any other.

    A file that cannot be a batch makes one that has failed, and says of each line why, as OpenAI's does. Lines that
    come with the call are refused with it, as Anthropic's are.
    """
    edges.ledger.check_room()
    bearer = call.bearer()
    key, org = await edges.auth.authenticate(bearer)
    with edges.ledger.entry(call.id, call.started_ms, call.started_ns, key, without_rate_limits(org), BATCHES) as entry:
        edges.auth.check_origin(key, call)
        raw = await call.body()
        # Messages are written anew as lines: megabytes, perhaps.
        asked = read(raw) if len(raw) <= SMALL_BYTES else await run_whole(partial(read, raw))
        # Its lines are calls of that path.
        edges.auth.check_origin(key, call, asked.endpoint)
        refuse_route(call.headers)
        controls = parse_controls(call.headers, call.repeated)
        controls = controls._replace(end_user=key.end_user or controls.end_user)
        entry.note_payers(controls)
        batch = _make(call, key, controls, asked)
        as_request = _AS_REQUEST._replace(original=Original(Wire.MESSAGES, {}, betas=batch.remote.get(BETAS, ())))
        async with edges.idempotency.once(controls.idempotency_key, as_request, raw, entry, reply) as is_first:
            if not is_first:
                return
            file = None if asked.content else await _get_input(asked, key)
            # By the batch's own id its lines are known as nobody's but the batch's.
            batch.input_file_id = batch.pk if file is None else file.id
            try:
                # First: what it leaves where we die is found by it.
                await in_database(store.create_batch, batch)
                with store_in_reach():
                    if file is None:
                        file = await keep_lines(asked.content, batch.pk, key, org, edges)
                    await _take(batch, file, controls, entry, edges, bearer)
                if asked.content and batch.errors:
                    raise _refuse(batch.errors["data"][0])
            except BaseException:
                entry.goes_on = False
                with suppress(ApiError):
                    await finish(_drop(batch, key, edges))
                raise
            body = orjson.dumps(show(batch, key))
            await reply.send(200, {"content-type": "application/json", "x-request-id": call.id}, body)


async def _get_input(asked: BatchRequest, key: KeySnapshot) -> StoredFile:
    file = await get_file(key, asked.input_file)
    if file.purpose != "batch":
        raise InvalidRequest("The file's purpose must be batch.", param="input_file_id")
    return file


async def _drop(batch: Batch, key: KeySnapshot, edges: Edges) -> None:
    if batch.has_own_lines:
        with store_in_reach():
            await forget_file(key, batch.pk, edges.objects)
    await in_database(store.drop_batch, batch)


def _refuse(error: Json) -> InvalidRequest:
    """Why a line cannot be a call, of lines that came with the call itself."""
    place = f"requests[{error['line'] - 1}]" if error["line"] else "requests"
    named = (error["param"] or "").replace("body", "params", 1)
    param = f"{place}.{named}" if named else place
    return InvalidRequest(f"{place}: {error['message']}", param=param, code=error["code"])


def read_batch_request(raw: bytes) -> BatchRequest:
    """Read the body. Raises InvalidRequest naming the field."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    input_file, endpoint = body.get("input_file_id"), body.get("endpoint")
    if not isinstance(input_file, str) or not input_file:
        raise InvalidRequest("input_file_id must be the id of a file with the purpose batch.", param="input_file_id")
    if not isinstance(endpoint, str) or endpoint not in ENDPOINTS:
        raise InvalidRequest(f"endpoint must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
    if body.get("completion_window") != "24h":
        raise InvalidRequest("completion_window must be 24h.", param="completion_window")
    expiry, outputs_kept = body.get("output_expires_after"), None
    if expiry is not None:
        if not isinstance(expiry, dict):
            raise InvalidRequest("output_expires_after must be an object.", param="output_expires_after")
        outputs_kept = read_expiry(expiry.get("anchor"), expiry.get("seconds"), "output_expires_after.%s")
    return BatchRequest(input_file, endpoint, _read_metadata(body.get("metadata")), outputs_kept=outputs_kept)


async def _take(batch: Batch, file: StoredFile, controls: Controls, entry: Entry, edges: Edges, bearer: str) -> None:
    files = SealedFiles(edges.objects, Sealer(entry.org.id, entry.org.data_key))
    found = await survey(batch, file, controls, entry, files, edges.reservations.spent)
    if found.errors:
        await _fail(batch, found.errors)
        return
    is_exact = False

    async def decide(spent: Mapping[str, int]) -> Plan:
        nonlocal found
        entry.org = without_rate_limits(entry.org)
        found = await survey(batch, file, controls, entry, files, spent, is_exact=is_exact)
        if found.errors:
            raise InvalidRequest(found.errors[0].message, code=found.errors[0].code)
        return found.plan_of_all()

    replan = Replan(decide, partial(edges.auth.renew, entry, bearer))
    plan = found.plan_of_all()
    check_may_ask(plan)
    entry.note_request(plan.request)
    entry.note_no_stream()
    entry.note_plan(plan)
    try:
        plan, hold = await edges.reservations.admit(plan, entry, replan)
    except BudgetExceeded:
        if file.bytes > EXACT_BYTES:
            raise
        # Bytes stood in for tokens: perhaps it fits when these are counted.
        is_exact = True
        plan = await decide(edges.reservations.spent)
        entry.note_plan(plan)
        plan, hold = await edges.reservations.admit(plan, entry, replan)
    check_may_ask(plan)
    failpoints.reach("batch_held")
    now = clock.now()
    await in_database(
        store.update_batch,
        batch,
        status=store.IN_PROGRESS,
        in_progress_at=now,
        model=plan.request.model,
        upstream_id=UUID(plan.first.upstream.id),
        is_remote=found.is_remote,
        total=found.lines,
        held=hold.amount,
        spent=dict(found.spent),
        row=held_row({**entry.row, "held": hold.amount, "status": 200}, plan.first, ()),
    )
    failpoints.reach("batch_taken")
    # From here on it is the batch's: until now the reaper would have given it back.
    entry.goes_on = True
    edges.reservations.forget(hold.id)
    with suppress(ValkeyUnavailable, hiredis.ReplyError):
        ends_ms = to_ms(batch.expires_at + GRACE)
        await edges.valkey.send(b"ZADD", keyspace.leases_key(entry.org.shard), b"XX", ends_ms, hold.id)


async def _fail(batch: Batch, errors: list[LineError]) -> None:
    await in_database(store.drop_lines, batch)
    shown = {"object": "list", "data": [error.show() for error in errors]}
    await in_database(store.update_batch, batch, status=store.FAILED, failed_at=clock.now(), errors=shown)


def _make(call: Call, key: KeySnapshot, controls: Controls, asked: BatchRequest) -> Batch:
    return Batch(
        id=UUID(call.id),
        org_id=UUID(key.org_id),
        project_id=UUID(key.project_id),
        key_id=UUID(key.id),
        end_user=controls.end_user,
        tags=dict(controls.tags),
        session=controls.session,
        endpoint=asked.endpoint,
        model="",
        status=store.VALIDATING,
        remote=_list_wishes(call, controls, asked),
        metadata=asked.metadata,
        created_ms=call.started_ms,
        expires_at=from_ms(call.started_ms) + WINDOW,
    )


def _list_wishes(call: Call, controls: Controls, asked: BatchRequest) -> Json:
    """What is known of a batch from its beginning on, beside what it is."""
    wishes: Json = {}
    if controls.max_cost is not None:
        wishes[MAX_COST] = controls.max_cost
    if controls.is_uncompressed:
        wishes[UNCOMPRESSED] = True
    if ENDPOINTS[asked.endpoint] is Endpoint.MESSAGES and (betas := parse_betas(call.headers, call.repeated)):
        wishes[BETAS] = list(betas)
    if asked.outputs_kept is not None:
        wishes[store.OUTPUTS_KEPT] = int(asked.outputs_kept.total_seconds())
    return wishes


def _read_metadata(value: Any) -> Mapping[str, str] | None:
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or len(value) > _MAX_PAIRS
        or any(
            not isinstance(text, str) or len(name) > _MAX_NAME or len(text) > _MAX_VALUE or "\0" in name + text
            for name, text in value.items()
        )
    ):
        raise InvalidRequest(
            f"metadata must be at most {_MAX_PAIRS} texts of {_MAX_VALUE} characters, by names of {_MAX_NAME}.",
            param="metadata",
        )
    return value


#: what there is to know of such a call for its Idempotency-Key
_AS_REQUEST: Final = Request(
    Operation.CHAT, "", {}, 0, is_stream=False, wants_usage=False, choices=1, max_output=0, end_user=""
)
