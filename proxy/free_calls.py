"""Requests below /v1 that cost nothing: answered, and with an Idempotency-Key once."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from proxy.call import Call
from proxy.core import exact_json
from proxy.core.betas import parse_betas
from proxy.core.controls import parse_controls
from proxy.edges.reply import Reply
from proxy.wiring import Edges

_KEY: Final = "idempotency-key"

Json = dict[str, Any]


async def answer_free(
    call: Call, edges: Edges, reply: Reply, method: str, answer: Callable[[], Awaitable[Json]]
) -> None:
    """Send what ``answer`` gives. The same ``POST`` again, with the same Idempotency-Key, gets the first answer, and
    nothing is done. Raises ApiError."""
    headers = {"content-type": "application/json", "x-request-id": call.id}
    if method != "POST" or _KEY not in call.headers:
        await reply.send(200, headers, exact_json.dumps(await answer()))
        return
    controls = parse_controls(call.headers, call.repeated)
    key, org = await edges.auth.admit(call)
    raw = await call.body()
    # Of a message whose tokens are counted the features that a header names are asked about, too.
    asked = "\n".join((call.path, *sorted(parse_betas(call.headers, call.repeated))))
    async with edges.idempotency.once_free(controls, call.id, asked, raw, key, org, reply) as is_first:
        if is_first:
            await reply.send(200, headers, exact_json.dumps(await answer()))
