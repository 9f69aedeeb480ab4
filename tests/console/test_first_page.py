"""The first page's numbers against the API's and the ledger's, and its parts that come after it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.http import HttpResponse

from billing.spend.actions.rollups import roll_up
from billing.spend.core.focus import COLUMNS
from costhub.lib.money import parse_usd
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.choices import BudgetPeriod, BudgetScope
from tests.billing.invoices.examples import close, make_customer
from tests.billing.ledger import NOW, record_call, record_correction
from tests.billing.outlook import store_anomaly, store_forecast
from tests.console.client import Visit, error_of, read_forms, rows_of, text_of
from tests.world import Api, World, make_budget, make_catalog

HOUR = timedelta(hours=1)
USD = 10**9
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def exact(text: str) -> list[int]:
    """Every amount to the nano that a page says, in order."""
    return [parse_usd(found.replace(",", "")) for found in re.findall(r"\$([\d,]+\.\d{9})", text)]


def tile(page: HttpResponse, name: str) -> str:
    found = re.search(rf'data-tile="{name}">(.*?)</article>', page.content.decode(), re.DOTALL)
    assert found is not None
    return unescape(found[1])


def read_filters(page: HttpResponse, path: str) -> dict[str, Any]:
    """What stands in the form that narrows a page."""
    form = re.search(r'<form class="(?:filters|toolbar[^"]*)"(.*?)</form>', page.content.decode(), re.DOTALL)
    assert form is not None
    (found,) = read_forms(f"<form {form[1]}</form>", path)
    return found[2]


class TestEveryNumber:
    """A made-up history of two months: what the page says is what the API says, and what adding up the rows gives."""

    @pytest.fixture(params=["from rows", "from sums"])
    def rows(self, world: World, request: Any) -> list[LedgerEntry]:
        acme, random = world.acme, Random(7)
        with org_scope(acme.org.pk):
            other = create_key(actor=acme.owner, name="second key", project=acme.project).key
        for place in range(160):
            at = NOW - timedelta(minutes=random.randrange(50 * 24 * 60) if place > 30 else random.randrange(700))
            cost = random.randrange(10**10)
            columns: dict[str, Any] = {
                "request_model": random.choice(["small", "large", "new"]),
                "end_user": random.choice(["mia", "tom", ""]),
                "tags": random.choice([{"team": "blue"}, {"team": "red", "feature": "faq"}, {}]),
                "key_id": random.choice([acme.key.pk, other.pk]),
                "input_tokens": random.randrange(5_000),
                "output_tokens": random.randrange(500),
            }
            match place % 8:
                case 0:
                    record_call(acme, at, status=402, error_code="model_not_priced", **columns)
                case 1:
                    record_call(acme, at, status=502, error_code="upstream_error", attempts=[{"number": 1}], **columns)
                case 2:
                    record_call(acme, at, cost=cost, price_id=None, **columns)
                case 3:
                    saved = random.randrange(10**9)
                    record_call(
                        acme,
                        at,
                        list_cost=cost + saved,
                        effective_cost=cost,
                        savings={"routing": saved - saved // 3, "cache": saved // 3},
                        **columns,
                    )
                case _:
                    call = record_call(acme, at, cost=cost, **columns)
                    if place % 3 == 0:
                        record_correction(acme, call, -(cost // 2), end_user=call.end_user, tags=call.tags)
        make_budget(acme, "5000.00", period=BudgetPeriod.MONTH)
        if request.param == "from sums":
            while roll_up():
                pass
        with org_scope(acme.org.pk):
            return list(LedgerEntry.objects.filter(org_id=acme.org.pk))

    def test_the_tiles(self, world: World, rows: list[LedgerEntry]) -> None:
        page, api = Visit(world.ada).get("/o/acme/"), Api(user=world.ada)
        month = [row for row in rows if MONTH <= row.started_at < NOW]
        today = [row for row in month if row.started_at >= TODAY]
        calls = [row for row in month if row.kind == "call"]
        spent, listed = (sum(getattr(row, name) for row in month) for name in ("effective_cost", "list_cost"))
        total = api.get("/spend").json()["total"]
        assert (parse_usd(total["effective_cost"]), parse_usd(total["list_cost"]), total["requests"]) == (
            spent,
            listed,
            len(calls),
        )
        assert exact(tile(page, "month"))[0] == spent
        here = api.get("/spend", **{"from": "2026-11-22"}).json()["total"]["effective_cost"]
        assert exact(tile(page, "today"))[0] == parse_usd(here) == sum(row.effective_cost for row in today)
        (use,) = api.get("/budget-use").json()["data"]
        assert exact(tile(page, "budget"))[:2] == [spent, 5_000 * USD]
        assert (parse_usd(str(use["spent"])), parse_usd(str(use["limit"]))) == (spent, 5_000 * USD)
        assert f"refused and failed ones too: {len(calls)}" in tile(page, "requests")
        for status in ("failed", "refused"):
            (said,) = re.findall(rf">(\d+) {status}</a>", tile(page, "requests"))
            assert int(said) == api.get("/spend", status=status).json()["total"]["requests"] > 0, status
        assert exact(tile(page, "savings"))[:3] == [listed, spent, listed - spent]
        for name, text in total["savings"].items():
            assert parse_usd(text) == sum(int(row.savings.get(name, 0)) for row in month) > 0, name
            assert f">{name}</a> <span" in tile(page, "savings") or f">{name}</a> $" in tile(page, "savings"), name
        unpriced = [row for row in calls if row.error_code == "model_not_priced"]
        unowned = [row for row in calls if row.status < 400 and row.price_id is None]
        for status, found in (("unpriced", unpriced), ("unattributed", unowned)):
            assert api.get("/spend", status=status).json()["total"]["requests"] == len(found) > 0, status
        said = f"{len(unpriced)} calls this month were refused because their model has no price; {len(unowned)} were"
        assert said in tile(page, "unpriced")
        before = [row for row in rows if MONTH - timedelta(days=31) <= row.started_at < NOW - timedelta(days=31)]
        saved = sum(row.list_cost - row.effective_cost for row in before)
        lacking = [row for row in before if row.error_code == "model_not_priced"]
        lacking += [row for row in before if row.kind == "call" and row.status < 400 and row.price_id is None]
        assert exact(tile(page, "savings").partition("time elapsed")[2])[0] == saved > 0
        assert f"same time elapsed: {len(lacking)}" in tile(page, "unpriced")
        spent_before = sum(row.effective_cost for row in before)
        assert exact(tile(page, "budget").partition("time elapsed")[2])[0] == spent_before > 0
        for name in ("savings", "unpriced", "budget"):
            assert ('class="spark"' in tile(page, name), "vs " in tile(page, name)) == (True, True), name

    @pytest.mark.parametrize("stack", ["model", "key", "end_user", "project", "tag:team"])
    def test_the_chart(self, world: World, rows: list[LedgerEntry], stack: str) -> None:
        page = Visit(world.ada).get(f"/o/acme/?by={stack}").content.decode()
        answer = Api(user=world.ada).get("/spend", group_by=f"day,{stack}").json()
        by_day: dict[str, int] = {}
        by_group: dict[str, int] = {}
        for row in answer["data"]:
            nanos, group = parse_usd(row["effective_cost"]), row["group"][stack]
            by_day[row["group"]["day"]] = by_day.get(row["group"]["day"], 0) + nanos
            name = row["labels"].get(stack) or group or "(none)"
            by_group[name] = by_group.get(name, 0) + nanos
        month = [row for row in rows if MONTH <= row.started_at < NOW]
        for day in {row.started_at.date() for row in month}:
            spent = sum(row.effective_cost for row in month if row.started_at.date() == day)
            assert by_day[day.isoformat()] == spent, day
        tips = re.findall(r'class="tip-head">(.*?)</p>', page, re.DOTALL)
        assert [exact(tip)[0] for tip in tips] == [by_day.get(f"2026-11-{day:02d}", 0) for day in range(1, 23)]
        legend = dict(re.findall(r'<li title="([^"]+): exactly -?\$(\d+\.\d{9}) in this range"', page))
        assert {unescape(name): parse_usd(text) for name, text in legend.items()} == by_group

    @pytest.mark.parametrize("group", ["model", "key", "end_user", "tag:team", "tag:feature"])
    def test_the_tables(self, world: World, rows: list[LedgerEntry], group: str) -> None:
        page = (
            Visit(world.ada).get(f"/o/acme/overview/table?by={group}&rows=20").content.decode().partition("<tbody>")[2]
        )
        said = {
            unescape(name): (int(calls), parse_usd(text))
            for name, calls, text in re.findall(
                r'class="name"[^>]*>([^<]+)<.*?>(\d+)</td>\s*<td class="number" title="exactly \$(\d+\.\d{9})"',
                page,
                re.DOTALL,
            )
        }
        answer = Api(user=world.ada).get("/spend", group_by=group).json()
        assert said == {
            row["labels"].get(group) or row["group"][group] or "(none)": (
                row["requests"],
                parse_usd(row["effective_cost"]),
            )
            for row in answer["data"]
        }
        spent = sum(row.effective_cost for row in rows if MONTH <= row.started_at < NOW)
        assert sum(nanos for _, nanos in said.values()) == spent


class TestTables:
    def test_each_loads_after_the_page_and_is_one_without_scripts(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=3 * USD, end_user="mia", tags={"team": "blue"})
        ada = Visit(world.ada)
        page = ada.get("/o/acme/?range=7d").content.decode()
        for group in ("end_user", "model", "tag", "key"):
            address = f"/o/acme/overview/table?range=7d&amp;by={group}"
            assert f'hx-get="{address}"' in page, group
            assert f'href="{address}"' in page, group
            alone, part = (ada.get(unescape(address), **headers) for headers in ({}, {"hx-request": "true"}))
            assert ("<html" in alone.content.decode(), "<html" in part.content.decode()) == (True, False), group
        assert Visit(world.mallory).get("/o/acme/overview/table").status_code == 404

    def test_change_the_dear_end_and_what_moved_most(self, world: World) -> None:
        for place in range(20):
            record_call(world.acme, NOW - HOUR, cost=(place + 1) * 10**7, end_user="mia")
        record_call(world.acme, NOW - HOUR, cost=USD, end_user="tom", status=502, attempts=[{"number": 1}])
        record_call(world.acme, NOW - timedelta(days=8), cost=USD, end_user="mia")
        page = Visit(world.ada).get("/o/acme/overview/table?by=end_user&range=7d")
        assert rows_of(page) == ["mia 20 $2.10 +110.0 % $0.19 67 %", "tom 1 $1.00 new – 32 %"]
        assert "mia moved most, +110.0 %" in text_of(page)
        assert 'href="/o/acme/requests?range=7d&amp;end_user=mia"' in page.content.decode()

    def test_the_dear_end_is_that_of_the_calls_that_are_chosen(self, world: World) -> None:
        acme = world.acme
        with org_scope(acme.org.pk):
            other = create_key(actor=acme.owner, name="second key", project=acme.project).key
        for _ in range(20):
            record_call(acme, NOW - HOUR, cost=10**7)
            record_call(acme, NOW - HOUR, cost=USD, request_model="large")
            record_call(acme, NOW - HOUR, cost=3 * USD, key_id=other.pk)
        record_call(acme, NOW - HOUR, cost=9 * USD, key_id=other.pk, status=429, attempts=[{"number": 1}])
        ada = Visit(world.ada)
        for query, said in (
            ("by=key&model=small", {"second key": "$3.00", acme.key.name: "$0.01"}),
            (f"by=model&key={acme.key.pk}", {"large": "$1.00", "small": "$0.01"}),
            ("by=model&status=4xx", {"small": "–"}),
            ("by=model", {"small": "$3.00", "large": "$1.00"}),
        ):
            rows = rows_of(ada.get(f"/o/acme/overview/table?range=7d&{query}"))
            assert {name: row.split()[-3] for name in said for row in rows if row.startswith(name)} == said, query

    def test_within_a_tag_only_what_sums_answer(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=3 * USD, tags={"team": "blue"})
        record_call(world.acme, NOW - HOUR, cost=USD, tags={"team": "red"})
        ada = Visit(world.ada)
        page = ada.get("/o/acme/?tag=team%3Dblue&by=model").content.decode()
        assert 'title="default: exactly $3.000000000 in this range"' in page
        assert 'value="team=blue"' in page
        assert "Within what you selected there are no such sums" in text_of(
            ada.get("/o/acme/overview/table?tag:team=blue&by=model")
        )
        assert rows_of(ada.get("/o/acme/breakdown?tag:team=blue&by=model")) == ["small 1 0 $3.00 new 100 %"]
        assert error_of(ada.get("/o/acme/?tag=team")) == "tag: give a name and a value, as in team=blue."
        stacked = ada.get("/o/acme/?by=tag").content.decode()
        assert 'title="blue: exactly $3.000000000 in this range"' in stacked

    @pytest.mark.parametrize("path", ["/o/acme/", "/o/acme/requests"])
    def test_another_project_leaves_every_tag(self, world: World, path: str) -> None:
        ada, project = Visit(world.ada), str(world.acme.project.pk)
        asked = "tag:team=blue&tag:env=prod&tag:app=faq"
        narrowed = read_filters(ada.get(f"{path}?{asked}"), path)
        assert narrowed["tag"] == "team=blue"
        again = read_filters(ada.get(f"{path}?{urlencode(narrowed | {'project': project})}"), path)
        expected = {"project": project, "tag": "team=blue", "tag:env": "prod", "tag:app": "faq"}
        assert {name: again[name] for name in again if name == "project" or name.startswith("tag")} == expected
        # Another value in place of the first, and then none.
        changed = read_filters(ada.get(f"{path}?{urlencode(again | {'tag': 'team=red'})}"), path)
        assert {name: changed[name] for name in changed if name.startswith("tag")} == {
            "tag": "team=red",
            "tag:env": "prod",
            "tag:app": "faq",
        }
        fewer = read_filters(ada.get(f"{path}?{urlencode(changed | {'tag': ''})}"), path)
        assert (fewer["tag"], fewer["tag:app"], "tag:env" in fewer) == ("env=prod", "faq", False)

    def test_each_further_tag_is_shown_and_left_out_by_itself(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=3 * USD, tags={"team": "blue", "env": "prod"})
        record_call(world.acme, NOW - HOUR, cost=USD, tags={"team": "blue"})
        ada = Visit(world.ada)
        page = ada.get("/o/acme/?tag:team=blue&tag:env=prod&range=7d").content.decode()
        assert 'title="default: exactly $3.000000000 in this range"' in page
        found = re.search(r'<a class="button" href="([^"]+)"[^>]*>env=prod ×</a>', page)
        assert found is not None
        assert unescape(found[1]) == "/o/acme/?tag%3Ateam=blue&range=7d"
        assert 'title="default: exactly $4.000000000 in this range"' in ada.get(unescape(found[1])).content.decode()


class TestChart:
    def test_forecast_budget_and_unusual_days_are_drawn(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=10 * USD)
        store_forecast(world.acme)
        store_anomaly(world.acme)
        make_budget(world.acme, "60.00", period=BudgetPeriod.MONTH)
        make_budget(world.acme, "90.00", period=BudgetPeriod.MONTH, scope=BudgetScope.PROJECT)
        ada = Visit(world.ada)
        page = ada.get("/o/acme/").content.decode()
        # Of today half a dollar is to come, and one on each of the eight days that are left.
        assert page.count('class="expected"') == 9
        assert re.findall(r"(Still to come|Expected) <span[^>]*>\$([\d.]+)<", page) == [
            ("Still to come", "0.50"),
            *[("Expected", "1.00")] * 8,
        ]
        assert "exactly $2.000000000 a day" in page
        assert 'class="allowed"' in page
        assert "Unusual: Acme: $40.00, usually $10.00" in page
        assert 'data-link="/o/acme/requests?from=2026-11-22&amp;to=2026-11-22"' in page
        narrowed = ada.get(f"/o/acme/?project={world.acme.project.pk}").content.decode()
        assert ('class="expected"' in narrowed, 'class="allowed"' in narrowed) == (False, False)
        assert 'class="expected"' not in ada.get("/o/acme/?range=7d").content.decode()

    def test_four_hundred_days_are_drawn_and_no_more(self, world: World) -> None:
        record_call(world.acme, NOW - timedelta(days=399), cost=3 * USD)
        record_call(world.acme, NOW - HOUR, cost=10 * USD)
        first = NOW.date() - timedelta(days=399)
        ada = Visit(world.ada)
        page = ada.get(f"/o/acme/?from={first}&to={NOW.date()}").content.decode()
        tips = re.findall(r'class="tip-head">(.*?)</p>', page, re.DOTALL)
        assert (len(tips), exact(tips[0])[0], exact(tips[-1])[0]) == (400, 3 * USD, 10 * USD)
        wrong = ada.get(f"/o/acme/?from={first - timedelta(days=1)}&to={NOW.date()}")
        assert (wrong.status_code, "at most 400 days" in error_of(wrong)) == (400, True)

    def test_the_forecast_stands_beside_all_of_the_last_month(self, world: World) -> None:
        for day, dollars in ((1, 4), (31, 12)):
            record_call(world.acme, datetime(2026, 10, day, 9, tzinfo=UTC), cost=dollars * USD)
        record_call(world.acme, NOW - HOUR, cost=10 * USD)
        store_forecast(world.acme)
        found = tile(Visit(world.ada).get("/o/acme/"), "forecast")
        assert "All of the month before: $16.000000000" in found
        assert "<b>+15.6 %</b> vs all of last month" in found
        assert 'class="spark"' in found


class TestMoney:
    def test_what_another_model_would_have_cost_and_a_way_to_try_it(self, world: World) -> None:
        make_catalog(world.acme, model="large", input_per_million="10", output_per_million="10")
        make_catalog(world.acme, model="little", input_per_million="1", output_per_million="1")
        used = {"input_tokens": 900_000, "output_tokens": 100_000}
        for model, dollars in (("large", 10), ("little", 1)):
            record_call(world.acme, NOW - timedelta(days=3), cost=dollars * USD, request_model=model, **used)
        page = Visit(world.ada).get("/o/acme/overview/money")
        assert "Ask little in place of large −$9.00 How this was calculated Try in shadow" in text_of(page)
        assert "Answer quality is not considered" in text_of(page)
        (tried,) = re.findall(r'href="(/o/acme/routes/new[^"]*)"', page.content.decode())
        form = Visit(world.ada).get(unescape(tried)).content.decode()
        chosen = re.findall(r'<option value="(\w+)" selected', form)
        assert [name for name in chosen if name in {"little", "large"}] == ["little", "large", "large"]
        assert "shadow" in chosen
        (why,) = re.findall(r'href="(/o/acme/routes\?range=30d[^"]*)"', page.content.decode())
        assert "$9.00" in text_of(Visit(world.ada).get(unescape(why)))

    def test_a_customer_sees_what_the_month_has_come_to_and_the_last_invoice(self, world: World) -> None:
        make_customer(world.acme, since=datetime(2026, 10, 1, tzinfo=UTC), fee="49.00", grace_days=0)
        record_call(world.acme, datetime(2026, 10, 5, tzinfo=UTC), cost=7 * USD)
        record_call(world.acme, NOW - HOUR, cost=3 * USD)
        (last,) = close(world.acme, datetime(2026, 11, 2, tzinfo=UTC))
        page = Visit(world.ada).get("/o/acme/overview/money")
        # A fee of 49.00 and 3.00 of usage.
        assert "Of November, so far 52.00 USD with $3.00 of usage; billed from 1 Dec on" in text_of(page)
        assert 'href="/o/acme/invoices/next"' in page.content.decode()
        assert f'href="/o/acme/invoices/{last.pk}"' in page.content.decode()

    def test_what_keeps_the_last_month_from_being_issued_is_said(self, world: World) -> None:
        october, november = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
        make_customer(world.acme, since=october, fee="49.00", grace_days=3)
        make_customer(world.mallcorp, since=october, fee="49.00", grace_days=0, currency="EUR")
        assert close(world.acme, november) == close(world.mallcorp, november) == []
        for person, org, why in (
            (world.ada, "acme", "late calls are waited for"),
            (world.mallory, "mallcorp", "There is no exchange rate of EUR yet."),
        ):
            assert f"Of October not issued yet : {why}" in text_of(Visit(person).get(f"/o/{org}/overview/money")), org

    def test_without_a_cheaper_model_or_a_customer_it_says_so(self, world: World) -> None:
        text = text_of(Visit(world.ada).get("/o/acme/overview/money"))
        assert "None of your models would have answered another one's calls for less." in text
        assert "Acme is no customer of this installation's operator: nothing is billed." in text
        assert Visit(world.mallory).get("/o/acme/overview/money").status_code == 404


def test_the_range_is_a_file_of_focus_and_a_table(world: World) -> None:
    record_call(world.acme, NOW - HOUR, cost=3 * USD)
    ada = Visit(world.ada)
    page = ada.get("/o/acme/").content.decode()
    assert 'href="/o/acme/overview/focus.csv?range=mtd"' in page
    assert 'href="/o/acme/breakdown.csv?range=mtd&amp;by=model"' in page
    answer = ada.get("/o/acme/overview/focus.csv?range=mtd")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="focus-2026-11-01-2026-11-22.csv"'
    head, *lines = answer.content.decode().splitlines()
    assert (head.split(","), len(lines)) == (list(COLUMNS), 1)
    assert answer.content == Api(user=world.ada).get("/spend/focus").content
    assert ada.get("/o/acme/overview/focus.csv?from=2026-01-01&to=2026-11-22").status_code == 400
