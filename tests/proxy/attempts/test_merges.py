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
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.models import Price, Upstream
from tests.bank import Bank
from tests.proxy.books import close_the_day, read_books
from tests.proxy.in_process import Conversation, converse, running, serve
from tests.proxy.scene import BILL_PATH
from tests.world import Tenant, World, make_budget, make_catalog

EMBEDDINGS = "/v1/embeddings"


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
    bank.queue(count=1, first_ms=500)

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
