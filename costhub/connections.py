"""Connections to PostgreSQL that requests outside ``/v1`` have: given back where the answer begins.

Django keeps a request's until its answer is sent. Who reads that slowly would have it for minutes, and many of them all
that PostgreSQL has.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from proxy.edges.shortcuts import Receive, Send

# In the request's own thread, which asgiref knows by the task that sends.
_let_go: Final = sync_to_async(close_old_connections)


class LettingGo:
    """An ASGI application before Django's, whose thread has no connection any more when its answer begins. What is read
    of PostgreSQL while the answer is sent has to let go of its own, piece by piece."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Have the application answer."""

        async def send_on(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await _let_go()
            await send(message)

        await self._app(scope, receive, send_on)
