"""What is decided before the first byte leaves."""

import weakref
from dataclasses import replace
from typing import Any

import pytest

from proxy.core import plan as planning
from proxy.core.bounds import exact_bound
from proxy.core.plan import make_plan, prefer_healthy
from proxy.core.tokens import bound_by_bytes, count_exactly
from proxy.errors import ApiError, InvalidRequest, ModelNotFound, ModelNotPriced, NotAllowed
from proxy.values.plan import Plan
from proxy.values.request import Controls, Endpoint, Request
from tenants.price_snapshots import Rates, ServiceTier
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot, RateLimitSnapshot, RungSnapshot
from tests.proxy.core.examples import (
    KEY,
    MODEL,
    NO_CONTROLS,
    NOON_MS,
    ORG,
    PRICE,
    UPSTREAM,
    make_budget,
    make_chat,
    make_request,
    reprice,
)


def plan_for(
    request: Request, *, controls: Controls = NO_CONTROLS, key: KeySnapshot = KEY, org: OrgSnapshot = ORG
) -> Plan:
    return make_plan(request, controls, key, org, NOON_MS)


def with_model(model: ModelSnapshot) -> OrgSnapshot:
    return replace(ORG, models={model.name: model})


def refusal(request: Request, **others: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        plan_for(request, **others)
    return caught.value


def test_a_plan_names_model_upstream_and_price() -> None:
    request = make_chat(user="ben")
    plan = plan_for(request)
    assert (plan.request, plan.first.model, plan.first.upstream, plan.first.price) == (request, MODEL, UPSTREAM, PRICE)
    assert plan.controls == Controls(end_user="ben")
    assert plan.first.scopes == ()


def test_the_quick_bound_is_made_of_bytes_and_the_exact_one_of_tokens() -> None:
    plan = plan_for(make_chat(max_tokens=100, n=2))
    assert plan.first.bound.input_tokens == bound_by_bytes(plan.request, MODEL)
    assert (plan.first.bound.choices, plan.first.bound.max_output, plan.first.bound.is_exact) == (2, 100, False)
    exact = exact_bound(plan.request, plan.first, plan.most_output)
    assert exact.input_tokens == count_exactly(plan.request, MODEL) < plan.first.bound.input_tokens
    assert (exact.choices, exact.max_output, exact.is_exact) == (2, 100, True)
    assert exact.fixed_picos == exact.input_tokens * 150_000


SEARCHED = replace(
    MODEL,
    prices=(replace(reprice(PRICE, web_searches=10_000_000_000), units=("web_searches",)),),
    max_tool_calls=3,
)


def test_what_a_provider_s_tools_may_bring_in_is_held_by_the_window() -> None:
    """Three searches, whose results only the window bounds, each time that the model reads on."""
    plan = plan_for(make_chat(max_tokens=100, web_search_options={}), org=with_model(SEARCHED))
    assert plan.first.bound.is_open
    for bound in (plan.first.bound, exact_bound(plan.request, plan.first)):
        assert bound.input_tokens == 128_000 * (1 + 3)
        assert bound.fixed_picos == 128_000 * 4 * 150_000 + 3 * 10_000_000_000


def test_a_prompt_longer_than_the_window_is_held_as_long_as_it_is() -> None:
    request = make_chat(messages=[{"role": "user", "content": "x" * 200_000}], web_search_options={})
    plan = plan_for(request, org=with_model(SEARCHED))
    assert plan.first.bound.input_tokens == bound_by_bytes(request, MODEL) * 4


def test_a_fallback_that_may_ignore_a_limit_is_left_out() -> None:
    own = replace(UPSTREAM, id="own", kind="openai")
    first = replace(SEARCHED, upstream_id="own", max_tool_calls=None, fallbacks=("other",))
    other = replace(SEARCHED, name="other", max_tool_calls=None)
    org = replace(ORG, models={"small": first, "other": other}, upstreams={"own": own, UPSTREAM.id: UPSTREAM})
    request = make_chat(web_search_options={}, max_tool_calls=2)
    assert [candidate.model.name for candidate in plan_for(request, org=org).candidates] == ["small"]
    org = replace(org, models=org.models | {"other": replace(other, max_tool_calls=5)})
    bounds = [candidate.bound.input_tokens for candidate in plan_for(request, org=org).candidates]
    assert bounds == [128_000 * 3, 128_000 * 6]


def test_of_two_bounds_that_both_hold_the_smaller_is_taken() -> None:
    request = make_chat(messages=[{}] * 100)
    exact = exact_bound(request, plan_for(request).first)
    assert exact.input_tokens == bound_by_bytes(request, MODEL) < count_exactly(request, MODEL)


@pytest.mark.parametrize(("asked", "bound"), [({}, 4_096), ({"max_tokens": 5}, 5), ({"max_tokens": 100_000}, 4_096)])
def test_the_output_is_bounded_by_the_callers_limit_and_the_models(asked: dict[str, int], bound: int) -> None:
    assert plan_for(make_chat(**asked)).first.bound.max_output == bound


def test_an_embedding_is_bounded_by_its_input() -> None:
    plan = plan_for(make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": "Hi"}))
    assert plan.first.bound.max_output == 0
    # also where the model has no output at all
    silent = with_model(replace(MODEL, max_output_tokens=0))
    assert (
        plan_for(make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": "Hi"}), org=silent).first.bound.choices
        == 1
    )


def test_a_model_without_output_cannot_chat() -> None:
    error = refusal(make_chat(), org=with_model(replace(MODEL, max_output_tokens=0)))
    assert isinstance(error, InvalidRequest)
    assert (error.param, error.message) == ("model", "The model small gives no output.")


@pytest.mark.parametrize(
    ("fields", "hears"),
    [
        ({}, False),
        ({"audio": {"voice": "alloy", "format": "wav"}}, True),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, True),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, "Hi", 5]}]}, False),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, True),
    ],
)
def test_sound_is_bounded_at_the_price_of_sound(fields: dict[str, Any], hears: bool) -> None:
    priced = reprice(PRICE, audio_input=40_000_000, audio_output=80_000_000)
    bound = plan_for(make_chat(**fields), org=with_model(replace(MODEL, prices=(priced,)))).first.bound
    assert bound.fixed_picos == bound.input_tokens * (40_000_000 if hears else 150_000)
    assert bound.output_picos == (80_000_000 if hears else 600_000)


@pytest.mark.parametrize("endpoint", [Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS])
@pytest.mark.parametrize("messages", [None, 5, "Hi", [1], ["Hi"], {"a": 1}, [{"content": [5]}]])
def test_messages_where_they_do_not_belong_are_not_read(endpoint: Endpoint, messages: Any) -> None:
    body = {"model": "small", "prompt": "Hi", "input": "Hi", "messages": messages}
    plan = plan_for(make_request(endpoint, body))
    assert exact_bound(plan.request, plan.first, plan.most_output).input_tokens > 0


def test_an_unknown_model_and_one_the_key_may_not_use_are_refused_in_the_same_words() -> None:
    unknown = refusal(make_chat(model="large"))
    forbidden = refusal(make_chat(), key=replace(KEY, models=frozenset({"large"})))
    for error, name in ((unknown, "large"), (forbidden, "small")):
        assert isinstance(error, ModelNotFound)
        assert (error.status, error.error_code, error.param) == (404, "model_not_found", "model")
        assert error.message == f"The model `{name}` does not exist or you do not have access to it."
    assert plan_for(make_chat(), key=replace(KEY, models=frozenset({"small"}))).first.model == MODEL


@pytest.mark.parametrize("prices", [(), (replace(PRICE, effective_from_ms=NOON_MS + 1),)])
def test_a_model_without_a_price_of_now_is_refused(prices: Any) -> None:
    error = refusal(make_chat(), org=with_model(replace(MODEL, prices=prices)))
    assert isinstance(error, ModelNotPriced)
    assert (error.status, error.error_code, error.param, error.type) == (
        402,
        "model_not_priced",
        "model",
        "insufficient_quota",
    )


def test_a_price_of_zero_is_a_price() -> None:
    free = reprice(PRICE, **dict.fromkeys(Rates._fields, 0))
    bound = plan_for(make_chat(), org=with_model(replace(MODEL, prices=(free,)))).first.bound
    assert (bound.fixed_picos, bound.output_picos) == (0, 0)


@pytest.mark.parametrize(
    ("bound_to", "header", "field", "found"),
    [
        (None, "", "", ""),
        (None, "", "ben", "ben"),
        (None, "ada", "ben", "ada"),
        ("mallory", "ada", "ben", "mallory"),
    ],
)
def test_the_end_user_is_whom_the_key_is_bound_to_else_the_header_else_the_field(
    bound_to: str | None, header: str, field: str, found: str
) -> None:
    plan = plan_for(make_chat(user=field), controls=Controls(end_user=header), key=replace(KEY, end_user=bound_to))
    assert plan.controls.end_user == found


def test_a_blocked_end_user_is_refused_before_anything_else() -> None:
    error = refusal(
        make_chat(user="mallory", model="large"), org=replace(ORG, blocked_end_users=frozenset({"mallory"}))
    )
    assert isinstance(error, NotAllowed)
    assert (error.status, error.error_code) == (403, "end_user_blocked")
    assert error.message == "The end user mallory is blocked in this organisation."


@pytest.mark.parametrize(
    ("actions", "max_cost", "is_capped"),
    [([], None, False), (["warn"], None, False), (["warn", "block"], None, True), ([], 5, True)],
)
def test_a_call_is_capped_under_a_hard_limit_only(actions: list[str], max_cost: int | None, is_capped: bool) -> None:
    org = replace(ORG, budgets=tuple(make_budget(action=action) for action in actions))
    plan = plan_for(make_chat(), controls=Controls(max_cost=max_cost), org=org)
    assert plan.first.is_capped is is_capped
    assert [scope.subject for scope in plan.first.scopes] == [ORG.id] * len(actions)


def test_the_budgets_are_found_for_the_end_user_model_and_tags_of_the_call() -> None:
    budgets = tuple(make_budget(scope) for scope in ("end_user", "model", "tag"))
    plan = plan_for(
        make_chat(user="ben"), controls=Controls(tags={"team": "search"}), org=replace(ORG, budgets=budgets)
    )
    assert [scope.subject for scope in plan.first.scopes] == ["ben", "small", "team=search"]


def test_a_call_that_cannot_be_counted_exactly_is_refused() -> None:
    """Beyond 2**53 pico-USD a script of Valkey would round."""
    dear = reprice(PRICE, input=0, output=2**53 // 100)
    org = with_model(replace(MODEL, prices=(dear,)))
    assert plan_for(make_chat(max_tokens=99), org=org).first.bound.max_output == 99
    error = refusal(make_chat(max_tokens=101), org=org)
    assert (error.status, error.param, error.error_code) == (400, "max_tokens", "call_too_expensive")


def test_an_answer_is_cut_for_a_window_only_where_the_counted_input_leaves_no_room() -> None:
    limit = RateLimitSnapshot("tpm", "key", "", "tokens", 2_000, 60_000, is_shadow=False)
    org = replace(ORG, rate_limits=(limit,))
    talkative = make_chat(messages=[{"role": "user", "content": "word " * 300}], max_tokens=1_000)
    plan = plan_for(talkative, org=org)
    assert bound_by_bytes(plan.request, MODEL) > 1_000 > count_exactly(plan.request, MODEL)
    assert (plan.first.bound.max_output, plan.first.bound.is_exact) == (1_000, True)
    tight = plan_for(talkative, org=replace(ORG, rate_limits=(replace(limit, amount=1_200),)))
    assert tight.first.bound.max_output == 1_200 - tight.first.bound.input_tokens < 1_000
    assert plan_for(make_chat(max_tokens=10), org=org).first.bound.is_exact is False


def test_a_call_that_too_many_limits_count_is_refused() -> None:
    """A default for tags holds each of a call's tags: 38 of them and 16 tags are 608."""
    budgets = tuple(make_budget(id=f"tag-{number}", scope="tag", subject="") for number in range(38))
    org = replace(ORG, budgets=budgets)
    fifteen = {f"name-{number}": "x" for number in range(15)}
    assert len(make_plan(make_chat(), Controls(tags=fifteen), KEY, org, NOON_MS).first.scopes) == 570
    with pytest.raises(InvalidRequest, match="608 budgets and rate limits count this call, 600 at most") as caught:
        make_plan(make_chat(), Controls(tags=fifteen | {"one": "more"}), KEY, org, NOON_MS)
    assert (caught.value.status, caught.value.param) == (400, "x-costhub-tags")


OTHER = replace(
    UPSTREAM, id="0197e9d4-0000-7000-8000-000000000012", name="elsewhere", base_url="https://else.example/v1"
)
LARGE = replace(MODEL, name="large", upstream_id=OTHER.id, prices=(reprice(PRICE, input=1_000_000, output=2_000_000),))
SAFE = replace(MODEL, fallbacks=("gone", "unpriced", "large"))
WITH_FALLBACKS = replace(
    ORG,
    models={"small": SAFE, "large": LARGE, "unpriced": replace(LARGE, name="unpriced", prices=())},
    upstreams={UPSTREAM.id: UPSTREAM, OTHER.id: OTHER},
)


def test_fallbacks_follow_in_their_order_and_those_that_cannot_be_are_left_out() -> None:
    plan = plan_for(make_chat(max_tokens=100), org=WITH_FALLBACKS)
    first, second = plan.candidates
    assert (first.model, second.model, second.upstream) == (SAFE, LARGE, OTHER)
    assert (second.price, second.list_price) == (LARGE.prices[0], PRICE)
    assert (first.is_capped, second.is_capped) == (False, True)
    assert second.bound.output_picos == 2_000_000


def test_who_is_asked_later_need_not_be_planned_yet() -> None:
    whole = make_plan(make_chat(), NO_CONTROLS, KEY, WITH_FALLBACKS, NOON_MS)
    brief = make_plan(make_chat(), NO_CONTROLS, KEY, WITH_FALLBACKS, NOON_MS, is_first_enough=True)
    assert brief == whole._replace(candidates=whole.candidates[:1], has_others=True)
    assert not make_plan(make_chat(), NO_CONTROLS, KEY, ORG, NOON_MS, is_first_enough=True).has_others


def test_a_call_that_may_have_to_go_on_without_its_caller_is_planned_as_a_whole() -> None:
    """Whose upstream bills an answer that nobody waits for is to be known before the caller leaves."""
    upstreams = WITH_FALLBACKS.upstreams | {OTHER.id: replace(OTHER, drain_on_disconnect=True)}
    org = replace(WITH_FALLBACKS, upstreams=upstreams)
    brief = make_plan(make_chat(), NO_CONTROLS, KEY, org, NOON_MS, is_first_enough=True)
    assert brief == make_plan(make_chat(), NO_CONTROLS, KEY, org, NOON_MS)
    assert [candidate.model.name for candidate in brief.candidates] == ["small", "large"]


def test_a_fallback_without_a_price_for_what_is_asked_is_left_out() -> None:
    """The model that was asked for has one: its call is none the worse for naming a fallback."""
    tiered = replace(PRICE, service_tiers=(ServiceTier("flex", PRICE.rates),))
    models = WITH_FALLBACKS.models | {"small": replace(SAFE, prices=(tiered,))}
    plan = plan_for(make_chat(service_tier="flex"), org=replace(WITH_FALLBACKS, models=models))
    assert [candidate.model.name for candidate in plan.candidates] == ["small"]


def test_a_fallback_knows_who_may_answer_in_its_place() -> None:
    first, second = plan_for(make_chat(), org=WITH_FALLBACKS).candidates
    assert (first.at_ms, second.at_ms) == (NOON_MS, NOON_MS)
    assert (set(first.neighbours), set(second.neighbours)) == ({"small-2026"}, {"small-2026"})
    assert second.neighbours["small-2026"] is LARGE


def test_a_key_is_not_led_to_a_model_that_it_may_not_use() -> None:
    key = replace(KEY, models=frozenset({"small"}))
    assert len(plan_for(make_chat(), key=key, org=WITH_FALLBACKS).candidates) == 1


def test_fallbacks_of_a_fallback_are_not_asked() -> None:
    """So that a chain has an end, and a circle too."""
    models = WITH_FALLBACKS.models | {"large": replace(LARGE, fallbacks=("small",))}
    plan = plan_for(make_chat(), org=replace(WITH_FALLBACKS, models=models))
    assert [candidate.model.name for candidate in plan.candidates] == ["small", "large"]


def test_who_does_not_answer_is_passed_over() -> None:
    plan = plan_for(make_chat(), org=WITH_FALLBACKS)
    after = prefer_healthy(plan, lambda upstream: upstream is UPSTREAM)
    assert [candidate.model.name for candidate in after.candidates] == ["large", "small"]
    assert after.passed_over == ("small",)
    # one behind the first is not missed there
    behind = prefer_healthy(plan, lambda upstream: upstream is OTHER)
    assert (behind.candidates, behind.passed_over) == (plan.candidates, ())
    # and where nobody answers, everything is as ever
    assert prefer_healthy(plan, lambda _: True) is plan


def test_each_candidate_is_held_in_the_budgets_and_windows_of_its_own_model() -> None:
    budgets = (make_budget("organization"), make_budget("model"), make_budget("model", subject="large"))
    limit = RateLimitSnapshot("rpm", "model", "", "requests", 9, 60_000, is_shadow=False)
    org = replace(WITH_FALLBACKS, budgets=budgets, rate_limits=(limit,))
    first, second = plan_for(make_chat(), org=org).candidates
    assert [(scope.kind, scope.subject) for scope in first.scopes] == [("organization", ORG.id), ("model", "small")]
    assert [scope.subject for scope in second.scopes] == [ORG.id, "large", "large"]
    assert ([rate.subject for rate in first.rates], [rate.subject for rate in second.rates]) == (["small"], ["large"])


def test_a_ladder_leads_a_call_into_the_budgets_of_the_cheaper_model() -> None:
    """The budget of the model that was asked for is looked at for its ladder, and holds nothing of the call."""
    cheaper = RungSnapshot(50, "cheaper_model", model="small")
    ladder = make_budget("model", subject="large", action="degrade", limit_nanos=1_000, ladder=(cheaper,))
    org = replace(WITH_FALLBACKS, budgets=(ladder, make_budget("model", subject="small")))
    asked = plan_for(make_chat(model="large"), org=org).first
    assert (asked.model, asked.layout.counters, asked.bands) == (LARGE, (asked.scopes[0].counter,), ((1, 0, 500),))
    spent = {asked.scopes[0].counter: 600}
    served = make_plan(make_chat(model="large"), NO_CONTROLS, KEY, org, NOON_MS, spent).first
    assert (served.model.name, [scope.subject for scope in served.scopes]) == ("small", ["small", "large"])
    assert served.layout.counters == (served.scopes[0].counter,)
    assert served.bands == ((2, 500, 2**53 - 1),)
    assert not served.scopes[1].is_hard


class Models(dict[str, ModelSnapshot]):
    """Of an organisation. In place of a plain dictionary, to which no weak reference is possible."""


def test_an_organisation_as_it_was_is_let_go_of_when_the_next_minute_begins() -> None:
    """Else thousands of its versions would be kept for what was found for calls that are long over."""
    # Later than whatever else this process has planned.
    later = max(NOON_MS, (planning._PATHS.minute + 1) * 60_000)
    limit = RateLimitSnapshot("limit", "organization", "", "requests", 5, 60_000, is_shadow=False)
    org = replace(ORG, models=Models(ORG.models), budgets=(make_budget(),), rate_limits=(limit,))
    kept = weakref.ref(org.models)
    assert make_plan(make_chat(), NO_CONTROLS, KEY, org, later).first.scopes
    del org
    assert kept() is not None
    make_plan(make_chat(), NO_CONTROLS, KEY, replace(ORG, version=2), later + 59_999)
    assert kept() is not None
    make_plan(make_chat(), NO_CONTROLS, KEY, replace(ORG, version=2), later + 60_000)
    assert kept() is None
