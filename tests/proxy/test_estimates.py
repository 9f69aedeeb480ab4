"""What a call would cost, by its words or by numbers of tokens, and whether it would be let in."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from costhub.lib import clock
from proxy.app import App
from tenants.choices import BudgetAction, LimitUnit, RouteKind
from tests.bank import Bank
from tests.proxy.edges.threads import in_thread, within_a_second
from tests.proxy.in_process import chat, converse, serve
from tests.tenants.route_examples import PRICES, make_route
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def estimate(app: App, acme: Tenant, query: str = "", headers: Any = None, **body: Any) -> dict[str, Any]:
    path = f"/v1/costhub/estimate{query}"
    answer = await serve(app, converse(acme.api_key, {"model": "small"} | body, path=path, **(headers or {})))
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def wait_for_fit(app: App, acme: Tenant, verdict: str, **body: Any) -> dict[str, Any]:
    """The estimate's fit, when what was just made is known to the proxy."""
    found: dict[str, Any] = {}

    async def has_come() -> bool:
        found.update((await estimate(app, acme, **body))["fits"])
        return bool(found["verdict"] == verdict)

    await within_a_second(has_come)
    return found


async def test_numbers_of_tokens_are_priced_without_words(app: App, acme: Tenant) -> None:
    """150 nano-USD a token in, 600 out."""
    found = await estimate(app, acme, input_tokens=1_000, output_tokens=500)
    assert {name: found[name] for name in ("model", "input_tokens", "input_tokens_are_exact", "max_output_tokens")} == {
        "model": "small",
        "input_tokens": 1_000,
        "input_tokens_are_exact": True,
        "max_output_tokens": 500,
    }
    assert (found["min_cost"], found["max_cost"]) == ("0.000150000", "0.000450000")
    assert found["fits"] == {"verdict": "whole", "max_output_tokens": 500, "by": None}
    (candidate,) = found["plan"]["candidates"]
    assert (candidate["input_tokens_at_most"], candidate["cost_at_most"]) == (1_000, "0.000450000")
    # Without a number of output tokens as many as the model gives; of two choices twice as many.
    most = await estimate(app, acme, input_tokens=1_000)
    twice = await estimate(app, acme, input_tokens=1_000, output_tokens=500, n=2)
    assert most["max_output_tokens"] > 500
    assert (twice["max_output_tokens"], twice["max_cost"]) == (1_000, "0.000750000")
    vectors = await estimate(app, acme, "?endpoint=embeddings", input_tokens=1_000)
    assert (vectors["max_output_tokens"], vectors["max_cost"]) == (0, "0.000150000")
    assert (await estimate(app, acme, input_tokens=0, output_tokens=1))["max_cost"] == "0.000000600"


@pytest.mark.parametrize(
    ("query", "body", "param"),
    [
        ("", {"output_tokens": 5}, "input_tokens"),
        ("", {"input_tokens": -1}, "input_tokens"),
        ("", {"input_tokens": True}, "input_tokens"),
        ("", {"input_tokens": "many"}, "input_tokens"),
        ("", {"input_tokens": 10**8}, "input_tokens"),
        ("", {"input_tokens": 5, "output_tokens": 0}, "output_tokens"),
        ("", {"input_tokens": 5, "messages": []}, "messages"),
        ("", {"input_tokens": 5, "input": "Hi"}, "input"),
        ("?endpoint=embeddings", {"input_tokens": 5, "output_tokens": 5}, "output_tokens"),
        ("?endpoint=messages", {"input_tokens": 5}, "endpoint"),
    ],
)
async def test_numbers_that_cannot_be_are_refused(
    app: App, acme: Tenant, query: str, body: dict[str, Any], param: str
) -> None:
    assert (await estimate(app, acme, query, **body))["error"]["param"] == param


async def test_a_budget_that_cuts_the_answer_is_named_with_what_is_left(app: App, acme: Tenant) -> None:
    budget = await in_thread(lambda: make_budget(acme, "0.0003", name="the whole firm"))
    await in_thread(lambda: make_budget(acme, "0.0000001", action=BudgetAction.WARN))
    fit = await wait_for_fit(app, acme, "cut", input_tokens=1_000, output_tokens=500)
    # 150,000 nanos of the 300,000 are for the input, and 250 tokens of output cost as much.
    assert fit["max_output_tokens"] == 250
    by = fit["by"]
    assert {name: by[name] for name in ("kind", "id", "name", "scope", "period", "limit", "remaining", "needed")} == {
        "kind": "budget",
        "id": str(budget.pk),
        "name": "the whole firm",
        "scope": "organization",
        "period": "day",
        "limit": "0.000300000",
        "remaining": "0.000300000",
        "needed": "0.000450000",
    }
    resets = datetime.fromisoformat(by["resets_at"])
    assert timedelta(0) < resets - clock.now() <= timedelta(days=1, hours=1)


async def test_a_budget_that_would_refuse_is_named_and_refuses(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_budget(acme, "0.0001"))
    fit = await wait_for_fit(app, acme, "refused", input_tokens=1_000, output_tokens=500)
    by = fit["by"]
    # No call is begun that has no money for 16 tokens of an answer.
    assert (fit["max_output_tokens"], by["name"], by["remaining"], by["needed"]) == (
        *(0, None, "0.000100000"),
        "0.000159600",
    )
    asked = chat(messages=[{"role": "user", "content": "word " * 1_000}], max_tokens=500)
    by_words = (await estimate(app, acme, **asked))["fits"]
    refused = json.loads((await serve(app, converse(acme.api_key, asked))).body)["error"]
    assert (by_words["verdict"], refused["code"]) == ("refused", "budget_exceeded")
    assert (by_words["by"]["id"], by_words["by"]["needed"], by_words["by"]["resets_at"]) == (
        *(refused["budget"]["id"], refused["budget"]["needed"]),
        refused["resets_at"],
    )
    # What fits is let in.
    small = chat(max_tokens=12)
    assert (await estimate(app, acme, **small))["fits"] == {"verdict": "whole", "max_output_tokens": 12, "by": None}
    assert (await serve(app, converse(acme.api_key, small))).status == 200


async def test_a_full_window_is_named_and_when_it_is_empty_at_the_latest(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_rate_limit(acme, 900, LimitUnit.TOKENS))
    await in_thread(lambda: make_rate_limit(acme, 1, LimitUnit.REQUESTS, is_shadow=True))
    fit = await wait_for_fit(app, acme, "refused", input_tokens=1_000, output_tokens=500)
    by = fit["by"]
    assert {name: by[name] for name in ("kind", "scope", "unit", "window_seconds", "limit", "used", "remaining")} == {
        "kind": "limit",
        "scope": "key",
        "unit": "tokens",
        "window_seconds": 60,
        "limit": "900",
        "used": "0",
        "remaining": "900",
    }
    assert timedelta(0) < datetime.fromisoformat(by["resets_at"]) - clock.now() <= timedelta(seconds=60)
    assert (await estimate(app, acme, input_tokens=100, output_tokens=500))["fits"]["verdict"] == "whole"


async def test_a_callers_own_limit_is_a_limit_too(app: App, acme: Tenant) -> None:
    for limit, verdict, granted in (("0.0004", "cut", 416), ("0.0001", "refused", 0), ("0.00045", "whole", 500)):
        fit = (await estimate(app, acme, headers={"x_costhub_max_cost": limit}, input_tokens=1_000, output_tokens=500))[
            "fits"
        ]
        assert (fit["verdict"], fit["max_output_tokens"]) == (verdict, granted)
        assert (fit["by"] or {}).get("name") == (None if verdict == "whole" else "x-costhub-max-cost")


def make_ladder(acme: Tenant, bank: Bank, **rung: Any) -> None:
    """A call of the large model is more than a tenth of the budget: from there on others are on a rung."""
    make_catalog(acme, model="large", base_url=bank.base_url, input_per_million="1.5", output_per_million="6")
    make_budget(acme, "0.0006", action=BudgetAction.DEGRADE, ladder=[{"at": 10} | rung])


async def test_a_budgets_ladder_decides_here_too_also_where_no_call_has_told_this_process(
    app: App, acme: Tenant, bank: Bank
) -> None:
    await in_thread(lambda: make_ladder(acme, bank, rung="cheaper_model", model="small"))
    asked = chat(model="large", max_tokens=20)
    assert (await estimate(app, acme, **asked))["model"] == "large"
    assert (await serve(app, converse(acme.api_key, asked))).status == 200
    found = await estimate(app, acme, **asked)
    # 150 nano-USD a token in and 600 out, where the large one has ten times that.
    assert (found["model"], found["fits"]["verdict"], found["max_cost"]) == ("small", "whole", "0.000025050")
    assert found["plan"]["rungs"] == ["cheaper_model"]


async def test_a_ladder_on_which_only_the_cache_answers_refuses(app: App, acme: Tenant, bank: Bank) -> None:
    await in_thread(lambda: make_ladder(acme, bank, rung="cache_only"))
    asked = chat(model="large", max_tokens=20)
    assert (await serve(app, converse(acme.api_key, asked))).status == 200
    fits = (await estimate(app, acme, **asked))["fits"]
    assert fits == {"verdict": "refused", "max_output_tokens": 0, "by": {"kind": "rung", "name": "cache_only"}}
    refused = await serve(app, converse(acme.api_key, asked))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (402, "cache_only")


async def test_routes_that_read_lengths_plan_by_numbers_and_those_that_read_words_want_words(
    app: App, acme: Tenant, bank: Bank
) -> None:
    def make() -> None:
        for name in ("middle", "large"):
            into, out = PRICES[name]
            make_catalog(acme, model=name, base_url=bank.base_url, input_per_million=into, output_per_million=out)
        long = {"model": "large", "when": {"min_tokens": 1_000}}
        make_route(acme, RouteKind.FIXED, name="by-length", targets=[long, {"model": "middle"}])
        make_route(acme, names=("middle", "large"), name="by-words")

    await in_thread(make)

    async def is_known() -> bool:
        return "error" not in await estimate(app, acme, model="by-length", input_tokens=5)

    await within_a_second(is_known)
    models = [(await estimate(app, acme, model="by-length", input_tokens=tokens))["model"] for tokens in (999, 1_000)]
    assert models == ["middle", "large"]
    refused = (await estimate(app, acme, model="by-words", input_tokens=5))["error"]
    assert (refused["param"], "reads the words of a call" in refused["message"]) == ("model", True)


async def test_numbers_beside_what_is_nested_too_deeply_are_refused_in_words(app: App, acme: Tenant) -> None:
    raw = b'{"model":"small","input_tokens":5,"metadata":' + b"[" * 300 + b"]" * 300 + b"}"
    answer = await serve(app, converse(acme.api_key, raw, path="/v1/costhub/estimate"))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith("The body is nested too deeply")
