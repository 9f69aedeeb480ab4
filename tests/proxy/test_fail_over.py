"""A model that does not answer is stood in for: whatever the first upstream does, the second one serves the call, the
ledger is both their bills to the nano, and nothing stays held."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from costhub.lib.redis import client
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.models import update_model
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.edges.entries import find_scope
from tests.proxy.failpoints import Mortal, deploy_mortal
from tests.proxy.load import Outcome, call_all
from tests.proxy.several_banks import balance_banks, start_banks
from tests.world import Catalog, Tenant, World, make_budget

CALLS = 8
#: dearer, so that what a fallback saves is less than nothing
PRICES = {"first": ("0.15", "0.60"), "second": ("0.30", "1.20")}
MOVED = "tests.proxy.moved_clock:application"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    """One worker for all: each organisation has upstreams of its own, and so cool-downs of its own."""
    with deploy(tmp_path_factory.mktemp("fail-over")) as proxy:
        yield proxy


@dataclass(frozen=True)
class Scene:
    """Acme's model ``first`` falls back to ``second``, which lives elsewhere."""

    acme: Tenant
    banks: dict[str, Bank]
    catalogs: dict[str, Catalog]
    proxy: Deployment

    def change_first(self, **settings: Any) -> None:
        """Another setting of the first upstream."""
        with org_scope(self.acme.org_id):
            update_upstream(actor=self.acme.owner, upstream=self.catalogs["first"].upstream, **settings)

    def call(self, calls: int = CALLS, **fields: Any) -> list[Outcome]:
        """Calls of the first model, every other one a stream."""
        bodies = (
            {
                "model": "first",
                "messages": [{"role": "user", "content": f"{number}"}],
                "max_tokens": 20,
                "stream": number % 2 == 1,
            }
            | fields
            for number in range(calls)
        )
        return asyncio.run(call_all(self.proxy.base_url, self.acme.api_key, iter(list(bodies)), clients=4))

    def ask(self, more: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        """One call that is no stream, with ``more`` headers."""
        body = {"model": "first", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20} | fields
        headers = {"authorization": f"Bearer {self.acme.api_key}"} | (more or {})
        with httpx2.Client(
            base_url=self.proxy.base_url, headers=headers, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
        ) as http:
            return http.post("/chat/completions", json=body)

    def balance(self) -> list[LedgerEntry]:
        """The rows of calls, after it was seen that they are the banks' bills, call by call."""
        return balance_banks(self.acme, self.banks, PRICES)


@pytest.fixture
def scene(committed_world: World, tmp_path: Path, proxy: Deployment) -> Iterator[Scene]:
    acme = committed_world.acme
    banks, catalogs = start_banks(acme, PRICES, tmp_path)
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=catalogs["first"].model, fallbacks=["second"])
    make_budget(acme, "100.00")
    make_budget(acme, "100.00", scope=BudgetScope.KEY, subject=str(acme.key.pk))
    make_budget(acme, "100.00", scope=BudgetScope.MODEL, subject="first")
    make_budget(acme, "100.00", scope=BudgetScope.MODEL)
    yield Scene(acme, banks, catalogs, proxy)
    for bank in banks.values():
        bank.stop()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "http_503"}, "status 503"),
        ({"fault": "rate_limited", "retry_after": "60"}, "status 429"),
        ({"fault": "error_after_tokens", "at": 4}, "status 500"),
        ({"fault": "hang_up"}, "upstream_broke_off"),
        ({"fault": "slow_headers"}, "upstream_timeout"),
        ({"fault": "not_json"}, "upstream_malformed"),
        # before the first event of a stream, and within the body of anything else
        ({"fault": "reset", "at_byte": 0}, "upstream_broke_off"),
    ],
    ids=lambda value: str(value["fault"]) if isinstance(value, dict) else "",
)
def test_the_second_serves_what_the_first_does_not(scene: Scene, fault: dict[str, Any], reason: str) -> None:
    if fault["fault"] == "slow_headers":
        scene.change_first(timeout_ms=1_000)
    scene.banks["first"].set_default(**fault)
    outcomes = scene.call()
    assert {(outcome.status, outcome.error_code, outcome.is_whole) for outcome in outcomes} == {(200, "", True)}
    rows = scene.balance()
    assert len(rows) == CALLS
    for row in rows:
        assert (row.request_model, row.attempts[-1]["model"]) == ("first", "second")
        assert str(row.upstream_id) == str(scene.catalogs["second"].upstream.pk)
        assert row.route_reason in {f"fallback from first: {reason}", "fallback from first: does not answer"}
        served = row.attempts[-1]
        assert served["savings"] == {"routing": served["list_cost"] - served["cost"]}
        assert served["list_cost"] * 2 == pytest.approx(served["cost"], abs=2)
        assert served["savings"]["routing"] < 0


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Mortal]:
    with deploy_mortal(tmp_path_factory.mktemp("dying")) as mortal:
        yield mortal


@pytest.mark.parametrize(
    ("place", "visit"),
    [
        # after the first upstream has failed, and been billed: at each await on the way to the second, and at it
        ("before_reserve", 2),
        ("after_reserve", 2),
        ("before_upstream", 2),
        ("upstream_connected", 2),
        ("first_chunk_received", 1),
        pytest.param("answer_received", 1, marks=pytest.mark.soak),
        pytest.param("answer_sent", 1, marks=pytest.mark.soak),
        pytest.param("before_settle", 1, marks=pytest.mark.soak),
        pytest.param("settle_sent", 1, marks=pytest.mark.soak),
    ],
)
def test_a_worker_dies_in_mid_fail_over(scene: Scene, mortal: Mortal, place: str, visit: int) -> None:
    """Whatever had happened by then: what it cost is both banks' bill, and each model's budget has its own part."""
    scene.change_first(max_retries=0)
    scene.banks["first"].set_default(fault="error_after_tokens", at=4)
    mortal.dies_at(place, visit)
    dying = replace(scene, proxy=mortal.proxy)
    dying.call(1, stream=place == "first_chunk_received")
    mortal.proxy.wait_until_it_answers()
    assert not mortal.order.exists()
    (row,) = dying.balance()
    assert row.error_code == "worker_died" or place.startswith("settle")
    assert row.request_model == "first"


def test_one_that_is_to_be_left_alone_for_a_minute_is_asked_again_after_it(scene: Scene, tmp_path: Path) -> None:
    """A 429 that names a minute: the second serves while it lasts, and whoever comes then finds out that it is over."""
    first, ahead = scene.banks["first"], tmp_path / "ahead"
    first.set_default(fault="rate_limited", retry_after="60")
    with deploy(tmp_path, app=MOVED, TEST_CLOCK_AHEAD=str(ahead), TEST_DURATIONS_TOO="yes") as proxy:
        limited = replace(scene, proxy=proxy)
        assert {outcome.status for outcome in limited.call()} == {200}
        asked = len(first.calls_received())
        assert {outcome.status for outcome in limited.call()} == {200}
        assert len(first.calls_received()) == asked, "it said a minute"
        first.set_default()
        ahead.write_text("61000")
        assert {outcome.status for outcome in limited.call()} == {200}
        rows = limited.balance()
    assert len(rows) == 3 * CALLS
    served = [row.attempts[-1]["model"] for row in rows]
    assert served[: 2 * CALLS] == ["second"] * 2 * CALLS
    assert served[-1] == "first"


def test_one_that_cannot_be_reached_is_soon_left_alone(scene: Scene) -> None:
    with scene.banks["first"].refusing():
        assert {outcome.status for outcome in scene.call(1)} == {200}
        answer = scene.ask()
    assert answer.headers["x-costhub-route"] == "fallback from first: does not answer"
    assert answer.headers["x-costhub-model"] == "second"
    first, second = scene.balance()
    assert [attempt["model"] for attempt in first.attempts] == ["first", "first", "first", "second"]
    assert first.route_reason == "fallback from first: upstream_unreachable"
    assert [attempt["model"] for attempt in second.attempts] == ["second"]


def test_an_answer_that_has_begun_is_no_ones_else(scene: Scene) -> None:
    """A stream that breaks off after some tokens ends in an error: nobody can take back what was read."""
    scene.banks["first"].set_default(fault="reset", at=3)
    outcomes = scene.call(2, stream=True)
    assert {outcome.error_code for outcome in outcomes} == {"upstream_broke_off"}
    assert {len(row.attempts) for row in scene.balance()} == {1}


def test_a_refusal_is_an_answer(scene: Scene) -> None:
    scene.banks["first"].set_default(fault="http_error", status=400)
    assert scene.ask().status_code == 400
    (row,) = scene.balance()
    assert [attempt["model"] for attempt in row.attempts] == ["first"]


def test_when_nobody_answers_the_last_one_has_the_word(scene: Scene) -> None:
    scene.banks["first"].set_default(fault="http_503")
    scene.banks["second"].set_default(fault="http_error", status=502)
    assert scene.ask().status_code == 502
    (row,) = scene.balance()
    assert {attempt["model"] for attempt in row.attempts} == {"first", "second"}


def test_a_fallback_that_the_call_cannot_afford_is_left_out(scene: Scene) -> None:
    """The caller pays 30 µ$ at most, which is between what the first may cost and what the second may."""
    scene.banks["first"].set_default(fault="http_503")
    answer = scene.ask({"x-costhub-max-cost": "0.00003"}, max_tokens=16)
    assert answer.status_code == 503
    (row,) = scene.balance()
    assert {attempt["model"] for attempt in row.attempts} == {"first"}


def test_a_key_that_may_not_use_the_fallback_is_not_served_by_it(scene: Scene) -> None:
    acme = scene.acme
    with org_scope(acme.org_id):
        key = create_key(actor=acme.owner, name="first only", models=["first"])
    scene.banks["first"].set_default(fault="http_503")
    assert scene.ask({"authorization": f"Bearer {key.secret}"}).status_code == 503
    (row,) = scene.balance()
    assert {attempt["model"] for attempt in row.attempts} == {"first"}


def test_a_budget_that_begins_meanwhile_holds_the_fallback_and_does_not_end_it(scene: Scene) -> None:
    """The first upstream is silent, then it fails; the call was planned before there was this budget."""
    scene.change_first(max_retries=0)
    scene.banks["first"].set_default(first_ms=250_000, fault="error_after_tokens")
    with ThreadPoolExecutor(1) as aside:
        answer = aside.submit(scene.ask)
        while not scene.banks["first"].calls_received():
            assert not answer.done()
        budget = make_budget(scene.acme, "50.00", scope=BudgetScope.MODEL, subject="second")
        counter = find_scope(scene.acme, budget).counter
        while not client().exists(counter):
            # It begins with the first call that knows of it.
            scene.ask(model="second")
        assert not answer.done()
        scene.banks["first"].let_go()
        served = answer.result()
    assert (served.status_code, served.headers["x-costhub-model"]) == (200, "second")
    row, *others = scene.balance()
    assert [attempt["model"] for attempt in row.attempts] == ["first", "second"]
    spent = sum(attempt["cost"] for one in (row, *others) for attempt in one.attempts if attempt["model"] == "second")
    assert int(client().hget(counter, "s") or 0) == spent > row.attempts[-1]["cost"] > 0
