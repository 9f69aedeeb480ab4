"""The console's pages as a client sees them: the sums, the walls between tenants, hostile names."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.http import HttpResponse

from billing.spend.selectors import ranked
from costhub.lib.csp import POLICY
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.orgs import add_member
from tenants.choices import BudgetPeriod, BudgetScope, Role
from tenants.models import User
from tests.billing.ledger import NOW, make_id, record_call, record_correction
from tests.billing.outlook import store_forecast
from tests.world import Api, World, close_scopes, make_budget, make_catalog, make_client

HOUR = timedelta(hours=1)
SCRIPT = "<script>alert(1)</script>"
IMAGE = "\"><img src=x onerror='alert(1)'>"


@pytest.fixture(autouse=True)
def _at_noon() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def get(user: User | None, path: str, **headers: str) -> HttpResponse:
    client = make_client()
    if user is not None:
        client.force_login(user)
    close_scopes()
    try:
        response: HttpResponse = client.get(path, headers=headers)  # type: ignore[assignment]
    finally:
        close_scopes()
    return response


def text_of(response: HttpResponse) -> str:
    """The words of a page, one space between them."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def tile(response: HttpResponse, name: str) -> str:
    found = re.search(rf'data-tile="{name}">(.*?)</article>', response.content.decode(), re.DOTALL)
    assert found is not None
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[1])).split())


def test_no_page_is_taken_for_the_databases_models() -> None:
    """Django imports a module of that name in every process, with all that it needs."""
    assert apps.get_app_config("console").models_module is None


class TestForecastTile:
    def test_a_month_with_its_band_and_how_past_ones_went(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=1)
        store_forecast(world.acme)
        make_budget(world.acme, "12.00", period=BudgetPeriod.MONTH)
        page = get(world.ada, "/o/acme/")
        shown = tile(page, "forecast")
        assert "$18.50" in shown
        assert "$17.00 to $20.00 , four times in five" in shown
        assert "Past months missed by 6.4 %; 83 % lay in their range" in shown
        assert "$12.00 is expected to be passed on 24 Nov" in shown
        assert 'x="80.95%" y="25%" width="14.28%"' in page.content.decode()

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            (None, "the first one is still to come"),
            (
                {"expected": None, "low": None, "high": None, "method": "not_enough_history", "days_of_history": 1},
                "Not enough history: 1 whole day of spend so far, 3 are needed",
            ),
            ({"low": None, "high": None, "method": "run_rate", "days_of_history": 5}, "A range needs 14"),
            ({"backtest_error": None}, "No past month to test it on yet"),
        ],
    )
    def test_what_is_not_known_is_said(self, world: World, columns: dict[str, Any] | None, words: str) -> None:
        if columns is not None:
            store_forecast(world.acme, **columns)
        assert words in tile(get(world.ada, "/o/acme/"), "forecast")

    def test_nobody_elses_forecast_is_shown(self, world: World) -> None:
        store_forecast(world.mallcorp)
        assert "$18.50" not in text_of(get(world.ada, "/o/acme/"))


class TestOverview:
    def test_the_tiles_show_the_ledgers_sums(self, world: World) -> None:
        acme = world.acme
        make_budget(acme, "10.00", period=BudgetPeriod.MONTH)
        record_call(acme, NOW - HOUR, cost=1_500_000_000)
        record_call(acme, NOW - HOUR * 25, cost=2_000_000_000)
        record_call(acme, NOW - timedelta(days=32), cost=7_000_000_000)
        record_call(acme, NOW - HOUR, status=402, error_code="budget_exceeded")
        page = get(world.ada, "/o/acme/")
        assert page.status_code == 200
        assert tile(page, "month") == "Spend this month $3.50 −50.0 % vs last month so far"
        assert tile(page, "today") == "Spend today $1.50 −25.0 % vs yesterday by now"
        assert tile(page, "budget") == "Budget used 35 % $3.50 of $10.00 this month · Acme " + (
            "$3.500000000 of $10.000000000 used; the mark is where 71 % of the period that is over would put an even "
            "pace −50.0 % vs the period before so far resets in 9 days"
        )
        assert tile(page, "requests") == "Requests this month 3 +200.0 % vs last month so far 0 failed 1 refused"
        assert tile(page, "savings") == "Savings this month $0.00 List cost and effective cost are the same"
        assert (
            tile(page, "unpriced")
            == "Unpriced or unattributed this month 0 Every call has a price none last month so far"
        )

    def test_how_many_calls_the_cache_has_answered(self, world: World) -> None:
        for status, calls in (("hit-l2", 2), ("coalesced", 1), ("miss", 5), ("", 9)):
            for _ in range(calls):
                record_call(world.acme, NOW - HOUR, cache_status=status)
        assert "37 % from the cache" in tile(get(world.ada, "/o/acme/"), "requests")

    def test_less_than_a_cent_is_not_nothing_and_says_what_it_is(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=420)
        page = get(world.ada, "/o/acme/")
        assert tile(page, "month") == "Spend this month < $0.01 nothing last month so far"
        assert 'title="exactly $0.000000420"' in page.content.decode()

    def test_unpriced_calls_are_red_and_savings_are_split(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, status=402, error_code="model_not_priced")
        record_call(
            world.acme,
            NOW - HOUR,
            list_cost=4 * 10**9,
            effective_cost=10**9,
            savings={"cache": 2 * 10**9, "routing": 10**9},
        )
        page = get(world.ada, "/o/acme/")
        assert 'class="tile tile-bad" data-tile="unpriced"' in page.content.decode()
        assert tile(page, "unpriced") == (
            "Unpriced or unattributed this month 1 1 call to models without a price none last month so far"
        )
        assert tile(page, "savings") == (
            "Savings this month $3.00 75 % of list cost nothing saved last month so far cache $2.00 routing $1.00"
        )

    def test_the_range_and_the_project_narrow_tables_and_chart(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=10**9, request_model="new")
        record_call(world.acme, NOW - HOUR * 60, cost=10**9, request_model="old")
        month, day = get(world.ada, "/o/acme/"), get(world.ada, "/o/acme/?range=24h")
        assert [("old" in text_of(page), "new" in text_of(page)) for page in (month, day)] == [
            (True, True),
            (False, True),
        ]
        other = get(world.ada, f"/o/acme/?project={make_id(NOW)}")
        assert "No call in this range." in text_of(other)

    @pytest.mark.parametrize(("headers", "queries"), [({}, 25), ({"HX-Request": "true"}, 22)])
    def test_however_much_there_is_to_show_the_database_is_asked_as_often(
        self, world: World, headers: dict[str, str], queries: int
    ) -> None:
        make_catalog(world.acme)
        store_forecast(world.acme)
        for scope in (BudgetScope.ORGANIZATION, BudgetScope.PROJECT, BudgetScope.KEY):
            for period in BudgetPeriod:
                make_budget(world.acme, "10.00", scope=scope, period=period)
        for number in range(3):
            record_call(world.acme, NOW - HOUR, key_id=uuid4(), project_id=uuid4(), request_model=f"model {number}")
        client = make_client()
        client.force_login(world.ada)
        close_scopes()
        # Not CaptureQueriesContext: Django does not tell the text of a statement that is prepared.
        found: list[str] = []

        def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            found.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            assert client.get("/o/acme/", headers=headers).status_code == 200
        close_scopes()
        # A request is a transaction of its own; inside the test's it is a savepoint. One statement is the first page's
        # alone: when the sign-in began.
        asked = [sql for sql in found if "SAVEPOINT" not in sql]
        assert len(asked) == queries
        assert len([sql for sql in asked if "billing_ledgerline" in sql]) == 6

    def test_tiles_say_that_neither_filter_nor_range_narrows_them(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=1_500_000_000)
        words = "These figures cover the whole organisation this month"
        for query, is_said in (("", False), ("by=key", False), ("range=7d", True), ("tag=team%3Dblue", True)):
            page = get(world.ada, f"/o/acme/?{query}")
            assert (words in text_of(page), "$1.50" in tile(page, "month")) == (is_said, True), query

    def test_an_empty_organisation_is_told_how_to_begin(self, world: World) -> None:
        make_catalog(world.acme, model="it's-small")
        page = get(world.ada, "/o/acme/")
        assert "curl http://testserver/v1/chat/completions \\ -H 'Authorization: Bearer YOUR_API_KEY'" in text_of(page)
        assert """'{"model": "it'"'"'s-small", "messages":""" in text_of(page)

    @pytest.mark.parametrize("query", ["range=1y", "from=x", "key=first", "status=what", "id=%00"])
    def test_an_address_that_cannot_be_read_says_what_to_give(self, world: World, query: str) -> None:
        for path in ("/o/acme/", "/o/acme/requests"):
            page = get(world.ada, f"{path}?{query}")
            assert (page.status_code, 'role="alert"' in page.content.decode()) == (400, True)

    def test_htmx_gets_the_live_part_alone(self, world: World) -> None:
        page = get(world.ada, "/o/acme/", HX_Request="true")
        assert ("<html" in page.content.decode(), 'hx-swap-oob="true"' in page.content.decode()) == (False, True)

    def test_a_viewer_is_told_whom_to_ask(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
        for path in ("/o/acme/", "/o/acme/requests"):
            page = get(User.objects.get(email="vic@acme.example"), path)
            assert page.status_code == 403
            assert "ask an owner or admin of Acme" in text_of(page)


class TestRequests:
    def test_every_call_is_a_row_with_its_exact_net_cost(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR, cost=1_000_420, input_tokens=1_200, output_tokens=34, end_user="mia")
        record_correction(world.acme, call, -420)
        text = text_of(get(world.ada, "/o/acme/requests"))
        assert "22 Nov 11:00:00 200 small first key mia – 1,200 → 34 0 µs $0.001 000000" in text

    def test_pages_are_linked_and_hold_fifty(self, world: World) -> None:
        for place in range(51):
            record_call(world.acme, NOW - timedelta(minutes=place), end_user=f"user-{place:02d}")
        first = get(world.ada, "/o/acme/requests")
        older = re.search(r'href="([^"]*cursor=[^"]*)"', first.content.decode())
        assert older is not None
        second = get(world.ada, unescape(older[1]))
        assert [len(re.findall(r">user-\d\d<", page.content.decode())) for page in (first, second)] == [50, 1]
        assert "user-50" in text_of(second)
        dearest = text_of(get(world.ada, "/o/acme/requests?sort=-cost"))
        assert "The first 50 of all calls that match. A shorter range or more filters reach others." in dearest

    def test_calls_are_sorted_by_their_columns_and_it_is_said_of_how_many(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place, (cost, took) in enumerate(((5, 30_000), (9, 10_000), (7, 20_000))):
            record_call(
                world.acme, NOW - timedelta(minutes=place), cost=cost, duration_us=took, end_user=f"user-{place:02d}"
            )
        orders = {"": "012", "-time": "012", "time": "210", "-cost": "120", "cost": "021"}
        orders |= {"-duration": "021", "duration": "120"}
        api = Api(user=world.ada)
        for order, users in orders.items():
            page = get(world.ada, f"/o/acme/requests?sort={order}").content.decode()
            assert "".join(re.findall(r">user-0(\d)<", page)) == users, order
            assert "calls that match" not in page, order
            answer = api.get("/requests", **({"sort": order} if order else {})).json()
            assert "".join(row["end_user"][-1] for row in answer["data"]) == users, order
        for wrong in ("sort=colour", "sort=-cost&cursor=x"):
            assert get(world.ada, f"/o/acme/requests?{wrong}").status_code == 400, wrong
        monkeypatch.setattr(ranked, "MOST", 2)
        text = text_of(get(world.ada, "/o/acme/requests?sort=-cost"))
        assert "calls that match, back to 22 Nov 2026, 11:59." in text
        told = {order: api.get("/requests", sort=order).json()["since"] for order in ("-cost", "duration", "-time")}
        assert told == {"-cost": "2026-11-22T11:59:00Z", "duration": "2026-11-22T11:59:00Z", "-time": None}
        assert text_of(get(world.ada, "/o/acme/requests")).count("calls that match") == 0
        assert api.get("/requests", sort="-cost", format="csv").status_code == 400

    def test_from_the_oldest_on_every_call_is_on_one_page(self, world: World) -> None:
        for place in range(51):
            record_call(world.acme, NOW - timedelta(minutes=place // 2), end_user=f"user-{place:02d}")
        first = get(world.ada, "/o/acme/requests?sort=time").content.decode()
        (newer,) = re.findall(r'href="([^"]*cursor=[^"]*)"', first)
        second = get(world.ada, unescape(newer)).content.decode()
        seen = [re.findall(r">(user-\d\d)<", page) for page in (first, second)]
        assert (len(seen[0]), len(seen[1]), len({*seen[0], *seen[1]})) == (50, 1, 51)

    def test_filters_narrow_the_list(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, end_user="mia")
        record_call(world.acme, NOW - HOUR, end_user="tom", status=429)
        rows = {
            query: re.findall(r">(mia|tom)<", get(world.ada, f"/o/acme/requests?{query}").content.decode())
            for query in ("", "status=429", "status=ok", f"key={world.acme.key.pk}&end_user=tom", "model=none")
        }
        assert rows == {
            "": ["mia", "tom"] if rows[""][0] == "mia" else ["tom", "mia"],
            "status=429": ["tom"],
            "status=ok": ["mia"],
            f"key={world.acme.key.pk}&end_user=tom": ["tom"],
            "model=none": [],
        }

    def test_a_tag_an_upstream_and_a_missing_price_narrow_the_list_and_tags_are_shown(self, world: World) -> None:
        upstream = make_catalog(world.acme).upstream
        record_call(world.acme, NOW - HOUR, end_user="mia", tags={"team": "blue", "run": "7"}, upstream_id=upstream.pk)
        record_call(world.acme, NOW - HOUR, end_user="tom", price_id=None)
        record_call(world.acme, NOW - HOUR, end_user="zoe", status=402, error_code="model_not_priced")
        found = {
            query: set(re.findall(r">(mia|tom|zoe)<", get(world.ada, f"/o/acme/requests?{query}").content.decode()))
            for query in ("tag=team%3Dblue", "tag:team=blue", f"upstream={upstream.pk}", "status=unattributed")
        }
        assert list(found.values()) == [{"mia"}, {"mia"}, {"mia"}, {"tom"}]
        page = get(world.ada, "/o/acme/requests?tag=team%3Dblue")
        assert "run=7 team=blue" in text_of(page) or "team=blue run=7" in text_of(page)
        assert 'value="team=blue"' in page.content.decode()
        assert 'href="/o/acme/requests.csv?tag%3Ateam=blue&amp;range=30d"' in page.content.decode()
        assert "zoe" in text_of(get(world.ada, "/o/acme/requests?status=unpriced"))
        assert "give a name and a value" in text_of(get(world.ada, "/o/acme/requests?tag=team"))

    def test_of_ten_thousand_keys_some_are_offered_while_one_types(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            made = [create_key(actor=world.acme.owner, name=f"key {place:02d}").key for place in range(25)]
            create_key(actor=world.acme.owner, name="twice")
            create_key(actor=world.acme.owner, name="twice")
        record_call(world.acme, NOW - HOUR, key_id=made[7].pk, end_user="mia")
        record_call(world.acme, NOW - HOUR, end_user="tom")
        page = get(world.ada, "/o/acme/requests")
        assert "key 07" in text_of(page)
        assert "<option value" in page.content.decode()
        assert '"key 08"' not in page.content.decode()
        offered = get(world.ada, "/o/acme/find/keys?key=key")
        names = re.findall(r'<option value="([^"]+)">', offered.content.decode())
        assert (len(names), names[0]) == (20, "first key")
        for query in ("key=key+07", f"key={made[7].pk}"):
            found = get(world.ada, f"/o/acme/requests?{query}").content.decode()
            assert (">mia<" in found, ">tom<" in found, 'value="key 07"' in found) == (True, False, True), query
        assert "Several keys are called so" in text_of(get(world.ada, "/o/acme/requests?key=twice"))
        assert "give the name of a key" in text_of(get(world.ada, "/o/acme/requests?key=nobody"))
        assert get(world.mallory, "/o/acme/find/keys?key=key").status_code == 404
        assert get(world.ada, "/o/acme/invoices/bridge?key=key+07").status_code == 200

    def test_a_whole_id_leads_to_its_story(self, world: World) -> None:
        call = record_call(world.acme, NOW - timedelta(days=90))
        page = get(world.ada, f"/o/acme/requests?id={call.id}")
        assert (page.status_code, page.headers["Location"]) == (302, f"/o/acme/requests/{call.id}")
        live = get(world.ada, f"/o/acme/requests?id={call.id}", HX_Request="true")
        assert (live.status_code, live.headers["HX-Redirect"]) == (204, f"/o/acme/requests/{call.id}")


class TestStory:
    def test_the_price_lines_add_up_to_the_cost(self, world: World) -> None:
        catalog = make_catalog(world.acme, input_per_million="0.15", output_per_million="0.60")
        assert catalog.price is not None
        call = record_call(
            world.acme,
            NOW - HOUR,
            cost=285_000,
            price_id=catalog.price.pk,
            upstream_id=catalog.upstream.pk,
            input_tokens=1_500,
            output_tokens=100,
            reasoning_tokens=40,
            held=900_000,
            duration_us=1_234_567,
            first_byte_us=98_765,
            overhead_us=840,
            tags={"team": "blue"},
        )
        text = text_of(get(world.ada, f"/o/acme/requests/{call.id}"))
        assert (
            "Input 1,500 $0.15 $0.000225000 Output 100 $0.60 $0.000060000 of the output, reasoning 40 "
            "Sum, rounded up once to a nano-dollar $0.000285000" in text
        )
        assert "Bound held $0.000900000" in text
        assert "Given back $0.000615000" in text
        assert "Duration 1.2 s First byte 98 ms Overhead 840 µs" in text
        assert "Upstream for small" in text
        assert "Tag team blue" in text

    def test_corrections_and_attempts_are_told(self, world: World) -> None:
        attempts = [
            {"number": 1, "status": 500, "certainty": "nothing", "cost": 0, "error": "upstream answered 500"},
            {"number": 2, "status": 200, "certainty": "bound", "cost": 500, "error": "", "input_tokens": 7},
        ]
        call = record_call(world.acme, NOW - HOUR, cost=500, held=500, is_estimated=True, attempts=attempts)
        record_correction(world.acme, call, -100)
        text = text_of(get(world.ada, f"/o/acme/requests/{call.id}"))
        assert (
            "1 small 500 upstream answered 500 nothing 0 → 0 $0.000000000 $0.000000000"
            " 2 small 200 bound 7 → 0 $0.000000500 $0.000000000"
        ) in text
        assert "Corrected -$0.000000100 recorded 22 Nov 2026, 11:01:01" in text
        assert "Cost $0.0000004 00" in text

    def test_what_several_models_cost_is_told_model_by_model(self, world: World) -> None:
        attempts = [
            {"number": 1, "model": "small", "status": 200, "certainty": "exact", "cost": 11_800, "input_tokens": 22},
            {"number": 2, "model": "large", "status": 200, "certainty": "exact", "cost": 295_000, "output_tokens": 24},
        ]
        catalog = make_catalog(world.acme)
        assert catalog.price is not None
        call = record_call(world.acme, NOW - HOUR, cost=306_800, attempts=attempts, price_id=catalog.price.pk)
        text = text_of(get(world.ada, f"/o/acme/requests/{call.id}"))
        assert "Model Tokens Cost small 22 → 0 $0.000011800 large 0 → 24 $0.000295000 Sum $0.000306800" in text
        record_correction(world.acme, call, -100)
        text = text_of(get(world.ada, f"/o/acme/requests/{call.id}"))
        assert "Corrected since, or shared with other calls -$0.000000100 Sum $0.000306700" in text

    def test_a_call_that_the_cache_answered_says_so(self, world: World) -> None:
        catalog = make_catalog(world.acme, input_per_million="0.15", output_per_million="0.60")
        assert catalog.price is not None
        call = record_call(
            world.acme,
            NOW - HOUR,
            price_id=catalog.price.pk,
            input_tokens=1_500,
            output_tokens=100,
            list_cost=285_000,
            savings={"cache": 285_000},
            cache_status="hit-l2",
            attempts=[],
        )
        text = text_of(get(world.ada, f"/o/acme/requests/{call.id}"))
        assert "Answered from the cache -$0.000285000 Sum, rounded up once to a nano-dollar $0.000000000" in text
        assert "Nothing was held: the cache had the answer." in text

    def test_a_request_id_leads_to_it_from_the_root(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        page = get(world.ben, f"/requests/{call.id}")
        assert (page.status_code, page.headers["Location"]) == (302, f"/o/acme/requests/{call.id}")


class TestWalls:
    def test_foreign_and_unknown_are_the_same_bytes(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        unknown = make_id(NOW - HOUR)
        pairs = [
            ("/o/acme/", "/o/nobody/"),
            ("/o/acme/requests", "/o/nobody/requests"),
            (f"/o/acme/requests/{call.id}", f"/o/nobody/requests/{call.id}"),
            (f"/o/mallcorp/requests/{call.id}", f"/o/mallcorp/requests/{unknown}"),
            (f"/requests/{call.id}", f"/requests/{unknown}"),
            (f"/requests/{call.id}", "/requests/not-an-id"),
        ]
        for foreign, nothing in pairs:
            seen = [get(world.mallory, path) for path in (foreign, nothing)]
            assert [page.status_code for page in seen] == [404, 404], foreign
            assert seen[0].content == seen[1].content, foreign
            assert dict(seen[0].headers) == dict(seen[1].headers), foreign

    def test_a_foreign_call_is_neither_listed_nor_found(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR, cost=10**12, end_user="mia")
        for path in ("/o/mallcorp/", "/o/mallcorp/requests", f"/o/mallcorp/requests?id={call.id}"):
            page = get(world.mallory, path)
            assert page.status_code == 200
            assert "mia" not in page.content.decode()
            assert "$1,000" not in page.content.decode()

    def test_without_a_session_every_page_asks_to_sign_in(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        for path in (
            "/",
            "/o/acme/",
            "/o/acme/requests?status=ok",
            f"/o/acme/requests/{call.id}",
            f"/requests/{call.id}",
        ):
            page = get(None, path)
            assert (page.status_code, page.headers["Location"].partition("?")[0]) == (302, "/login")


class TestHostileNames:
    def test_names_from_callers_are_text(self, world: World) -> None:
        call = record_call(
            world.acme,
            NOW - HOUR,
            cost=1,
            request_model=SCRIPT,
            response_model=IMAGE,
            end_user=IMAGE,
            tags={SCRIPT: IMAGE},
            error_code=SCRIPT,
            finish_reason=SCRIPT,
            status=500,
            attempts=[{"number": 1, "status": 500, "error": SCRIPT, "certainty": IMAGE, "cost": 0}],
        )
        paths = [
            "/o/acme/",
            "/o/acme/?by=end_user",
            "/o/acme/requests",
            f"/o/acme/requests?model={SCRIPT}&end_user={IMAGE}",
            f"/o/acme/?range={SCRIPT}",
            f"/o/acme/requests/{call.id}",
        ]
        for path in paths:
            page = get(world.ada, path).content.decode()
            assert "<script>" not in page, path
            assert "<img src=x" not in page, path
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in get(world.ada, paths[2]).content.decode()

    def test_no_page_has_inline_script_or_style(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR, cost=1, held=5)
        make_budget(world.acme, "1.00")
        for path in ("/login", "/o/acme/", "/o/acme/requests", f"/o/acme/requests/{call.id}", "/o/none/"):
            page = get(None if path == "/login" else world.ada, path)
            assert page.headers["Content-Security-Policy"] == POLICY
            # What a script reads as data is no script: nobody runs it.
            runs = r"<script(?![^>]*\s(?:src=|type=\"application/json\"))"
            assert re.findall(rf"\sstyle=|<style|{runs}|\son\w+=|javascript:", page.content.decode()) == []

    def test_pages_are_kept_by_no_cache_and_scripts_are_small(self, world: World) -> None:
        page = get(world.ada, "/o/acme/")
        assert page.headers["Cache-Control"] == "private, no-store"
        scripts = re.findall(r'<script src="([^"]+)"', page.content.decode())
        assert [path.startswith("/static/") for path in scripts] == [True, True]
        bodies = [b"".join(get(None, path)) for path in scripts]
        assert 20_000 < sum(map(len, bodies)) < 200_000


def test_a_month_that_has_just_begun_is_no_first_one(world: World) -> None:
    """Ten minutes into it nobody has called yet, nor had ten minutes into the one before: what was called since is
    in other ranges, and nobody is shown how to make a first call."""
    narrow = "/o/acme/requests?range=mtd"
    first_call, earlier = "Send the first call", "No call in this range There are earlier ones."
    assert [first_call in text_of(get(world.ada, path)) for path in ("/o/acme/", narrow)] == [True, True]
    record_call(world.acme, NOW, cost=50_000_000)
    with time_machine.travel(datetime(2026, 12, 1, 0, 10, tzinfo=ZoneInfo(world.acme.org.time_zone)), tick=False):
        overview, requests = text_of(get(world.ada, "/o/acme/")), text_of(get(world.ada, narrow))
        assert [first_call in page for page in (overview, requests)] == [False, False]
        assert earlier in requests
        assert "?range=30d" in get(world.ada, narrow).content.decode()
