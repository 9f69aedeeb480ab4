"""Routes: which there may be, what each change keeps, and the way back."""

from typing import Any

import pytest

from costhub.lib.errors import Conflict, Forbidden, InvalidField, NotFound
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy, update_compression_policy
from tenants.actions.keys import create_key
from tenants.actions.models import create_model, update_model
from tenants.actions.routes import create_route, delete_route, roll_back, update_route, use_learned
from tenants.choices import Compression, Mode, RouteKind
from tenants.models import LanguageModel, RouteVersion, Upstream
from tenants.route_snapshots import CompressionSnapshot, ConditionSnapshot, RouteSnapshot, TargetSnapshot
from tenants.selectors import load_org_snapshot
from tenants.snapshots import OrgSnapshot
from tests.tenants.route_examples import make_models, make_route, targets_of
from tests.world import Tenant, World, make_catalog


@pytest.fixture
def acme(world: World) -> Tenant:
    make_models(world.acme)
    return world.acme


def known(acme: Tenant) -> OrgSnapshot:
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot is not None
    assert OrgSnapshot.from_json(snapshot.to_json()) == snapshot
    return snapshot


def test_a_route_reaches_the_proxies(acme: Tenant) -> None:
    condition = {"tags": {"team": "search"}, "end_users": ["ben"], "min_tokens": 5, "has_tools": False}
    targets = [{"model": "middle", "when": condition}, {"model": "small"}]
    route = make_route(acme, RouteKind.FIXED, targets=targets, holdout_percent=5)
    when = ConditionSnapshot(tags=(("team", "search"),), end_users=("ben",), min_tokens=5, has_tools=False)
    assert known(acme).routes == {
        "smart": RouteSnapshot(
            id=str(route.pk),
            name="smart",
            kind="fixed",
            mode="on",
            version=1,
            targets=(TargetSnapshot("middle", when=when), TargetSnapshot("small")),
            # the dearest of its targets
            baseline="middle",
            holdout_permille=50,
        )
    }


def test_each_kind_has_its_settings_and_what_is_usual(acme: Tenant) -> None:
    route = make_route(acme, RouteKind.CASCADE, ("small", "middle", "large"), confidence_percent=70, answer_worth=5)
    assert route.policy == {
        "targets": targets_of("small", "middle", "large"),
        "baseline": "large",
        "holdout_percent": 0,
        "confidence_percent": 70,
        "latency_cap_ms": 0,
        "answer_worth": 5,
        "agreement_samples": 0,
        "compare_percent": 0,
        "compare_monthly_limit": 0,
        "is_learning": False,
    }
    snapshot = known(acme).routes["smart"]
    assert (snapshot.confidence_permille, snapshot.answer_worth) == (700, 5)


def test_what_comparisons_may_cost_is_a_budget_of_a_tag_that_callers_cannot_send(acme: Tenant) -> None:
    before = known(acme).budgets
    route = make_route(acme, compare_percent=5, compare_monthly_limit=2_000_000_000, is_learning=True)
    (budget,) = known(acme).budgets[len(before) :]
    assert (budget.scope, budget.subject, budget.period, budget.limit_nanos, budget.action) == (
        *("tag", "costhub:comparison=smart", "month"),
        *(2_000_000_000, "block"),
    )
    # Another limit goes on counting where the one before did.
    with org_scope(acme.org.pk):
        update_route(actor=acme.owner, route=route, compare_monthly_limit=1_000_000_000)
    (later,) = known(acme).budgets[len(before) :]
    assert (later.id, later.created_ms, later.limit_nanos) == (budget.id, budget.created_ms, 1_000_000_000)


def test_questions_go_together_where_a_route_says_so_and_until_it_does_not(acme: Tenant) -> None:
    route = make_route(acme, RouteKind.FIXED, ("small",), pack_window_ms=20)
    assert (route.policy["pack_window_ms"], route.policy["pack_most"]) == (20, 8)
    snapshot = known(acme).routes["smart"]
    assert (snapshot.pack_window_ms, snapshot.pack_most) == (20, 8)
    with org_scope(acme.org_id):
        changed = update_route(actor=acme.owner, route=route, pack_window_ms=0)
    assert "pack_window_ms" not in changed.policy
    assert known(acme).routes["smart"].pack_window_ms == 0


@pytest.mark.parametrize(
    ("kind", "policy", "field", "message"),
    [
        (RouteKind.FIXED, {"targets": []}, "targets", "Give 1 to 8 targets for a fixed route."),
        (
            RouteKind.CASCADE,
            {"targets": targets_of("small", "large"), "agreement_samples": 6},
            "agreement_samples",
            "Give a whole number from 0 to 5.",
        ),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "large"), "compare_percent": 5, "is_learning": True},
            "compare_monthly_limit",
            "Comparisons cost what the other model costs: say how many USD a month they may.",
        ),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "large"), "compare_percent": 5, "compare_monthly_limit": 1},
            "compare_percent",
            "The route learns from comparisons: switch is_learning on, too.",
        ),
        (RouteKind.CANARY, {"targets": targets_of("small")}, "targets", "Give 2 targets for a canary route."),
        (
            RouteKind.FALLBACKS,
            {"targets": targets_of("small", "nowhere")},
            "targets",
            "Target 2: there is no active model nowhere.",
        ),
        (
            RouteKind.FALLBACKS,
            {"targets": targets_of("small", "theirs")},
            "targets",
            "Target 2: there is no active model theirs.",
        ),
        (
            RouteKind.FALLBACKS,
            {"targets": targets_of("unpriced", "small")},
            "targets",
            "Target 1: the model unpriced has no price: set one first, under Models & prices.",
        ),
        (
            RouteKind.FALLBACKS,
            {"targets": targets_of("small", "other")},
            "targets",
            "Target 2: other is a route. Give models, so that routes cannot become a circle.",
        ),
        (
            RouteKind.FALLBACKS,
            {"targets": targets_of("small", "smart")},
            "targets",
            "Target 2: smart is a route. Give models, so that routes cannot become a circle.",
        ),
        (RouteKind.FALLBACKS, {"targets": targets_of("small", "small")}, "targets", "Name each model once."),
        (
            RouteKind.CASCADE,
            {"targets": targets_of("large", "small")},
            "targets",
            "Target 1: large is not cheaper than small. Put the cheapest first.",
        ),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "twin")},
            "targets",
            "Target 1: small is not cheaper than twin. Put the cheapest first.",
        ),
        (
            RouteKind.WEIGHTED,
            {"targets": targets_of("small", "large")},
            "targets",
            "Target 1: weight is a whole number from 1 to 1000000.",
        ),
        (
            RouteKind.FALLBACKS,
            {"targets": [{"model": "small", "weight": 5}, {"model": "large"}]},
            "targets",
            "Target 1: only targets of a weighted route have a weight.",
        ),
        (
            RouteKind.FIXED,
            {"targets": targets_of("small", "large")},
            "targets",
            "Only the last target of a fixed route has no condition: those after it would never be asked.",
        ),
        (
            RouteKind.CASCADE,
            {"targets": [{"model": "small", "when": {"has_tools": True}}, {"model": "large"}]},
            "targets",
            "Target 1: rungs of a cascade have no conditions.",
        ),
        (
            RouteKind.FIXED,
            {"targets": [{"model": "small", "when": {"weather": "fine"}}]},
            "targets",
            "Target 1: there is no condition weather; there are tags, end_users, min_tokens, max_tokens, has_tools,"
            " is_degraded.",
        ),
        (
            RouteKind.FIXED,
            {"targets": [{"model": "small", "when": {"min_tokens": 0}}]},
            "targets",
            "Target 1: min_tokens: Give a whole number from 1 to 100000000.",
        ),
        (
            RouteKind.FIXED,
            {"targets": [{"model": "small", "when": {"min_tokens": 9, "max_tokens": 8}}]},
            "targets",
            "Target 1: no call has at least min_tokens and at most max_tokens.",
        ),
        (
            RouteKind.FIXED,
            {"targets": [{"model": "small", "when": {"tags": {"team": ""}}}]},
            "targets",
            "Target 1: tags: Names and values of tags are 1 to 200 printable characters.",
        ),
        (
            RouteKind.FIXED,
            {"targets": targets_of("small"), "baseline": "unpriced"},
            "baseline",
            "Give one of the organisation's models that has a price.",
        ),
        (
            RouteKind.FIXED,
            {"targets": targets_of("small"), "share_percent": 5},
            "share_percent",
            "A fixed route has no such setting.",
        ),
        (RouteKind.CANARY, {"share_percent": 100}, "share_percent", "Give a whole number from 1 to 99."),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "twin", "middle", "large", "unpriced")},
            "targets",
            "Give 2 to 4 targets for a router route.",
        ),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "large", "middle")},
            "targets",
            "Target 2: large is not cheaper than middle. Put the cheapest first.",
        ),
        (
            RouteKind.ROUTER,
            {"targets": targets_of("small", "middle", "large"), "hard_from": "complex"},
            "hard_from",
            "A router of three or four targets has a class of prompts for each: only one of two has hard_from.",
        ),
        (RouteKind.ROUTER, {"hard_from": "easy"}, "hard_from", "Give one of medium, complex."),
        (RouteKind.ROUTER, {"holdout_percent": 100}, "holdout_percent", "Give a whole number from 0 to 99."),
        (RouteKind.ROUTER, {"pack_window_ms": 1_001}, "pack_window_ms", "Give a whole number from 0 to 1000."),
        (RouteKind.ROUTER, {"pack_window_ms": 5, "pack_most": 1}, "pack_most", "Give a whole number from 2 to 32."),
        (RouteKind.CASCADE, {"pack_window_ms": 5}, "pack_window_ms", "A cascade route has no such setting."),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    acme: Tenant, world: World, kind: RouteKind, policy: dict[str, Any], field: str, message: str
) -> None:
    make_catalog(acme, model="unpriced", input_per_million=None)
    make_catalog(acme, model="twin")
    make_catalog(world.mallcorp, model="theirs")
    make_route(acme, name="other")
    given = {"targets": targets_of("small", "large")} | policy
    with org_scope(acme.org_id), pytest.raises(InvalidField) as caught:
        create_route(actor=acme.owner, name="smart", kind=kind, mode=Mode.ON, **given)
    assert (caught.value.field, caught.value.message) == (field, message)


def test_routes_and_models_have_names_of_their_own(acme: Tenant) -> None:
    make_route(acme)
    with org_scope(acme.org_id):
        given: dict[str, Any] = {"kind": RouteKind.FIXED, "mode": Mode.ON, "targets": targets_of("small")}
        with pytest.raises(Conflict, match="There is a model of this name"):
            create_route(actor=acme.owner, name="small", **given)
        with pytest.raises(Conflict, match="There is a route of this name already"):
            create_route(actor=acme.owner, name="smart", **given)
        with pytest.raises(Conflict, match="There is a route of this name"):
            create_model(actor=acme.owner, name="smart", upstream=Upstream.objects.filter(org=acme.org)[0])


def test_every_change_is_a_version_and_any_of_them_can_come_back(acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        update_route(actor=acme.owner, route=route, mode=Mode.SHADOW)
        same = update_route(actor=acme.owner, route=route, mode=Mode.SHADOW)
        assert same.version == 2
        changed = update_route(
            actor=acme.owner, route=same, kind=RouteKind.CASCADE, targets=targets_of("small", "middle")
        )
        # What a cascade does not have is gone, and the baseline is that of its own targets.
        assert changed.policy == {
            "targets": targets_of("small", "middle"),
            "baseline": "middle",
            "holdout_percent": 0,
            "confidence_percent": 80,
            "latency_cap_ms": 0,
            "answer_worth": 0,
            "agreement_samples": 0,
            "compare_percent": 0,
            "compare_monthly_limit": 0,
            "is_learning": False,
        }
        back = roll_back(actor=acme.owner, route=changed, number=1)
        assert (back.version, back.kind, back.mode, back.policy) == (4, "router", "on", route.policy)
        numbers = RouteVersion.objects.filter(route_id=route.pk).order_by("number").values_list("number", "mode")
        assert list(numbers) == [(1, "on"), (2, "shadow"), (3, "shadow"), (4, "on")]
        with pytest.raises(NotFound):
            roll_back(actor=acme.owner, route=back, number=9)


def test_a_router_of_three_has_a_class_for_each_and_one_of_two_says_where_hard_begins(acme: Tenant) -> None:
    route = make_route(acme, hard_from="complex")
    with org_scope(acme.org_id):
        three = update_route(actor=acme.owner, route=route, targets=targets_of("small", "middle", "large"))
        assert three.policy == {
            **{field: value for field, value in route.policy.items() if field != "hard_from"},
            "targets": targets_of("small", "middle", "large"),
        }
        assert known(acme).routes["smart"].targets == tuple(map(TargetSnapshot, ("small", "middle", "large")))
        # What is not said stays, and what was said of two alone has gone.
        assert update_route(actor=acme.owner, route=three, explore_percent=5).policy["explore_percent"] == 5
        two = update_route(actor=acme.owner, route=three, targets=targets_of("small", "middle"))
        assert (two.policy["hard_from"], two.policy["baseline"]) == ("medium", "middle")
        assert roll_back(actor=acme.owner, route=two, number=1).policy == route.policy
        assert roll_back(actor=acme.owner, route=two, number=2).policy == three.policy


def test_a_version_that_cannot_be_any_more_does_not_come_back(acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        changed = update_route(actor=acme.owner, route=route, targets=targets_of("small", "middle"))
        Upstream.objects.filter(org=acme.org, name="for large").update(is_active=False)
        with pytest.raises(InvalidField, match="there is no active model large"):
            roll_back(actor=acme.owner, route=changed, number=1)


def test_who_may_not_change_settings_may_not_change_routes(acme: Tenant, world: World) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        for act in (
            lambda: update_route(actor=world.ben_actor, route=route, mode=Mode.OFF),
            lambda: roll_back(actor=world.ben_actor, route=route, number=1),
            lambda: delete_route(actor=world.ben_actor, route=route),
            lambda: create_compression_policy(actor=world.ben_actor, mode=Mode.ON),
        ):
            with pytest.raises(Forbidden):
                act()
        delete_route(actor=acme.owner, route=route)
        assert not RouteVersion.objects.filter(org=acme.org).exists()
    assert known(acme).routes == {}


def test_what_is_learned_reaches_the_proxies_and_can_be_switched_off(acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        use_learned(actor=acme.owner, route=route, learned="l-1")
        assert known(acme).routes["smart"].learned == "l-1"
        use_learned(actor=acme.owner, route=route, learned="")
    assert known(acme).routes["smart"].learned == ""


def test_a_key_may_name_a_route_among_its_models(acme: Tenant) -> None:
    make_route(acme)
    with org_scope(acme.org_id):
        key = create_key(actor=acme.owner, name="smart only", models=["small", "large"])
    assert key.secret


def test_how_prompts_are_shortened_reaches_the_proxies(acme: Tenant) -> None:
    make_route(acme)
    with org_scope(acme.org_id):
        every = create_compression_policy(actor=acme.owner, mode=Mode.SHADOW)
        create_compression_policy(
            actor=acme.owner,
            mode=Mode.ON,
            model="smart",
            methods=[Compression.PRUNE, Compression.LOSSLESS],
            keep_percent=60,
            holdout_percent=0,
        )
        bad: tuple[dict[str, Any], ...] = (
            {"model": "nowhere"},
            {"methods": []},
            {"keep_percent": 96},
            {"holdout_percent": 51},
        )
        for given in bad:
            with pytest.raises(InvalidField):
                create_compression_policy(actor=acme.owner, mode=Mode.ON, **given)
        with pytest.raises(Conflict):
            create_compression_policy(actor=acme.owner, mode=Mode.ON)
        org = known(acme)
        own = CompressionSnapshot("smart", "on", ("lossless", "prune"), keep_permille=600)
        assert org.find_compression("smart") == own
        assert org.find_compression("small") == CompressionSnapshot("", "shadow", ("lossless",), holdout_permille=20)
        update_compression_policy(actor=acme.owner, policy=every, mode=Mode.OFF)
        assert known(acme).find_compression("small") is None


def test_a_policy_whose_scorer_is_gone_is_switched_off(acme: Tenant) -> None:
    with org_scope(acme.org_id):
        policy = create_compression_policy(
            actor=acme.owner, mode=Mode.ON, methods=[Compression.PERPLEXITY], keep_percent=60, scorer="small"
        )
        scorer = LanguageModel.objects.get(org=acme.org, name="small")
        update_model(actor=acme.owner, model=scorer, is_active=False)
        with pytest.raises(InvalidField) as refused:
            update_compression_policy(actor=acme.owner, policy=policy, keep_percent=50)
        assert refused.value.field == "scorer"
        assert update_compression_policy(actor=acme.owner, policy=policy, mode=Mode.OFF).mode == Mode.OFF
