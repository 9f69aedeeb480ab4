"""Files of ``/v1/files`` that the messages of a call name by their ids: what they hold is put into its body, so that it
is bounded, cached, sent and kept like that of a call whose caller has put it there.

A few bytes may name megabytes. So none of these is read before it is known that the call may be made, whatever they
hold: that its model may be asked, that its limits have a place for it, and its budgets what it costs at the least. Who
was answered before is told so without them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from proxy.arrival import Serving, open_entry, read_request, receive
from proxy.batches import stored_files
from proxy.batches.database import in_database, store_in_reach
from proxy.batches.ids import FILE, find_id, object_path, show_id
from proxy.batches.model import StoredFile
from proxy.batches.sealed_files import SealedFiles
from proxy.cache.serve import as_free
from proxy.call import Call
from proxy.core.body_fields import read_object
from proxy.core.controls import ROUTE, aim, parse_controls
from proxy.core.kept_files import Held, Named, find_named, put_files, stand_in, too_long
from proxy.core.layout import lay_out
from proxy.edges.counting import run_whole
from proxy.edges.reply import Reply
from proxy.edges.reserve import Replan
from proxy.errors import InvalidRequest, ModelNotFound, ModelNotPriced, NotFound
from proxy.planner import Planner
from proxy.values.plan import Plan
from proxy.values.request import Controls, Request
from proxy.wiring import Edges
from tenants.choices import BudgetScope
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

Json = dict[str, Any]

_PATH: Final = "/v1/files"


async def put(call: Call, edges: Edges, reply: Reply) -> bool:
    """Put the files into the body of a call that goes to an upstream, and was found to name some. False where its
    caller was told the answer of the first call with its Idempotency-Key. Raises ApiError, and then the call has its
    row."""
    bearer, block = await open_entry(call, edges)
    with block as entry:
        serving = Serving(call, edges, entry, reply, bearer)
        raw = await receive(serving)
        body = read_object(raw)
        found = list(find_named(body))
        # Those that stand where nothing can be put: whoever reads the body once more says so.
        call.put_files(raw)
        if found:
            # Whoever may not read a file there may not have it read here.
            edges.auth.check_origin(entry.key, call, _PATH)
            request = _read_request(serving, await run_whole(partial(stand_in, raw, call.max_body_bytes)))
            controls = parse_controls(call.headers, call.repeated)
            renew = partial(edges.auth.renew, entry, bearer)
            planner = Planner(edges, entry, request=request, controls=controls, renew=renew)
            try:
                plan = await planner.decide_first(edges.reservations.spent)
            except (InvalidRequest, ModelNotFound, ModelNotPriced):
                # A route may have another model for what they hold.
                if request.model not in entry.org.routes:
                    raise
            else:
                entry.note_plan(plan)
                if controls.idempotency_key and await _was_answered(serving, request, controls):
                    return False
                await _admit(serving, planner, plan)
            call.put_files(await _fill(body, found, call, edges, entry.key, entry.org))
            if entry.hold is not None:
                # It reserves anew, for what they hold.
                await edges.reservations.give_back(entry)
        # It comes again, with an entry of its own.
        entry.goes_on = True
    return True


async def put_for_question(call: Call, edges: Edges) -> None:
    """The same for a body that is asked about, and not sent."""
    key, org = await edges.auth.admit(call)
    raw = await call.body()
    body = read_object(raw)
    found = list(find_named(body))
    if found:
        edges.auth.check_origin(key, call, _PATH)
        raw = await _fill(body, found, call, edges, key, org)
    call.put_files(raw)


# Before they are read


def _read_request(serving: Serving, raw: bytes) -> Request:
    """What is asked for, with the least of files in the place of its own. Raises InvalidRequest."""
    call, entry = serving.call, serving.entry
    request = read_request(serving, raw)
    if ROUTE in call.headers:
        request = aim(request, call.headers, entry.org)
        entry.note_request(request)
    return request


async def _was_answered(serving: Serving, request: Request, controls: Controls) -> bool:
    """Tell the first answer again where the call's Idempotency-Key has one. Who listens to a response that is made in
    the background is not told it here. Raises IdempotencyConflict."""
    call, edges, entry, reply, _ = serving
    if request.is_background and request.is_stream:
        return False
    return bool(await edges.idempotency.once(controls.idempotency_key, request, call.as_sent, entry, reply).look())


async def _admit(serving: Serving, planner: Planner, plan: Plan) -> None:
    """Hold what the call costs at the least while its files are read. Of one whose answer may be cached, whose prompt
    may be shortened, or whose model may hang on what they hold, only its place in rate limits is certain. Raises what
    ``Reservations.admit`` does."""
    _, edges, entry, _, _ = serving
    replan = planner.replan
    may_be_shorter = not plan.controls.is_uncompressed and entry.org.find_compression(plan.request.model) is not None
    if entry.org.cache_policies or may_be_shorter or plan.routing is not None:
        plan = free = _without_own_windows(as_free(plan))
        if not plan.first.rates:
            return

        async def decide(spent: Mapping[str, int]) -> Plan:
            return free

        replan = Replan(decide, planner.renew)
    await edges.reservations.admit(plan, entry, replan)


def _without_own_windows(plan: Plan) -> Plan:
    """The plan of a route's call that asks nobody yet, without the windows of the model that it has now."""
    first = plan.first
    if plan.routing is None or all(rate.kind != BudgetScope.MODEL for rate in first.rates):
        return plan
    others = tuple(rate for rate in first.rates if rate.kind != BudgetScope.MODEL)
    return plan._replace(candidates=(first._replace(layout=lay_out((), others)),))


# What they hold


async def _fill(
    body: Json, found: Sequence[Named], call: Call, edges: Edges, key: KeySnapshot, org: OrgSnapshot
) -> bytes:
    """The body, as JSON, with what the files hold in the place of their names. Raises NotFound, and InvalidRequest."""
    files, room = await _find_files(found, key), call.max_body_bytes
    for one in found:
        room -= files[one.file_id].bytes
        if room < 0:
            raise too_long(one.place, call.max_body_bytes)
    stored, held = SealedFiles(edges.objects, Sealer(org.id, org.data_key)), dict[str, Held]()
    for one in found:
        if one.file_id not in held:
            held[one.file_id] = await _read(one, files[one.file_id], stored)
    return await run_whole(partial(put_files, body, found, held, call.max_body_bytes))


async def _find_files(found: Sequence[Named], key: KeySnapshot) -> dict[str, StoredFile]:
    ids = {file_id for one in found if (file_id := find_id(FILE, one.file_id)) is not None}
    files = {show_id(FILE, file.pk): file for file in await in_database(stored_files.find_files, key, ids)}
    for one in found:
        if one.file_id not in files:
            raise _not_found(one)
    return files


async def _read(named: Named, file: StoredFile, stored: SealedFiles) -> Held:
    try:
        with store_in_reach():
            parts = [part async for part in stored.stream(object_path(file.org_id, file.id))]
    except FileNotFoundError as error:
        raise _not_found(named) from error
    return Held(file.filename, b"".join(parts))


def _not_found(named: Named) -> NotFound:
    return NotFound(f"No such File object: {named.file_id}", param=named.place, code="not_found")
