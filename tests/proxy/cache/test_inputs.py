"""Embeddings, kept input by input."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.app import App
from proxy.cache import inputs
from proxy.core.merging import MOST_BYTES, MOST_INPUTS
from proxy.edges.counting import INLINE_BYTES, THREADS
from tenants.access import org_scope
from tenants.actions.cache import update_cache_policy
from tenants.actions.models import update_model
from tenants.models import CachePolicy
from tests.bank import Bank
from tests.patience import until
from tests.proxy.cache.calls import HELD, call_together, make_policy, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, converse, events_of, serve
from tests.proxy.scripted_upstream import scripted, whole
from tests.watched import watched
from tests.world import Tenant, World, make_catalog

PATH = "/v1/embeddings"


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose embeddings cost a dollar a million tokens."""
    make_catalog(committed_world.acme, base_url=bank.base_url, model="vectors", input_per_million="1")
    make_policy(committed_world.acme)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


@pytest.fixture
async def other_app() -> AsyncIterator[App]:
    """Another worker, whose memory is its own."""
    app = App()
    await app.open()
    yield app
    await app.close()


async def embed(app: App, tenant: Tenant, inputs: Any, **fields: Any) -> Conversation:
    """A call, when its vectors are kept."""
    answer = await serve(app, converse(tenant.api_key, {"model": "vectors", "input": inputs, **fields}, path=PATH))
    assert app._edges is not None
    await app._edges.cache.keeping.wait()
    return answer


def data_of(answer: Conversation) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    data: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return data


async def test_of_a_hundred_texts_with_ninety_known_ten_are_sent(app: App, acme: Tenant, bank: Bank) -> None:
    texts = [f"text number {number}" for number in range(100)]
    whole = await embed(app, acme, texts)
    fresh = [*texts[:45], *(f"new {number}" for number in range(10)), *texts[45:90]]
    sent_before = await in_thread(lambda: len(bank.calls_received()))
    partial = await embed(app, acme, fresh)
    again = await embed(app, acme, fresh)
    sent = (await in_thread(bank.calls_received))[sent_before:]
    assert [each.json["input"] for each in sent] == [[f"new {number}" for number in range(10)]]
    assert [each.headers["x-costhub-cache"] for each in (whole, partial, again)] == ["miss", "partial", "hit-l1"]
    vectors = [item["embedding"] for item in data_of(whole)]
    assert [item["index"] for item in data_of(partial)] == list(range(100))
    merged = [item["embedding"] for item in data_of(partial)]
    assert merged[:45] + merged[55:] == vectors[:90]
    assert data_of(again) == data_of(partial)
    assert json.loads(again.body)["usage"] == json.loads(partial.body)["usage"]
    await written(app)
    rows = {row["id"]: row for row in events_of(acme)}
    first, second, third = (rows[each.headers["x-request-id"]] for each in (whole, partial, again))
    assert first["savings"] == {}
    # 90 of the 100 known texts were three words each; the new ones have two
    tokens = json.loads(partial.body)["usage"]["prompt_tokens"]
    assert second["list_cost"] == tokens * 1_000 == second["effective_cost"] + second["savings"]["cache"]
    assert second["effective_cost"] == second["input_tokens"] * 1_000
    assert (third["list_cost"], third["effective_cost"]) == (tokens * 1_000, 0)
    assert third["savings"] == {"cache": tokens * 1_000}


async def test_spellings_of_one_input(app: App, acme: Tenant) -> None:
    statuses = [
        (await embed(app, acme, inputs, **fields)).headers["x-costhub-cache"]
        for inputs, fields in (
            ("one", {}),
            (["one"], {}),
            (["one", "one"], {"encoding_format": "float"}),
            ("one", {"encoding_format": "base64"}),
            ("one", {"dimensions": 4}),
            ([1, 2], {}),
            ([[1, 2], [3]], {}),
        )
    ]
    assert statuses == ["miss", "hit-l1", "hit-l1", "miss", "miss", "miss", "partial"]


async def test_a_call_that_chance_holds_out_has_all_of_its_inputs_asked(app: App, acme: Tenant, bank: Bank) -> None:
    def hold_out() -> None:
        with org_scope(acme.org_id):
            policy = CachePolicy.objects.get(org=acme.org)
            update_cache_policy(actor=acme.owner, policy=policy, holdout_percent=50)

    await in_thread(hold_out)
    await told(app, acme)
    found = Counter([(await embed(app, acme, ["one", "two"])).headers["x-costhub-cache"] for _ in range(40)])
    assert found.keys() <= {"held-out", "hit-l1", "miss"}
    assert 0 < found["held-out"] < 40
    asked = [request.json["input"] for request in await in_thread(bank.calls_received)]
    assert asked == [["one", "two"]] * (found["held-out"] + found["miss"])


async def test_a_failure_keeps_nothing(app: App, acme: Tenant) -> None:
    body = {"bank": {"fault": "http_error", "status": 400}}
    assert (await embed(app, acme, "one", **body)).status == 400
    assert (await embed(app, acme, "one", **body)).status == 400


def status_of(answer: Conversation) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-costhub-cache"]


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        (["a"] * MOST_INPUTS, "miss"),
        (["a"] * (MOST_INPUTS + 1), "bypass"),
        (["a" * (MOST_BYTES - 100)], "miss"),
        (["a" * MOST_BYTES], "bypass"),
    ],
)
async def test_a_large_batch_has_nothing_to_do_with_the_cache(
    app: App, acme: Tenant, texts: list[str], status: str
) -> None:
    assert status_of(await embed(app, acme, texts)) == status


@pytest.mark.parametrize(
    ("texts", "on_the_loop"),
    [(["short"], 2), ([f"{number} " * 400 for number in range(100)], 0)],
    ids=["short", "long"],
)
async def test_what_a_long_batch_is_kept_under_is_found_beside_the_loop(
    app: App, acme: Tenant, texts: list[str], on_the_loop: int
) -> None:
    with watched(inputs.digest_inputs) as seen:
        assert [status_of(await embed(app, acme, texts)) for _ in range(2)] == ["miss", "hit-l1"]
    assert len(seen) == on_the_loop


async def test_of_equal_calls_at_once_one_is_made(app: App, other_app: App, acme: Tenant, bank: Bank) -> None:
    texts = ["one", "two", "three"]
    answers = await call_together((app, other_app), 10, lambda each: embed(each, acme, texts, bank=HELD), bank)
    assert Counter(map(status_of, answers)) == {"miss": 1, "coalesced": 19}
    assert len({json.dumps(data_of(answer)) for answer in answers}) == 1
    assert len(await in_thread(bank.calls_received)) == 1
    for each in (app, other_app):
        await written(each)
    rows = events_of(acme)
    (paid,) = {row["list_cost"] for row in rows}
    assert sorted(row["effective_cost"] for row in rows) == [0] * 19 + [paid]
    assert [row["savings"] for row in rows if not row["effective_cost"]] == [{"coalescing": paid}] * 19


async def test_who_waited_for_one_that_failed_asks_for_itself(app: App, acme: Tenant, bank: Bank) -> None:
    behaviour = {"first_ms": 100, "fault": "http_error", "status": 400}
    answers = await asyncio.gather(*(embed(app, acme, "one", bank=behaviour) for _ in range(3)))
    assert [answer.status for answer in answers] == [400] * 3
    assert len(await in_thread(bank.calls_received)) == 3


async def test_where_another_model_may_answer_it_is_asked_for_all_of_them(
    app: App, committed_world: World, bank: Bank
) -> None:
    acme, is_up = committed_world.acme, True

    def answer(body: Any) -> list[bytes]:
        data = [{"index": place, "embedding": [1.0, 2.0]} for place in range(len(body["input"]))]
        usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
        return whole({"data": data, "model": "first", "usage": usage}) if is_up else whole({}, 503)

    with scripted(answer) as upstream:

        def make() -> None:
            make_catalog(acme, base_url=bank.base_url, model="second", input_per_million="2")
            first = make_catalog(acme, base_url=upstream.base_url, model="vectors", input_per_million="1")
            with org_scope(acme.org_id):
                update_model(actor=acme.owner, model=first.model, fallbacks=["second"])
            make_policy(acme)

        await in_thread(make)
        assert status_of(await embed(app, acme, ["one", "two"])) == "miss"
        assert status_of(await embed(app, acme, ["one", "three"])) == "miss"
        assert [one["input"] for one in upstream.bodies] == [["one", "two"], ["one", "three"]]
        # All known: nobody is asked.
        assert status_of(await embed(app, acme, ["three", "two"])) == "hit-l1"
        is_up = False
        stood_in = await embed(app, acme, ["one", "new"])
        assert (status_of(stood_in), stood_in.headers["x-costhub-model"]) == ("miss", "second")
        assert [item["index"] for item in data_of(stood_in)] == [0, 1]
    (asked,) = await in_thread(bank.calls_received)
    assert asked.json["input"] == ["one", "new"]


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (b'\xef\xbb\xbf{"data":[{"index":0,"embedding":[1.5]}],"usage":{"prompt_tokens":1}}', ["miss", "hit-l1"]),
        (b'{"data":[{"index":0,"embedding":[NaN]}],"usage":{"prompt_tokens":1}}', ["miss", "miss"]),
        (b'{"data":[{"index":0}],"usage":{"prompt_tokens":1}}', ["miss", "miss"]),
        (b'{"data":"none","usage":{"prompt_tokens":1}}', ["miss", "miss"]),
    ],
)
async def test_an_answer_in_odd_json_is_handed_on_and_kept_if_it_has_vectors(
    app: App, committed_world: World, raw: bytes, statuses: list[str]
) -> None:
    acme = committed_world.acme
    with scripted(lambda _: whole(raw)) as upstream:

        def make() -> None:
            make_catalog(acme, base_url=upstream.base_url, model="vectors", input_per_million="1")
            make_policy(acme)

        await in_thread(make)
        answers = [await embed(app, acme, "one") for _ in range(2)]
    assert [status_of(answer) for answer in answers] == statuses
    assert answers[0].body == raw


VECTOR = b"[%b]" % b", ".join([b"-0.0156250"] * 1_536)


def answer_long(body: Any) -> list[bytes]:
    """Vectors of 18 kB."""
    items = (b'{"index":%d,"embedding":%b}' % (place, VECTOR) for place in range(len(body["input"])))
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (len(body["input"]), len(body["input"]))
    return whole(b'{"object":"list","data":[%b],"model":"first","usage":%b}' % (b",".join(items), usage))


async def test_vectors_of_a_large_answer_are_kept_as_they_came(app: App, committed_world: World) -> None:
    """Longer than what is read on the loop, and than what is written there."""
    acme = committed_world.acme
    with scripted(answer_long) as upstream, watched(inputs._write_now) as written_on_the_loop:

        def make() -> None:
            make_catalog(acme, base_url=upstream.base_url, model="vectors", input_per_million="1")
            make_policy(acme)

        await in_thread(make)
        texts = [f"text {number}" for number in range(20)]
        first = await embed(app, acme, texts)
        more = await embed(app, acme, [*texts, "new"])
        again = await embed(app, acme, [*texts, "new"])
    assert [status_of(each) for each in (first, more, again)] == ["miss", "partial", "hit-l1"]
    assert len(upstream.bodies[1]["input"]) == 1
    assert more.body == again.body
    assert [len(item["embedding"]) for item in data_of(more)] == [1_536] * 21
    # The short answer to the new one was read, and is written anew.
    assert more.body.count(VECTOR) == 20
    assert written_on_the_loop == []
    assert [json.loads(each.body)["usage"]["prompt_tokens"] for each in (first, more, again)] == [20, 21, 21]


async def test_a_caller_who_has_the_answer_may_hang_up_before_its_vectors_are_kept(
    app: App, committed_world: World
) -> None:
    """Both threads that seal them are busy: the call is over, paid and its own retry's answer all the same."""
    acme, is_over = committed_world.acme, threading.Event()
    edges = app._edges
    assert edges is not None
    body = {"model": "vectors", "input": [f"text {number}" for number in range(20)]}
    with scripted(answer_long) as upstream:

        def make() -> None:
            make_catalog(acme, base_url=upstream.base_url, model="vectors", input_per_million="1")
            make_policy(acme)

        await in_thread(make)
        busy = [
            asyncio.create_task(edges.counting.run(INLINE_BYTES + 1, is_over.wait, lambda: False, whose=str(number)))
            for number in range(THREADS)
        ]
        first = converse(acme.api_key, body, path=PATH, idempotency_key="once")
        serving = asyncio.create_task(serve(app, first))
        await until(lambda: bool(first.sent) and not first.sent[-1].get("more_body", True))
        first.incoming.put_nowait({"type": "http.disconnect"})
        await serving
        await written(app)
        assert not is_over.is_set()
        (row,) = events_of(acme)
        assert (row["status"], row["error_code"], row["effective_cost"]) == (200, "", 20_000)
        is_over.set()
        await asyncio.gather(*busy)
        await edges.cache.keeping.wait()
        again = await serve(app, converse(acme.api_key, body, path=PATH, idempotency_key="once"))
        other = await embed(app, acme, body["input"])
    assert (again.status, again.body) == (200, first.body)
    assert status_of(other) == "hit-l1"
    assert len(upstream.bodies) == 1
