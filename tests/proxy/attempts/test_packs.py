"""Short questions that come together through a route that packs them: each has its own answer, row and part of the
bill, to the nano; what cannot be told apart is asked alone."""

import asyncio
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from proxy.core import prompt_packs, tokens
from proxy.edges.counting import Counting
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetPeriod, RouteKind, Tokenizer
from tenants.models import LanguageModel, Upstream
from tests.bank import Bank
from tests.proxy.books import close_the_day, read_books
from tests.proxy.cache.calls import told
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, converse, running, serve
from tests.tenants.route_examples import make_route
from tests.watched import watched
from tests.world import Tenant, World, make_budget, make_catalog

SYSTEM = "You sort what customers write into one of our forty departments, and answer with its name alone. " * 5


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose route packs questions that come within 50 ms."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_route(acme, RouteKind.FIXED, ("small",), pack_window_ms=50, pack_most=8)
    make_budget(acme, "1.00")
    return acme


def ask(
    acme: Tenant, texts: list[str], headers: list[dict[str, str]] | None = None, **fields: Any
) -> list[Conversation]:
    """All at once."""

    async def call() -> list[Conversation]:
        async with running() as app:
            # The organisation is known before the first of them waits.
            await serve(app, converse(acme.api_key, path="/v1/models", method="GET"))
            calls = []
            for place, text in enumerate(texts):
                messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
                body = {"model": "smart", "messages": messages, "max_tokens": 20, **fields}
                calls.append(converse(acme.api_key, body, **(headers[place] if headers else {})))
            return list(await asyncio.gather(*(serve(app, one) for one in calls)))

    return asyncio.run(call())


def rows_of(acme: Tenant, bank: Bank, *, is_told: bool = True) -> dict[str, LedgerEntry]:
    """The rows by request id, whose sum is the bank's bill, and whose parts make their wholes. Of a bank that does not
    tell its bill what broke is charged at the most that it can have been."""
    bank.wait_quiet()
    close_the_day(acme)
    books = read_books(acme, bank, "0.15", "0.60")
    spent, billed = sum(books.ledger.values()), sum(books.billed.values())
    assert spent == billed if is_told else spent > billed
    for row in books.rows:
        assert row.list_cost - row.effective_cost == sum(row.savings.values())
    with org_scope(acme.org_id):
        return {str(row.id): row for row in books.rows}


def test_a_vocabulary_that_a_question_is_the_first_to_need_is_not_read_on_the_loop(
    acme: Tenant, bank: Bank, settings: Settings
) -> None:
    """Reading one takes up to a second: no text is counted in it before it was read by another thread."""
    settings.VOCABULARIES = ()  # none is read before the first call
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=LanguageModel.objects.get(org=acme.org), tokenizer=Tokenizer.O200K)
    with watched(Counting.load, tokens.load, tokens.count_text) as seen:
        (answer,) = ask(acme, ["Where is my parcel?"])
    assert answer.status == 200
    on_the_loop = [
        one.name for one in seen if Tokenizer.O200K in (one.names.get("tokenizer"), one.names.get("vocabulary"))
    ]
    # There it is waited for, then counted in, and never read.
    assert (on_the_loop[0], set(on_the_loop)) == ("Counting.load", {"Counting.load", "count_text"})


def said(answer: Conversation) -> str:
    assert answer.status == 200, answer.body
    text = orjson.loads(answer.body)["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def test_questions_that_come_together_are_one_call(acme: Tenant, bank: Bank) -> None:
    answers = ask(acme, [f"Where is parcel {number}?" for number in range(8)])
    (asked,) = bank.calls_received()
    assert orjson.loads(asked.json["messages"][1]["content"])["3"] == "Where is parcel 2?"
    # the bank gives each key other words
    assert [said(answer).split()[0] for answer in answers] == [
        "the",
        "river",
        "runs",
        "past",
        "old",
        "stone",
        "houses",
        "and",
    ]
    rows = rows_of(acme, bank)
    assert len(rows) == 8
    for answer in answers:
        row = rows[answer.headers["x-request-id"]]
        assert row.attempts[0]["packed"] == 8
        assert row.route_reason.endswith("; asked with 7 others")
        assert row.savings["batch"] > row.list_cost // 4
        usage = orjson.loads(answer.body)["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (row.input_tokens, row.output_tokens)


def test_an_answer_that_is_missing_is_asked_for_alone(acme: Tenant, bank: Bank) -> None:
    bank.queue(count=1, silent_keys=["2"])
    answers = ask(acme, ["one", "two", "three"])
    assert [said(answer).split()[0] for answer in answers] == ["the", "the", "runs"]
    assert len(bank.calls_received()) == 2
    rows = rows_of(acme, bank)
    lost = rows[answers[1].headers["x-request-id"]]
    assert [attempt["error"] for attempt in lost.attempts] == ["not_answered_in_pack", ""]
    assert lost.savings["batch"] == -lost.attempts[0]["cost"] < 0
    assert lost.route_reason.endswith("; asked with 2 others, and then alone")


def test_where_the_one_call_fails_each_is_asked_alone(acme: Tenant, bank: Bank) -> None:
    bank.queue(count=1, fault="http_error", status=400)
    answers = ask(acme, ["one", "two"])
    assert [said(answer).split()[0] for answer in answers] == ["the", "the"]
    assert len(bank.calls_received()) == 3
    assert [len(row.attempts) for row in rows_of(acme, bank).values()] == [2, 2]


@pytest.mark.parametrize("has_bill", [False, True])
@pytest.mark.parametrize("fault", ["reset", "no_usage", "garbage", "error_after_tokens"])
def test_what_breaks_is_paid_once_and_asked_alone_or_counted(
    acme: Tenant, bank: Bank, fault: str, has_bill: bool
) -> None:
    if has_bill:
        with org_scope(acme.org_id):
            update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), bill_path="/costhub/bill")
    bank.queue(count=1, fault=fault)
    assert [len(said(answer).split()) for answer in ask(acme, ["one", "two", "three"])] == [12, 12, 12]
    # A server's error is charged at nothing where nobody can be asked.
    if has_bill or fault != "error_after_tokens":
        rows_of(acme, bank, is_told=has_bill)


def test_what_is_not_taken_apart_by_our_fault_is_paid_all_the_same(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("our own fault")

    monkeypatch.setattr(prompt_packs, "share", fail)
    assert [len(said(answer).split()) for answer in ask(acme, ["one", "two"])] == [12, 12]
    assert "by our own fault" in caplog.text
    for row in rows_of(acme, bank, is_told=False).values():
        assert [attempt["error"] for attempt in row.attempts] == ["internal_error", ""]
        assert row.is_estimated


def test_a_budget_that_begins_meanwhile_holds_who_is_asked_alone(acme: Tenant, bank: Bank) -> None:
    bank.queue(count=1, fault="garbage", first_ms=250_000)

    async def call() -> list[Conversation]:
        async with running() as app:
            await serve(app, converse(acme.api_key, path="/v1/models", method="GET"))
            calls = []
            for text in ("one", "two", "three"):
                messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
                calls.append(converse(acme.api_key, {"model": "smart", "messages": messages, "max_tokens": 20}))
            asking = [asyncio.create_task(serve(app, one)) for one in calls[:2]]
            while not await asyncio.to_thread(bank.calls_received):
                pass
            await in_thread(lambda: make_budget(acme, "2.00", period=BudgetPeriod.MONTH))
            await told(app, acme)
            # From its first call on the budget wants to know of every hold.
            await serve(app, calls[2])
            assert not any(task.done() for task in asking)
            await asyncio.to_thread(bank.let_go)
            await asyncio.wait(asking)
            return calls

    assert [len(said(answer).split()) for answer in asyncio.run(call())] == [12, 12, 12]
    assert sorted(len(row.attempts) for row in rows_of(acme, bank, is_told=False).values()) == [1, 2, 2]


def test_two_end_users_never_share_a_prompt(acme: Tenant, bank: Bank) -> None:
    users = [{"x-costhub-user": name} for name in ("ada", "ada", "ben", "ben")]
    for answer in ask(acme, ["a", "b", "c", "d"], users):
        said(answer)
    asked = [list(orjson.loads(one.json["messages"][1]["content"]).values()) for one in bank.calls_received()]
    assert sorted(asked) == [["a", "b"], ["c", "d"]]
    rows_of(acme, bank)


def test_a_tight_budget_is_not_overspent_by_a_pack(committed_world: World, bank: Bank) -> None:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_route(acme, RouteKind.FIXED, ("small",), pack_window_ms=50)
    make_budget(acme, "0.000350")
    answers = ask(acme, [f"Where is parcel {number}?" for number in range(8)])
    assert {answer.status for answer in answers} == {200, 402}
    rows = rows_of(acme, bank)
    assert 0 < sum(row.effective_cost for row in rows.values()) <= 350_000
