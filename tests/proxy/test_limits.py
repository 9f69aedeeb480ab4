"""Limits from the caller's side: what is refused and when to come again, and what is told of what is left."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import openai
import pytest
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib import clock, keyspace
from costhub.lib.money import Nanos
from costhub.lib.redis import client
from proxy.app import App
from proxy.attempts import loop
from proxy.core import budgets as core_limits
from proxy.core import layout
from tenants.access import org_scope
from tenants.actions.budgets import create_budget, update_budget
from tenants.actions.increases import end_increase, increase_budget
from tenants.actions.keys import create_key
from tenants.actions.projects import create_project
from tenants.actions.stops import set_stopped
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, LimitUnit
from tenants.models import Budget, BudgetIncrease, Upstream
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import open_holds
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.edges.entries import make_event
from tests.proxy.edges.threads import in_thread, within_a_second
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

#: an answer waits so long before its first byte, unless it may go sooner
HELD_MS = 250_000


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Deployment]:
    with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("rates")) as proxy:
        yield proxy


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, with a model that costs 0.15 and 0.60 USD a million."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def call(app: App, acme: Tenant, body: dict[str, Any] | None = None, **headers: str) -> Conversation:
    return await serve(app, converse(acme.api_key, body or chat(), **headers))


async def written(app: App) -> None:
    """Return when every call that has ended is settled."""
    assert app._edges is not None
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), PATIENCE_SECONDS)


def ratelimits(answer: Conversation) -> dict[str, str]:
    return {
        name.removeprefix("x-ratelimit-"): value
        for name, value in answer.headers.items()
        if name.startswith("x-ratelimit-")
    }


async def test_the_third_of_two_calls_a_minute(app: App, acme: Tenant) -> None:
    limit = await in_thread(lambda: make_rate_limit(acme, 2))
    answers = [await call(app, acme) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [ratelimits(answer) for answer in answers] == [
        {"limit-requests": "2", "remaining-requests": left, "reset-requests": "1m0s"} for left in ("1", "0", "0")
    ]
    refused = answers[2]
    wait_ms = int(refused.headers["retry-after-ms"])
    assert 0 < wait_ms <= 60_000
    assert int(refused.headers["retry-after"]) == -(-wait_ms // 1000)
    error = json.loads(refused.body)["error"]
    assert error["message"].startswith(
        f"Rate limit reached for the key {acme.key.name!r} on requests within 1m0s: limit 2, used 2, requested 1. Try again in"
    )
    assert (error["type"], error["code"], error["request_id"]) == (
        "requests",
        "rate_limit_exceeded",
        refused.headers["x-request-id"],
    )
    assert error["limit"] == {
        "id": str(limit.pk),
        "scope": "key",
        "subject": str(acme.key.pk),
        "subject_name": acme.key.name,
        "within": None,
        "unit": "requests",
        "window_seconds": 60,
        "limit": "2",
        "used": "2",
        "requested": "1",
    }


async def test_a_refused_call_has_its_row_and_holds_nothing(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_rate_limit(acme, 1))
    await call(app, acme)
    await call(app, acme)
    await written(app)
    first, second = events_of(acme)
    assert [(row["status"], row["error_code"], row["effective_cost"]) for row in (first, second)] == [
        (200, "", 8_400),
        (429, "rate_limit_exceeded", 0),
    ]
    assert open_holds(acme.org) == []


@pytest.mark.parametrize("how", ["made", "switched on"])
async def test_a_budget_that_begins_counts_the_calls_in_flight(app: App, acme: Tenant, bank: Bank, how: str) -> None:
    """Five calls of 8,400 nanos each are under way when there comes to be a budget of 30,000."""
    budget: Budget | None = None
    if how == "switched on":
        budget = await in_thread(lambda: make_budget(acme, "0.00003", scope=BudgetScope.KEY))
        await in_thread(lambda: switch(acme, budget, False))
    slow = chat(max_tokens=12, bank={"first_ms": HELD_MS})
    calls = [asyncio.create_task(call(app, acme, slow)) for _ in range(5)]

    async def all_hold() -> bool:
        return len(open_holds(acme.org)) == 5

    await within_a_second(all_hold)
    if budget is None:
        await in_thread(lambda: make_budget(acme, "0.00003", scope=BudgetScope.KEY))
    else:
        await in_thread(lambda: switch(acme, budget, True))

    async def is_known() -> bool:
        assert app._edges is not None
        return bool((await app._edges.catalog.get_org(acme.org_id)).budgets)

    await within_a_second(is_known)
    first = await call(app, acme, chat(max_tokens=12))
    assert (first.status, json.loads(first.body)["error"]["code"]) == (402, "budget_exceeded")
    await in_thread(bank.let_go)
    assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 5
    await written(app)
    after = await call(app, acme, chat(max_tokens=12))
    budget_then = json.loads(after.body)["error"]["budget"]
    assert (after.status, budget_then["spent"], budget_then["held"]) == (402, "0.000042000", "0.000000000")


def switch(acme: Tenant, budget: Budget | None, is_active: bool) -> None:
    assert budget is not None
    with org_scope(acme.org_id):
        update_budget(actor=acme.owner, budget=Budget.objects.get(pk=budget.pk), is_active=is_active)


async def test_dollars_are_counted_before_and_after(app: App, acme: Tenant) -> None:
    """A call may cost 12 tokens' worth more than it is sure of; what it does cost is what stays in the window."""
    await in_thread(lambda: make_rate_limit(acme, 40_000, LimitUnit.USD))
    first = await call(app, acme, chat(max_tokens=20))
    assert first.status == 200
    assert first.headers["x-ratelimit-limit-usd"] == "0.000040000"
    await written(app)
    second = await call(app, acme, chat(max_tokens=10, bank={"output_tokens": 10}))
    assert second.status == 200, second.body
    await written(app)
    left = 40_000 - 8_400 - events_of(acme)[1]["held"]
    assert second.headers["x-ratelimit-remaining-usd"] == f"0.{left:09d}"
    third = await call(app, acme, chat(max_tokens=20))
    assert (third.status, json.loads(third.body)["error"]["type"]) == (429, "usd")


async def test_a_call_that_costs_nothing_leaves_nothing_held(app: App, acme: Tenant, bank: Bank) -> None:
    def limit() -> None:
        make_catalog(acme, model="free", base_url=bank.base_url, input_per_million="0", output_per_million="0")
        make_rate_limit(acme, 1, LimitUnit.CONCURRENT)
        with org_scope(acme.org_id):
            create_budget(actor=acme.owner, scope=BudgetScope.KEY, period=BudgetPeriod.DAY, limit_nanos=Nanos(1))

    await in_thread(limit)
    for _ in range(2):
        assert (await call(app, acme, chat(model="free"))).status == 200
        await written(app)
    assert [(row["status"], row["effective_cost"]) for row in events_of(acme)] == [(200, 0)] * 2
    assert open_holds(acme.org) == []


async def test_tokens_that_nobody_knows_stay_in_the_window(app: App, acme: Tenant, bank: Bank) -> None:
    """The caller leaves and the upstream will tell its bill later: until then the call counts with what it might have
    used."""

    def limit() -> None:
        make_rate_limit(acme, 1_000, LimitUnit.TOKENS)
        with org_scope(acme.org_id):
            upstream = Upstream.objects.get(org=acme.org)
            update_upstream(actor=acme.owner, upstream=upstream, bill_path="/bill/{id}")

    await in_thread(limit)
    body = chat(max_tokens=600, stream=True, bank={"output_tokens": 500, "pace_ms": 20})
    conversation = converse(acme.api_key, body)
    serving = asyncio.create_task(serve(app, conversation))
    await conversation.has_begun.wait()
    conversation.incoming.put_nowait({"type": "http.disconnect"})
    await serving
    await written(app)
    refused = await call(app, acme, chat(max_tokens=600))
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (429, "tokens")
    await asyncio.to_thread(bank.wait_quiet)


async def test_a_caller_without_a_limit_of_its_own_is_held_to_the_windows(app: App, acme: Tenant, bank: Bank) -> None:
    """The model may write 16,384 tokens: more than the window ever takes. The upstream is told what does fit."""
    await in_thread(lambda: make_rate_limit(acme, 300, LimitUnit.TOKENS))
    assert (await call(app, acme, chat(bank={"output_tokens": 12}))).status == 200
    sent = json.loads(bank.calls_received()[-1].body)
    assert 100 < sent["max_tokens"] <= 300


async def test_a_call_that_never_fits_is_told_so(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_rate_limit(acme, 5, LimitUnit.TOKENS))
    refused = await call(app, acme)
    assert refused.status == 429
    assert json.loads(refused.body)["error"]["message"].endswith("This call alone is more than the limit takes.")
    assert refused.headers["x-should-retry"] == "false"


async def test_the_first_parallel_calls_of_somebody_new_hold_the_limit(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_rate_limit(acme, 3, scope=BudgetScope.END_USER))
    answers = await asyncio.gather(*(call(app, acme, x_costhub_user="new") for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 17
    assert (await call(app, acme, x_costhub_user="another")).status == 200


@pytest.mark.parametrize("what", ["rate limit", "budget"])
async def test_the_first_parallel_calls_of_somebody_new_within_a_project_hold_its_limit(
    app: App, acme: Tenant, what: str
) -> None:
    """Three calls a minute, or money for two, for each end user of one project. Elsewhere the same person is not
    held."""

    def limit() -> str:
        place = {"project": str(acme.project.pk)}
        if what == "budget":
            make_budget(acme, "0.000025", scope=BudgetScope.END_USER, within=place)
        else:
            make_rate_limit(acme, 3, scope=BudgetScope.END_USER, within=place)
        with org_scope(acme.org_id):
            other = create_project(actor=acme.owner, name="elsewhere")
            return create_key(actor=acme.owner, name="elsewhere", project=other).secret

    elsewhere = await in_thread(limit)
    body = chat(max_tokens=12)
    answers = await asyncio.gather(*(call(app, acme, body, x_costhub_user="new") for _ in range(20)))
    await written(app)
    served = [row["effective_cost"] for row in events_of(acme) if row["status"] == 200]
    if what == "budget":
        assert {answer.status for answer in answers} == {200, 402}
        assert 0 < sum(served) <= 25_000
    else:
        assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 17
    free = [await serve(app, converse(elsewhere, body, x_costhub_user="new")) for _ in range(5)]
    assert [answer.status for answer in free] == [200] * 5


async def test_a_refusal_says_within_which_project(app: App, acme: Tenant) -> None:
    place = {"project": str(acme.project.pk)}
    await in_thread(lambda: make_rate_limit(acme, 1, scope=BudgetScope.END_USER, within=place))
    await call(app, acme, x_costhub_user="ann")
    error = json.loads((await call(app, acme, x_costhub_user="ann")).body)["error"]
    assert error["message"].startswith(
        f"Rate limit reached for the end user ann within the project {acme.project.name!r} on requests"
    )
    assert error["limit"]["within"] == place
    await in_thread(lambda: make_budget(acme, "0.000000001", scope=BudgetScope.END_USER, within=place))

    async def is_over_budget() -> bool:
        return (await call(app, acme, x_costhub_user="ben")).status == 402

    await within_a_second(is_over_budget)
    error = json.loads((await call(app, acme, x_costhub_user="ben")).body)["error"]
    assert error["budget"]["within"] == place
    path = "/v1/costhub/budget"
    shown = json.loads((await serve(app, converse(acme.api_key, path=path, method="GET", x_costhub_user="ann"))).body)
    assert [one["within"] for one in (*shown["budgets"], *shown["rate_limits"])] == [place, place]


async def test_one_person_may_have_more_than_the_others(app: App, acme: Tenant) -> None:
    def limit() -> None:
        make_rate_limit(acme, 1, scope=BudgetScope.END_USER)
        make_rate_limit(acme, 3, scope=BudgetScope.END_USER, subject="ben")

    await in_thread(limit)
    assert [(await call(app, acme, x_costhub_user="ben")).status for _ in range(4)] == [200, 200, 200, 429]
    assert [(await call(app, acme, x_costhub_user="ann")).status for _ in range(2)] == [200, 429]


async def test_so_many_calls_at_once(app: App, acme: Tenant, bank: Bank) -> None:
    await in_thread(lambda: make_rate_limit(acme, 1, LimitUnit.CONCURRENT))
    slow = converse(acme.api_key, chat(stream=True, bank={"output_tokens": 1_000, "pace_ms": 50}))
    serving = asyncio.create_task(serve(app, slow))
    await slow.has_begun.wait()
    refused = await call(app, acme)
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (429, "concurrent")
    assert "at once: limit 1, used 1, requested 1. Try again in 1s." in json.loads(refused.body)["error"]["message"]
    assert ratelimits(refused) == {}
    slow.incoming.put_nowait({"type": "http.disconnect"})
    await serving
    await written(app)
    assert (await call(app, acme)).status == 200
    await asyncio.to_thread(bank.wait_quiet)


async def test_a_shadow_refuses_nothing_and_tells(app: App, acme: Tenant) -> None:
    def limit() -> tuple[str, str]:
        rate = make_rate_limit(acme, 1, is_shadow=True)
        with org_scope(acme.org_id):
            budget = create_budget(
                actor=acme.owner,
                scope=BudgetScope.KEY,
                period=BudgetPeriod.TOTAL,
                limit_nanos=Nanos(25_000),
                is_shadow=True,
            )
        return str(rate.pk), str(budget.pk)

    rate, budget = await in_thread(limit)
    for _ in range(2):
        answer = await call(app, acme)
        assert (answer.status, ratelimits(answer)) == (200, {})
        await written(app)
    assert [row["would_refuse"] for row in events_of(acme)] == [[], [budget, rate]]


def test_the_official_client_raises_its_own_error(proxy: Deployment, bank: Bank, committed_world: World) -> None:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_rate_limit(acme, 1)
    with openai.OpenAI(api_key=acme.api_key, base_url=proxy.base_url, max_retries=0) as official:
        messages: list[Any] = [{"role": "user", "content": "how many roads"}]
        official.chat.completions.create(model="small", messages=messages)
        with pytest.raises(openai.RateLimitError) as caught:
            official.chat.completions.create(model="small", messages=messages)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_shadow_is_named_by_its_unit(app: App, acme: Tenant) -> None:
    def limit() -> list[str]:
        return [
            str(make_rate_limit(acme, amount, unit, is_shadow=True).pk)
            for amount, unit in ((1, LimitUnit.REQUESTS), (10, LimitUnit.TOKENS))
        ]

    requests, tokens = await in_thread(limit)
    for _ in range(2):
        await call(app, acme)
        await written(app)
    assert [row["would_refuse"] for row in events_of(acme)] == [[tokens], [requests, tokens]]


async def test_an_end_user_sees_what_is_left(app: App, acme: Tenant) -> None:
    def limit() -> None:
        make_rate_limit(acme, 5, scope=BudgetScope.END_USER)
        make_rate_limit(acme, 1_000_000, LimitUnit.USD, scope=BudgetScope.END_USER)
        make_rate_limit(acme, 2, LimitUnit.CONCURRENT)
        make_rate_limit(acme, 9, scope=BudgetScope.END_USER, subject="ann")
        with org_scope(acme.org_id):
            for subject, nanos in (("", 50_000_000), ("ben", 90_000_000)):
                create_budget(
                    actor=acme.owner,
                    scope=BudgetScope.END_USER,
                    subject=subject,
                    period=BudgetPeriod.DAY,
                    limit_nanos=Nanos(nanos),
                )

    await in_thread(limit)
    await call(app, acme, x_costhub_user="ben")
    await written(app)
    shown = json.loads(
        (await serve(app, converse(acme.api_key, path="/v1/costhub/budget", method="GET", x_costhub_user="ben"))).body
    )
    (budget,) = shown["budgets"]
    assert (budget["limit"], budget["spent"], budget["remaining"]) == ("0.090000000", "0.000008400", "0.089991600")
    assert [
        (one["unit"], one["subject"], one["window_seconds"], one["limit"], one["used"], one["remaining"])
        for one in shown["rate_limits"]
    ] == [
        ("requests", "ben", 60, "5", "1", "4"),
        ("usd", "ben", 60, "0.001000000", "0.000008400", "0.000991600"),
        ("concurrent", str(acme.key.pk), 0, "2", "0", "2"),
    ]


async def show_budgets(app: App, acme: Tenant) -> list[dict[str, Any]]:
    path = "/v1/costhub/budget"
    shown: list[dict[str, Any]] = json.loads((await serve(app, converse(acme.api_key, path=path, method="GET"))).body)[
        "budgets"
    ]
    return shown


async def test_what_was_left_yesterday_is_added_today(app: App, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a counter of yesterday: what was spent then is counted in the ledger."""
    for module in (layout, core_limits):
        monkeypatch.setattr(module, "ROLLS_AFTER_MS", 0)

    def limit() -> None:
        budget = make_budget(acme, "0.000020", rollover=True)
        with org_scope(acme.org_id):
            Budget.objects.filter(pk=budget.pk).update(created_at=clock.now() - timedelta(days=3))
        yesterday = clock.now_ms() - 86_400_000
        client().xadd(keyspace.ledger_key(acme.org.shard), {"e": make_event(acme, 15_500, at_ms=yesterday)})

    await in_thread(limit)
    (before,) = await show_budgets(app, acme)
    assert (before["limit"], before["limit_parts"]["rollover"]) == ("0.000020000", "0.000000000"), "not known yet"
    served = await call(app, acme, chat(max_tokens=100))
    parts = {"own": "0.000020000", "increases": "0.000000000", "rollover": "0.000004500"}
    assert served.status == 200, "with fewer tokens"
    await written(app)
    assert 20_000 < events_of(acme)[-1]["held"] <= 24_500
    (after,) = await show_budgets(app, acme)
    assert (after["limit"], after["limit_parts"]) == ("0.000024500", parts)
    refused = await call(app, acme, chat(messages=[{"role": "user", "content": "x" * 500}]))
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["budget"]["limit"], error["budget"]["limit_parts"]) == (402, "0.000024500", parts)
    assert "of $0.000024500," in error["message"]


async def test_an_increase_holds_until_it_ends(app: App, acme: Tenant) -> None:
    budget = await in_thread(lambda: make_budget(acme, "0.000000001"))

    def increase() -> BudgetIncrease:
        with org_scope(acme.org_id):
            return increase_budget(
                actor=acme.owner, budget=budget, amount_nanos=Nanos(10**9), until=clock.now() + timedelta(hours=1)
            )

    def end() -> None:
        with org_scope(acme.org_id):
            end_increase(actor=acme.owner, increase=made)

    async def answers(status: int) -> bool:
        return (await call(app, acme)).status == status

    assert await answers(402)
    made = await in_thread(increase)
    await within_a_second(lambda: answers(200))
    (shown,) = await show_budgets(app, acme)
    assert (shown["limit"], shown["limit_parts"]) == (
        "1.000000001",
        {"own": "0.000000001", "increases": "1.000000000", "rollover": "0.000000000"},
    )
    await in_thread(end)
    await within_a_second(lambda: answers(402))


async def test_a_call_that_comes_too_late_for_its_period_is_not_taken(
    app: App, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left is given away by then."""
    monkeypatch.setattr(layout, "ADMISSION_MS", -86_400_000)
    await in_thread(lambda: make_budget(acme, "1"))
    assert (await call(app, acme)).status == 200
    await in_thread(lambda: make_budget(acme, "1", rollover=True))

    async def is_refused() -> bool:
        return (await call(app, acme)).status == 503

    await within_a_second(is_refused)


async def test_a_run_has_a_budget_of_its_own(app: App, acme: Tenant) -> None:
    def limit() -> None:
        with org_scope(acme.org_id):
            create_budget(
                actor=acme.owner, scope=BudgetScope.SESSION, period=BudgetPeriod.DAY, limit_nanos=Nanos(30_000)
            )

    await in_thread(limit)
    statuses = []
    for session in ("run 1", "run 1", "run 2", ""):
        answer = await call(app, acme, chat(max_tokens=20), **({"x_costhub_session": session} if session else {}))
        statuses.append(answer.status)
        await written(app)
    assert statuses == [200, 402, 200, 200]
    assert [row["session"] for row in events_of(acme)] == ["run 1", "run 1", "run 2", ""]


@pytest.mark.parametrize("what", ["organization", "project", "key"])
async def test_the_emergency_stop_takes_effect_within_a_second(app: App, acme: Tenant, what: str) -> None:
    target = {"organization": acme.org, "project": acme.project, "key": acme.key}[what]
    assert (await call(app, acme)).status == 200

    def set_to(is_stopped: bool) -> None:
        with org_scope(acme.org_id):
            set_stopped(actor=acme.owner, target=target, is_stopped=is_stopped)  # type: ignore[arg-type]

    async def answers(status: int) -> bool:
        return (await call(app, acme)).status == status

    await in_thread(lambda: set_to(True))
    await within_a_second(lambda: answers(403))
    refused = await call(app, acme)
    error = json.loads(refused.body)["error"]
    assert (error["code"], refused.headers["x-should-retry"]) == ("emergency_stop", "false")
    await written(app)
    assert (events_of(acme)[-1]["error_code"], events_of(acme)[-1]["effective_cost"]) == ("emergency_stop", 0)
    await in_thread(lambda: set_to(False))
    await within_a_second(lambda: answers(200))


class TestLadder:
    """Calls of a large model, 84 microdollars each, under a budget of 600: from 60 on they are on a rung."""

    @pytest.fixture
    def climb(self, acme: Tenant, bank: Bank) -> Callable[..., Awaitable[None]]:
        async def make(*rungs: dict[str, Any]) -> None:
            def create() -> None:
                make_catalog(
                    acme, model="large", base_url=bank.base_url, input_per_million="1.5", output_per_million="6"
                )
                with org_scope(acme.org_id):
                    create_budget(
                        actor=acme.owner,
                        scope=BudgetScope.ORGANIZATION,
                        period=BudgetPeriod.DAY,
                        limit_nanos=Nanos(600_000),
                        action=BudgetAction.DEGRADE,
                        ladder=[{"at": 10} | rung for rung in rungs],
                    )

            await in_thread(create)

        return make

    async def ask(self, app: App, acme: Tenant) -> Conversation:
        answer = await call(app, acme, chat(model="large", max_tokens=20))
        await written(app)
        return answer

    async def test_a_cheaper_model(self, app: App, acme: Tenant, climb: Callable[..., Awaitable[None]]) -> None:
        await climb({"rung": "cheaper_model", "model": "small"})
        first, second = [await self.ask(app, acme) for _ in range(2)]
        assert [answer.headers["x-costhub-model"] for answer in (first, second)] == ["large", "small"]
        assert [answer.headers["x-costhub-route"] for answer in (first, second)] == [
            "direct",
            "degraded: cheaper_model",
        ]
        names = ("x-costhub-cost", "x-costhub-list-cost", "x-costhub-savings")
        assert [[answer.headers[name] for name in names] for answer in (first, second)] == [
            ["0.000084000", "0.000084000", "0.000000000"],
            ["0.000008400", "0.000084000", "0.000075600"],
        ]
        row = events_of(acme)[1]
        assert (row["request_model"], row["route_reason"], row["savings"]) == (
            "large",
            "degraded: cheaper_model",
            {"routing": 75_600},
        )
        assert row["list_cost"] - row["effective_cost"] == 75_600

    async def test_the_upstream_that_is_called_says_what_leaving_means(
        self, app: App, acme: Tenant, bank: Bank, climb: Callable[..., Awaitable[None]]
    ) -> None:
        """The cheaper model's upstream is read to the end when its caller leaves; the one that was asked for is not."""

        def drain() -> None:
            with org_scope(acme.org_id):
                upstream = Upstream.objects.get(org=acme.org, name="for small")
                update_upstream(actor=acme.owner, upstream=upstream, drain_on_disconnect=True)

        await in_thread(drain)
        await climb({"rung": "cheaper_model", "model": "small"})
        await self.ask(app, acme)
        body = chat(model="large", max_tokens=20, stream=True, bank={"output_tokens": 12, "pace_ms": 5})
        conversation = converse(acme.api_key, body)
        serving = asyncio.create_task(serve(app, conversation))
        await conversation.has_begun.wait()
        conversation.incoming.put_nowait({"type": "http.disconnect"})
        await serving
        await written(app)
        row = events_of(acme)[-1]
        assert (row["status"], row["output_tokens"], row["is_estimated"]) == (200, 12, False)

    async def test_a_process_that_knows_nothing_yet_finds_the_rung(
        self, app: App, acme: Tenant, climb: Callable[..., Awaitable[None]]
    ) -> None:
        await climb({"rung": "cheaper_model", "model": "small"})
        await self.ask(app, acme)
        another = App()
        await another.open()
        answer = await call(another, acme, chat(model="large", max_tokens=20))
        await another.close()
        assert answer.headers["x-costhub-model"] == "small"

    async def test_a_shorter_answer(
        self, app: App, acme: Tenant, bank: Bank, climb: Callable[..., Awaitable[None]]
    ) -> None:
        await climb({"rung": "shorter_output", "max_tokens": 5}, {"rung": "cheaper_model", "model": "small"})
        for _ in range(2):
            answer = await self.ask(app, acme)
        assert answer.headers["x-costhub-route"] == "degraded: shorter_output, cheaper_model"
        assert json.loads(bank.calls_received()[-1].body)["max_tokens"] == 5

    async def test_a_slower_lane(
        self, app: App, acme: Tenant, climb: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A minute of it, which nobody sits through here: the clock goes on, and it is not our overhead."""
        waits: list[float] = []
        now = clock.monotonic_ns

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        monkeypatch.setattr(loop, "sleep", sleep)
        monkeypatch.setattr(clock, "monotonic_ns", lambda: now() + int(sum(waits) * 1_000_000_000))
        await climb({"rung": "slower_lane", "delay_ms": 60_000})
        await self.ask(app, acme)
        assert waits == []
        answer = await self.ask(app, acme)
        assert waits == [60.0]
        assert answer.headers["x-costhub-route"] == "degraded: slower_lane"
        row = events_of(acme)[1]
        assert row["duration_us"] > 60_000_000
        assert 0 <= row["overhead_us"] < 30_000_000, "it waited for nothing of ours"

    async def test_with_a_rollover_its_per_cents_are_of_the_whole(
        self, app: App, acme: Tenant, climb: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing was spent yesterday: the rung begins at 120 of 1,200."""
        for module in (layout, core_limits):
            monkeypatch.setattr(module, "ROLLS_AFTER_MS", 0)

        def roll() -> None:
            with org_scope(acme.org_id):
                budget = Budget.objects.get(org=acme.org)
                update_budget(actor=acme.owner, budget=budget, rollover=True)
                Budget.objects.filter(pk=budget.pk).update(created_at=clock.now() - timedelta(days=3))

        await climb({"rung": "cheaper_model", "model": "small"})
        await in_thread(roll)
        answers = [await self.ask(app, acme) for _ in range(3)]
        assert [answer.headers["x-costhub-model"] for answer in answers] == ["large", "large", "small"]

    async def test_block(self, app: App, acme: Tenant, climb: Callable[..., Awaitable[None]]) -> None:
        await climb({"rung": "block"})
        refused = await self.ask(app, acme)
        assert (refused.status, json.loads(refused.body)["error"]["budget"]["limit"]) == (402, "0.000060000")
