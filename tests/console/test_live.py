"""Streams of events: what they tell, to whom, how many there may be, and when they end."""

import asyncio
import gc
from collections.abc import Iterable
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client

from costhub.console.live import MOST_LOOKS, Seats, leave_once, look_at, seated, watch
from tenants.access import org_scope
from tenants.actions.orgs import add_member, suspend_member
from tenants.choices import Role
from tenants.models import Membership, User
from tests.billing.ledger import NOW, record_call
from tests.world import World, close_scopes, sign_in_now


def tell(states: Iterable[str | None]) -> list[bytes]:
    """What a stream tells that sees these states, one a look."""
    seen = iter(states)

    async def look() -> str | None:
        return next(seen)

    async def collect() -> list[bytes]:
        return [event async for event in watch(look, "a", lambda: asyncio.sleep(0))]

    return asyncio.run(collect())[1:]


def session_of(user: User) -> str:
    client = Client()
    sign_in_now(client, user)
    return client.session.session_key or ""


def look(session: str, slug: str = "acme") -> str | None:
    close_scopes()
    found = look_at(session, slug)
    close_scopes()
    return found


def test_it_tells_that_something_moved_and_that_it_ended() -> None:
    moved, quiet, ended = b"event: moved\ndata: \n\n", b": \n\n", b"event: ended\ndata: \n\n"
    assert tell(["a", "b", "b", "c", None]) == [quiet, moved, quiet, moved, ended]


def test_it_ends_by_itself_so_that_a_server_can_stop() -> None:
    assert len(tell(["a"] * (MOST_LOOKS + 5))) == MOST_LOOKS


def test_a_call_changes_what_is_seen(world: World) -> None:
    ada = session_of(world.ada)
    before = look(ada)
    assert before == look(ada)
    record_call(world.acme, NOW, cost=1)
    assert look(ada) != before


def test_only_who_may_see_the_calls_sees_that_they_move(world: World) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
    vic = User.objects.get(email="vic@acme.example")
    assert look(session_of(world.ben)) is not None
    for session in (session_of(vic), session_of(world.mallory), "", "x" * 32):
        assert look(session) is None


def test_it_ends_with_the_session_the_membership_and_the_password(world: World) -> None:
    client = Client()
    sign_in_now(client, world.ben)
    ben = client.session.session_key or ""
    assert look(ben) is not None
    with org_scope(world.acme.org.pk):
        membership = Membership.objects.get(user=world.ben)
        suspend_member(actor=world.acme.owner, membership=membership, is_suspended=True)
    assert look(ben) is None
    with org_scope(world.acme.org.pk):
        suspend_member(actor=world.acme.owner, membership=membership, is_suspended=False)
    world.ben.set_password("another battery staple horse")
    world.ben.save()
    assert look(ben) is None
    other = Client()
    sign_in_now(other, world.ben)
    key = other.session.session_key or ""
    assert look(key) is not None
    other.post("/logout")
    assert look(key) is None


def test_seats_are_bounded_and_given_back() -> None:
    seats = Seats(3, 2)
    assert [seats.take(who) for who in ("ada", "ada", "ada", "ben", "eve")] == [True, True, False, True, False]
    seats.leave("ada")
    assert seats.take("eve")
    left: list[int] = []

    async def leave_early() -> None:
        async def events() -> Any:
            yield b"1"
            yield b"2"

        stream = seated(events(), lambda: left.append(1))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave_early())
    assert left == [1]


def test_a_seat_is_given_back_of_a_stream_that_never_begins() -> None:
    seats = Seats(1, 1)

    async def events() -> Any:
        yield b"1"

    async def go_through() -> None:
        assert seats.take("ada")
        stream = events()
        leave = leave_once(stream, seats, "ada")
        assert [event async for event in seated(stream, leave)] == [b"1"]
        leave()

    asyncio.run(go_through())
    assert seats.take("ada")
    stream = events()
    answer = seated(stream, leave_once(stream, seats, "ada"))
    assert not seats.take("ada")
    del stream, answer
    gc.collect()
    assert seats.take("ada")
    assert not seats.take("ada")


def test_over_http_it_is_a_stream_that_nobody_keeps(world: World) -> None:
    async def begin(session: str) -> tuple[int, str, bytes]:
        client = AsyncClient()
        client.cookies[settings.SESSION_COOKIE_NAME] = session
        answer: Any = await client.get("/o/acme/live")
        if answer.status_code != 200:
            return answer.status_code, "", b""
        stream = aiter(answer.streaming_content)
        first = await anext(stream)
        await stream.aclose()
        assert answer.headers["Cache-Control"] == "private, no-store"
        return answer.status_code, answer.headers["Content-Type"], first

    session = session_of(world.ada)
    stranger = session_of(world.mallory)
    close_scopes()
    assert async_to_sync(begin)(session) == (200, "text/event-stream", b"retry: 3000\n\n")
    close_scopes()
    assert async_to_sync(begin)(stranger)[0] == 404
