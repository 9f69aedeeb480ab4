"""The forms of routes, kind by kind: what they make is what the API makes, and each error stands beside its field."""

from typing import Any

import pytest

from billing.routes.selectors import read_thresholds
from costhub.console.route_forms import read_condition, write_condition
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.routes import update_route
from tenants.choices import Mode, RouteKind
from tenants.models import LanguageModel, Route, RouteVersion
from tests.audit import read_audit
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, read_form, refresh, text_of
from tests.tenants.route_examples import make_models, make_route
from tests.watched import watched
from tests.world import World


@pytest.fixture
def ada(world: World) -> Visit:
    make_models(world.acme)
    return Visit(world.ada)


def find_route(world: World, name: str) -> Route:
    with org_scope(world.acme.org.pk):
        return Route.objects.get(org=world.acme.org, name=name)


KINDS: list[tuple[RouteKind, dict[str, str], dict[str, Any]]] = [
    (
        RouteKind.FIXED,
        {
            "model_1": "small",
            "when_1": "team=search, tokens<=2000, no-tools",
            "model_2": "large",
            "pack_window_ms": "20",
            "pack_most": "4",
        },
        {
            "targets": [
                {"model": "small", "when": {"tags": {"team": "search"}, "max_tokens": 2000, "has_tools": False}},
                {"model": "large"},
            ],
            "baseline": "large",
            "holdout_percent": 2,
            "pack_window_ms": 20,
            "pack_most": 4,
        },
    ),
    (
        RouteKind.FALLBACKS,
        {"model_1": "large", "model_2": "small", "model_3": "middle", "baseline": "large"},
        {
            "targets": [{"model": "large"}, {"model": "small"}, {"model": "middle"}],
            "baseline": "large",
            "holdout_percent": 2,
        },
    ),
    (
        RouteKind.WEIGHTED,
        {"model_1": "small", "weight_1": "3", "model_2": "large", "weight_2": "1", "sticky": "request"},
        {
            "targets": [{"model": "small", "weight": 3}, {"model": "large", "weight": 1}],
            "baseline": "large",
            "holdout_percent": 2,
            "sticky": "request",
        },
    ),
    (
        RouteKind.CANARY,
        {"model_1": "large", "model_2": "middle", "share_percent": "5", "holdout_percent": "0"},
        {
            "targets": [{"model": "large"}, {"model": "middle"}],
            "baseline": "large",
            "holdout_percent": 0,
            "share_percent": 5,
            "sticky": "conversation",
        },
    ),
    (
        RouteKind.ROUTER,
        {
            "model_1": "small",
            "model_2": "large",
            "hard_from": "complex",
            "answer_worth": "0.05",
            "is_learning": "1",
            "compare_percent": "5",
            "compare_monthly_limit": "$20",
            "stopped_tasks": "sums\r\ntranslation\r\n",
        },
        {
            "targets": [{"model": "small"}, {"model": "large"}],
            "baseline": "large",
            "holdout_percent": 2,
            "explore_percent": 3,
            "answer_worth": 50_000_000,
            "compare_percent": 5,
            "compare_monthly_limit": 20_000_000_000,
            "sticky": "conversation",
            "hard_from": "complex",
            "stopped_tasks": ["sums", "translation"],
            "is_learning": True,
        },
    ),
    (
        RouteKind.ROUTER,
        {"model_1": "small", "model_2": "middle", "model_3": "large", "hard_from": "complex"},
        {
            "targets": [{"model": "small"}, {"model": "middle"}, {"model": "large"}],
            "baseline": "large",
            "holdout_percent": 2,
            "explore_percent": 3,
            "answer_worth": 0,
            "compare_percent": 0,
            "compare_monthly_limit": 0,
            "sticky": "conversation",
            "stopped_tasks": [],
            "is_learning": False,
        },
    ),
    (
        RouteKind.CASCADE,
        {"model_1": "small", "model_2": "middle", "model_3": "large", "confidence_percent": "70"},
        {
            "targets": [{"model": "small"}, {"model": "middle"}, {"model": "large"}],
            "baseline": "large",
            "holdout_percent": 2,
            "confidence_percent": 70,
            "latency_cap_ms": 0,
            "answer_worth": 0,
            "agreement_samples": 0,
            "compare_percent": 0,
            "compare_monthly_limit": 0,
            "is_learning": False,
        },
    ),
]


@pytest.mark.parametrize(
    ("kind", "typed", "policy"), KINDS, ids=[f"{kind} of {len(policy['targets'])}" for kind, _, policy in KINDS]
)
def test_a_route_of_each_kind_is_made_and_stands_in_its_form_as_it_is(
    ada: Visit, world: World, kind: RouteKind, typed: dict[str, str], policy: dict[str, Any]
) -> None:
    made = ada.submit(f"/o/acme/routes/new?kind={kind}", name="smart", mode="on", **typed)
    assert made.status_code == 302, error_of(made)
    row = find_route(world, "smart")
    assert (row.kind, row.mode, row.policy, row.version) == (kind, "on", policy, 1)
    # Saved as it stands, nothing changes: each setting was read back as it was written.
    assert ada.submit(f"/o/acme/routes/{row.pk}/edit").status_code == 302
    refresh(row)
    assert (row.policy, row.version) == (policy, 1)


def test_a_cascades_past_is_replayed_for_its_page_alone_and_marked_where_its_confidence_decides(
    ada: Visit, world: World
) -> None:
    row = make_route(world.acme, RouteKind.CASCADE, confidence_percent=70)
    said = "route smart v1 cascade: small, rung 1 of 2; small sure"
    answer = {"number": 1, "status": 200, "model": "small", "cost": 90, "confidence": "0.900"}
    record_call(world.acme, clock.now(), request_model="smart", route_reason=said, attempts=[answer], cost=90)
    path = f"/o/acme/routes/{row.pk}/edit"
    with watched(read_thresholds) as replays:
        page = ada.get(path)
        marks = page.content.decode().count('class="mark"')
        assert ("70 % now" in text_of(page), marks, len(replays)) == (True, 1, 1)
        # What is only tried is not in force, and is taken back.
        tried = ada.submit(path, confidence_percent="71", preview="1", sample="Hello")
        assert ("70 % now" in text_of(tried), len(replays)) == (True, 3)
        assert ada.submit(path, answer_worth="0.01").status_code == 302
    # Each form was fetched before it was sent; what is saved asks for nothing.
    assert [one.names["route"].name for one in replays] == ["smart"] * 4
    page = ada.get(path)
    assert "Now no confidence decides: the route says what one more right answer is worth" in text_of(page)
    assert (" % now" in text_of(page), 'class="mark"' in page.content.decode()) == (False, False)


def test_a_route_is_changed_to_another_kind_and_removed_by_its_name(ada: Visit, world: World) -> None:
    row = make_route(world.acme, RouteKind.ROUTER)
    path = f"/o/acme/routes/{row.pk}"
    assert f'href="{path}/edit"' in ada.get("/o/acme/routes").content.decode()
    changed = ada.submit(f"{path}/edit?kind=cascade", confidence_percent="60")
    assert changed.status_code == 302, error_of(changed)
    refresh(row)
    assert (row.kind, row.version, row.policy["confidence_percent"]) == ("cascade", 2, 60)
    assert "hard_from" not in row.policy
    ada.post(f"{path}/remove", {"confirm": "clever"})
    assert find_route(world, "smart").pk == row.pk
    assert ada.post(f"{path}/remove", {"confirm": "smart"}).headers["Location"] == "/o/acme/routes"
    with org_scope(world.acme.org.pk):
        assert not Route.objects.filter(org=world.acme.org).exists()
    told = read_audit(world.acme.org, target_id=str(row.pk))
    assert [each.action.partition(".")[2] for each in told] == ["created", "updated", "deleted"]


def test_a_router_gets_a_third_target_and_gives_it_back(ada: Visit, world: World) -> None:
    row = make_route(world.acme, RouteKind.ROUTER, hard_from="complex")
    path = f"/o/acme/routes/{row.pk}/edit"
    more = ada.submit(path, model_2="middle", model_3="large")
    assert more.status_code == 302, error_of(more)
    refresh(row)
    assert ([each["model"] for each in row.policy["targets"]], "hard_from" in row.policy) == (
        ["small", "middle", "large"],
        False,
    )
    fewer = ada.submit(path, model_2="", hard_from="complex")
    assert fewer.status_code == 302, error_of(fewer)
    refresh(row)
    assert (row.policy["targets"], row.policy["hard_from"]) == ([{"model": "small"}, {"model": "large"}], "complex")


def test_where_a_call_would_go_is_shown_before_anything_is_saved(ada: Visit, world: World) -> None:
    row = make_route(world.acme, RouteKind.FIXED, ["small"])
    path = f"/o/acme/routes/{row.pk}/edit"
    tried: Any = ada.submit(path, model_1="large", sample="What is 2 + 2?", preview="yes")
    assert tried.status_code == 200
    assert [each["model"] for each in tried.context["plan"]["candidates"]] == ["large"]
    assert "Where it would go" in text_of(tried)
    refresh(row)
    with org_scope(world.acme.org.pk):
        assert (row.version, RouteVersion.objects.filter(route_id=row.pk).count()) == (1, 1)
    new: Any = ada.submit(
        "/o/acme/routes/new?kind=fixed", name="next", mode="on", model_1="middle", sample="Hi", preview="yes"
    )
    assert [each["model"] for each in new.context["plan"]["candidates"]] == ["middle"]
    assert error_of(ada.submit(path, preview="yes")) == "Type a question to try it on."


BAD = [
    ("fixed", {"name": "two words"}, "name", "without blanks"),
    ("fixed", {"name": "small"}, "name", "There is a model of this name"),
    ("fixed", {"model_1": ""}, "model_1", "Give 1 to 8 targets"),
    ("fixed", {"model_1": "nothing"}, "model_1", "there is no active model nothing"),
    ("fixed", {"model_1": "", "when_1": "tools"}, "model_1", "Choose the model that this is about"),
    ("fixed", {"when_1": "when it rains"}, "when_1", "Give conditions such as"),
    ("fixed", {"when_1": "tokens>=10, tokens<=5"}, "model_1", "no call has at least"),
    ("fixed", {"when_1": '{"phase": "moon"}'}, "model_1", "there is no condition phase"),
    ("fixed", {"mode": "loud"}, "mode", "Choose one of"),
    ("fixed", {"holdout_percent": "100"}, "holdout_percent", "from 0 to 99"),
    ("fixed", {"pack_window_ms": "5000"}, "pack_window_ms", "from 0 to 1000"),
    ("fixed", {"baseline": "nothing"}, "baseline", "that has a price"),
    ("weighted", {"model_2": "large", "weight_1": "1", "weight_2": "none"}, "weight_2", "Give a whole number"),
    ("weighted", {"model_2": "large", "weight_1": "1", "weight_2": "0"}, "model_2", "weight is a whole number"),
    ("canary", {"model_2": "large", "share_percent": "100"}, "share_percent", "from 1 to 99"),
    ("router", {"model_1": "large", "model_2": "small"}, "model_1", "Put the cheapest first"),
    ("router", {"model_2": "large", "model_3": "middle"}, "model_2", "large is not cheaper than middle"),
    ("router", {"model_2": "middle", "model_3": "middle"}, "model_1", "Name each model once"),
    ("router", {"model_2": "large", "compare_percent": "5"}, "compare_monthly_limit", "how many USD a month"),
    ("router", {"model_2": "large", "answer_worth": "dear"}, "answer_worth", "Give an amount in USD"),
    ("cascade", {"model_2": "large", "agreement_samples": "6"}, "agreement_samples", "from 0 to 5"),
]


@pytest.mark.parametrize(("kind", "typed", "field", "words"), BAD)
def test_a_route_that_cannot_be_is_said_beside_its_field(
    ada: Visit, world: World, kind: str, typed: dict[str, str], field: str, words: str
) -> None:
    answer = ada.submit(f"/o/acme/routes/new?kind={kind}", **{"name": "smart", "model_1": "small", **typed})
    assert 400 <= answer.status_code < 500
    assert words in error_of(answer)
    assert f'id="field-{field}-error"' in answer.content.decode()
    with org_scope(world.acme.org.pk):
        assert not Route.objects.filter(org=world.acme.org).exists()


def test_of_two_editors_the_second_is_told(ada: Visit, world: World) -> None:
    row = make_route(world.acme, RouteKind.FIXED, ["small"])
    path = f"/o/acme/routes/{row.pk}/edit"
    opened = read_form(ada.get(path).content.decode())
    with org_scope(world.acme.org.pk):
        update_route(actor=world.acme.owner, route=row, mode=Mode.OFF)
    late = ada.post(path, {**opened, "model_1": "large"})
    assert (late.status_code, "Somebody has changed this" in error_of(late)) == (409, True)
    refresh(row)
    assert row.policy["targets"] == [{"model": "small"}]


def test_a_model_that_was_switched_off_is_not_taken_from_a_route_unsaid(ada: Visit, world: World) -> None:
    row = make_route(world.acme, RouteKind.FALLBACKS, ["small", "middle", "large"])
    with org_scope(world.acme.org.pk):
        middle = LanguageModel.objects.get(org=world.acme.org, name="middle")
        update_model(actor=world.acme.owner, model=middle, is_active=False)
    path = f"/o/acme/routes/{row.pk}/edit"
    assert "middle (switched off)" in ada.get(path).content.decode()
    saved = ada.submit(path, holdout_percent="3")
    assert (saved.status_code, error_of(saved)) == (400, "Target 2: there is no active model middle.")
    refresh(row)
    assert [target["model"] for target in row.policy["targets"]] == ["small", "middle", "large"]


CONDITIONS: list[dict[str, Any]] = [
    {},
    {"tags": {"team": "search", "feature": "faq"}, "end_users": ["mia", "ben"], "min_tokens": 5, "max_tokens": 9},
    {"has_tools": True, "is_degraded": False},
    {"tags": {"tokens": "many"}},
    {"tags": {"a, b": "c=d"}},
    {"end_users": [" x "]},
    {"tags": {"end_user:mia": "x"}},
]


@pytest.mark.parametrize("when", CONDITIONS)
def test_a_condition_is_read_as_it_was_written(when: dict[str, Any]) -> None:
    assert read_condition(write_condition(when)) == when


@pytest.mark.parametrize("text", ["x", "tokens=5", "tokens>5", "=a", "a=", "{", "{1}", "{}x", "tools=,"])
def test_a_condition_that_cannot_be_read_says_what_to_type(text: str) -> None:
    with pytest.raises(InvalidField, match="Give conditions such as"):
        read_condition(text)


def test_developers_and_strangers_change_no_route(world: World) -> None:
    make_models(world.acme)
    row = make_route(world.acme)
    for path in ("routes/new", f"routes/{row.pk}/edit", f"routes/{row.pk}/remove"):
        assert Visit(world.ben).post(f"/o/acme/{path}", {"confirm": "smart"}).status_code == 403, path
        assert Visit(world.mallory).post(f"/o/acme/{path}").status_code == 404, path
    assert Visit(world.mallory).get(f"/o/mallcorp/routes/{row.pk}/edit").status_code == 404
