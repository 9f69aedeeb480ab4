"""How many tokens a body has before it is sent: asked of the upstream where that tells it for nothing, else counted."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import orjson

from proxy.attempts.failures import explain_refusal, read_refusal
from proxy.call import Call
from proxy.core import tokens
from proxy.core.betas import add_betas, list_sent, parse_betas
from proxy.core.body_fields import read_model, read_object, write_object
from proxy.core.plan import check_running, find_model, make_plan
from proxy.dialects import anthropic_messages, openai_responses
from proxy.errors import UpstreamError
from proxy.upstreams.transport import AnswerTooLong, BrokenOff, NotTaken
from proxy.upstreams.vendors import vendor_of
from proxy.values.request import Controls, Endpoint, Request
from proxy.wiring import Edges
from tenants.choices import UpstreamKind
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot, UpstreamSnapshot

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
    request = add_betas(request, parse_betas(call.headers, call.repeated))
    model = _find_model(call, edges, request, key, org)
    upstream = org.upstreams[model.upstream_id]
    if upstream.kind == UpstreamKind.ANTHROPIC.value:
        place = edges.health.find_place(upstream)
        return await _ask(call, edges, org, place, {**body, "model": model.upstream_model}, list_sent(request.original))
    return {"input_tokens": await _count(edges, request, model, org)}


async def count_response(call: Call, edges: Edges) -> Json:
    """The input tokens of a response. Raises ModelNotFound and InvalidRequest."""
    key, org = await edges.auth.admit(call)
    check_running(key, org)
    request = openai_responses.parse_request(Endpoint.RESPONSES, await call.body())
    counted = await _count(edges, request, _find_model(call, edges, request, key, org), org)
    return {"object": "response.input_tokens", "input_tokens": counted}


def _find_model(call: Call, edges: Edges, request: Request, key: KeySnapshot, org: OrgSnapshot) -> ModelSnapshot:
    """The model whose tokens are counted: of a route the one that it would ask first, by what is known without waiting.
    Raises what planning the call does."""
    if request.model not in org.routes:
        return find_model(request.model, key, org)
    spent = edges.reservations.spent
    return make_plan(request, Controls(), key, org, call.started_ms, spent, call_id=call.id).first.model


async def _count(edges: Edges, request: Request, model: ModelSnapshot, org: OrgSnapshot) -> int:
    return await edges.counting.run(
        request.body_bytes,
        partial(tokens.count_exactly, request, model),
        partial(tokens.bound_by_bytes, request, model),
        whose=org.id,
        vocabulary=model.tokenizer,
    )


async def _ask(
    call: Call, edges: Edges, org: OrgSnapshot, upstream: UpstreamSnapshot, body: Json, betas: Sequence[str]
) -> Json:
    vendor = vendor_of(upstream.kind)
    exchange = edges.upstreams.post(upstream, org, _COUNT_PATH, write_object(body), call.id, betas=betas)
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
