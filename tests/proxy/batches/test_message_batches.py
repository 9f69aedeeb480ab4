"""Anthropic's own clients hand message batches in, and read what comes of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import anthropic
import orjson
import pytest
import time_machine
from anthropic.types.messages import MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request
from django.conf import settings
from django.db import OperationalError

from costhub.lib import clock
from costhub.lib.objects import Objects
from proxy.batches import message_batches, store
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.upkeep import forget_expired
from proxy.core.batch_lines import dump_answer
from proxy.models import Batch, LedgerEntry, StoredFile
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.choices import UpstreamKind
from tests.bank import Bank
from tests.bank.answers import answer_text
from tests.proxy.batches.desk import held_of, line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]
PATH = "/v1/messages/batches"


def ask(number: int, model: str = "small", **fields: Any) -> Request:
    """A request of a batch: a short message that the bank answers with twelve tokens."""
    said = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "one two three"}], **fields}
    return cast("Request", {"custom_id": f"request-{number}", "params": said})


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Deployment, acme: Tenant) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=proxy.root_url, api_key=acme.api_key, max_retries=0) as client:
        yield client


def text_of(one: MessageBatchIndividualResponse) -> str:
    assert one.result.type == "succeeded"
    (block,) = one.result.message.content
    assert block.type == "text"
    return block.text


@pytest.mark.parametrize("model", ["small", "claude"])
def test_a_batch_from_hand_to_hand(acme: Tenant, bank: Bank, client: anthropic.Anthropic, model: str) -> None:
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.ANTHROPIC, model="claude")
    wrong = ask(1, model, bank={"fault": "http_error", "status": 422})
    batch = client.messages.batches.create(requests=[ask(0, model), wrong, ask(2, model)])
    assert (batch.type, batch.processing_status, batch.results_url) == ("message_batch", "in_progress", None)
    assert batch.expires_at - batch.created_at == timedelta(hours=24)
    assert batch.request_counts.to_dict() == counts(processing=3)
    with pytest.raises(anthropic.AnthropicError, match="in_progress"):
        client.messages.batches.results(batch.id)
    with pytest.raises(anthropic.BadRequestError, match="Cancel the batch first"):
        client.messages.batches.delete(batch.id)
    run_worker(acme)
    over = client.messages.batches.retrieve(batch.id)
    assert (over.processing_status, over.cancel_initiated_at) == ("ended", None)
    assert over.ended_at is not None
    assert over.request_counts.to_dict() == counts(succeeded=2, errored=1)
    first, last, failed = client.messages.batches.results(batch.id)
    assert [one.custom_id for one in (first, last, failed)] == ["request-0", "request-2", "request-1"]
    assert [text_of(first), text_of(last)] == [answer_text()] * 2
    assert failed.result.type == "errored"
    assert failed.result.error.error.type == "invalid_request_error"
    assert failed.result.error.error.message
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        client.messages.batches.cancel(batch.id)
    books = assert_balanced(acme, bank)
    assert sorted(row.endpoint for row in books.rows) == ["batches", *["messages"] * 3]
    deleted = client.messages.batches.delete(batch.id)
    assert (deleted.id, deleted.type) == (batch.id, "message_batch_deleted")
    with pytest.raises(anthropic.NotFoundError, match="No message batch found"):
        client.messages.batches.retrieve(batch.id)
    assert files_of(acme) == (0, 0)


def counts(**those: int) -> dict[str, int]:
    return dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0) | those


def files_of(tenant: Tenant) -> tuple[int, int]:
    """How many files the organisation has, in the database and in the folder."""
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / tenant.org_id
    with org_scope(tenant.org_id):
        known = StoredFile.objects.filter(org_id=tenant.org.pk).count()
    return known, len(list(folder.iterdir())) if folder.exists() else 0


def test_the_asynchronous_client_cancels_one(acme: Tenant, bank: Bank, proxy: Deployment) -> None:
    async def begin() -> tuple[str, str]:
        async with anthropic.AsyncAnthropic(base_url=proxy.root_url, api_key=acme.api_key, max_retries=0) as client:
            batch = await client.messages.batches.create(requests=[ask(number) for number in range(3)])
            cancelled = await client.messages.batches.cancel(batch.id)
            assert cancelled.cancel_initiated_at is not None
            # Once more is as good as once.
            again = await client.messages.batches.cancel(batch.id)
            assert again.cancel_initiated_at == cancelled.cancel_initiated_at
            return batch.id, cancelled.processing_status

    async def end(name: str) -> tuple[Json, list[Json], list[str]]:
        async with anthropic.AsyncAnthropic(base_url=proxy.root_url, api_key=acme.api_key, max_retries=0) as client:
            over = await client.messages.batches.retrieve(name)
            results = [one.result.to_dict() async for one in await client.messages.batches.results(name)]
            listed = [one.id async for one in client.messages.batches.list()]
            await client.messages.batches.delete(name)
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.batches.results(name)
            return over.request_counts.to_dict(), results, listed

    name, status = asyncio.run(begin())
    assert status == "canceling"
    run_worker(acme)
    assert asyncio.run(end(name)) == (counts(canceled=3), [{"type": "canceled"}] * 3, [name])
    assert bank.bill() == []
    assert_balanced(acme, bank)


def test_what_was_not_asked_in_a_day_is_expired(acme: Tenant, bank: Bank, client: anthropic.Anthropic) -> None:
    batch = client.messages.batches.create(requests=[ask(0), ask(1)])
    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1), tick=True):
        run_worker(acme)
    assert client.messages.batches.retrieve(batch.id).request_counts.to_dict() == counts(expired=2)
    assert [one.result.type for one in client.messages.batches.results(batch.id)] == ["expired"] * 2
    assert bank.bill() == []


def test_why_a_batch_is_refused_is_told_with_its_place_and_nothing_is_left(
    acme: Tenant, bank: Bank, client: anthropic.Anthropic
) -> None:
    cases: tuple[tuple[Any, str, str], ...] = (
        ([], "requests", "at least one"),
        ([ask(0), ask(1, max_tokens=None)], "requests[1].params.max_tokens", "max_tokens"),
        ([ask(0), ask(0)], "requests[1].custom_id", "request-0 stands in an earlier line"),
        ([ask(0), ask(1, "none")], "requests[1].params.model", "model must be small"),
        ([ask(0, stream=True)], "requests[0].params.stream", "no streams"),
        ([{"custom_id": "a", "params": 5}], "requests[0].params", "must be an object"),
        ([5], "requests[0]", "must be an object"),
    )
    for requests, param, said in cases:
        with pytest.raises(anthropic.BadRequestError) as refused:
            client.messages.batches.create(requests=requests)
        told: Any = refused.value.body
        assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
        assert told["error"]["param"] == param
        assert said in told["error"]["message"]
    assert list(client.messages.batches.list()) == []
    assert files_of(acme) == (0, 0)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve("msgbatch_nothing")
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-wrong").messages.batches.list()
    assert_balanced(acme, bank)
    assert bank.bill() == []


def test_features_that_a_header_names_go_with_every_request(
    acme: Tenant, bank: Bank, client: anthropic.Anthropic
) -> None:
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.ANTHROPIC, model="claude")
    named = {"anthropic-beta": "effort-2025-11-24, message-batches-2024-09-24"}
    client.messages.batches.create(requests=[ask(0, "claude"), ask(1, "claude")], extra_headers=named)
    run_worker(acme)
    assert [call.header("anthropic-beta") for call in bank.calls_received()] == ["effort-2025-11-24"] * 2
    with pytest.raises(anthropic.BadRequestError, match="cannot be held to a budget"):
        client.messages.batches.create(
            requests=[ask(0, "claude")], extra_headers={"anthropic-beta": "compact-2026-01-12"}
        )


def test_a_budget_that_cannot_take_it_refuses_it_with_the_sum(
    committed_world: World, bank: Bank, proxy: Deployment
) -> None:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, output_per_million="1000")
    make_budget(acme, "0.01")
    with (
        anthropic.Anthropic(base_url=proxy.root_url, api_key=acme.api_key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError, match="or more") as refused,
    ):
        client.messages.batches.create(requests=[ask(0)])
    assert (refused.value.status_code, refused.value.type) == (402, "billing_error")
    with org_scope(acme.org_id):
        assert not Batch.objects.filter(org_id=acme.org.pk).exists()
    assert files_of(acme) == (0, 0)


def test_what_could_not_be_noted_leaves_nothing(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_batch(_: Batch) -> None:
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(store, "create_batch", create_batch)

    async def come() -> int:
        async with open_desk(acme) as desk:
            return (await desk.ask("POST", PATH, orjson.dumps({"requests": [ask(0)]}))).status

    assert asyncio.run(come()) == 503
    assert files_of(acme) == (0, 0)


def test_lines_of_a_batch_whose_process_died_before_it_was_taken_go_with_it(
    acme: Tenant, client: anthropic.Anthropic
) -> None:
    client.messages.batches.create(requests=[ask(0)])
    with org_scope(acme.org_id):
        Batch.objects.filter(org_id=acme.org.pk).update(status=store.VALIDATING)
    objects = Objects(settings.FILES_URL)
    assert (asyncio.run(forget_expired([acme.org_id], objects)), files_of(acme)) == (0, (1, 1))
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
        assert asyncio.run(forget_expired([acme.org_id], objects)) == 1
    assert files_of(acme) == (0, 0)
    with org_scope(acme.org_id):
        assert not Batch.objects.filter(org_id=acme.org.pk).exists()


def test_features_of_a_header_are_a_part_of_what_an_idempotency_key_stands_for(acme: Tenant) -> None:
    async def come() -> list[int]:
        async with open_desk(acme) as desk:
            body = orjson.dumps({"requests": [ask(0)]})
            headers = (
                {"anthropic_beta": name} if name else {} for name in ("effort-2025-11-24", "", "skills-2025-10-02")
            )
            one, none, other = [{"idempotency_key": "k", **each} for each in headers]
            return [(await desk.ask("POST", PATH, body, **each)).status for each in (one, one, none, other)]

    assert asyncio.run(come()) == [200, 200, 409, 409]


def test_results_whose_bytes_are_gone_are_told_so_before_anything_else(
    acme: Tenant, client: anthropic.Anthropic
) -> None:
    batch = client.messages.batches.create(requests=[ask(0)])
    run_worker(acme)
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / acme.org_id
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(anthropic.NotFoundError, match="not kept any more"):
        client.messages.batches.results(batch.id)


async def test_results_are_the_same_wherever_their_bytes_are_cut() -> None:
    lines = [dump_answer(f"line-{one}", f"request-{one}", 200, "id", b'{"said":"%d"}' % one) for one in range(3)]
    content, told = b"".join(lines), []
    for size in (1, 7, len(lines[0]), 10_000):

        class Cut:
            async def stream(self, *_: Any, size: int = size) -> AsyncIterator[bytes]:
                for start in range(0, len(content), size):
                    yield content[start : start + size]

        parts = message_batches._translate(cast("SealedFiles", Cut()), ["a", "b"], "id")
        told.append(b"".join([part async for part in parts]))
    assert set(told) == {
        b"".join(
            b'{"custom_id":"request-%d","result":{"type":"succeeded","message":{"said":"%d"}}}\n' % (one, one)
            for one in range(3)
        )
        * 2
    }


def test_batches_come_page_by_page_and_those_of_other_calls_are_not_among_them(
    acme: Tenant, client: anthropic.Anthropic
) -> None:
    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0)]))

    first, second, third = (client.messages.batches.create(requests=[ask(number)]).id for number in range(3))
    other = asyncio.run(hand_in())
    assert [one.id for one in client.messages.batches.list(limit=1)] == [third, second, first]
    newest = client.messages.batches.list(limit=2)
    assert ([one.id for one in newest.data], newest.has_more) == ([third, second], True)
    before = client.messages.batches.list(before_id=first, limit=1)
    assert ([one.id for one in before.data], before.first_id, before.last_id, before.has_more) == (
        [second],
        second,
        second,
        True,
    )
    assert [one.id for one in client.messages.batches.list(before_id=first)] == [third, second]
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(other["id"].replace("batch_", "msgbatch_"))
    with pytest.raises(anthropic.BadRequestError, match="after_id must be"):
        client.messages.batches.list(after_id="batch_1")
    with pytest.raises(anthropic.BadRequestError, match="limit must be"):
        client.messages.batches.list(limit=1001)


def test_they_are_batches_like_all_others(acme: Tenant, bank: Bank) -> None:
    """Those of /v1/batches whose lines are messages, and the other way round; and what they hold."""

    async def come() -> tuple[Json, Json, Json, Json]:
        async with open_desk(acme) as desk:
            lines = [line(number, url="/v1/messages") for number in range(2)]
            ours = read(await desk.hand_in(lines, endpoint="/v1/messages"))
            name = ours["id"].replace("batch_", "msgbatch_")
            theirs = read(await desk.ask("POST", PATH, orjson.dumps({"requests": [ask(0)]}), idempotency_key="k"))
            again = await desk.ask("POST", PATH, orjson.dumps({"requests": [ask(0)]}), idempotency_key="k")
            assert read(again) == theirs
            return (
                ours,
                read(await desk.ask("GET", f"{PATH}/{name}")),
                theirs,
                read(await desk.ask("GET", "/v1/batches")),
            )

    ours, as_messages, theirs, listed = asyncio.run(come())
    assert as_messages["request_counts"] == counts(processing=2)
    assert as_messages["costhub"] == ours["costhub"]
    assert [one["endpoint"] for one in listed["data"]] == ["/v1/messages"] * 2
    assert listed["data"][0]["costhub"] == theirs["costhub"]
    assert held_of(acme, listed["data"][0]) is not None
    run_worker(acme)

    async def collect() -> tuple[list[Json], Json]:
        async with open_desk(acme) as desk:
            over = await desk.look(ours)
            answers = await desk.read_lines(over["output_file_id"])
            name = ours["id"].replace("batch_", "msgbatch_")
            assert (await desk.ask("DELETE", f"/v1/files/{over['output_file_id']}")).status == 200
            gone = await desk.ask("GET", f"{PATH}/{name}/results")
            assert (gone.status, read(gone)["error"]["message"]) == (
                404,
                "The results of this batch are not kept any more.",
            )
            # The file is its owner's, and stays.
            assert (await desk.ask("DELETE", f"{PATH}/{name}")).status == 200
            return answers, read(await desk.ask("GET", f"/v1/files/{ours['input_file_id']}"))

    answers, file = asyncio.run(collect())
    assert [answer["response"]["body"]["type"] for answer in answers] == ["message"] * 2
    assert file["id"] == ours["input_file_id"]
    assert_balanced(acme, bank)
    with org_scope(acme.org_id):
        rows = LedgerEntry.objects.filter(org_id=acme.org_id, endpoint="messages")
        assert [row.status for row in rows] == [200] * 3


def test_another_organisations_batch_is_as_unknown_as_none(committed_world: World, bank: Bank, acme: Tenant) -> None:
    async def come() -> list[bytes]:
        async with open_desk(acme) as desk:
            made = read(await desk.ask("POST", PATH, orjson.dumps({"requests": [ask(0)]})))["id"]
        told = []
        async with open_desk(committed_world.mallcorp) as desk:
            for name in (made, "msgbatch_" + "0" * 32):
                for method, verb in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")):
                    answer = await desk.ask(method, f"{PATH}/{name}{verb}")
                    assert answer.status == 404
                    error = read(answer)["error"]
                    told.append(orjson.dumps([error["code"], error["message"].replace(name, "")]))
            listed = read(await desk.ask("GET", PATH))
            assert listed == {"data": [], "first_id": None, "last_id": None, "has_more": False}
        return told

    assert len(set(asyncio.run(come()))) == 1


def test_a_key_that_hides_amounts_is_told_none(acme: Tenant) -> None:
    with org_scope(acme.org_id):
        hiding = create_key(actor=acme.owner, name="hiding", project=acme.project, hides_amounts=True)

    async def come() -> Json:
        async with open_desk(acme) as desk:
            body, bearer = orjson.dumps({"requests": [ask(0)]}), f"Bearer {hiding.secret}"
            return read(await desk.ask("POST", PATH, body, authorization=bearer))

    assert "costhub" not in asyncio.run(come())


@pytest.mark.parametrize(("method", "path"), [("GET", f"{PATH}/a/content"), ("PUT", PATH), ("POST", f"{PATH}/a")])
def test_what_there_is_not_is_told_in_anthropics_form(acme: Tenant, method: str, path: str) -> None:
    async def come() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            answer = await desk.ask(method, path)
            return answer.status, read(answer)

    status, told = asyncio.run(come())
    assert (status, told["type"]) == (404 if path.endswith("content") else 405, "error")


def test_anthropics_files_are_not_served_and_say_so(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="put a document into the message itself") as refused:
        client.beta.files.upload(file=("a.txt", b"Hi", "text/plain"))
    told: Any = refused.value.body
    assert (told["type"], told["error"]["code"]) == ("error", "not_served")
    with pytest.raises(anthropic.NotFoundError, match="are not served"):
        client.beta.files.list()
