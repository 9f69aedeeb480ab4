"""What routes and compression saved, a plan without a call, and past calls under another policy."""

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest

from costhub.lib import clock
from proxy.ledger.model import LedgerEntry
from proxy.routing.model import Feedback, LearnedRoute
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.keys import create_key
from tenants.actions.orgs import create_admin_token
from tenants.actions.routes import use_learned
from tenants.choices import Mode, Role, RouteKind
from tenants.models import Route
from tests.audit import read_audit
from tests.billing.ledger import record_call
from tests.tenants.route_examples import keep_learned, make_models, make_route
from tests.world import Api, Tenant, World


@pytest.fixture
def acme(world: World) -> Tenant:
    make_models(world.acme)
    return world.acme


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(token=acme.admin_token)


def tell(acme: Tenant, answers: dict[str, list[bool]]) -> None:
    """What an application says of calls that ended so, in turn."""
    with org_scope(acme.org_id):
        for reason, words in answers.items():
            ids = LedgerEntry.objects.filter(org_id=acme.org.pk, route_reason__endswith=reason).values_list(
                "id", flat=True
            )
            Feedback.objects.bulk_create(
                Feedback(org=acme.org, request_id=request_id, is_right=is_right)
                for request_id, is_right in zip(ids, words, strict=False)
            )


def record(acme: Tenant, reason: str, model: str, cost: int, saved: int = 0, **columns: object) -> None:
    attempts = [{"number": 1, "status": 200, "certainty": "exact", "cost": cost, "error": "", "model": model}]
    record_call(
        acme,
        clock.now() - timedelta(minutes=5),
        **{
            "request_model": "smart",
            "route_reason": reason,
            "attempts": attempts,
            "effective_cost": cost,
            "list_cost": cost + saved,
            "savings": {"routing": saved} if saved else {},
        }
        | columns,
    )


def test_a_routes_savings_are_the_ledgers_and_those_that_are_proven(api: Api, acme: Tenant) -> None:
    route = make_route(acme)
    for number in range(40):
        record(acme, "route smart v1 router: small, it looks simple", "small", 90 + 20 * (number % 2), 1_900)
        record(acme, "route smart v1 held out: large", "large", 1_900 + 200 * (number % 2))
    record(acme, "route smart v2 shadow: large, would be small, it looks simple", "large", 2_000)
    tell(
        acme,
        {"router: small, it looks simple": [True] * 30 + [False] * 10, "held out: large": [True] * 24 + [False] * 6},
    )
    found = api.get(f"/routes/{route.pk}/savings", range="24h").json()
    assert (found["calls"], found["saved"]) == (81, "0.000076000")
    assert found["routed"] == {"calls": 40, "cost": "0.000004000", "mean": "0.000000100", "told": 40, "right": 30}
    assert (found["held_out"]["told"], found["held_out"]["right"]) == (30, 24)
    # 75 against 80 in a hundred, of so few
    assert found["quality"] == {"difference": -500, "low": -2347, "high": 1541}
    assert found["held_out"]["mean"] == "0.000002000"
    # 2,000 less 100 nano-USD, and 32 to either side
    assert found["effect"] == {"a_call": "0.000001900", "low": "0.000001868", "high": "0.000001932"}
    assert found["proven"]["a_call"] == "0.000076000"
    assert [(share["arm"], share["model"], share["calls"]) for share in found["shares"]] == [
        ("held out", "large", 40),
        ("routed", "small", 40),
        ("shadow", "large", 1),
    ]


def test_few_calls_prove_nothing(api: Api, acme: Tenant) -> None:
    route = make_route(acme)
    record(acme, "route smart v1 router: small, it looks simple", "small", 100, 1_900)
    found = api.get(f"/routes/{route.pk}/savings", range="24h").json()
    assert (found["calls"], found["effect"], found["proven"]) == (1, None, None)


def test_what_compression_saved(api: Api, acme: Tenant) -> None:
    for number in range(30):
        savings: dict[str, Any] = {"savings": {"compression": 10}, "list_cost": 110}
        record(acme, "direct; compressed", "small", 100, **savings)
        record(acme, "direct; compression held out", "small", 110 + number % 2)
    record(acme, "direct; compression shadow: 17 tokens", "small", 100)
    tell(acme, {"compressed": [True] * 30, "compression held out": [True] * 30})
    found = api.get("/compression/savings", range="24h").json()
    assert found["quality"] == {"difference": 0, "low": -1135, "high": 1135}
    assert found["compressed"]["right"] == found["held_out"]["told"] == 30
    assert (found["saved"], found["watched"], found["shadow_tokens"]) == ("0.000000300", 1, 17)
    assert (found["compressed"]["calls"], found["held_out"]["calls"]) == (30, 30)
    assert found["effect"]["low"] == "0.000000010"


def test_a_pasted_request_may_be_of_any_format(api: Api, acme: Tenant) -> None:
    make_route(acme, RouteKind.ROUTER)
    asked = [{"role": "user", "content": "Explain why the sky is blue and compare it with the sky of Mars."}]
    for pasted in (
        {"body": {"model": "smart", "messages": asked, "system": "Be brief.", "max_tokens": 20}},
        {"body": {"model": "smart", "input": asked, "instructions": "Be brief.", "max_output_tokens": 20}},
        {"body": {"model": "smart", "input": asked[0]["content"]}, "endpoint": "responses"},
        {"body": {"model": "small", "messages": asked}, "headers": {"X-CostHub-Route": "smart"}},
    ):
        shown = api.post("/route-playground", pasted).json()
        assert shown["reason"].startswith("route smart v1 router: large, it looks "), shown
    refused = api.post("/route-playground", {"body": {"model": "smart", "messages": asked}, "endpoint": "nowhere"})
    assert (refused.status_code, "chat/completions, responses" in refused.content.decode()) == (400, True)


def test_a_pasted_request_is_planned_and_not_sent(api: Api, acme: Tenant) -> None:
    make_route(acme, RouteKind.CASCADE, ("small", "middle", "large"))
    body = {"model": "smart", "messages": [{"role": "user", "content": "Hi   there,  how is the weather   in   Oslo?"}]}
    shown = api.post("/route-playground", {"body": body}).json()
    assert shown["reason"] == "route smart v1 cascade: small, rung 1 of 3"
    assert [candidate["model"] for candidate in shown["candidates"]] == ["small", "middle", "large"]
    assert (shown["is_cascade"], shown["compression"]) == (True, "")
    with org_scope(acme.org_id):
        key = create_key(actor=acme.owner, name="small only", models=["small"])
        create_compression_policy(actor=acme.owner, mode=Mode.ON)
    shown = api.post("/route-playground", {"body": body, "key": str(key.key.pk)}).json()
    assert [candidate["model"] for candidate in shown["candidates"]] == ["small"]
    assert ">" in shown["compression"]
    bodies: tuple[dict[str, Any], ...] = (
        {"body": {"model": "nowhere", "messages": [{"role": "user", "content": "Hi"}]}},
        {"body": {"model": "smart", "messages": []}},
        {"body": {}},
        {"body": {"model": "smart", "messages": [{"role": "user", "content": "\ud800"}], "max_tokens": 10**30}},
        {"body": body, "key": str(uuid.uuid4())},
        {"body": body, "headers": {"x-costhub-max-cost": "much"}},
    )
    for bad in bodies:
        assert 400 <= api.post("/route-playground", bad).status_code < 500


def test_what_was_learned_is_listed_and_can_be_switched_off(api: Api, acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        row = LearnedRoute.objects.create(
            id=uuid.uuid4(),
            org_id=acme.org.pk,
            route_id=route.pk,
            kind="router",
            labels=120,
            packed=b"",
            report={"a": 1},
        )
        use_learned(actor=acme.owner, route=route, learned=str(row.pk))
    (listed,) = api.get(f"/routes/{route.pk}/learned").json()["data"]
    assert (listed["labels"], listed["report"], listed["is_used"]) == (120, {"a": 1}, True)
    assert api.post(f"/routes/{route.pk}/unlearn").json() == {"learned": ""}
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned == ""


def test_what_was_switched_off_is_brought_back(api: Api, acme: Tenant) -> None:
    route = make_route(acme)
    path = f"/routes/{route.pk}/learn"
    with org_scope(acme.org_id):
        old = keep_learned(acme, route, 9, old=True)
        first, newest = keep_learned(acme, route, 3), keep_learned(acme, route, 2)
        refused = keep_learned(acme, route, 1, refused="Nothing in it.")
        drifted = keep_learned(acme, route, 1, drifted_since="2026-11-01T00:00:00Z")
        other = keep_learned(acme, route, 1, kind="cascade")
        use_learned(actor=acme.owner, route=route, learned=str(newest.pk))
    assert api.post(f"/routes/{route.pk}/unlearn").json() == {"learned": ""}
    assert api.post(path, {}).json() == {"learned": str(newest.pk)}
    assert api.post(path, {"version": str(first.pk)}).json() == {"learned": str(first.pk)}
    for row, words in (
        (refused, "nothing was learned then"),
        (drifted, "newer labels say something else"),
        (other, "the route is a router one now"),
        (old, "cannot be read"),
    ):
        answer = api.post(path, {"version": str(row.pk)})
        assert (answer.status_code, words in answer.text.lower()) == (409, True)
    for version in (str(uuid.uuid4()), "newest"):
        assert api.post(path, {"version": version}).status_code == 404
    for bad in (7, "\x00", {"id": str(first.pk)}):
        assert api.post(path, {"version": bad}).status_code == 400
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned == str(first.pk)
    changes = read_audit(acme.org, target_id=str(route.pk), action="route.updated")
    told = [entry.changes["learned"] for entry in changes]
    ids = ["", str(newest.pk), "", str(newest.pk), str(first.pk)]
    assert told == [[before, after] for before, after in itertools.pairwise(ids)]


def test_a_route_that_has_learned_nothing_has_nothing_to_bring_back(api: Api, acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        keep_learned(acme, route, 1, refused="Nothing in it.")
    answer = api.post(f"/routes/{route.pk}/learn", {})
    assert (answer.status_code, "more labels are needed" in answer.text) == (409, True)


def test_who_may_not_change_a_route_brings_nothing_back(acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org_id):
        row = keep_learned(acme, route, 1)
        viewer = create_admin_token(actor=acme.owner, name="vera", role=Role.VIEWER)
    assert Api(token=viewer).post(f"/routes/{route.pk}/learn", {"version": str(row.pk)}).status_code == 403


def test_past_calls_under_another_policy(api: Api, acme: Tenant) -> None:
    """1,000 tokens in and 100 out cost 4.2 million nanos at the large model, 0.21 at the small one."""
    tokens = {"input_tokens": 1_000, "output_tokens": 100}
    for _ in range(10):
        record(acme, "direct", "large", 4_200_000, request_model="large", **tokens)
    body = {"model": "large", "to": "small", "range": "24h"}
    found = api.post("/what-if", body).json()
    assert (found["calls"], found["cost"]) == (10, "0.042000000")
    assert found["then"] == {"low": "0.002100000", "high": "0.002100000"}
    assert found["saved"] == {"low": "0.039900000", "high": "0.039900000"}
    assert found["assumptions"][1] == (
        "There are no calls of small: its answers are taken for as long as those that were given."
    )
    record(acme, "direct", "small", 500_000, request_model="small", input_tokens=10, output_tokens=200)
    found = api.post("/what-if", body | {"compression_percent": [0, 10], "is_batch": True}).json()
    # Nobody has typed what a batch costs: it costs the same.
    assert found["then"] == {"low": "0.001950000", "high": "0.002700000"}
    assert "There is none of large, small, whose calls cost in a batch what they do alone." in found["assumptions"]
    # As if the large model cost a hundredth: 1,000 times $0.05 and 100 times $0.10 a million.
    prices = {"model": "large", "range": "24h", "input_per_million": "0.05", "output_per_million": "0.10"}
    found = api.post("/what-if", prices).json()
    assert found["then"] == {"low": "0.000600000", "high": "0.000600000"}
    assert "at the one price that you gave" in found["assumptions"][1]
    assert api.post("/what-if", prices | {"to": "small"}).status_code == 400
    for amount in ("-1", "1e40", "99999999999999999999"):
        bad_price = api.post("/what-if", prices | {"output_per_million": amount})
        assert (bad_price.status_code, bad_price.json()["errors"][0]["field"]) == (400, "output_per_million")
    del prices["output_per_million"]
    assert api.post("/what-if", prices).json()["errors"][0]["field"] == "output_per_million"
    for bad in ({"model": "nowhere"}, {"to": "nowhere"}, {"share_percent": 0}, {"compression_percent": [9, 3]}):
        answer = api.post("/what-if", body | bad)
        assert answer.status_code in {400, 422}


def test_past_calls_by_a_route_that_reads_no_prompts(api: Api, acme: Tenant) -> None:
    tokens = {"input_tokens": 1_000, "output_tokens": 100}
    for team in ("search", "search", "chat"):
        record(
            acme,
            "direct",
            "large",
            4_200_000,
            request_model="large",
            tags={"team": team},
            attempts=[{"number": 1, "status": 200, "error": "", "model": "large", "cost": 4_200_000, **tokens}],
        )
    searches = {"model": "small", "when": {"tags": {"team": "search"}}}
    make_route(acme, RouteKind.FIXED, name="by-team", targets=[searches, {"model": "large"}])
    make_route(acme, RouteKind.ROUTER, name="reads")
    make_route(acme, RouteKind.FIXED, name="tools", targets=[{"model": "small", "when": {"has_tools": False}}])
    body = {"model": "large", "to": "by-team", "range": "24h"}
    found = api.post("/what-if", body).json()
    # Two at the small model's 210,000 nanos, and one where it was.
    assert (found["calls"], found["cost"]) == (3, "0.012600000")
    assert found["then"] == {"low": "0.004620000", "high": "0.004620000"}
    assert found["saved"] == {"low": "0.007980000", "high": "0.007980000"}
    for bad in ("reads", "tools", "nowhere"):
        refused = api.post("/what-if", body | {"to": bad})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "to")
    # And a route's calls by a model.
    record(
        acme,
        "route by-team v1 fixed: small, target 1 of 2",
        "small",
        210_000,
        request_model="by-team",
        attempts=[{"number": 1, "status": 200, "error": "", "model": "small", "cost": 210_000, **tokens}],
    )
    found = api.post("/what-if", {"model": "by-team", "to": "large", "range": "24h"}).json()
    assert (found["cost"], found["then"]["low"]) == ("0.000210000", "0.004200000")


def test_a_cascade_is_replayed_with_another_confidence(api: Api, acme: Tenant) -> None:
    make_route(acme, RouteKind.CASCADE)
    sure = {"number": 1, "status": 200, "model": "small", "input_tokens": 1_000, "output_tokens": 100}
    for confidence, cost in (("0.95", 210_000), ("0.85", 210_000)):
        record(
            acme,
            "route smart v1 cascade: small, rung 1 of 2; small sure",
            "small",
            cost,
            request_model="smart",
            attempts=[sure | {"cost": cost, "confidence": confidence}],
        )
    body = {"model": "smart", "range": "24h"}
    found = api.post("/what-if", body | {"confidence_percent": 80}).json()
    assert (found["calls"], found["cost"], found["then"]["low"]) == (2, "0.000420000", "0.000420000")
    # One of the two would have gone up, to the large model's 1,000 tokens in at 3 and 100 out at 12 µ$.
    found = api.post("/what-if", body | {"confidence_percent": 90}).json()
    assert found["then"] == {"low": "0.004620000", "high": "0.004620000"}
    assert found["saved"]["low"] == "-0.004200000"
    for bad in ({"model": "large"}, {"to": "small"}, {"confidence_percent": 0}, {"is_batch": True}):
        answer = api.post("/what-if", {**body, "confidence_percent": 90, **bad})
        assert answer.status_code in {400, 422}


def test_a_cascade_s_cost_and_quality_by_its_confidence(api: Api, acme: Tenant) -> None:
    route = make_route(acme, RouteKind.CASCADE)
    with org_scope(acme.org_id):
        learned = LearnedRoute.objects.create(
            id=uuid.uuid4(),
            org_id=acme.org.pk,
            route_id=route.pk,
            kind="cascade",
            labels=120,
            packed=b"",
            report={"strong_right": 0.96},
        )
        use_learned(actor=acme.owner, route=route, learned=str(learned.pk))
    answer = {"number": 1, "status": 200, "model": "small", "input_tokens": 1_000, "output_tokens": 100}
    for confidence in ["0.950"] * 20 + ["0.850"] * 10:
        judged = {"cost": 210_000, "confidence": confidence, "judged": f"{confidence} sure, 0.80 is enough"}
        record(
            acme,
            "route smart v1 cascade: small, rung 1 of 2; small sure",
            "small",
            210_000,
            request_model="smart",
            attempts=[answer | judged],
        )
    found = api.get(f"/routes/{route.pk}/thresholds?range=24h").json()
    assert (found["calls"], found["cost"], found["confidence_percent"]) == (30, "0.006300000", 80)
    assert len(found["points"]) == 100
    assert found["points"][84] == {
        "confidence_percent": 85,
        "then": {"low": "0.006300000", "high": "0.006300000"},
        "saved": {"low": "0.000000000", "high": "0.000000000"},
        "went_up": 0,
        "right_per_mille": 917,
    }
    # Ten would have gone up, each to the large model's 1,000 tokens in at 3 and 100 out at 12 µ$.
    assert found["points"][85] == {
        "confidence_percent": 86,
        "then": {"low": "0.048300000", "high": "0.048300000"},
        "saved": {"low": "-0.042000000", "high": "-0.042000000"},
        "went_up": 10,
        "right_per_mille": 953,
    }
    fixed = make_route(acme, RouteKind.FIXED, ["small"], name="plain")
    refused = api.get(f"/routes/{fixed.pk}/thresholds")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "id")


def test_what_a_policy_keeps_is_said_with_what_its_calls_would_have_cost(api: Api, acme: Tenant) -> None:
    with org_scope(acme.org.pk):
        policy = create_compression_policy(actor=acme.owner, mode=Mode.SHADOW, model="small")
        create_compression_policy(actor=acme.owner, mode=Mode.OFF, model="large")
    # A million tokens in at 0.15 µ$, and 0.05 $ of something else.
    record_call(
        acme, clock.now() - timedelta(seconds=1), request_model="small", input_tokens=1_000_000, cost=200_000_000
    )
    record_call(acme, clock.now() - timedelta(seconds=1), request_model="large", input_tokens=1_000_000, cost=3 * 10**9)
    found = api.get(f"/compression-policies/{policy.pk}/kept?range=24h").json()
    assert (found["calls"], found["as_they_came"]) == (1, "0.200000000")
    assert [len(found[name]) for name in ("words", "passages")] == [96, 96]
    assert found["words"][0] == {"percent": 0, "then": None, "measured": None}
    assert found["passages"][50] == {
        "percent": 50,
        "then": {"low": "0.125000000", "high": "0.200000000"},
        "measured": {"times_shorter": "1.98", "kept_per_mille": 890, "low_per_mille": 858, "high_per_mille": 919},
    }
    with org_scope(acme.org.pk):
        rest = create_compression_policy(actor=acme.owner, mode=Mode.SHADOW)
    others = api.get(f"/compression-policies/{rest.pk}/kept?range=24h").json()
    assert (others["calls"], others["as_they_came"]) == (0, "0.000000000")


def test_strangers_see_nothing(world: World, acme: Tenant) -> None:
    route = make_route(acme)
    with org_scope(acme.org.pk):
        policy = create_compression_policy(actor=acme.owner, mode=Mode.SHADOW)
    theirs = Api(token=world.mallcorp.admin_token)
    assert theirs.get(f"/compression-policies/{policy.pk}/kept").status_code == 404
    for path in ("savings", "learned", "thresholds"):
        assert theirs.get(f"/routes/{route.pk}/{path}").status_code == 404
    for path in ("learn", "unlearn"):
        assert theirs.post(f"/routes/{route.pk}/{path}").status_code == 404
