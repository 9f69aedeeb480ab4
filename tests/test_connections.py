"""What asks PostgreSQL for a page has no connection any more while the page is sent, however slowly that is read."""

from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connection

from costhub.connections import LettingGo

Message = dict[str, Any]


def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def close() -> None:
    connection.close()


def has_connection() -> bool:
    return connection.connection is not None


class Page:
    """Answers as Django does: all of it in one thread of the request's own."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(ask)()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            # A stream that reads on has one anew.
            await sync_to_async(ask)()
            await send({"type": "http.response.body", "body": b"two"})
            await sync_to_async(close)()


@pytest.mark.django_db
@pytest.mark.parametrize("is_let_go", [True, False])
async def test_whoever_reads_slowly_holds_no_connection(is_let_go: bool) -> None:
    seen: list[tuple[str, bool]] = []

    async def send(message: Message) -> None:
        seen.append((message["type"].removeprefix("http.response."), await sync_to_async(has_connection)()))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    page = Page()
    await (LettingGo(page) if is_let_go else page)({"type": "http"}, receive, send)
    assert seen == [("start", not is_let_go), ("body", not is_let_go), ("body", True)]
