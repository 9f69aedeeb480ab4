"""An answer on its way to its caller: in how few pieces it goes out, and what of it is kept meanwhile."""

from collections.abc import AsyncIterator, Iterator
from threading import Event
from typing import Any

import pytest

from proxy.app import App
from proxy.attempts.relay import Relay
from proxy.values.answer import MOST_KEPT_BYTES
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tests.patience import PATIENCE_SECONDS
from tests.proxy.cache.calls import make_policy, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, running, serve
from tests.proxy.scripted_upstream import DONE, USAGE, Json, chunk, scripted, stream
from tests.proxy.test_messages import MESSAGES, TALE, ask_message, tell, typed
from tests.watched import watched
from tests.world import Tenant, World, make_catalog

#: of each event
WORDS = "word " * 6_000


@pytest.mark.parametrize(("count", "is_kept"), [(30, True), (100, False)])
async def test_of_a_stream_no_more_is_held_than_the_cache_keeps(
    committed_world: World, count: int, is_kept: bool
) -> None:
    acme = committed_world.acme
    events = [chunk({"content": WORDS}) for _ in range(count)]
    with scripted(lambda _: stream(*events, chunk({}, "stop"), chunk(usage=USAGE), DONE)) as upstream:

        def make() -> None:
            make_catalog(acme, base_url=upstream.base_url)
            make_policy(acme)

        await in_thread(make)

        async def ask(app: Any) -> Conversation:
            return await serve(app, converse(acme.api_key, chat(stream=True)))

        async with running() as app:
            with watched(Relay.begin) as begun:
                answers = [await ask(app) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.body.count(WORDS.encode()) for answer in answers] == [count] * 2
    assert [answer.headers["x-costhub-cache"] for answer in answers] == ["miss", "hit-l1" if is_kept else "miss"]
    relay = begun[0].names["self"]
    held = sum(map(len, relay.parts))
    # Its beginning is no answer: nobody compares it, or learns from it.
    assert (0 < held <= MOST_KEPT_BYTES) if is_kept else relay.parts == ()


HI = [chunk({"content": "H"}), chunk({"content": "i"}, "stop"), chunk(usage=USAGE), DONE]
RESPONSES = "/v1/responses"


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with running() as app:
        yield app


def furnish(acme: Tenant, base_url: str) -> None:
    make_catalog(acme, base_url=base_url)


def list_pieces(told: Conversation) -> list[tuple[bytes, bool]]:
    """Of an answer the pieces behind its head, and whether more follows each."""
    return [(message["body"], message["more_body"]) for message in told.sent[1:]]


@pytest.mark.parametrize("path", ["/v1/chat/completions", RESPONSES])
async def test_a_stream_that_comes_whole_goes_out_whole(committed_world: World, app: App, path: str) -> None:
    acme = committed_world.acme
    with scripted(lambda _: [b"".join(stream(*HI))]) as upstream:
        await in_thread(lambda: furnish(acme, upstream.base_url))
        body = {"model": "small", "input": "Hi", "stream": True} if path == RESPONSES else chat(stream=True)
        told = await serve(app, converse(acme.api_key, body, path=path))
    [(said, has_more)] = list_pieces(told)
    assert (told.status, has_more) == (200, False)
    last = b"response.completed" if path == RESPONSES else b"[DONE]"
    assert said.count(b'"H"') == 1
    assert 0 < said.index(b'"H"') < said.index(b": x-costhub-cost: ") < said.index(last)


async def test_what_is_there_of_a_stream_does_not_wait_for_the_rest(committed_world: World, app: App) -> None:
    acme, is_heard = committed_world.acme, Event()

    def script(_: Json) -> Iterator[bytes]:
        head, first, *rest = stream(*HI)
        yield head + first
        assert is_heard.wait(PATIENCE_SECONDS)
        yield b"".join(rest)

    with scripted(script) as upstream:
        await in_thread(lambda: furnish(acme, upstream.base_url))
        told = converse(acme.api_key, chat(stream=True))
        sending = told.send

        async def send(message: Json) -> None:
            await sending(message)
            if message.get("body"):
                is_heard.set()

        await app(told.scope, told.incoming.get, send)
    (first, has_more), (last, is_more) = list_pieces(told)
    assert (first.count(b'"H"'), first.count(b'"i"'), has_more) == (1, 0, True)
    assert (last.count(b'"i"'), last.endswith(DONE), is_more) == (1, True, False)


async def test_a_try_that_had_no_word_for_its_caller_is_followed_by_another(committed_world: World, app: App) -> None:
    """A comment is a part of a chat's stream, and says nothing in a response: its caller has not even a head."""
    acme = committed_world.acme
    silent, talking = scripted(lambda _: stream(b": I think\n\n", is_broken=True)), scripted(lambda _: stream(*HI))
    with silent as first, talking as second:

        def make() -> None:
            catalog = make_catalog(acme, base_url=first.base_url)
            make_catalog(acme, base_url=second.base_url, model="second")
            with org_scope(acme.org_id):
                update_upstream(actor=acme.owner, upstream=catalog.upstream, max_retries=0)
                update_model(actor=acme.owner, model=catalog.model, fallbacks=["second"])

        await in_thread(make)
        body = {"model": "small", "input": "Hi", "stream": True}
        told = await serve(app, converse(acme.api_key, body, path=RESPONSES))
    await written(app)
    assert (told.status, told.headers["x-costhub-model"]) == (200, "second")
    assert told.body.count(b'"response.created"') == 1
    assert b'"delta":"H"' in told.body
    (row,) = events_of(acme)
    assert [attempt["model"] for attempt in row["attempts"]] == ["small", "second"]
    assert (row["status"], row["input_tokens"], row["output_tokens"]) == (
        200,
        9 + row["attempts"][0]["input_tokens"],
        2,
    )


async def test_whoever_speaks_the_callers_format_is_heard_untranslated_after_one_who_does_not(
    committed_world: World, app: App
) -> None:
    acme = committed_world.acme
    silent, talking = scripted(lambda _: stream(b": I think\n\n", is_broken=True)), scripted(lambda _: tell(*TALE))
    with silent as first, talking as second:

        def make() -> None:
            catalog = make_catalog(acme, base_url=first.base_url)
            make_catalog(acme, base_url=second.base_url, model="second", kind=UpstreamKind.ANTHROPIC)
            with org_scope(acme.org_id):
                update_upstream(actor=acme.owner, upstream=catalog.upstream, max_retries=0)
                update_model(actor=acme.owner, model=catalog.model, fallbacks=["second"])

        await in_thread(make)
        told = await serve(app, converse(acme.api_key, ask_message(stream=True), path=MESSAGES))
    assert (told.status, told.headers["x-costhub-model"]) == (200, "second")
    assert told.body.startswith(b"".join(map(typed, TALE[:-1])))
