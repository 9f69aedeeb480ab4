"""The pages of routes and of compression: what they show is the ledger's, and their buttons do what the API does."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client

from billing.routes.selectors import Comparisons
from costhub.lib import clock
from proxy.learning.models import PaidReplay
from proxy.routing.model import LearnedRoute
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.routes import update_route, use_learned
from tenants.choices import Compression, Mode, RouteKind
from tenants.models import CompressionPolicy, Route, SystemPrompt
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, text_of
from tests.proxy.learning.rows import capture
from tests.tenants.route_examples import keep_learned, make_models, make_route
from tests.world import World, make_client


@pytest.fixture
def ada(world: World, client: Client) -> Client:
    make_models(world.acme)
    client.force_login(world.ada)
    return client


def test_without_routes_and_policies_they_say_so(ada: Client) -> None:
    assert (
        "There is no route: every call goes to the model that it names." in ada.get("/o/acme/routes").content.decode()
    )
    page = ada.get("/o/acme/compression").content.decode()
    assert "There is no compression policy: every prompt is sent as it came." in page


def test_a_route_is_shown_with_its_split_and_what_it_saved(ada: Client, world: World) -> None:
    make_route(world.acme, RouteKind.CASCADE, confidence_percent=70)
    for model, saved, cost in (("small", 1_900, 100), ("large", -100, 2_100)):
        record_call(
            world.acme,
            clock.now() - timedelta(minutes=1),
            request_model="smart",
            route_reason=f"route smart v1 cascade: small, rung 1 of 2; {model} 0.9 sure",
            attempts=[{"number": 1, "status": 200, "certainty": "exact", "cost": cost, "error": "", "model": model}],
            list_cost=cost + saved,
            effective_cost=cost,
            savings={"cascade": saved},
        )
    page = ada.get("/o/acme/routes?range=24h")
    (route,) = page.context["routes"]
    assert (route["report"].calls, route["report"].saved) == (2, 1_800)
    text = page.content.decode()
    assert "exactly $0.0000018" in text
    assert "not yet: thirty calls of each arm are needed" in text
    assert "from 70 % confidence on" in text


def test_the_settings_of_a_route_are_told_in_words(ada: Client, world: World) -> None:
    make_route(world.acme, is_learning=True, stopped_tasks=["translate", "<b>"], explore_percent=0, holdout_percent=0)
    text = text_of(Visit(world.ada).get("/o/acme/routes"))
    for words in (
        "One choice for a conversation",
        "Hard from medium difficulty on",
        "By difficulty alone tasks translate, <b>",
        "Learns from what becomes of calls",
        "Held out 0 % of the conversations",
    ):
        assert words in text, words
    assert "Against its advice" not in text


def test_routes_are_found_by_name(ada: Client, world: World) -> None:
    for name in ("support-chat", "search-answers"):
        make_route(world.acme, RouteKind.FIXED, ["small"], name=name)
    page = ada.get("/o/acme/routes?q=SUPPORT").content.decode()
    assert ("support-chat</h2>" in page, "search-answers</h2>" in page) == (True, False)
    assert "No route's name contains this" in ada.get("/o/acme/routes?q=nothing").content.decode()


def test_what_was_learned_is_drawn_beside_what_knows_nothing_and_comparisons_are_told(
    ada: Client, world: World
) -> None:
    route = make_route(world.acme, is_learning=True, compare_percent=5, compare_monthly_limit=2_000_000_000)
    curves = {"learned": [0.0, 0.8, 1.0], "length": [0.0, 0.4, 1.0]}
    learned = uuid4()
    with org_scope(world.acme.org_id):
        of_route = {"org_id": world.acme.org.pk, "route_id": route.pk, "kind": "router", "labels": 200}
        LearnedRoute.objects.create(id=learned, packed=b"{}", report={"curves": curves}, **of_route)
        Route.objects.filter(pk=route.pk).update(learned=str(learned))
        LearnedRoute.objects.create(id=uuid4(), packed=b"", report={"refused": "Nothing <new> in it."}, **of_route)
    for outcome, cost in (("the same answer", 3_000), ("another answer", 5_000)):
        record_call(
            world.acme,
            clock.now() - timedelta(minutes=1),
            kind="comparison",
            request_model="large",
            tags={"costhub:comparison": "smart"},
            route_reason=f"comparison for {uuid4()}: {outcome}",
            list_cost=cost,
            effective_cost=cost,
        )
    page = ada.get("/o/acme/routes?range=24h")
    (shown,) = page.context["routes"]
    assert shown["comparisons"] == Comparisons(2, 8_000, 1, 1)
    text = page.content.decode()
    assert text.count("<polyline") == 3
    assert {f">{name}</text>" in text for name in ("learned", "length", "chance")} == {True}
    assert "Nothing &lt;new&gt; in it." in text
    assert "1 the same answer, 1 another; at most" in text
    ((about, curve),) = shown["curves"]
    assert (about, " style=" in curve) == ("", False)


def test_of_three_targets_each_pair_says_what_it_has_learned(ada: Client, world: World) -> None:
    route = make_route(world.acme, names=("small", "middle", "large"), is_learning=True)
    learned = uuid4()
    lower = {"weak": "small", "strong": "middle", "labels": 180, "learned": True, "curves": {"learned": [0.0, 1.0]}}
    upper = {"weak": "middle", "strong": "large", "labels": 20, "learned": False, "why": "It has 20 <labels>."}
    with org_scope(world.acme.org_id):
        of_route = {"org_id": world.acme.org.pk, "route_id": route.pk, "kind": "router", "labels": 200}
        LearnedRoute.objects.create(
            id=learned, packed=b"{}", report={"labels": 200, "pairs": [lower, upper]}, **of_route
        )
        Route.objects.filter(pk=route.pk).update(learned=str(learned))
    text = ada.get("/o/acme/routes").content.decode()
    assert text.count("<figure>") == 1
    assert "small or middle: of calls that it had not seen when it learned." in text
    assert "by how hard a prompt looks. It has 20 &lt;labels&gt;." in text


def test_modes_and_versions_change_by_buttons(ada: Client, world: World) -> None:
    route = make_route(world.acme)
    path = f"/o/acme/routes/{route.pk}"
    assert ada.post(path, {"mode": "shadow"}).status_code == 302
    assert ada.post(path, {"number": "1"}).status_code == 302
    with org_scope(world.acme.org_id):
        changed = Route.objects.get(pk=route.pk)
        assert (changed.mode, changed.version) == ("on", 3)
        update_route(actor=world.acme.owner, route=changed, mode=Mode.OFF)
    (shown,) = ada.get("/o/acme/routes").context["routes"]
    assert [(row.number, changed) for row, changed in shown["versions"]] == [
        (4, [("mode", "on", "off")]),
        (3, [("mode", "shadow", "on")]),
        (2, [("mode", "on", "shadow")]),
        (1, []),
    ]
    assert ada.post(path, {"mode": "loud"}).status_code == 400
    assert ada.post(path, {"number": "99"}).status_code == 404
    assert ada.post(path, {"number": "x" * 50}).status_code == 400
    assert ada.post(path, {"unlearn": "yes"}).status_code == 302


def test_a_mode_is_switched_whatever_stands_in_the_lists_beside_its_button(ada: Client, world: World) -> None:
    """A browser sends the whole form, with the button that was pressed."""
    route = make_route(world.acme)
    path = f"/o/acme/routes/{route.pk}"
    assert ada.post(path, {"mode": "shadow", "number": "1", "learned": str(uuid4())}).status_code == 302
    with org_scope(world.acme.org_id):
        assert Route.objects.get(pk=route.pk).mode == "shadow"


def test_what_was_forgotten_is_brought_back_by_a_button(ada: Client, world: World) -> None:
    route = make_route(world.acme)
    path = f"/o/acme/routes/{route.pk}"
    with org_scope(world.acme.org_id):
        old, newest = keep_learned(world.acme, route, 3), keep_learned(world.acme, route, 2)
        keep_learned(world.acme, route, 1, refused="Nothing in it.")
        use_learned(actor=world.acme.owner, route=route, learned=str(newest.pk))

    def offered() -> list[UUID]:
        (shown,) = ada.get("/o/acme/routes").context["routes"]
        return [row.pk for row in shown["other_learned"]]

    assert offered() == [old.pk]
    assert ada.post(path, {"unlearn": "yes", "learned": str(old.pk)}).status_code == 302
    assert offered() == [newest.pk, old.pk]
    assert ada.post(path, {"learn": "yes", "learned": str(newest.pk)}).status_code == 302
    assert offered() == [old.pk]
    with org_scope(world.acme.org_id):
        assert Route.objects.get(pk=route.pk).learned == str(newest.pk)
    assert ada.post(path, {"learn": "yes", "learned": str(uuid4())}).status_code == 404


def test_a_pasted_request_is_planned(ada: Client, world: World) -> None:
    make_route(world.acme, name="<b>smart</b>")
    body = '{"model": "<b>smart</b>", "messages": [{"role": "user", "content": "Hi"}]}'
    page = ada.post("/o/acme/routes/plan", {"body": body, "tags": "team=search"}).content.decode()
    assert "route &lt;b&gt;smart&lt;/b&gt; v1 router: small, it looks simple" in page
    for bad in ("", "[]", "{", "\x00", '{"model": 5}', "x" * 300_000):
        assert 400 <= ada.post("/o/acme/routes/plan", {"body": bad}).status_code < 500


def test_a_compression_policy_is_switched(ada: Client, world: World) -> None:
    with org_scope(world.acme.org_id):
        policy = create_compression_policy(actor=world.acme.owner, mode=Mode.SHADOW)
    path = f"/o/acme/compression/{policy.pk}"
    assert ada.post(path, {"mode": "on"}).status_code == 302
    with org_scope(world.acme.org_id):
        assert CompressionPolicy.objects.get(pk=policy.pk).mode == "on"
    assert ada.post(path, {"mode": ""}).status_code == 400
    assert "lossless; 2 % of the conversations held out" in ada.get("/o/acme/compression").content.decode()


def test_a_system_prompt_is_shown_in_fewer_words_kept_and_approved(ada: Client, world: World) -> None:
    original = "You are a helper.\nWe are so glad.\nAlways answer in <b>French</b>."
    with org_scope(world.acme.org_id):
        create_compression_policy(actor=world.acme.owner, mode=Mode.ON, methods=[Compression.SYSTEM_PROMPT])
    path = "/o/acme/compression/prompts"
    # As a browser sends lines.
    sent = original.replace("\n", "\r\n")
    page = ada.post(path, {"original": sent})
    shorter = page.context["proposal"].text
    assert shorter == "You are a helper.\n\nAlways answer in <b>French</b>."
    assert "<li>We are so glad.</li>" in page.content.decode()
    assert (
        ada.post(path, {"original": sent, "shorter": shorter.replace("\n", "\r\n"), "keep": "yes"}).status_code == 302
    )
    with org_scope(world.acme.org_id):
        prompt = SystemPrompt.objects.get()
        assert (prompt.original, prompt.shorter, prompt.state) == (original, shorter, "proposed")
    assert ada.post(f"{path}/{prompt.pk}", {"decision": "approve"}).status_code == 302
    record_call(
        world.acme,
        clock.now() - timedelta(minutes=1),
        route_reason=f"direct; system prompt {prompt}, compressed",
        list_cost=1_000,
        effective_cost=400,
        savings={"compression": 600},
    )
    (used,) = ada.get("/o/acme/compression?range=24h").context["prompts"]
    assert (used.row.state, used.calls, used.saved, used.is_open) == ("approved", 1, 600, False)
    assert ada.post(f"{path}/{prompt.pk}", {"decision": "maybe"}).status_code == 400
    assert ada.post(path, {"original": ""}).status_code == 400
    assert ada.post(path, {"original": "x", "shorter": "xx", "keep": "yes"}).status_code == 400
    ben = make_client()
    ben.force_login(world.ben)
    assert ben.post(f"{path}/{prompt.pk}", {"decision": "retire"}).status_code == 403
    mallory = make_client()
    mallory.force_login(world.mallory)
    assert mallory.post(f"{path}/{prompt.pk}", {"decision": "retire"}).status_code == 404


def test_a_paid_replay_is_started_shown_and_cancelled(ada: Client, world: World) -> None:
    acme = world.acme
    capture(acme, "What is the capital of France?", "Paris.", model="large")
    form = {"model": "large", "to": "small", "cap": "0.50", "calls": "10", "api_key": acme.api_key}
    for wrong, says in (
        ({"cap": "much"}, "Give an amount in USD"),
        ({"calls": "many"}, "Give a number of calls."),
        ({"to": "nobody"}, "or routes."),
    ):
        page = ada.post("/o/acme/routes/replays", form | wrong)
        assert (page.status_code, says in page.content.decode()) == (400, True)
        # What was typed stands there, but for the secret.
        assert 'value="large"' in page.content.decode()
        assert acme.api_key not in page.content.decode()
    # PostgreSQL's texts have no such character.
    assert ada.post("/o/acme/routes/replays", form | {"model": "x\x00", "to": "small\x00"}).status_code == 400
    acme.org.is_read_only = True
    with org_scope(acme.org.pk):
        acme.org.save(update_fields=["is_read_only"])
    assert ada.post("/o/acme/routes/replays", form).status_code == 402
    acme.org.is_read_only = False
    with org_scope(acme.org.pk):
        acme.org.save(update_fields=["is_read_only"])
    assert ada.post("/o/acme/routes/replays", form).status_code == 302
    assert ada.post("/o/acme/routes/replays", form).status_code == 409
    (shown,) = ada.get("/o/acme/routes").context["replays"]
    assert (shown["row"].state, shown["calls"], shown["row"].cap_nanos) == ("waiting", 1, 500_000_000)
    mallory = make_client()
    mallory.force_login(world.mallory)
    path = f"/o/{{}}/routes/replays/{shown['row'].pk}/cancel"
    assert mallory.post(path.format("mallcorp")).status_code == 404
    assert ada.post(path.format("acme")).status_code == 302
    with org_scope(acme.org.pk):
        PaidReplay.objects.filter(org=acme.org, pk=shown["row"].pk).update(
            pairs=[[1_000, 400 + number % 2] for number in range(40)], same=31, cost_nanos=16_020
        )
    text = " ".join(ada.get("/o/acme/routes").content.decode().split())
    assert "cancelled" in text
    assert "$0.40 ($0.40 to $0.40)" in text
    assert "not yet</span>" not in text


def test_strangers_and_developers(ada: Client, world: World) -> None:
    route = make_route(world.acme)
    ben = make_client()
    ben.force_login(world.ben)
    assert ben.get("/o/acme/routes").status_code == 200
    assert ben.post(f"/o/acme/routes/{route.pk}", {"mode": "off"}).status_code == 403
    mallory = make_client()
    mallory.force_login(world.mallory)
    for path in ("routes", "compression"):
        assert mallory.get(f"/o/acme/{path}").status_code == 404


def test_calls_are_reckoned_under_another_policy(ada: Client, world: World) -> None:
    make_route(world.acme)
    tokens = {"input_tokens": 1_000, "output_tokens": 100}
    for _ in range(10):
        record_call(world.acme, clock.now() - timedelta(minutes=1), request_model="large", cost=4_200_000, **tokens)
    path = "/o/acme/routes?range=24h&if_model=large"
    found = ada.get(path + "&if_to=small").context["what_if"]["found"]
    assert (found.calls, found.cost, found.then.low, found.then.high) == (10, 42_000_000, 2_100_000, 2_100_000)
    shown = ada.get(path + "&if_input=0.05&if_output=0.10&if_share=50&if_off=10&if_batch=yes").context["what_if"]
    # The model has no price for batches, so that these cost as much.
    assert (shown["found"].then.low, shown["found"].then.high) == (19_775_000, 21_300_000)
    for bad in ("&if_input=1", "&if_to=nobody", "&if_share=0", "&if_off=96", "&if_input=-1&if_output=1", "&if_share=x"):
        page = ada.get(path + bad)
        assert page.status_code == 200
        assert page.context["what_if"]["found"] is None
        assert page.context["what_if"]["error"]
    day = f"{clock.now() - timedelta(days=2):%Y-%m-%d}"
    # Days that were typed stay as they are when it is reckoned.
    typed = ada.get(f"/o/acme/routes?range=custom&from={day}&to={day}").content.decode()
    assert f'name="from" value="{day}"' in typed
    assert f'name="to" value="{day}"' in typed
    # Another range, and a search, reckon the same again.
    reckoned = ada.get(path + "&if_to=small").content.decode()
    assert 'href="/o/acme/routes?if_model=large&amp;if_to=small&amp;range=7d"' in reckoned
    assert '<input type="hidden" name="if_to" value="small">' in reckoned


def test_days_that_were_typed_stand_beside_the_named_ranges(ada: Client, world: World) -> None:
    for page in ("routes", "cache", "compression"):
        shown = ada.get(f"/o/acme/{page}?from=2026-11-01&to=2026-11-05").content.decode()
        (current,) = re.findall(r'<a href="([^"]*)"\s+aria-current="true">1 Nov 2026 – 5 Nov 2026</a>', shown)
        assert current == f"/o/acme/{page}?from=2026-11-01&amp;to=2026-11-05"
        for wrong in ("range=year", "colour=red"):
            assert ada.get(f"/o/acme/{page}?{wrong}").status_code == 400, (page, wrong)


def test_what_is_tried_stays_in_the_form(ada: Client, world: World) -> None:
    make_route(world.acme)
    for body in ("{", '{"model": "smart", "messages": [{"role": "user", "content": "Hi"}]}'):
        shown = ada.post("/o/acme/routes/plan", {"body": body, "tags": "team=search"}).content.decode()
        assert '<input id="playground-tags" name="tags" value="team=search"' in shown


def test_a_cascade_s_confidence_is_a_slider_beside_what_each_would_have_cost(ada: Client, world: World) -> None:
    route = make_route(world.acme, RouteKind.CASCADE, confidence_percent=70)
    path = f"/o/acme/routes/{route.pk}/edit"
    page = ada.get(path).content.decode()
    assert 'type="range"' in page
    assert 'id="curve-confidence_percent"' not in page, "there is no call to draw"
    answer = {"number": 1, "status": 200, "model": "small", "input_tokens": 1_000, "output_tokens": 100}
    for confidence in ("0.950", "0.850"):
        record_call(
            world.acme,
            clock.now() - timedelta(minutes=1),
            request_model="smart",
            route_reason="route smart v1 cascade: small, rung 1 of 2; small sure",
            attempts=[answer | {"cost": 210_000, "confidence": confidence}],
            effective_cost=210_000,
        )
    page = " ".join(re.sub(r"<[^>]+>", " ", ada.get(path).content.decode()).split())
    # One of two would go up: to the large model's 1,000 tokens in at 3 and 100 out at 12 µ$.
    assert "From 86 % on Would have cost $0.004620000 Saved -$0.004200000 Went up 1 of 2" in page
    assert "From 70 % on now Would have cost $0.000420000 Saved $0.000000000 Went up 0 of 2" in page
    assert "How often answers are right is drawn once the route has learned from labels" in page
    sent = Visit(world.ada).submit(path, confidence_percent="x")
    assert (sent.status_code, error_of(sent)) == (400, "Give a whole number, such as 60.")


def test_routes_are_sorted_and_ten_stand_on_a_page(ada: Client, world: World) -> None:
    for number in range(11):
        make_route(world.acme, RouteKind.FIXED, ["small"], name=f"route-{number:02d}")

    def show(query: str) -> list[str]:
        return [each["row"].name for each in ada.get(f"/o/acme/routes?{query}").context["routes"]]

    assert show("") == [f"route-{number:02d}" for number in range(10)]
    assert show("page=2") == ["route-10"]
    assert show("sort=-name")[0] == "route-10"
    assert show("q=route-1&range=7d") == ["route-10"]
    for wrong in ("sort=colour", "colour=red", "page=0"):
        assert ada.get(f"/o/acme/routes?{wrong}").status_code == 400, wrong
