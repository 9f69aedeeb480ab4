"""What a line costs that an upstream's own Batch API answered."""

from dataclasses import replace
from typing import Any

import orjson

from proxy.core.batch_cost import TIER, bound_in_batch, runs_batches, weigh_in_batch
from proxy.core.plan import make_plan
from proxy.upstreams import openai
from proxy.values.attempt import Certainty, Mechanism
from proxy.values.plan import Candidate, Hold
from proxy.values.request import Endpoint, Request
from tenants.choices import Habit
from tenants.price_snapshots import ServiceTier, make_rates
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, UPSTREAM, make_chat

HALF = replace(
    PRICE,
    service_tiers=(ServiceTier(TIER, make_rates({"input": 75_000, "output": 300_000, "cached_input": 37_500})),),
)
HOLD = Hold("the line's", 100_000, 20, None)


def candidate_of(request: Request, *, price: Any = HALF, kind: str = "openai") -> Candidate:
    """The candidate of a call at a model of this price."""
    upstream = replace(UPSTREAM, kind=kind)
    org = replace(ORG, models={MODEL.name: replace(MODEL, prices=(price,))}, upstreams={upstream.id: upstream})
    return make_plan(request, NO_CONTROLS, KEY, org, NOON_MS).first


def weigh(status: int = 200, usage: dict[str, int] | None = None) -> Any:
    """The attempt of an answer with so much usage."""
    request = make_chat(max_tokens=20)
    reader = openai.AnswerReader()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    answer = {"model": MODEL.upstream_model, "choices": [choice]} | ({"usage": usage} if usage else {})
    reader.read_answer(orjson.dumps(answer))
    reader.service_tier = TIER
    return weigh_in_batch(request, candidate_of(request), HOLD, reader, status, "" if status == 200 else "no")


def test_only_an_account_with_a_price_for_it_runs_batches() -> None:
    request = make_chat()
    assert runs_batches(candidate_of(request), Endpoint.CHAT)
    assert not runs_batches(candidate_of(request), Endpoint.MODERATIONS)
    assert not runs_batches(candidate_of(request, price=PRICE), Endpoint.CHAT)
    assert not runs_batches(candidate_of(request, kind="openai_compatible"), Endpoint.CHAT)


def test_an_account_that_is_asked_for_chats_is_handed_no_responses() -> None:
    candidate = candidate_of(make_chat())
    chats = candidate._replace(upstream=replace(candidate.upstream, habits={Habit.RESPONSES: False}))
    assert [runs_batches(one, Endpoint.RESPONSES) for one in (candidate, chats)] == [True, False]
    assert runs_batches(chats, Endpoint.CHAT)


def test_a_line_is_bounded_at_the_tiers_price() -> None:
    request = make_chat(max_tokens=20)
    candidate = candidate_of(request)
    bound = bound_in_batch(request, candidate)
    assert (bound.fixed_picos * 2, bound.output_picos * 2) == (
        candidate.bound.fixed_picos,
        candidate.bound.output_picos,
    )


def test_what_it_saved_is_the_batchs() -> None:
    attempt = weigh(usage={"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14})
    assert (attempt.cost, attempt.list_cost, attempt.certainty) == (1_950, 3_900, Certainty.EXACT)
    assert attempt.savings == {Mechanism.BATCH: 1_950}
    assert attempt.service_tier == TIER


def test_a_refusal_costs_nothing_and_saves_nothing() -> None:
    attempt = weigh(status=400, usage={"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14})
    assert (attempt.cost, attempt.list_cost, attempt.savings) == (0, 0, {})
