"""Embeddings calls that come together, asked as one: each has its answer and its part of the bill, to the nano."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest

from proxy.attempts.gathering import NotTakenApart
from proxy.attempts.merges import _split_now
from proxy.core.merging import share_out
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.endpoints import register_endpoint
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.models import LanguageModel, Price, Upstream
from tests.bank import Bank
from tests.proxy.books import close_the_day, read_books
from tests.proxy.in_process import Conversation, converse, running, serve
from tests.proxy.scene import BILL_PATH
from tests.world import Tenant, World, make_budget, make_catalog

EMBEDDINGS = "/v1/embeddings"
INPUT, OUTPUT = Decimal("0.15"), Decimal("0.60")


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose embeddings wait 50 ms for each other."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url)
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=catalog.model, merge_window_ms=50)
    make_budget(acme, "1.00")
    return acme


def ask(acme: Tenant, bodies: list[dict[str, Any]]) -> list[Conversation]:
    """All at once."""

    async def call() -> list[Conversation]:
        async with running() as app:
            # The organisation is known before the first of them waits.
            await serve(app, converse(acme.api_key, path="/v1/models", method="GET"))
            calls = [converse(acme.api_key, {"model": "small", **body}, path=EMBEDDINGS) for body in bodies]
            return list(await asyncio.gather(*(serve(app, one) for one in calls)))

    return asyncio.run(call())


def balance(acme: Tenant, bank: Bank) -> list[int]:
    """What rows cost, rising; their sum is the bank's bill."""
    close_the_day(acme)
    books = read_books(acme, bank, "0.15", "0.60")
    assert sum(books.ledger.values()) == sum(books.billed.values())
    assert sum(call.cost_nanos(Decimal("0.15"), Decimal("0.60")) for call in bank.bill()) == sum(books.billed.values())
    return sorted(books.ledger.values())


def test_calls_that_come_together_are_one(acme: Tenant, bank: Bank) -> None:
    bodies: list[dict[str, Any]] = [{"input": f"text number {number}"} for number in range(10)]
    bodies += [{"input": ["two", "texts"]}, {"input": "alone", "dimensions": 8}]
    answers = ask(acme, bodies)
    assert [answer.status for answer in answers] == [200] * 12
    asked = bank.calls_received()
    assert sorted(len(one.json["input"]) if isinstance(one.json["input"], list) else 1 for one in asked) == [1, 12]
    vectors = {orjson_of(answer)["data"][0]["embedding"][0] for answer in answers}
    assert len(vectors) > 1
    assert [item["index"] for item in orjson_of(answers[10])["data"]] == [0, 1]
    costs = balance(acme, bank)
    assert len(costs) == 12
    assert min(costs) > 0
    with org_scope(acme.org_id):
        attempts = [row.attempts[0] for row in LedgerEntry.objects.filter(org_id=acme.org_id)]
    assert sorted(attempt.get("packed", 0) for attempt in attempts) == [0, *[11] * 11]


def test_each_has_the_vector_that_it_has_alone(acme: Tenant, bank: Bank) -> None:
    texts = [f"text {number}" for number in range(4)]
    together = [orjson_of(answer)["data"][0]["embedding"] for answer in ask(acme, [{"input": text} for text in texts])]
    alone = [orjson_of(ask(acme, [{"input": text}])[0])["data"][0]["embedding"] for text in texts]
    assert together == alone


def test_a_caller_who_leaves_pays_its_part_even_if_the_server_stops_next(acme: Tenant, bank: Bank) -> None:
    bank.queue(count=1, first_ms=250_000)

    async def call() -> None:
        async with running() as app:
            await serve(app, converse(acme.api_key, path="/v1/models", method="GET"))
            bodies = [{"model": "small", "input": text} for text in ("leaves", "stays")]
            calls = [converse(acme.api_key, body, path=EMBEDDINGS) for body in bodies]
            leaves, stays = (asyncio.create_task(serve(app, one)) for one in calls)
            while not await asyncio.to_thread(bank.calls_received):
                pass
            for _ in range(8):
                leaves.cancel()
                await asyncio.sleep(0)
            assert not stays.done()
            await asyncio.to_thread(bank.let_go)
            await asyncio.wait([leaves, stays])
            assert calls[1].status == 200

    asyncio.run(call())
    costs = balance(acme, bank)
    assert len(costs) == 2
    assert min(costs) > 0


def test_where_the_one_call_fails_each_is_asked_alone(acme: Tenant, bank: Bank) -> None:
    bank.queue(count=1, fault="http_error", status=400)
    answers = ask(acme, [{"input": "a"}, {"input": "b"}])
    assert [answer.status for answer in answers] == [200, 200]
    assert len(bank.calls_received()) == 3
    assert len(balance(acme, bank)) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_where_the_upstream_takes_nothing_at_the_moment_they_are_asked_again_as_one(
    acme: Tenant, bank: Bank, status: int
) -> None:
    with org_scope(acme.org_id):
        # Where failures are billed the call would be charged, and each goes on by itself.
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), bill_path="")
    bank.queue(count=2, fault="http_error", status=status)
    answers = ask(acme, [{"input": f"text {number}"} for number in range(20)])
    assert [answer.status for answer in answers] == [200] * 20
    asked = bank.calls_received()
    assert [len(one.json["input"]) for one in asked] == [20] * 3
    names = {one.header("x-client-request-id") for one in asked}
    assert len(names) == 3, "each try has a name of its own"
    assert len(balance(acme, bank)) == 20


@pytest.mark.parametrize(("status", "tries"), [(429, 3), (401, 1)])
def test_where_it_goes_on_taking_nothing_each_is_told_and_none_is_asked_alone(
    acme: Tenant, bank: Bank, status: int, tries: int
) -> None:
    bank.queue(count=50, fault="http_error", status=status)
    answers = ask(acme, [{"input": f"text {number}"} for number in range(20)])
    assert [answer.status for answer in answers] == [status] * 20
    assert len(bank.calls_received()) == tries
    assert balance(acme, bank) == [0] * 20


def test_what_one_of_the_texts_may_have_caused_is_told_to_no_other(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), bill_path="")
    bank.queue(count=1, fault="http_error", status=500)
    answers = ask(acme, [{"input": f"text {number}"} for number in range(20)])
    assert [answer.status for answer in answers] == [200] * 20
    assert len(bank.calls_received()) == 21
    assert len(balance(acme, bank)) == 20


def test_an_upstream_that_cannot_be_reached_is_tried_for_all_at_once(acme: Tenant, bank: Bank) -> None:
    with bank.refusing():
        answers = ask(acme, [{"input": f"text {number}"} for number in range(20)])
    assert [answer.status for answer in answers] == [502] * 20
    assert balance(acme, bank) == [0] * 20
    with org_scope(acme.org_id):
        tried = [[one["error"] for one in row.attempts] for row in LedgerEntry.objects.filter(org_id=acme.org_id)]
    assert tried == [["upstream_unreachable"]] * 20


def test_they_go_together_to_another_server_of_their_upstream(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        upstream = Upstream.objects.get(org=acme.org)
        update_upstream(actor=acme.owner, upstream=upstream, max_retries=0)
        register_endpoint(actor=acme.owner, upstream=upstream, base_url="http://127.0.0.1:1/v1")
    answers = ask(acme, [{"input": f"text {number}"} for number in range(20)])
    assert [answer.status for answer in answers] == [200] * 20
    assert [len(one.json["input"]) for one in bank.calls_received()] == [20]
    assert len(balance(acme, bank)) == 20


def test_who_goes_alone_behind_several_tries_together_is_billed_under_a_name_of_its_own(
    acme: Tenant, bank: Bank
) -> None:
    """The second try is billed and breaks off; the first caller's own next attempt is its second, too."""
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), bill_path=BILL_PATH)
    bank.queue(count=1, fault="http_error", status=429)
    bank.queue(count=1, fault="reset")
    answers = ask(acme, [{"input": "one"}, {"input": "two words"}])
    assert [answer.status for answer in answers] == [200] * 2
    names = [(one.header("x-client-request-id") or "").partition(":") for one in bank.calls_received()]
    assert sorted(name for _, _, name in names) == ["1", "1.2", "2", "2"]
    close_the_day(acme)
    books = read_books(acme, bank, "0.15", "0.60")
    whole = sum(call.cost_nanos(INPUT, OUTPUT) for call in bank.bill() if call.request_id.endswith(":1.2"))
    alone = {
        call.request_id.partition(":")[0]: call.cost_nanos(INPUT, OUTPUT)
        for call in bank.bill()
        if call.request_id.endswith(":2")
    }
    assert whole > 0
    first, second = (answer.headers["x-request-id"] for answer in answers)
    shares = share_out(whole, [len("one"), len("two words")])
    assert books.ledger == {first: alone[first] + shares[0], second: alone[second] + shares[1]}


def test_another_model_is_asked_where_a_group_meets_an_upstream_that_takes_nothing(acme: Tenant, bank: Bank) -> None:
    make_catalog(acme, base_url=bank.base_url, model="second")
    with org_scope(acme.org_id):
        model = LanguageModel.objects.get(org=acme.org, name="small")
        update_model(actor=acme.owner, model=model, fallbacks=["second"])
        update_upstream(actor=acme.owner, upstream=model.upstream, max_retries=0)
    bank.queue(count=1, fault="http_error", status=429)
    answers = ask(acme, [{"input": "a"}, {"input": "b"}])
    assert [(answer.status, answer.headers["x-costhub-model"]) for answer in answers] == [(200, "second")] * 2
    assert len(bank.calls_received()) == 3


@pytest.mark.parametrize("odd", [b"NaN", b"-Infinity", b"1e999"])
@pytest.mark.parametrize("more", [b"", b" " * 200_000])
def test_what_is_no_number_is_not_written_anew(odd: bytes, more: bytes) -> None:
    """It would be null, and nobody would know."""
    raw = b'{"data":[{"index":0,"embedding":[1.5,%b]},{"index":1,"embedding":[2.5]}]%b}'
    with pytest.raises(NotTakenApart):
        _split_now(raw % (odd, more), [1, 1], [3, 4])
    first, second = map(orjson.loads, _split_now(raw % (b"null", more), [1, 1], [3, 4]))
    assert first == {
        "data": [{"index": 0, "embedding": [1.5, None]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert second["data"] == [{"index": 0, "embedding": [2.5]}]


def orjson_of(answer: Conversation) -> Any:
    """The body of an answer."""
    return orjson.loads(answer.body)


def test_what_another_model_answered_is_priced_as_that_one_and_shared_out(acme: Tenant, bank: Bank) -> None:
    """The bank answers as another model, of which the catalog has a price."""
    other = make_model(acme, "bank-impostor", "1.50")
    bank.queue(count=1, fault="wrong_model")
    texts = ["one", "two words", "three more words"]
    answers = ask(acme, [{"input": text} for text in texts])
    assert [answer.status for answer in answers] == [200] * 3
    (billed,) = bank.bill()
    close_the_day(acme)
    with org_scope(acme.org_id):
        rows = {str(row.id): row for row in LedgerEntry.objects.filter(org_id=acme.org_id)}
    mine = [rows[answer.headers["x-request-id"]] for answer in answers]
    weights = [len(text) for text in texts]
    assert {row.price_id for row in mine} == {other.pk}
    assert [row.input_tokens for row in mine] == share_out(billed.input_tokens, weights)
    assert [row.effective_cost for row in mine] == share_out(billed.input_tokens * 1_500, weights)
    assert not any(row.is_estimated for row in mine)


def test_the_bill_for_one_call_is_shared_out_among_those_who_asked(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        upstream = Upstream.objects.get(org=acme.org)
        update_upstream(actor=acme.owner, upstream=upstream, bill_path=BILL_PATH)
    bank.queue(count=1, fault="no_usage")
    texts = ["one", "two words", "three more words", "and four more words"]
    answers = ask(acme, [{"input": text} for text in texts])
    assert [answer.status for answer in answers] == [200] * 4
    (billed,) = bank.bill()
    close_the_day(acme)
    books = read_books(acme, bank, "0.15", "0.60")
    whole = billed.cost_nanos(Decimal("0.15"), Decimal("0.60"))
    costs = [books.ledger[answer.headers["x-request-id"]] for answer in answers]
    # In proportion to their bytes: of this model's vocabulary nobody knows.
    weights = [len(text) for text in texts]
    assert costs == share_out(whole, weights)
    assert (books.corrections, whole) == (4, billed.input_tokens * 150)
    tokens = {str(row.id): row.input_tokens for row in books.rows if row.kind == "call"}
    for row in books.rows:
        if row.kind != "call":
            tokens[str(row.corrects)] += row.input_tokens
    shares = [tokens[answer.headers["x-request-id"]] for answer in answers]
    assert shares == share_out(billed.input_tokens, weights)


def make_model(acme: Tenant, upstream_model: str, input_per_million: str) -> Price:
    """Another model at acme's upstream; gives its price."""
    with org_scope(acme.org_id):
        upstream = Upstream.objects.get(org=acme.org)
        model = create_model(actor=acme.owner, name="other", upstream=upstream, upstream_model=upstream_model)
        return create_price(
            actor=acme.owner,
            model=model,
            input_per_million=Decimal(input_per_million),
            output_per_million=Decimal("6.00"),
        )
