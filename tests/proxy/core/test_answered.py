"""An answer is billed at the price of the model and the service tier that did answer."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.core.answered import find_answered, is_same_model, settle_searches
from proxy.core.plan import make_plan
from proxy.core.weigh import weigh
from proxy.upstreams.openai import AnswerReader
from proxy.values.attempt import Certainty, PriceDoubt, Usage
from proxy.values.plan import Hold, Plan
from tenants.price_snapshots import ServiceTier, make_rates
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, UPSTREAM, make_chat, reprice

FLEX = ServiceTier("flex", make_rates({"input": 75_000, "output": 300_000}))
TIERED = replace(PRICE, service_tiers=(FLEX,))
OTHER = replace(PRICE, id="other", rates=make_rates({"input": 1_000_000, "output": 2_000_000}))
OLDER = replace(PRICE, id="older", rates=make_rates({"input": 5_000_000, "output": 15_000_000}))
SMALL = replace(MODEL, prices=(TIERED,), dated=(("small-2026-2024-05-13", (OLDER,)),))
LARGE = replace(MODEL, name="large", upstream_model="large-1", prices=(OTHER,))
USED = Usage(input=1_000, output=100)


def plan_for(kind: str = "openai", **fields: Any) -> Plan:
    org = replace(ORG, models={"small": SMALL, "large": LARGE}, upstreams={UPSTREAM.id: replace(UPSTREAM, kind=kind)})
    return make_plan(make_chat(**fields), NO_CONTROLS, KEY, org, NOON_MS)


def weighed(plan: Plan, used: Usage | None = USED, **said: Any) -> Any:
    reader = AnswerReader()
    answer: dict[str, Any] = {"model": "small-2026", "choices": [{"index": 0, "message": {"content": "Hi"}}]} | said
    if used is not None:
        answer["usage"] = {
            "prompt_tokens": used.input,
            "completion_tokens": used.output,
            "total_tokens": used.input + used.output,
        }
        if used.web_searches:
            answer["usage"]["server_tool_use"] = {"web_search_requests": used.web_searches}
    reader.read_answer(orjson.dumps(answer))
    hold = Hold("h", 10**9, 100, None)
    return weigh(plan.request, plan.first, hold, 1, reader, 200, "", reader.certainty)


@pytest.mark.parametrize(
    ("answered", "asked", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o-2024-08-06", "gpt-4o", True),
        ("GPT-4o-2024-08-06", "gpt-4o", True),
        ("openai/gpt-4o", "gpt-4o", True),
        ("gpt-4o", "openai/gpt-4o", True),
        ("gpt-4-0613", "gpt-4", True),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4o-mini-2024-07-18", "gpt-4o", False),
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", False),
        ("gpt-4", "gpt-4o", False),
    ],
)
def test_which_names_are_the_same_model(answered: str, asked: str, same: bool) -> None:
    assert is_same_model(answered, asked) is same


@pytest.mark.parametrize(
    ("asked", "said", "tier", "cost", "doubts"),
    [
        (None, "", "", 210_000, ()),
        (None, "default", "", 210_000, ()),
        (None, "standard", "", 210_000, ()),
        (None, "flex", "flex", 105_000, ()),
        ("auto", "flex", "flex", 105_000, ()),
        ("flex", "default", "", 210_000, ()),
        # A server that does not say is believed to have done as it was asked.
        ("flex", "", "flex", 105_000, ()),
        (None, "fast", "fast", 210_000, (PriceDoubt.OTHER_TIER,)),
        (None, "priority", "priority", 210_000, (PriceDoubt.OTHER_TIER,)),
        ("default", "scale", "scale", 210_000, (PriceDoubt.OTHER_TIER,)),
    ],
)
def test_the_tier_that_answered_is_billed(
    asked: str | None, said: str, tier: str, cost: int, doubts: tuple[PriceDoubt, ...]
) -> None:
    attempt = weighed(plan_for(**({"service_tier": asked} if asked else {})), service_tier=said)
    assert (attempt.service_tier, attempt.cost, attempt.doubts) == (tier, cost, doubts)
    assert attempt.is_estimated is bool(doubts)
    assert attempt.certainty is Certainty.EXACT


@pytest.mark.parametrize(
    ("asked", "said", "tier", "cost", "doubts"),
    [
        # A server that says nothing of tiers may know none: the dearer one is charged.
        ("flex", "", "", 210_000, (PriceDoubt.UNTOLD_TIER,)),
        ("priority", "", "priority", 420_000, (PriceDoubt.UNTOLD_TIER,)),
        ("flex", "flex", "flex", 105_000, ()),
        ("flex", "default", "", 210_000, ()),
        ("auto", "", "", 210_000, ()),
    ],
)
def test_a_tier_that_no_compatible_server_confirms_is_doubted(
    asked: str, said: str, tier: str, cost: int, doubts: tuple[PriceDoubt, ...]
) -> None:
    plan = plan_for("openai_compatible")._replace(request=make_chat(service_tier=asked))
    dear = ServiceTier("priority", make_rates({"input": 300_000, "output": 1_200_000}))
    priced = replace(TIERED, service_tiers=(FLEX, dear))
    plan = plan._replace(candidates=(plan.first._replace(price=priced, list_price=priced),))
    attempt = weighed(plan, service_tier=said)
    assert (attempt.service_tier, attempt.cost, attempt.doubts) == (tier, cost, doubts)
    assert attempt.is_estimated is bool(doubts)


@pytest.mark.parametrize(
    ("kind", "said", "price_id", "cost", "doubts"),
    [
        ("openai", "small-2026", None, 210_000, ()),
        ("openai", "", None, 210_000, ()),
        ("openai", "small-2026-2026-08-06", None, 210_000, ()),
        ("openai", "small-2026-2024-05-13", "older", 6_500_000, ()),
        ("openai", "large-1", "other", 1_200_000, ()),
        ("openai", "huge-9", None, 210_000, (PriceDoubt.OTHER_MODEL,)),
        ("openai_compatible", "/models/small.gguf", None, 210_000, (PriceDoubt.OTHER_NAME,)),
        ("openai_compatible", "large-1", "other", 1_200_000, ()),
    ],
)
def test_the_model_that_answered_is_billed(
    kind: str, said: str, price_id: str | None, cost: int, doubts: tuple[PriceDoubt, ...]
) -> None:
    attempt = weighed(plan_for(kind), model=said)
    assert (attempt.price.id, attempt.cost) == (price_id or TIERED.id, cost)
    assert attempt.doubts == doubts
    assert attempt.is_estimated is (doubts == (PriceDoubt.OTHER_MODEL,))


def test_units_without_a_fee_are_no_exact_cost() -> None:
    attempt = weighed(plan_for(), USED._replace(web_searches=1))
    assert (attempt.cost, attempt.doubts, attempt.is_estimated) == (210_000, (PriceDoubt.UNPRICED_UNIT,), True)


def test_sound_and_pictures_that_are_charged_as_text_are_no_exact_cost() -> None:
    plan = plan_for()
    drawn = USED._replace(image_output=10)
    assert find_answered(plan.request, plan.first, "", "", drawn).doubts == (PriceDoubt.UNPRICED_CLASS,)
    priced = plan.first._replace(price=replace(TIERED, units=("image_output",)))
    assert find_answered(plan.request, priced, "", "", drawn).doubts == ()


@pytest.mark.parametrize(
    ("fields", "told", "billed", "doubts"),
    [
        ({}, {}, {}, ()),
        ({}, {"web_searches": 1}, {"web_searches": 1}, ()),
        # such models always search, and need not tell
        ({"web_search_options": {"search_context_size": "low"}, "n": 2}, {}, {"web_searches_low": 2}, ()),
        ({"web_search_options": {"search_context_size": "low"}}, {"web_searches": 3}, {"web_searches_low": 3}, ()),
        ({"web_search_options": {}}, {"web_searches_high": 3}, {"web_searches_high": 3}, ()),
        ({"plugins": [{"id": "web", "engine": "exa"}]}, {}, {"web_searches": 1}, ()),
        ({"plugins": [{"id": "web", "engine": "exa", "max_results": 6}]}, {"web_searches": 1}, {"web_searches": 2}, ()),
        ({"plugins": [{"id": "web"}]}, {"web_searches": 2}, {"web_searches": 2}, ()),
        # the model may have searched or not
        ({"enable_search": True}, {}, {"web_searches": 1}, (PriceDoubt.UNTOLD_SEARCH,)),
        ({"enable_search": True}, {"web_searches": 2}, {"web_searches": 2}, ()),
        # a report says how many, the request of which kind
        ({"tools": [{"type": "web_search_preview"}]}, {"web_searches": 2}, {"web_searches_preview": 2}, ()),
        ({"tools": [{"type": "web_search"}]}, {"web_searches": 2}, {"web_searches": 2}, ()),
        (
            {"tools": [{"type": "web_search", "search_context_size": "high"}]},
            {"web_searches": 2},
            {"web_searches_high": 2},
            (),
        ),
        (
            {"tools": [{"type": "web_search"}, {"type": "web_search_preview"}]},
            {"web_searches": 2},
            {"web_searches_preview": 2},
            (),
        ),
        ({"tools": [{"type": "web_search"}]}, {}, {}, ()),
    ],
)
def test_searches_are_billed_as_they_were_asked_for(
    fields: dict[str, Any], told: dict[str, int], billed: dict[str, int], doubts: tuple[PriceDoubt, ...]
) -> None:
    fees = {"web_searches": 10, "web_searches_high": 12, "web_searches_preview": 25}
    candidate = plan_for().first
    candidate = candidate._replace(price=replace(reprice(PRICE, **fees), units=tuple(fees)))
    found = settle_searches(make_chat(**fields), candidate, USED._replace(**told))
    assert found == (USED._replace(**billed), doubts)


def test_a_model_that_searches_unasked_has_searched() -> None:
    first = plan_for().first
    candidate = first._replace(model=replace(MODEL, upstream_model="gpt-4o-search-preview"))
    assert settle_searches(make_chat(), candidate, USED) == (USED._replace(web_searches=1), ())


def test_a_search_that_may_have_been_made_is_an_estimate() -> None:
    priced = replace(reprice(PRICE, web_searches=10_000_000_000), units=("web_searches",))
    org = replace(ORG, models={"small": replace(MODEL, prices=(priced,))})
    plan = make_plan(make_chat(enable_search=True), NO_CONTROLS, KEY, org, NOON_MS)
    attempt = weighed(plan)
    assert (attempt.cost, attempt.doubts) == (210_000 + 10_000_000, (PriceDoubt.UNTOLD_SEARCH,))
    assert attempt.is_estimated


def test_what_was_counted_is_billed_by_what_answered_too() -> None:
    plan = plan_for()
    attempt = weighed(plan, None, service_tier="flex")
    assert (attempt.certainty, attempt.service_tier) == (Certainty.COUNTED, "flex")
    used = attempt.usage
    assert attempt.cost == -(-(used.input * 75_000 + used.output * 300_000) // 1_000)


def test_nothing_is_said_of_a_call_that_was_not_taken() -> None:
    plan = plan_for()
    attempt = weigh(plan.request, plan.first, Hold("h", 9, 9, None), 1, AnswerReader(), 0, "x", Certainty.NOTHING)
    assert (attempt.cost, attempt.service_tier, attempt.price, attempt.doubts) == (0, "", plan.first.price, ())


def test_an_answer_can_be_read_without_a_plan_that_knows_others() -> None:
    plan = plan_for()
    alone = plan.first._replace(neighbours={})
    assert find_answered(plan.request, alone, "large-1", "", USED).doubts == (PriceDoubt.OTHER_MODEL,)
