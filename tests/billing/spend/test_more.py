"""What more in a budget does to its month: told to who decides, on the page and in the mail."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from tenants.access import org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.models import BudgetRequest
from tests.billing.ledger import NOW, record_call
from tests.billing.outlook import store_forecast
from tests.console.client import Visit, text_of
from tests.world import Api, World, make_budget

USD = 10**9


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


MONTHS = [
    # Ten dollars are spent, a dollar a day is forecast, eighteen and a half by the end.
    (
        "12.00",
        "$10.00 of $12.00 is spent (83 %). $18.50 is forecast for the end of the month, past the limit on 24 November."
        " With $7.00 more the limit is $19.00, and the forecast stays within it.",
    ),
    (
        "11.00",
        "$10.00 of $11.00 is spent (90 %). $18.50 is forecast for the end of the month, past the limit on 23 November."
        " With $7.00 more the limit is $18.00, and is forecast to be passed on 30 November.",
    ),
    (
        "40.00",
        "$10.00 of $40.00 is spent (25 %). $18.50 is forecast for the end of the month, within the limit. With $7.00"
        " more the limit is $47.00, and the forecast stays within it.",
    ),
]


@pytest.mark.parametrize(("limit", "told"), MONTHS)
def test_what_it_does_to_the_month(world: World, limit: str, told: str) -> None:
    record_call(world.acme, NOW - timedelta(hours=1), cost=10 * USD)
    store_forecast(world.acme)
    budget = make_budget(world.acme, limit, period=BudgetPeriod.MONTH)
    ben, ada = Visit(world.ben), Visit(world.ada)
    until = "2026-11-30T12:00"
    asked = ben.submit(f"/o/acme/budgets/{budget.pk}/ask", amount="7", until=until, reason="a load test")
    page = ada.get(asked.headers["Location"])
    assert told in text_of(page)
    assert f'href="/o/acme/budgets/{budget.pk}">Open the budget</a>' in page.content.decode()


def test_of_a_default_the_one_that_used_the_most_and_of_a_day_no_forecast(world: World) -> None:
    for who, cost in (("mia", 3), ("tom", 1)):
        record_call(world.acme, NOW - timedelta(hours=1), cost=cost * USD, end_user=who)
    budget = make_budget(world.acme, "4.00", scope=BudgetScope.END_USER)
    made = Api(user=world.ben).post(
        "/budget-requests",
        {"budget": str(budget.pk), "amount": "2", "until": (NOW + timedelta(days=2)).isoformat(), "reason": "a test"},
    )
    assert made.status_code == 201
    told = "$3.00 of $4.00 is spent by mia (75 %). With $2.00 more the limit is $6.00."
    assert told in text_of(Visit(world.ada).get(f"/o/acme/budget-requests/{made.json()['id']}"))


def test_a_link_of_the_mail_chooses_and_does_not_decide(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    made = Api(user=world.ben).post(
        "/budget-requests",
        {"budget": str(budget.pk), "amount": "5", "until": (NOW + timedelta(days=2)).isoformat(), "reason": "a test"},
    )
    path = f"/o/acme/budget-requests/{made.json()['id']}"
    ada = Visit(world.ada)
    for decision in ("yes", "less", "no"):
        page = ada.get(f"{path}?decision={decision}").content.decode()
        assert f'<button class="primary" name="decision" value="{decision}"' in page
        assert page.count('<button class="primary" name="decision"') == 1
    with org_scope(world.acme.org.pk):
        assert BudgetRequest.objects.get().state == "open"
