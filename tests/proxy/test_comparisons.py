"""Comparisons: another of a route's models is asked beside a call, by a row of its own and within a month's money, and
what it says becomes a label."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.app import App
from proxy.ledger import recount
from proxy.routing.model import RouteLabel
from tenants.access import org_scope
from tenants.actions.routes import update_route
from tenants.choices import Mode, RouteKind
from tenants.models import Route
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import close_the_day, open_holds
from tests.proxy.cache.calls import call, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, events_of
from tests.tenants.route_examples import PRICES, make_route
from tests.world import Tenant, World, make_catalog

#: 20 tokens out of the large one cost 240 µ$ and its prompt some more
PLENTY = 1_000_000_000


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    return committed_world.acme


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Bank]:
    """Where the small model is, for those who want the two apart."""
    (tmp_path / "other").mkdir()
    other = Bank.start(tmp_path / "other")
    yield other
    other.stop()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


def compared(
    acme: Tenant, bank: Bank, kind: RouteKind = RouteKind.ROUTER, *, small_at: Bank | None = None, **policy: Any
) -> Route:
    """Acme's route, whose every second call is compared: chance draws by the call's id, so a test takes many."""
    for name, (into, out) in PRICES.items():
        at = small_at if small_at is not None and name == "small" else bank
        make_catalog(acme, model=name, base_url=at.base_url, input_per_million=into, output_per_million=out)
    if kind is RouteKind.ROUTER:
        # Nothing is sent against its advice: the small model answers.
        policy = {"explore_percent": 0} | policy
    policy = {"is_learning": True, "compare_percent": 50, "compare_monthly_limit": PLENTY} | policy
    return make_route(acme, kind, **policy)


async def ask(app: App, acme: Tenant, calls: int, **fields: Any) -> list[dict[str, Any]]:
    """The rows of so many calls and of all that was done beside them."""
    for number in range(calls):
        body = chat(model="smart", max_tokens=20, messages=[{"role": "user", "content": f"Hi {number}"}], **fields)
        answer = await call(app, acme, body)
        assert answer.status == 200
    assert app._edges is not None
    await asyncio.wait_for(app._edges.background_tasks.wait(), PATIENCE_SECONDS)
    await written(app)
    return events_of(acme)


def labels_of(acme: Tenant) -> list[RouteLabel]:
    with org_scope(acme.org_id):
        return list(RouteLabel.objects.filter(org_id=acme.org_id).exclude(gain=None).order_by("at"))


def close_books(acme: Tenant) -> None:
    close_the_day(acme)
    assert open_holds(acme.org) == []
    assert recount.find_drift(acme.org.shard) == []


async def test_a_comparison_is_a_row_of_its_own_and_leaves_a_label(app: App, acme: Tenant, bank: Bank) -> None:
    await in_thread(lambda: compared(acme, bank))
    rows = await ask(app, acme, 24)
    calls = [row for row in rows if row["kind"] == "call"]
    beside = [row for row in rows if row["kind"] == "comparison"]
    assert len(calls) == 24
    assert 0 < len(beside) < 24
    assert {row["request_model"] for row in calls} == {"smart"}
    assert {row["request_model"] for row in beside} == {"large"}
    assert {tuple(row["tags"].items()) for row in beside} == {(("costhub:comparison", "smart"),)}
    # The bank says the same whoever asks: the small model would have done.
    ids = {row["id"] for row in calls}
    for row in beside:
        reason, _, outcome = row["route_reason"].partition(": ")
        assert (reason.removeprefix("comparison for ") in ids, outcome) == (True, "the same answer")
        assert row["effective_cost"] == row["list_cost"] > 0
        assert row["savings"] == {}
    labels = await in_thread(lambda: labels_of(acme))
    assert len(labels) == len(beside)
    assert {(label.model, label.right, label.gain) for label in labels} == {("small", True, 0.0)}
    await in_thread(lambda: close_books(acme))
    assert len(bank.bill()) == len(rows)


async def test_another_answer_is_a_gain_of_the_strong_model(app: App, acme: Tenant, bank: Bank, other: Bank) -> None:
    """In shadow the large model answers, and the small one, which says something else, is asked beside it."""
    other.set_default(wide=True)
    await in_thread(lambda: compared(acme, bank, small_at=other, mode=Mode.SHADOW))
    rows = await ask(app, acme, 24)
    beside = [row for row in rows if row["kind"] == "comparison"]
    assert 0 < len(beside) == len(other.bill())
    assert {row["request_model"] for row in beside} == {"small"}
    assert {row["route_reason"].partition(": ")[2] for row in beside} == {"another answer"}
    labels = await in_thread(lambda: labels_of(acme))
    assert [(label.model, label.right, label.gain) for label in labels] == [("small", False, 1.0)] * len(beside)


async def test_a_month_spends_no_more_than_its_limit(app: App, acme: Tenant, bank: Bank) -> None:
    """A comparison may cost about 300 µ$: there is money for one or two, held to the nano before it is asked."""
    limit = 600_000
    await in_thread(lambda: compared(acme, bank, compare_monthly_limit=limit))
    rows = await ask(app, acme, 20)
    spent = [row["effective_cost"] for row in rows if row["kind"] == "comparison"]
    assert 0 < sum(spent) <= limit
    # Those that did not fit left no row, and kept no call from its answer.
    assert len([row for row in rows if row["kind"] == "call"]) == 20
    await in_thread(lambda: close_books(acme))
    assert len(bank.bill()) == len(rows)


async def test_switched_off_nothing_is_asked_beside(app: App, acme: Tenant, bank: Bank) -> None:
    route = await in_thread(lambda: compared(acme, bank))

    def switch_off() -> None:
        with org_scope(acme.org_id):
            update_route(actor=acme.owner, route=route, compare_percent=0)

    await in_thread(switch_off)
    await told(app, acme)
    assert {row["kind"] for row in await ask(app, acme, 8)} == {"call"}


async def test_a_cascade_that_did_not_climb_is_compared_with_its_last_rung(app: App, acme: Tenant, bank: Bank) -> None:
    bank.set_default(logprob=-0.05)
    await in_thread(lambda: compared(acme, bank, RouteKind.CASCADE, names=("small", "middle", "large")))
    rows = await ask(app, acme, 24, stream=True)
    beside = [row for row in rows if row["kind"] == "comparison"]
    assert beside
    assert {row["request_model"] for row in beside} == {"large"}
    labels = await in_thread(lambda: labels_of(acme))
    assert {(label.model, label.right) for label in labels} == {("small", True)}
    assert all("answer" in label.features for label in labels)


async def test_a_model_that_does_not_answer_spoils_nobodys_call(
    app: App, acme: Tenant, bank: Bank, other: Bank
) -> None:
    bank.set_default(fault="http_503")
    await in_thread(lambda: compared(acme, bank, small_at=other))
    rows = await ask(app, acme, 24)
    beside = [row for row in rows if row["kind"] == "comparison"]
    assert {(row["status"], row["request_model"]) for row in beside} == {(503, "large")}
    assert [row["status"] for row in rows if row["kind"] == "call"] == [200] * 24
    assert await in_thread(lambda: labels_of(acme)) == []


async def test_callers_cannot_send_the_tag(app: App, acme: Tenant, bank: Bank) -> None:
    await in_thread(lambda: compared(acme, bank))
    answer = await call(app, acme, chat(model="smart"), x_costhub_tags="costhub:comparison=smart")
    assert answer.status == 400
    assert b"Tags that begin with costhub: are CostHub's own." in answer.body


async def test_of_three_targets_the_one_that_answered_is_compared_with_a_neighbour(
    app: App, acme: Tenant, bank: Bank
) -> None:
    await in_thread(lambda: compared(acme, bank, names=("small", "middle", "large"), sticky="request"))
    # As far as the heuristic goes: a poem is for the large model, what is explained for the middle one.
    asked = {"small": "Hi", "middle": "Explain rain", "large": "Write a poem"}
    for text in asked.values():
        for number in range(16):
            body = chat(model="smart", max_tokens=20, messages=[{"role": "user", "content": f"{text} {number}"}])
            assert (await call(app, acme, body)).status == 200
    rows = await ask(app, acme, 0)
    served = {row["id"]: row["attempts"][-1]["model"] for row in rows if row["kind"] == "call"}
    pairs = {
        (served[row["route_reason"].removeprefix("comparison for ").partition(":")[0]], row["request_model"])
        for row in rows
        if row["kind"] == "comparison"
    }
    assert pairs == {("small", "middle"), ("middle", "small"), ("middle", "large"), ("large", "middle")}
    labels = await in_thread(lambda: labels_of(acme))
    assert {(label.model, label.features["compared_with"], label.gain) for label in labels} == {
        ("small", "middle", 0.0),
        ("middle", "large", 0.0),
    }
    await in_thread(lambda: close_books(acme))
