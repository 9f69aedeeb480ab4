"""How many tokens a body has before it is sent: asked of the upstream where that tells it for nothing, else counted."""

from functools import partial
from typing import Any, Final

import orjson

from proxy.attempts.failures import explain_refusal, read_refusal
from proxy.call import Call
from proxy.core import tokens
from proxy.core.body_fields import read_model, read_object, write_object
from proxy.core.plan import check_running, find_model
from proxy.dialects import anthropic_messages, openai_responses
from proxy.errors import UpstreamError
from proxy.upstreams.transport import AnswerTooLong, BrokenOff, NotTaken
from proxy.upstreams.vendors import vendor_of
from proxy.values.request import Endpoint, Request
from proxy.wiring import Edges
from tenants.choices import UpstreamKind
from tenants.snapshots import ModelSnapshot, OrgSnapshot, UpstreamSnapshot

Json = dict[str, Any]

_COUNT_PATH: Final = "messages/count_tokens"
_OK: Final = 200


async def count_message(call: Call, edges: Edges) -> Json:
    """The input tokens of a message. Raises ModelNotFound, InvalidRequest and UpstreamError."""
    key, org = await edges.auth.admit(call)
    check_running(key, org)
    raw = await call.body()
    body = read_object(raw)
    request = anthropic_messages.read_prompt(body, raw, model=read_model(body), most=1)
    model = find_model(request.model, key, org)
    upstream = org.upstreams[model.upstream_id]
    if upstream.kind == UpstreamKind.ANTHROPIC.value:
        return await _ask(call, edges, org, edges.health.find_place(upstream), {**body, "model": model.upstream_model})
    return {"input_tokens": await _count(edges, request, model, org)}


async def count_response(call: Call, edges: Edges) -> Json:
    """The input tokens of a response. Raises ModelNotFound and InvalidRequest."""
    key, org = await edges.auth.admit(call)
    check_running(key, org)
    request = openai_responses.parse_request(Endpoint.RESPONSES, await call.body())
    counted = await _count(edges, request, find_model(request.model, key, org), org)
    return {"object": "response.input_tokens", "input_tokens": counted}


async def _count(edges: Edges, request: Request, model: ModelSnapshot, org: OrgSnapshot) -> int:
    return await edges.counting.run(
        request.body_bytes,
        partial(tokens.count_exactly, request, model),
        partial(tokens.bound_by_bytes, request, model),
        whose=org.id,
        vocabulary=model.tokenizer,
    )


async def _ask(call: Call, edges: Edges, org: OrgSnapshot, upstream: UpstreamSnapshot, body: Json) -> Json:
    vendor = vendor_of(upstream.kind)
    exchange = edges.upstreams.post(upstream, org, _COUNT_PATH, write_object(body), call.id)
    try:
        async with exchange:
            if exchange.status != _OK:
                refusal = await read_refusal(exchange, vendor)
                raise explain_refusal(refusal, exchange.status, exchange, vendor, upstream.name).error
            answer = orjson.loads(await exchange.read_whole())
    except (NotTaken, BrokenOff) as failure:
        raise failure.hand_over() from failure
    except (orjson.JSONDecodeError, AnswerTooLong) as error:
        raise _malformed(upstream) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("input_tokens"), int):
        raise _malformed(upstream)
    return {"input_tokens": answer["input_tokens"]}


def _malformed(upstream: UpstreamSnapshot) -> UpstreamError:
    return UpstreamError(
        f"The upstream {upstream.name} sent something that is no answer of this API.", code="upstream_malformed"
    )
