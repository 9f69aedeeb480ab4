"""The page of budgets and limits: what it shows, what its forms make and refuse."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries

from billing.spend.selectors.standings import MOST_SUBJECTS
from costhub.lib.money import Nanos
from tenants.access import org_scope
from tenants.actions.budgets import create_budget, update_budget
from tenants.actions.keys import create_key
from tenants.actions.limits import create_rate_limit
from tenants.choices import BudgetPeriod, BudgetScope, LimitUnit
from tenants.models import Budget, BudgetIncrease, RateLimit
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, read_button, read_form, refresh, rows_of, text_of
from tests.world import World, make_budget, make_catalog, make_rate_limit

PAGE = "/o/acme/budgets"


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def only(world: World) -> Budget:
    with org_scope(world.acme.org.pk):
        return Budget.objects.get(org=world.acme.org)


def test_a_row_a_subject_the_fullest_first(world: World) -> None:
    make_budget(world.acme, "10.00", period=BudgetPeriod.MONTH, name="All of it")
    make_budget(world.acme, "4.00", scope=BudgetScope.END_USER)
    record_call(world.acme, NOW - timedelta(hours=1), cost=5 * 10**9, end_user="mia")
    ada = Visit(world.ada)
    assert rows_of(ada.get(PAGE)) == [
        "mia end user, by the default · day 125 % $5.00 of $4.00 $0.00 -$1.00 $10.00 a day 12 hours blocking",
        "All of it organization Acme · month 50 % $5.00 of $10.00 $0.00 $5.00 $0.23 a day 9 days block",
    ]
    assert [row.split()[0] for row in rows_of(ada.get(f"{PAGE}?sort=subject"))] == ["All", "mia"]
    assert len(rows_of(ada.get(f"{PAGE}?scope=organization"))) == 1
    assert "Nothing matches" in text_of(ada.get(f"{PAGE}?q=nobody"))


def test_an_empty_page_says_what_to_do_to_those_who_may(world: World) -> None:
    assert "New budget" in text_of(Visit(world.ada).get(PAGE))
    assert "New budget" not in text_of(Visit(world.ben).get(PAGE))


def test_the_form_makes_a_budget(world: World) -> None:
    ada = Visit(world.ada)
    make_catalog(world.acme, model="small")
    answer = ada.submit(
        f"{PAGE}/new",
        scope="project",
        subject="default",
        period="week",
        limit="$1,250.50",
        action="degrade",
        ladder="80 shorter_output 500\n\n100 block",
        thresholds="60, 90",
        name="Week",
        rollover="1",
    )
    assert (error_of(answer), answer.status_code) == ("", 302)
    made = only(world)
    assert (made.scope, made.subject, made.period) == ("project", str(world.acme.project.pk), "week")
    assert (made.limit_nanos, made.thresholds, made.rollover) == (1_250_500_000_000, [60, 90], True)
    assert made.ladder == [{"at": 80, "rung": "shorter_output", "max_tokens": 500}, {"at": 100, "rung": "block"}]


BAD = [
    ({"limit": ""}, "Fill this in."),
    ({"limit": "ten"}, "such as 10.00"),
    ({"limit": "1e9"}, "such as 10.00"),
    ({"limit": "0.0000000001"}, "at most 9 decimal places"),
    ({"limit": "-1"}, "above zero"),
    ({"limit": "9" * 30}, "such as 10.00"),
    ({"limit": "5" * 50}, "at most 40 characters"),
    ({"limit": "10,50"}, "such as 10.50"),
    ({"limit": "1,00,000"}, "separates thousands"),
    ({"limit": "1.000,50"}, "separates thousands"),
    ({"limit": "1_000"}, "such as 10.00"),
    ({"thresholds": "80, 50"}, "rising"),
    ({"thresholds": "eighty"}, "such as 50, 80, 100"),
    ({"scope": "project", "subject": "nowhere"}, "There is no such project."),
    ({"subject": "somebody"}, "leave it out"),
    ({"scope": "moon"}, "Choose one of"),
    ({"period": "moon"}, "Choose one of"),
    ({"action": "degrade", "ladder": "soon cheaper"}, "Give a rung a line"),
    ({"action": "degrade", "ladder": "80 shorter_output many"}, "whole number"),
    ({"action": "degrade"}, "rungs"),
    ({"name": "a\x00b"}, "NUL"),
    ({"name": "x" * 121}, "at most 120 characters"),
    ({"scope": "tag", "subject": "\u202eblue"}, "key=value"),
]


def test_what_cannot_be_is_said_beside_its_field_and_stays_typed(world: World) -> None:
    ada = Visit(world.ada)
    for typed, words in BAD:
        answer = ada.submit(f"{PAGE}/new", **{"limit": "1.00", "name": "💸 mine", **typed})
        assert (400 <= answer.status_code < 500, words in error_of(answer)) == (True, True), typed
        assert ("name" in typed) != ('value="💸 mine"' in answer.content.decode()), typed
    with org_scope(world.acme.org.pk):
        assert not Budget.objects.exists()


def test_a_form_that_is_sent_twice_makes_one_budget(world: World) -> None:
    ada = Visit(world.ada)
    sent = {"scope": "organization", "period": "day", "limit": "1.00", "action": "block", "thresholds": "50"}
    mark = {"once": "0190aaaa-0000-7000-8000-00000000b001"}
    assert ada.post(f"{PAGE}/new", {**sent, **mark, "limit": "x"}).status_code == 400
    assert [ada.post(f"{PAGE}/new", sent | mark).status_code for _ in range(2)] == [302, 409]
    assert only(world).limit_nanos == 10**9


def test_of_two_who_edit_one_budget_the_second_is_told(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    ada = Visit(world.ada)
    page = f"{PAGE}/{budget.pk}"
    first = ada.get(page)
    assert ada.submit(page, limit="20").status_code == 302
    stale = {**read_form(first.content.decode()), "limit": "30"}
    refused = ada.post(page, stale)
    assert (refused.status_code, only(world).limit_nanos) == (409, 20 * 10**9)
    assert "Somebody has changed this" in error_of(refused)
    # Saving what is shown now replaces it.
    again = {**stale, **{name: read_form(refused.content.decode())[name] for name in ("seen", "once")}}
    assert ada.post(page, again).status_code == 302
    assert only(world).limit_nanos == 30 * 10**9


def test_a_budget_gets_more_for_a_time_and_is_switched_off_and_on(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    ada = Visit(world.ada)
    page = f"{PAGE}/{budget.pk}"
    ada.post(f"{page}/increase", {"amount": "5", "until": "2026-11-30T12:00", "reason": "launch"})
    with org_scope(world.acme.org.pk):
        increase = BudgetIncrease.objects.get(budget=budget)
    shown = text_of(ada.get(page))
    assert "$5.00 until 30 Nov 2026, 12:00: launch" in shown
    assert "The budget has more until then." in shown
    assert ["of $15.00" in row for row in rows_of(ada.get(PAGE))] == [True]
    ada.post(f"{page}/increase", {"end": str(increase.pk)})
    assert ["of $10.00" in row for row in rows_of(ada.get(PAGE))] == [True]
    ada.post(f"{page}/increase", {"amount": "x", "until": "2026-11-30T12:00"})
    assert "such as 10.00" in text_of(ada.get(page))
    ada.press(page, f"{page}/switch")
    assert not only(world).is_active
    assert "Switched off" in text_of(ada.get(PAGE))
    ada.press(page, f"{page}/switch")
    assert only(world).is_active


def test_an_increase_that_is_sent_twice_adds_once(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    ada, page = Visit(world.ada), f"{PAGE}/{budget.pk}"
    sent = read_button(ada.get(page).content.decode(), f"{page}/increase")
    sent |= {"amount": "5", "until": "2026-11-30T12:00", "reason": "launch"}
    for _ in range(2):
        ada.post(f"{page}/increase", sent)
    with org_scope(world.acme.org.pk):
        assert [one.amount_nanos for one in BudgetIncrease.objects.all()] == [5 * 10**9]
    assert "This form was sent before" in text_of(ada.get(page))


def test_who_may_not_set_money_sees_and_changes_nothing(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    limit = make_rate_limit(world.acme, 5)
    ben = Visit(world.ben)
    assert ben.get(f"{PAGE}/{budget.pk}").status_code == 200
    assert "Save" not in text_of(ben.get(f"{PAGE}/{budget.pk}"))
    for path in (f"{PAGE}/{budget.pk}", f"{PAGE}/{budget.pk}/switch", f"{PAGE}/{budget.pk}/increase", f"{PAGE}/new"):
        assert (
            ben.post(path, {"limit": "99", "amount": "1", "until": "2026-12-01T00:00", "is_active": "no"}).status_code
            == 403
        ), path
    assert ben.post(f"/o/acme/limits/{limit.pk}/switch", {"is_active": "no"}).status_code == 403
    assert (only(world).limit_nanos, only(world).is_active) == (10 * 10**9, True)


def test_an_organisation_that_does_not_pay_changes_nothing(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    world.acme.org.is_read_only = True
    with org_scope(world.acme.org.pk):
        world.acme.org.save(update_fields=["is_read_only"])
    ada = Visit(world.ada)
    refused = ada.submit(f"{PAGE}/{budget.pk}", limit="20")
    assert (refused.status_code, only(world).limit_nanos) == (402, 10 * 10**9)
    assert "long overdue" in text_of(ada.post(f"{PAGE}/{budget.pk}/switch"))


def test_rate_limits_are_made_changed_and_switched_off(world: World) -> None:
    ada = Visit(world.ada)
    made = ada.submit("/o/acme/limits/new", scope="key", unit="usd", limit="2.50", window_seconds="60")
    assert made.status_code == 302
    with org_scope(world.acme.org.pk):
        limit = RateLimit.objects.get()
    assert (limit.unit, limit.amount, limit.window_seconds) == (LimitUnit.USD, 2_500_000_000, 60)
    assert "Each key $2.50 60 s on" in text_of(ada.get(PAGE))
    assert ada.submit(f"/o/acme/limits/{limit.pk}", limit="3").status_code == 302
    ada.press(f"/o/acme/limits/{limit.pk}", f"/o/acme/limits/{limit.pk}/switch")
    refresh(limit)
    assert (limit.amount, limit.is_active) == (3 * 10**9, False)
    refused = ada.submit("/o/acme/limits/new", scope="key", unit="requests", limit="many", window_seconds="60")
    assert (refused.status_code, error_of(refused)) == (400, "Give a whole number, such as 60.")


def test_of_many_limits_the_first_are_on_the_page_and_all_on_their_own(
    world: World, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with org_scope(world.acme.org.pk):
        for number in range(55):
            key = create_key(actor=world.acme.owner, name=f"key {number:02d}").key
            made = create_budget(
                actor=world.acme.owner,
                scope=BudgetScope.KEY,
                subject=str(key.pk),
                period=BudgetPeriod.DAY,
                limit_nanos=Nanos(10**9),
            )
            update_budget(actor=world.acme.owner, budget=made, is_active=False)
            create_rate_limit(
                actor=world.acme.owner,
                scope=BudgetScope.KEY,
                subject=str(key.pk),
                unit=LimitUnit.REQUESTS,
                amount=5,
                window_seconds=60,
            )
    ada = Visit(world.ada)
    ada.get(PAGE)
    # Names of all are asked for at once, not one by one.
    with django_assert_max_num_queries(45):
        page = ada.get(PAGE)
    assert "All 55 rate limits" in text_of(page)
    assert "All 55 that are switched off" in text_of(page)
    limits = [rows_of(ada.get(f"/o/acme/limits?sort=whose&page={number}")) for number in (1, 2)]
    assert ([len(rows) for rows in limits], limits[1][-1]) == ([50, 5], "Key key 54 5 requests 60 s on")
    assert len(rows_of(ada.get("/o/acme/limits?q=key+1"))) == 10
    off = ada.get(f"{PAGE}/off?q=key+54")
    assert rows_of(off) == ["Key key 54 key · day $1.00 22 Nov 2026"]


def test_of_a_default_it_is_said_how_many_are_not_listed(world: World) -> None:
    make_budget(world.acme, "4.00", scope=BudgetScope.END_USER)
    for number in range(MOST_SUBJECTS + 2):
        record_call(world.acme, NOW - timedelta(hours=1), cost=10**7 * (number + 1), end_user=f"user-{number:02d}")
    ada = Visit(world.ada)
    page = ada.get(PAGE)
    assert "Each end user holds 2 more than are listed, which have spent less. All of them by spend" in text_of(page)
    (link,) = re.findall(r'href="([^"]+)">All of them by spend', page.content.decode())
    assert "in 52 calls" in text_of(ada.get(unescape(link)))
    with org_scope(world.acme.org.pk):
        budget = Budget.objects.get()
    assert "And others 52 in all" in text_of(ada.get(f"{PAGE}/{budget.pk}"))


def test_the_link_to_all_of_a_default_is_narrowed_and_says_since_when(world: World) -> None:
    acme, early = world.acme, NOW - timedelta(days=30)
    make_budget(acme, "4.00", scope=BudgetScope.END_USER, period=BudgetPeriod.TOTAL, within={"key": str(acme.key.pk)})
    make_budget(acme, "4.00", scope=BudgetScope.TAG)
    for number in range(MOST_SUBJECTS + 1):
        record_call(acme, early, cost=number + 1, end_user=f"user-{number:02d}")
        record_call(acme, NOW - timedelta(hours=1), cost=number + 1, tags={"team": f"team-{number:02d}"})
    record_call(acme, early, cost=1, end_user="elsewhere", key_id=acme.project.pk)
    ada = Visit(world.ada)
    page = ada.get(PAGE)
    words = text_of(page)
    assert "Each end user within first key holds 1 more than are listed" in words
    assert "All of them by spend since 19 Oct 2025" in words
    assert "Each tag holds 1 more than are listed, which have spent less. The breakdown has all values" in words
    (link,) = re.findall(r'href="([^"]+)">All of them by spend', page.content.decode())
    assert f"from=2025-10-19&to=2026-11-22&key={acme.key.pk}" in unescape(link)
    # 51 of the key's users, and its calls without one.
    assert "in 102 calls" in text_of(ada.get(unescape(link)))


def test_the_default_of_tags_shows_whom_it_refuses(world: World) -> None:
    make_budget(world.acme, "4.00", scope=BudgetScope.TAG)
    record_call(world.acme, NOW - timedelta(hours=1), cost=5 * 10**9, tags={"team": "blue"})
    (row,) = rows_of(Visit(world.ada).get(PAGE))
    assert row.startswith("team=blue tag, by the default · day 125 % $5.00 of $4.00")
