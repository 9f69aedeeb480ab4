"""The first steps of a call that has a ledger entry, whether it is answered at once or later: who calls, the entry, the
body, and the earlier turns that it names."""

from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from proxy.answers.archive import continues, recall
from proxy.call import Call
from proxy.core.betas import add_betas, parse_betas
from proxy.dialects import dialect_of
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.errors import FileNamed
from proxy.values.request import Endpoint, Request
from proxy.wiring import Edges

#: the caller's trace (W3C Trace Context)
_TRACE: Final = "traceparent"


class Serving(NamedTuple):
    """A call that is being served: as it came, what it may wait for, its ledger entry, where its answer goes, and the
    secret by which its key is known."""

    call: Call
    edges: Edges
    entry: Entry
    reply: Reply
    bearer: str


async def open_entry(call: Call, edges: Edges) -> tuple[str, AbstractContextManager[Entry]]:
    """The call's secret, and the block of its ledger entry. Raises GovernanceUnavailable while no further call can be
    accounted for, and Unauthorized: neither has an entry."""
    edges.ledger.check_room()
    bearer = call.bearer()
    key, org = edges.auth.recall(bearer) or await edges.auth.authenticate(bearer)
    block = edges.ledger.entry(call.id, call.started_ms, call.started_ns, key, org, call.endpoint)
    return bearer, block


async def receive(serving: Serving) -> bytes:
    """The call's body, whole. Raises NotAllowed for a key that may not be used here, and what reading a body raises."""
    call, edges, entry, _, bearer = serving
    if entry.key.hides_amounts:
        entry.is_own = edges.auth.is_own(call, bearer)
    if _TRACE in call.headers:
        entry.traceparent = call.headers[_TRACE]
    edges.auth.check_origin(entry.key, call)
    body = call.body_at_once()
    if body is None:
        with entry.waited:
            body = await call.body()
        # It may have taken its time: what was stopped, revoked, limited or has expired meanwhile holds it too.
        await _look_again(serving)
    return body


def read_request(serving: Serving, body: bytes) -> Request:
    """What the body asks for. Raises InvalidRequest; FileNamed without a row where the call comes again, with what that
    file holds."""
    call = serving.call
    try:
        request = dialect_of(call.endpoint).parse_request(call.endpoint, body)
    except FileNamed:
        serving.entry.goes_on = not call.has_files
        raise
    if call.endpoint is Endpoint.MESSAGES:
        request = add_betas(request, parse_betas(call.headers, call.repeated))
    serving.entry.note_request(request)
    return request


async def add_history(serving: Serving, request: Request) -> Request:
    """The request, with the earlier turns that it only names. Raises InvalidRequest or NotFound if they are not there,
    and GovernanceUnavailable if they cannot be read."""
    is_continued = continues(request)
    request = await recall(request, serving.entry)
    if is_continued:
        # They were waited for, as a body may be.
        await _look_again(serving)
    return request


async def _look_again(serving: Serving) -> None:
    """Check the key and its organisation again, as they are known now."""
    call, edges, entry, _, bearer = serving
    await edges.auth.renew(entry, bearer)
    edges.auth.check_origin(entry.key, call)
