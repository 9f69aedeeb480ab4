"""A key that hides amounts: what its callers are told has no money in it, and the ledger has all of it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings as configured

from proxy.app import App
from proxy.edges.auth import OWN, sign_own
from tenants.access import org_scope
from tenants.actions.keys import create_key, rotate_key, update_key
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetScope, LimitUnit
from tests.bank import Bank
from tests.proxy.edges.threads import in_thread, within_a_second
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.proxy.test_limits import written
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

#: a decimal of dollars as it is written everywhere
MONEY = re.compile(r"\d+\.\d{6,}")
OF_MONEY = {"x-costhub-cost", "x-costhub-list-cost", "x-costhub-savings", "x-costhub-budget-remaining"}


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
def secret(acme: Tenant) -> str:
    with org_scope(acme.org_id):
        return create_key(actor=acme.owner, name="for customers", hides_amounts=True).secret


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def get(app: App, secret: str, path: str) -> Conversation:
    return await serve(app, converse(secret, path=path, method="GET"))


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_tells_no_cost_and_its_row_has_it(app: App, acme: Tenant, secret: str, is_stream: bool) -> None:
    await in_thread(lambda: make_budget(acme, "0.09"))
    await in_thread(lambda: make_rate_limit(acme, 90_000_000, LimitUnit.USD, scope=BudgetScope.ORGANIZATION))
    await in_thread(lambda: make_rate_limit(acme, 5, scope=BudgetScope.ORGANIZATION))
    body = chat(stream=is_stream)
    told = await serve(app, converse(acme.api_key, body))
    hidden = await serve(app, converse(secret, body))
    assert (told.status, hidden.status) == (200, 200)
    assert hidden.headers["x-ratelimit-limit-requests"] == "5"
    assert told.headers["x-ratelimit-limit-usd"] == "0.090000000"
    assert not [name for name in hidden.headers if name.endswith("-usd")]
    if is_stream:
        assert b"x-costhub-cost: 0.0000" in told.body
    else:
        assert told.headers["x-costhub-cost"] == "0.000008400"
    assert OF_MONEY.isdisjoint(hidden.headers)
    assert b"cost" not in hidden.body
    assert not MONEY.search(hidden.body.decode())

    async def are_written() -> bool:
        return [row["effective_cost"] for row in events_of(acme)] == [8_400, 8_400]

    await within_a_second(are_written)


async def test_our_own_jobs_are_told_what_a_call_costs(app: App, acme: Tenant, secret: str) -> None:
    pepper = configured.KEY_PEPPER
    for signed, told in (
        (sign_own(secret, pepper), {"x-costhub-cost": "0.000008400"}),
        (sign_own(acme.api_key, pepper), {}),
        (sign_own(secret, b"another pepper, 32 bytes long..."), {}),
        ("\u00e9", {}),
    ):
        answer = await serve(app, converse(secret, chat(), **{OWN: signed}))
        found = {name: value for name, value in answer.headers.items() if name == "x-costhub-cost"}
        assert (answer.status, found) == (200, told)


async def test_budgets_are_told_in_per_cent(app: App, acme: Tenant, secret: str) -> None:
    await in_thread(lambda: make_budget(acme, "0.0000336"))
    await in_thread(lambda: make_rate_limit(acme, 16_800, LimitUnit.USD, scope=BudgetScope.ORGANIZATION))
    await in_thread(lambda: make_rate_limit(acme, 5, scope=BudgetScope.ORGANIZATION))
    assert (await serve(app, converse(secret, chat(max_tokens=12)))).status == 200
    await written(app)
    shown = await get(app, secret, "/v1/costhub/budget")
    body: dict[str, Any] = json.loads(shown.body)
    (budget,) = body["budgets"]
    shares = {name: value for name, value in budget.items() if name.endswith("percent")}
    assert shares == {"spent_percent": 14, "held_percent": 0, "remaining_percent": 86}, "4,800 of 33,600 nano-USD"
    assert {"limit", "spent", "held", "remaining", "limit_parts"}.isdisjoint(budget)
    of_usd, of_calls = sorted(body["rate_limits"], key=lambda one: one["unit"] != "usd")
    assert (of_usd["spent_percent"], of_usd["remaining_percent"], "limit" in of_usd) == (28, 72, False)
    assert (of_calls["limit"], of_calls["used"]) == ("5", "1")
    assert not MONEY.search(shown.body.decode())


async def test_who_is_refused_hears_no_amounts_and_the_row_names_them(app: App, acme: Tenant, secret: str) -> None:
    await in_thread(lambda: make_budget(acme, "0.000000001", name="customers"))

    async def is_refused() -> bool:
        return (await serve(app, converse(secret, chat()))).status == 402

    await within_a_second(is_refused)
    refused = await serve(app, converse(secret, chat()))
    error = json.loads(refused.body)["error"]
    assert (error["code"], error["budget"]["name"]) == ("budget_exceeded", "customers")
    assert error["message"] == f"A budget of this call has no room for it. It resets at {error['resets_at']}."
    assert not MONEY.search(refused.body.decode())
    told = json.loads((await serve(app, converse(acme.api_key, chat()))).body)["error"]
    assert told["budget"]["limit"] == "0.000000001"
    rows = [row for row in events_of(acme) if row["status"] == 402]
    assert {row["refused_by"]["limit"] for row in rows} == {"0.000000001"}


async def test_a_full_window_of_money_is_told_without_it(app: App, acme: Tenant, secret: str) -> None:
    await in_thread(lambda: make_rate_limit(acme, 1, LimitUnit.USD, scope=BudgetScope.ORGANIZATION))

    async def is_refused() -> bool:
        return (await serve(app, converse(secret, chat()))).status == 429

    await within_a_second(is_refused)
    refused = await serve(app, converse(secret, chat()))
    error = json.loads(refused.body)["error"]
    assert error["message"] == "A rate limit of this call has no room for it."
    assert not [name for name in refused.headers if name.endswith("-usd")]
    assert not MONEY.search(refused.body.decode())


async def test_prices_and_costs_are_not_to_be_had_another_way(app: App, acme: Tenant, secret: str) -> None:
    (model,) = json.loads((await get(app, secret, "/v1/models")).body)["data"]
    assert model["pricing"] is None
    assert json.loads((await get(app, secret, "/v1/models/small")).body)["pricing"] is None
    assert json.loads((await get(app, acme.api_key, "/v1/models/small")).body)["pricing"] is not None
    answer = await serve(app, converse(secret, chat()))
    for refused in (
        await get(app, secret, f"/v1/costhub/requests/{answer.headers['x-request-id']}"),
        await serve(app, converse(secret, chat(), path="/v1/costhub/estimate")),
    ):
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "amounts_hidden")


async def test_what_replaces_the_key_hides_them_too_until_somebody_changes_that(
    app: App, acme: Tenant, secret: str
) -> None:
    def replace() -> tuple[str, Any]:
        with org_scope(acme.org_id):
            made = create_key(actor=acme.owner, name="another", hides_amounts=True)
            new = rotate_key(actor=acme.owner, key=made.key)
        return new.secret, new.key

    new, key = await in_thread(replace)
    assert "x-costhub-cost" not in (await serve(app, converse(new, chat()))).headers

    def show() -> None:
        with org_scope(acme.org_id):
            update_key(actor=acme.owner, key=key, hides_amounts=False)

    await in_thread(show)

    async def is_told() -> bool:
        return "x-costhub-cost" in (await serve(app, converse(new, chat()))).headers

    await within_a_second(is_told)


async def test_an_organisation_hides_them_from_callers_of_all_keys(app: App, acme: Tenant) -> None:
    """Of keys that proxies know already, too; and tells them again."""
    await in_thread(lambda: make_budget(acme, "1.00"))

    def hide(hides: bool) -> None:
        with org_scope(acme.org_id):
            update_organization(actor=acme.owner, hides_amounts=hides)

    async def is_told() -> bool:
        return "x-costhub-cost" in (await serve(app, converse(acme.api_key, chat(max_tokens=12)))).headers

    async def is_hidden() -> bool:
        return not await is_told()

    assert await is_told()
    await in_thread(lambda: hide(True))
    await within_a_second(is_hidden)
    shown = await get(app, acme.api_key, "/v1/costhub/budget")
    (budget,) = json.loads(shown.body)["budgets"]
    assert {"limit", "spent", "held", "remaining"}.isdisjoint(budget)
    assert not MONEY.search(shown.body.decode())
    (model,) = json.loads((await get(app, acme.api_key, "/v1/models")).body)["data"]
    assert model["pricing"] is None
    refused = await serve(app, converse(acme.api_key, chat(), path="/v1/costhub/estimate"))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "amounts_hidden")
    await in_thread(lambda: hide(False))
    await within_a_second(is_told)
