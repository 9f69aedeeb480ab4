"""Files of ``/v1/files`` that the messages of a call name by their ids: what they hold is put into its body, so that it
is bounded, cached, sent and kept like that of a call whose caller has put it there."""

from functools import partial
from typing import Final

from proxy.arrival import Serving, open_entry, receive
from proxy.batches import stored_files
from proxy.batches.database import in_database, store_in_reach
from proxy.batches.ids import FILE, find_id, object_path
from proxy.batches.sealed_files import SealedFiles
from proxy.call import Call
from proxy.core.body_fields import read_object
from proxy.core.kept_files import Held, Named, find_named, put_files, too_long
from proxy.edges.counting import run_whole
from proxy.edges.reply import Reply
from proxy.errors import NotFound
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

_PATH: Final = "/v1/files"


async def put(call: Call, edges: Edges, reply: Reply) -> None:
    """Put the files into the body of a call that goes to an upstream, and was found to name some. Raises ApiError, and
    then the call has its row."""
    bearer, block = await open_entry(call, edges)
    with block as entry:
        await receive(Serving(call, edges, entry, reply, bearer))
        await _put(call, edges, entry.key, entry.org)
        # It comes again, with an entry of its own.
        entry.goes_on = True


async def put_for_question(call: Call, edges: Edges) -> None:
    """The same for a body that is asked about, and not sent."""
    key, org = await edges.auth.admit(call)
    await _put(call, edges, key, org)


async def _put(call: Call, edges: Edges, key: KeySnapshot, org: OrgSnapshot) -> None:
    raw = await call.body()
    body = read_object(raw)
    found = list(find_named(body))
    if not found:
        # They stand where nothing can be put: whoever reads it once more says so.
        call.put_files(raw)
        return
    # Whoever may not read a file there may not have it read here.
    edges.auth.check_origin(key, call, _PATH)
    stored, files = SealedFiles(edges.objects, Sealer(org.id, org.data_key)), dict[str, Held]()
    room = call.max_body_bytes
    for one in found:
        if one.file_id not in files:
            files[one.file_id] = await _read(one, key, stored, room)
        room -= len(files[one.file_id].content)
        if room < 0:
            raise too_long(one.place, call.max_body_bytes)
    call.put_files(await run_whole(partial(put_files, body, found, files, call.max_body_bytes)))


async def _read(named: Named, key: KeySnapshot, stored: SealedFiles, most_bytes: int) -> Held:
    file_id = find_id(FILE, named.file_id)
    file = await in_database(stored_files.find_file, key, file_id) if file_id else None
    if file is None:
        raise _not_found(named)
    if file.bytes > most_bytes:
        raise too_long(named.place, most_bytes)
    try:
        with store_in_reach():
            parts = [part async for part in stored.stream(object_path(file.org_id, file.id))]
    except FileNotFoundError as error:
        raise _not_found(named) from error
    return Held(file.filename, b"".join(parts))


def _not_found(named: Named) -> NotFound:
    return NotFound(f"No such File object: {named.file_id}", param=named.place, code="not_found")
