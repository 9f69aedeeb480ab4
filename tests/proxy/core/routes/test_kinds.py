"""Which models serve a call of a route: every kind, every condition, and what holds whatever they say."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.plan import make_plan, prefer_healthy
from proxy.core.plan_detail import describe_plan
from proxy.core.row import route_of
from proxy.errors import ApiError, InvalidRequest, ModelNotFound
from proxy.values.attempt import Mechanism
from proxy.values.plan import Plan
from proxy.values.request import Controls, Endpoint, Request
from proxy.values.routing import NO_SCORES, Arm, PairGain, Scores
from tenants.choices import RouteKind
from tenants.route_snapshots import ConditionSnapshot, RouteSnapshot, TargetSnapshot
from tenants.snapshots import KeySnapshot, RungSnapshot
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, make_budget, make_chat, make_request
from tests.proxy.core.routes.examples import MODELS, WIDE_ORG, make_route, with_routes

HARD = "Explain why the sky is blue, compare it with Mars, and prove each step of your reasoning from first principles."


def plan_of(
    route: RouteSnapshot,
    request: Request | None = None,
    *,
    controls: Controls = NO_CONTROLS,
    key: KeySnapshot = KEY,
    call_id: str = "call",
    scores: Scores = NO_SCORES,
    **org: Any,
) -> Plan:
    asked = request or make_chat(model="smart")
    return make_plan(asked, controls, key, with_routes(route, **org), NOON_MS, call_id=call_id, scores=scores)


def models_of(plan: Plan) -> list[str]:
    return [candidate.model.name for candidate in plan.candidates]


def ask(text: str, **fields: Any) -> Request:
    return make_chat(model="smart", messages=[{"role": "user", "content": text}], **fields)


def test_a_fixed_route_takes_the_first_target_whose_conditions_hold() -> None:
    search = TargetSnapshot("middle", when=ConditionSnapshot(tags=(("team", "search"),)))
    route = make_route("fixed", (search, "small"))
    assert models_of(plan_of(route)) == ["small"]
    assert models_of(plan_of(route, controls=Controls(tags={"team": "search"}))) == ["middle"]
    assert route_of(plan_of(route)) == "route smart v3 fixed: small, target 2 of 2"


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        ({"end_users": ("ben",)}, {"user": "ben"}, {"user": "ada"}),
        ({"min_tokens": 100}, {"messages": [{"role": "user", "content": "x" * 800}]}, {}),
        ({"max_tokens": 100}, {}, {"messages": [{"role": "user", "content": "x" * 800}]}),
        ({"has_tools": True}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {}),
        ({"has_tools": False}, {}, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    ],
)
def test_each_condition(when: dict[str, Any], holds: dict[str, Any], fails: dict[str, Any]) -> None:
    route = make_route("fixed", (TargetSnapshot("middle", when=ConditionSnapshot(**when)), "small"))
    assert models_of(plan_of(route, make_chat(**{"model": "smart"} | holds))) == ["middle"]
    assert models_of(plan_of(route, make_chat(**{"model": "smart"} | fails))) == ["small"]


def test_a_condition_on_a_budget_is_whether_its_ladder_has_the_call_on_a_rung() -> None:
    thrifty = TargetSnapshot("small", when=ConditionSnapshot(is_degraded=True))
    ladder = (RungSnapshot(at=80, rung="shorter_output", max_tokens=100),)
    org = with_routes(make_route("fixed", (thrifty, "large")), budgets=(make_budget(action="degrade", ladder=ladder),))
    before = make_plan(make_chat(model="smart"), NO_CONTROLS, KEY, org, NOON_MS)
    (counter,) = {scope.counter for scope in before.first.scopes}
    after = make_plan(make_chat(model="smart"), NO_CONTROLS, KEY, org, NOON_MS, {counter: 8_000_000_000})
    assert (models_of(before), models_of(after)) == (["large"], ["small"])
    assert after.rungs == ("shorter_output",)


def test_fallbacks_are_asked_in_their_order() -> None:
    plan = plan_of(make_route("fallbacks", ("middle", "small", "large")))
    assert models_of(plan) == ["middle", "small", "large"]
    assert not plan.is_cascade


@pytest.mark.parametrize("kind", ["router", "fallbacks", "weighted", "cascade"])
def test_the_first_of_a_route_is_the_same_whether_or_not_the_others_are_planned(kind: str) -> None:
    """A cascade always goes on to them."""
    route = make_route(kind, (TargetSnapshot("small", 1), TargetSnapshot("large", 1)))
    asked, org = make_chat(model="smart"), with_routes(route)
    whole = make_plan(asked, NO_CONTROLS, KEY, org, NOON_MS, call_id="call")
    brief = make_plan(asked, NO_CONTROLS, KEY, org, NOON_MS, call_id="call", is_first_enough=True)
    assert len(whole.candidates) == 2
    assert brief == (whole if kind == "cascade" else whole._replace(candidates=whole.candidates[:1], has_others=True))


def test_weights_are_kept_within_a_few_per_cent_and_one_call_goes_one_way() -> None:
    targets = (TargetSnapshot("small", 70), TargetSnapshot("middle", 20), TargetSnapshot("large", 10))
    route = make_route("weighted", targets, sticky="request")
    firsts = Counter(plan_of(route, call_id=f"call {number}").first.model.name for number in range(3_000))
    assert firsts["small"] == pytest.approx(2_100, abs=90)
    assert firsts["middle"] == pytest.approx(600, abs=70)
    assert firsts["large"] == pytest.approx(300, abs=60)
    assert {tuple(models_of(plan_of(route, call_id="one"))) for _ in range(20)} == {
        tuple(models_of(plan_of(route, call_id="one")))
    }


def test_a_conversation_stays_with_its_model() -> None:
    route = make_route("weighted", ("small", "large"))
    first = {"role": "user", "content": "What is a falcon?"}
    turns = [first, {"role": "assistant", "content": "A bird."}, {"role": "user", "content": "And a hawk?"}]
    for number in range(30):
        begun = [first | {"content": f"Question {number}"}]
        asked = [
            plan_of(route, make_chat(model="smart", messages=begun + turns[1:][:more]), call_id=f"{number} {more}")
            for more in range(3)
        ]
        assert len({plan.first.model.name for plan in asked}) == 1
    sessions = {
        plan_of(route, ask(f"{number}"), controls=Controls(session="s-1")).first.model.name for number in range(30)
    }
    assert len(sessions) == 1


def test_a_canary_gets_its_share() -> None:
    route = make_route("canary", ("large", "small"), sticky="request", share_permille=100)
    firsts = Counter(plan_of(route, call_id=f"{number}").first.model.name for number in range(2_000))
    assert firsts["small"] == pytest.approx(200, abs=45)
    told = {route_of(plan_of(route, call_id=f"{number}")) for number in range(100)}
    assert told == {
        "route smart v3 canary: small, one of the 10 % for the canary",
        "route smart v3 canary: large, beside the canary",
    }


@pytest.mark.parametrize(
    ("text", "hard_from", "model", "why"),
    [
        ("What is 2 + 2?", "medium", "small", "it looks simple"),
        ("Explain rain.", "medium", "large", "it looks medium"),
        ("Explain rain.", "complex", "small", "it looks medium"),
        ("Write a poem.", "complex", "large", "it looks complex"),
        ("", "medium", "small", "it looks simple"),
    ],
)
def test_a_router_begins_with_how_hard_a_prompt_looks(text: str, hard_from: str, model: str, why: str) -> None:
    plan = plan_of(make_route("router", hard_from=hard_from), ask(text))
    assert models_of(plan)[0] == model
    assert route_of(plan) == f"route smart v3 router: {model}, {why}"
    assert plan.first.list_price == MODELS["large"].prices[0]


def test_a_router_follows_what_was_learned_and_says_so() -> None:
    learned = make_route("router", learned="l-1")
    low, high = Scores("l-1", 0.02, 0.05), Scores("l-1", 0.30, 0.05)
    assert route_of(plan_of(learned, ask(HARD), scores=low)) == (
        "route smart v3 router: small, a gain of +0.020 is expected of large, the strong model from +0.050 on"
    )
    assert plan_of(learned, ask("Hi"), scores=high).first.model.name == "large"
    # In dollars: about 300 tokens at 12 instead of 0.6 millionths cost 0.0035 dollars more.
    worth = replace(learned, answer_worth=20_000_000)
    assert route_of(plan_of(worth, ask("Hi"), scores=high)).endswith("worth its price")
    assert plan_of(worth, ask("Hi"), scores=high).first.model.name == "large"
    assert plan_of(replace(worth, answer_worth=10_000_000), ask("Hi"), scores=high).first.model.name == "small"


def test_a_router_that_cannot_tell_falls_back_and_says_why() -> None:
    learned = make_route("router", learned="l-2")
    for scores, before in (
        (Scores("l-2", None, why="the task x is new"), "the task x is new: "),
        (NO_SCORES, ""),
        # of another version: what was learned since is not loaded yet
        (Scores("l-1", 0.9, 0.1), ""),
    ):
        assert route_of(plan_of(learned, ask("Hi"), scores=scores)) == (
            f"route smart v3 router: small, {before}it looks simple"
        )


def test_a_router_explores_a_share_and_knows_how_often() -> None:
    route = make_route("router", sticky="request", learned="l-1", explore_permille=50)
    plans = [plan_of(route, ask("Hi"), call_id=f"{number}", scores=Scores("l-1", 0.0, 0.5)) for number in range(2_000)]
    arms = Counter(plan.routing.arm for plan in plans if plan.routing)
    assert arms[Arm.EXPLORED] == pytest.approx(100, abs=32)
    assert {(plan.first.model.name, plan.routing.permille) for plan in plans if plan.routing} == {
        ("small", 950),
        ("large", 50),
    }
    # who learns nothing has nothing to explore
    assert plan_of(replace(route, learned=""), ask("Hi"), call_id="0").first.model.name == "small"


THREE = ("small", "middle", "large")


@pytest.mark.parametrize(
    ("text", "model", "looks"),
    [
        ("What is 2 + 2?", "small", "simple"),
        ("", "small", "simple"),
        ("Compared with Rust, is Go slower?", "middle", "medium"),
        ("word " * 50, "middle", "medium"),
        ("Schreibe ein Gedicht.", "large", "complex"),
        ("write " + "word " * 101, "large", "complex"),
    ],
)
def test_of_three_targets_each_has_its_class(text: str, model: str, looks: str) -> None:
    plan = plan_of(make_route("router", THREE), ask(text))
    assert route_of(plan) == f"route smart v3 router: {model}, it looks {looks}"
    # The others stand in for it, and what it saves is counted from the dearest.
    assert models_of(plan) == [model, *(name for name in THREE if name != model)]
    assert {candidate.list_price for candidate in plan.candidates} == {MODELS["large"].prices[0]}


def test_of_four_targets_the_dearest_has_what_is_long_and_to_be_made() -> None:
    huge = {"huge": replace(MODELS["large"], name="huge")}
    route = make_route("router", (*THREE, "huge"))
    asked = ["Hi", "Explain rain.", "Write a poem.", "word " * 101, "word " * 101 + "write"]
    plans = [plan_of(route, ask(text), models=MODELS | huge) for text in asked]
    assert [plan.first.model.name for plan in plans] == ["small", "middle", "large", "large", "huge"]
    assert route_of(plans[-1]) == "route smart v3 router: huge, it looks very complex"


@pytest.mark.parametrize(
    ("allowed", "firsts"),
    [
        ({"small", "large"}, ["small", "large", "large"]),
        ({"small", "middle"}, ["small", "middle", "middle"]),
        ({"middle", "large"}, ["middle", "middle", "large"]),
        ({"middle"}, ["middle", "middle", "middle"]),
    ],
)
def test_the_class_of_a_target_that_a_call_may_not_use_goes_to_the_next_dearer_one(
    allowed: set[str], firsts: list[str]
) -> None:
    key = replace(KEY, models=frozenset(allowed))
    asked = ["Hi", "Explain rain.", "Write a poem."]
    route = make_route("router", THREE)
    assert [plan_of(route, ask(text), key=key).first.model.name for text in asked] == firsts


def gains(**of: float) -> Scores:
    """What was learned of the pair of which each model is the dearer one; all are asked from 0.05 on."""
    below = dict(zip(THREE[1:], THREE, strict=False))
    return Scores("l-1", pairs={(below[name], name): PairGain(gain, 0.05) for name, gain in of.items()})


@pytest.mark.parametrize(
    ("text", "scores", "model", "why"),
    [
        (
            "Write a poem.",
            gains(middle=0.02, large=0.9),
            "small",
            "a gain of +0.020 is expected of middle, which is asked from +0.050 on",
        ),
        (
            "Hi",
            gains(middle=0.05, large=0.01),
            "middle",
            "a gain of +0.050 is expected of middle, which is asked from +0.050 on,"
            " a gain of +0.010 is expected of large, which is asked from +0.050 on",
        ),
        (
            "Hi",
            gains(middle=0.3, large=0.2),
            "large",
            "a gain of +0.300 is expected of middle, which is asked from +0.050 on,"
            " a gain of +0.200 is expected of large, which is asked from +0.050 on",
        ),
        # Of the lower pair something is known, of the upper one nothing.
        (
            "Hi",
            gains(middle=0.3),
            "middle",
            "a gain of +0.300 is expected of middle, which is asked from +0.050 on, it looks simple",
        ),
        (
            "Write a poem.",
            gains(middle=0.3),
            "large",
            "a gain of +0.300 is expected of middle, which is asked from +0.050 on, it looks complex",
        ),
        # And the other way round: who stays below is not held against the upper one.
        ("Hi", gains(large=0.9), "small", "it looks simple"),
        (
            "Explain rain.",
            gains(large=0.9),
            "large",
            "it looks medium, a gain of +0.900 is expected of large, which is asked from +0.050 on",
        ),
        ("Explain rain.", Scores("l-1", None, why="the task x is new"), "middle", "the task x is new, it looks medium"),
        ("Explain rain.", gains(middle=0.0)._replace(learned="l-0"), "middle", "it looks medium"),
    ],
)
def test_what_was_learned_of_each_pair_decides_from_the_cheapest_up(
    text: str, scores: Scores, model: str, why: str
) -> None:
    plan = plan_of(make_route("router", THREE, learned="l-1"), ask(text), scores=scores)
    assert route_of(plan) == f"route smart v3 router: {model}, {why}"


def test_each_pair_is_held_against_the_difference_of_its_own_prices() -> None:
    """About 300 tokens out: at 2.4 instead of 0.6 millionths of a dollar 0.0006 dollars more, at 12 again 0.003."""
    route = make_route("router", THREE, learned="l-1", answer_worth=10_000_000)
    told = route_of(plan_of(route, ask("Hi"), scores=gains(middle=0.1, large=0.1)))
    assert told == (
        "route smart v3 router: middle, a gain of +0.100 is expected of middle, worth its price,"
        " a gain of +0.100 is expected of large, not worth its price"
    )
    worth = replace(route, answer_worth=50_000_000)
    assert plan_of(worth, ask("Hi"), scores=gains(middle=0.1, large=0.1)).first.model.name == "large"


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("Hi", {"small": 900, "middle": 100}),
        ("Explain rain.", {"middle": 900, "small": 50, "large": 50}),
        ("Write a poem.", {"large": 900, "middle": 100}),
    ],
)
def test_who_explores_of_three_asks_a_neighbour_and_knows_how_often(text: str, shares: dict[str, int]) -> None:
    route = make_route("router", THREE, sticky="request", is_learning=True, explore_permille=100)
    plans = [plan_of(route, ask(text), call_id=f"{number}") for number in range(2_000)]
    firsts = Counter(plan.first.model.name for plan in plans)
    assert {name: pytest.approx(2 * share, abs=60) for name, share in shares.items()} == firsts
    for plan in plans:
        assert plan.routing is not None
        assert plan.routing.shares == shares
        assert plan.routing.permille == shares[plan.first.model.name]
        assert (plan.routing.arm is Arm.EXPLORED) == (shares[plan.first.model.name] < 900)


def test_a_cascade_asks_the_cheapest_first_and_is_attributed_so() -> None:
    plan = plan_of(make_route("cascade", ("small", "middle", "large")))
    assert models_of(plan) == ["small", "middle", "large"]
    assert plan.is_cascade
    assert {candidate.mechanism for candidate in plan.candidates} == {Mechanism.CASCADE}
    assert {candidate.list_price for candidate in plan.candidates} == {MODELS["large"].prices[0]}


def test_rungs_whose_upstream_does_not_answer_are_left_out_and_the_others_keep_their_order() -> None:
    plan = plan_of(make_route("cascade", ("small", "middle", "large")))
    without = prefer_healthy(plan, lambda upstream: upstream.name == "at small")
    assert (models_of(without), without.passed_over) == (["middle", "large"], ("small",))
    alone = prefer_healthy(plan, lambda upstream: upstream.name != "at large")
    assert (models_of(alone), alone.is_cascade) == (["large"], False)


def test_what_is_off_or_watched_or_held_out_goes_to_the_baseline() -> None:
    route = make_route("router")
    off = plan_of(replace(route, mode="off"), ask("Hi"))
    assert (models_of(off), route_of(off)) == (["large"], "route smart v3 off: large")
    shadow = plan_of(replace(route, mode="shadow"), ask("Hi"))
    assert models_of(shadow) == ["large"]
    assert route_of(shadow) == "route smart v3 shadow: large, would be small, it looks simple"
    held = plan_of(replace(route, holdout_permille=1000), ask("Hi"))
    assert (models_of(held), route_of(held)) == (["large"], "route smart v3 held out: large")


def test_a_hold_out_is_its_share() -> None:
    route = make_route("fixed", ("small",), baseline="large", sticky="request", holdout_permille=20)
    firsts = Counter(plan_of(route, call_id=f"{number}").first.model.name for number in range(5_000))
    assert firsts["large"] == pytest.approx(100, abs=35)


def test_a_key_gets_only_models_that_it_may_use() -> None:
    key = replace(KEY, models=frozenset({"small", "middle"}))
    assert models_of(plan_of(make_route("cascade", ("small", "middle", "large")), key=key)) == ["small", "middle"]
    assert models_of(plan_of(make_route("router"), ask(HARD), key=key)) == ["small"]
    # also where the route is off: the dearest that it may use
    assert models_of(plan_of(make_route("router", mode="off"), key=key)) == ["small"]
    with pytest.raises(ModelNotFound, match="The route `smart` has no model that this call may use"):
        plan_of(make_route("router"), key=replace(KEY, models=frozenset({"other"})))


def test_models_that_are_gone_or_have_no_price_any_more_are_passed_over() -> None:
    gone = {name: model for name, model in MODELS.items() if name != "large"}
    plan = plan_of(make_route("fallbacks", ("large", "middle", "small"), baseline="large"), models=gone)
    assert (models_of(plan), plan.first.list_price) == (["middle", "small"], MODELS["middle"].prices[0])
    unpriced = MODELS | {"small": replace(MODELS["small"], prices=())}
    assert models_of(plan_of(make_route("router"), ask("Hi"), models=unpriced)) == ["large"]
    with pytest.raises(ModelNotFound):
        plan_of(make_route("fixed", ("small",)), models=unpriced)


def test_embeddings_of_several_models_cannot_be_compared() -> None:
    request = make_request(Endpoint.EMBEDDINGS, {"model": "smart", "input": "Hi"})
    assert models_of(plan_of(make_route("fixed", ("small",)), request)) == ["small"]
    with pytest.raises(InvalidRequest, match="embeddings of different models cannot be compared"):
        plan_of(make_route("weighted"), request)


def test_a_models_budget_counts_whatever_comes_to_it_by_a_route() -> None:
    budgets = (make_budget(), make_budget("model", subject="small"), make_budget("model", subject="large"))
    plan = plan_of(make_route("fallbacks"), budgets=budgets)
    assert [
        [scope.subject for scope in candidate.scopes if scope.kind == "model"] for candidate in plan.candidates
    ] == [
        ["small"],
        ["large"],
    ]


def test_the_ladder_of_the_chosen_model_holds() -> None:
    ladder = (RungSnapshot(at=50, rung="cheaper_model", model="small"),)
    budget = make_budget("model", subject="large", action="degrade", ladder=ladder)
    org = with_routes(make_route("router"), budgets=(budget,))
    before = make_plan(ask(HARD), NO_CONTROLS, KEY, org, NOON_MS)
    assert before.first.model.name == "large"
    (counter,) = {scope.counter for scope in before.first.scopes}
    after = make_plan(ask(HARD), NO_CONTROLS, KEY, org, NOON_MS, {counter: 9_000_000_000})
    assert (after.first.model.name, after.rungs) == ("small", ("cheaper_model",))


def test_under_a_ladder_that_wants_a_cheaper_model_a_cascade_does_not_go_up() -> None:
    ladder = (RungSnapshot(at=50, rung="cheaper_model", model="small"),)
    org = with_routes(
        make_route("cascade", ("middle", "large")), budgets=(make_budget(action="degrade", ladder=ladder),)
    )
    (counter,) = {scope.counter for scope in make_plan(ask("Hi"), NO_CONTROLS, KEY, org, NOON_MS).first.scopes}
    plan = make_plan(ask("Hi"), NO_CONTROLS, KEY, org, NOON_MS, {counter: 9_000_000_000})
    assert (models_of(plan), plan.is_cascade) == (["small"], False)


def test_a_ladders_route_chooses_for_a_call_that_asked_for_a_model() -> None:
    ladder = (RungSnapshot(at=50, rung="route", route="smart"),)
    budget = make_budget(action="degrade", ladder=ladder)
    org = with_routes(make_route("router"), budgets=(budget,))
    (counter,) = {
        scope.counter for scope in make_plan(make_chat(model="large"), NO_CONTROLS, KEY, org, NOON_MS).first.scopes
    }
    spent = {counter: 6_000_000_000}
    plan = make_plan(make_chat(model="large"), NO_CONTROLS, KEY, org, NOON_MS, spent)
    assert (models_of(plan)[0], plan.rungs) == ("small", ("route",))
    assert route_of(plan) == "route smart v3 router: small, it looks simple; degraded: route"
    assert plan.first.list_price == MODELS["large"].prices[0]
    # what is asked is cheap already
    cheap = make_plan(ask(HARD)._replace(model="small"), NO_CONTROLS, KEY, org, NOON_MS, spent)
    assert (models_of(cheap), cheap.rungs, route_of(cheap)) == (["small"], (), "direct")


def test_the_plan_is_shown_without_a_call() -> None:
    shown = describe_plan(plan_of(make_route("cascade")))
    assert shown["route"] == {
        "name": "smart",
        "version": 3,
        "kind": "cascade",
        "arm": "routed",
        "model": "small",
        "would_be": "",
        "why": "rung 1 of 2",
        "permille": 1000,
    }
    assert [candidate["model"] for candidate in shown["candidates"]] == ["small", "large"]
    assert shown["is_cascade"]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(RouteKind)),
    mode=st.sampled_from(["off", "shadow", "on"]),
    names=st.lists(st.sampled_from(list(MODELS)), min_size=1, max_size=3, unique=True),
    allowed=st.none() | st.frozensets(st.sampled_from(list(MODELS))),
    text=st.text(max_size=200),
    holdout=st.integers(0, 1000),
    gain=st.none() | st.floats(allow_nan=True),
    sticky=st.sampled_from(["conversation", "request"]),
)
def test_a_plan_is_a_function_of_its_inputs(
    kind: RouteKind,
    mode: str,
    names: list[str],
    allowed: frozenset[str] | None,
    text: str,
    holdout: int,
    gain: float | None,
    sticky: str,
) -> None:
    """The same inputs give the same plan; whom it asks, the key may use; and every candidate has a price."""
    ordered = sorted(names, key=list(MODELS).index)
    route = make_route(
        kind, ordered, mode=mode, holdout_permille=holdout, learned="l-1", sticky=sticky, share_permille=500
    )
    key = replace(KEY, models=allowed)
    plans: list[Plan | str] = []
    for _ in range(2):
        try:
            plans.append(plan_of(route, ask(text), key=key, scores=Scores("l-1", gain, 0.1)))
        except ApiError as error:
            plans.append(error.message)
    assert plans[0] == plans[1]
    if isinstance(plans[0], Plan):
        assert plans[0].candidates
        for candidate in plans[0].candidates:
            assert allowed is None or candidate.model.name in allowed
            assert candidate.price in WIDE_ORG.models[candidate.model.name].prices
