"""Spend by anything, calls as CSV, refusals that name what refused, and the hint for a base URL without /v1."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.test import RequestFactory
from django.urls import resolve

from tenants.access import org_scope
from tenants.models import SavedView
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, read_stream, rows_of, text_of
from tests.world import Api, World, make_budget, make_catalog

HOUR = timedelta(hours=1)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def test_by_end_user_and_tag_against_the_equal_period_before(world: World) -> None:
    record_call(world.acme, NOW - HOUR, cost=3 * 10**9, end_user="mia", tags={"team": "blue"})
    record_call(world.acme, NOW - HOUR, cost=10**9, end_user="tom")
    record_call(world.acme, NOW - timedelta(days=8), cost=2 * 10**9, end_user="mia")
    ada = Visit(world.ada)
    page = ada.get("/o/acme/breakdown?by=end_user&range=7d")
    assert rows_of(page) == ["mia 1 0 $3.00 +50.0 % 75 %", "tom 1 0 $1.00 new 25 %"]
    assert "$4.00 in 2 calls · +100.0 % against $2.00 in the same time before; who moved most" in text_of(page)
    assert 'href="/o/acme/breakdown?by=end_user&amp;range=7d&amp;sort=-change"' in page.content.decode()
    moved = ada.get("/o/acme/breakdown?by=end_user&range=7d&sort=-change")
    assert "in the same time before; mia moved most" in text_of(moved)
    assert 'href="/o/acme/requests?by' not in page.content.decode()
    assert 'href="/o/acme/requests?range=7d&amp;end_user=mia"' in page.content.decode()
    tags = ada.get("/o/acme/breakdown?by=tag:team&range=7d")
    assert rows_of(tags) == ["blue 1 0 $3.00 new 75 %", "(none) 1 0 $1.00 −50.0 % 25 %"]
    assert "By tag team" in text_of(tags)
    assert rows_of(ada.get("/o/acme/requests?tag:team=blue"))[0].startswith("22 Nov 11:00:00 200")
    assert len(rows_of(ada.get("/o/acme/requests?tag:team=blue"))) == 1
    assert error_of(ada.get("/o/acme/breakdown?by=colour")).startswith("by: give one of")
    assert ada.get("/o/acme/breakdown?range=custom&from=2025-01-01&to=2026-11-22").status_code == 400


def test_shares_without_amounts_for_a_screen_that_others_see(world: World) -> None:
    record_call(world.acme, NOW - HOUR, cost=3 * 10**9, end_user="mia")
    record_call(world.acme, NOW - HOUR, cost=10**9, end_user="tom")
    record_call(world.acme, NOW - timedelta(days=8), cost=2 * 10**9, end_user="mia")
    ada = Visit(world.ada)
    page = ada.get("/o/acme/breakdown?by=end_user&range=7d&show=percent")
    assert rows_of(page) == ["mia 1 0 +50.0 % 75 %", "tom 1 0 new 25 %"]
    assert "2 calls · +100.0 % against the same time before" in text_of(page)
    assert "$" not in re.sub(r"<nav.*?</nav>", "", page.content.decode(), flags=re.DOTALL)
    assert error_of(ada.get("/o/acme/breakdown?show=euro")) == "show: leave it out, or give percent."


def test_a_view_is_saved_under_a_name_found_by_others_and_forgotten(world: World) -> None:
    ada, ben = Visit(world.ada), Visit(world.ben)
    page = ben.get("/o/acme/breakdown?by=end_user&range=7d&page=1")
    assert 'name="query" value="by=end_user&amp;range=7d"' in page.content.decode()
    typed = {"page": "breakdown", "query": "by=end_user&range=7d&page=3", "name": SCRIPT}
    assert ben.post("/o/acme/views", typed).headers["Location"].startswith("/o/acme/breakdown?by=end_user")
    found = ada.get("/o/acme/breakdown").content.decode()
    assert 'href="/o/acme/breakdown?by=end_user&amp;range=7d"' in found
    assert SCRIPT not in found
    ben.post("/o/acme/views", typed)
    assert "There is a view of this name" in text_of(ben.get("/o/acme/breakdown"))
    for bad in ({"query": "nonsense"}, {"query": "q=" + "x" * 2_000}, {"page": "alerts"}, {"query": "q=%00"}):
        ben.post("/o/acme/views", typed | {"name": "other"} | bad)
    with org_scope(world.acme.org.pk):
        view = SavedView.objects.get()
    ada.post("/o/acme/views", {"page": "requests", "query": "", "name": "all"})
    with org_scope(world.acme.org.pk):
        other = SavedView.objects.get(name="all")
    assert ben.post(f"/o/acme/views/{other.pk}/remove").status_code == 403
    assert ada.post(f"/o/acme/views/{view.pk}/remove").headers["Location"] == "/o/acme/breakdown"
    assert Visit(world.mallory).post(f"/o/acme/views/{other.pk}/remove").status_code == 404
    with org_scope(world.acme.org.pk):
        assert [one.name for one in SavedView.objects.all()] == ["all"]
    listed = Api(token=world.acme.admin_token).get("/saved-views").json()
    assert [(one["name"], one["page"]) for one in listed["data"]] == [("all", "requests")]


def test_the_same_as_csv(world: World) -> None:
    record_call(world.acme, NOW - HOUR, cost=3 * 10**9, end_user="mia", tags={"team": "blue"})
    ada = Visit(world.ada)
    answer = ada.get("/o/acme/breakdown.csv?by=end_user")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="spend-2026-11-01-2026-11-22.csv"'
    assert answer.content.decode("utf-8-sig").splitlines()[1] == "mia,1,0,0,3.000000000,3.000000000,0.000000000"
    calls = read_stream(ada.get("/o/acme/requests.csv?end_user=mia")).splitlines()
    assert (calls[0].endswith(",duration_ms,tag team,other_tags"), calls[1].endswith(",blue,")) == (True, True)
    assert ada.get("/o/acme/requests.csv?colour=red").status_code == 400
    assert Visit(world.mallory).get("/o/acme/requests.csv").status_code == 404


def test_days_of_an_address_are_the_days_of_its_table_and_stay_chosen(world: World) -> None:
    for day, who in ((0, "mia"), (3, "tom"), (9, "zoe")):
        record_call(world.acme, NOW - timedelta(days=day), end_user=who)
    ada = Visit(world.ada)
    days = "from=2026-11-13&to=2026-11-19"
    answer = ada.get(f"/o/acme/requests.csv?{days}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="requests-2026-11-13-2026-11-19.csv"'
    assert re.findall(r",(mia|tom|zoe),", read_stream(answer)) == ["tom", "zoe"]
    for path in ("requests", "breakdown"):
        page = ada.get(f"/o/acme/{path}?{days}").content.decode()
        assert '<option value="custom" selected>' in page, path
        assert 'name="from" type="date" value="2026-11-13" aria-label="First day" >' in page, path
        assert 'name="to" type="date" value="2026-11-19" aria-label="Last day, inclusive" >' in page, path
        assert f'href="/o/acme/{path}.csv?from=2026-11-13&amp;to=2026-11-19"' in page, path
        plain = ada.get(f"/o/acme/{path}?range=7d").content.decode()
        assert 'value="2026-11-16" aria-label="First day" disabled>' in plain, path


def test_a_refused_call_names_what_refused_it(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    told = {
        "kind": "budget",
        "id": str(budget.pk),
        "scope": "organization",
        "subject": world.acme.org_id,
        "period": "day",
        "limit": "10.000000000",
        "spent": "9.990000000",
        "held": "0.000000000",
        "needed": "0.020000000",
        "resets_at": "2026-11-23T00:00:00+00:00",
    }
    call = record_call(world.acme, NOW - HOUR, status=402, error_code="budget_exceeded", refused_by=told)
    ada = Visit(world.ada)
    assert "402 budget_exceeded day budget of the organization: limit $10.00" in rows_of(ada.get("/o/acme/requests"))[0]
    detail = text_of(ada.get(f"/o/acme/requests/{call.id}"))
    assert (
        "Why it was refused Day budget of the organization: limit $10.00 Limit $10.000000000 Spent $9.990000000"
        " Held by calls under way $0.000000000 This call needed $0.020000000 Resets 23 Nov 2026, 00:00"
    ) in detail
    assert f'href="/o/acme/budgets/{budget.pk}"' in ada.get(f"/o/acme/requests/{call.id}").content.decode()


def test_the_overview_refuses_what_it_does_not_know_and_compares_its_range(world: World) -> None:
    record_call(world.acme, NOW - HOUR, cost=3 * 10**9)
    record_call(world.acme, NOW - timedelta(days=8), cost=2 * 10**9)
    ada = Visit(world.ada)
    assert "+50.0 % vs the same time before" in text_of(ada.get("/o/acme/?range=7d"))
    for path in ("/o/acme/?colour=red", "/o/acme/requests?colour=red"):
        page = ada.get(path)
        assert (page.status_code, "There is no such parameter here" in error_of(page)) == (400, True)


def test_the_first_call_names_a_model_that_can_be_called(world: World) -> None:
    make_catalog(world.acme, model="a-unpriced", input_per_million=None)
    make_catalog(world.acme, model="b-priced")
    assert '"model": "b-priced"' in text_of(Visit(world.ada).get("/o/acme/"))


def test_a_client_without_v1_is_told_so() -> None:
    client = RequestFactory()
    for path in ("/chat/completions", "/models", "/messages", "/responses/abc"):
        found = resolve(path)
        for method in (client.get, client.post):
            answer = found.func(method(path), *found.args, **found.kwargs)
            error = json.loads(answer.content)["error"]
            assert (answer.status_code, error["code"], getattr(found.func, "csrf_exempt", False)) == (
                404,
                "missing_v1",
                True,
            )
            assert error["message"].endswith("Give your client the base URL http://testserver/v1: it ends in /v1.")
