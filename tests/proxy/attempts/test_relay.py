"""An answer on its way to its caller: what of it is kept meanwhile."""

from typing import Any

import pytest

from proxy.attempts.relay import Relay
from proxy.values.answer import MOST_KEPT_BYTES
from tests.proxy.cache.calls import make_policy
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, running, serve
from tests.proxy.scripted_upstream import DONE, USAGE, chunk, scripted, stream
from tests.watched import watched
from tests.world import World, make_catalog

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
