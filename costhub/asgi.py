"""One ASGI application: ``/v1`` goes to the proxy, which is no Django, everything else to Django.

Where ``COSTHUB_PAGES_SOCKET`` says so, "everything else" is answered by processes of its own: ``application`` relays it
to them, and they run ``pages``. What load balancers ask is answered here, whatever becomes of pages.
"""

import asyncio
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
os.environ["COSTHUB_SERVES_PAGES"] = "1"

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from django.conf import settings  # noqa: E402 - what follows wants Django's apps to be loaded

from costhub.bodies import BoundedBodies  # noqa: E402
from costhub.connections import LettingGo  # noqa: E402
from costhub.lib.memory import settle_memory  # noqa: E402
from costhub.serve.relay import Relay, RelayedCaller  # noqa: E402
from costhub.turns import InTurn, Turns  # noqa: E402
from proxy.app import PREFIX, App  # noqa: E402
from proxy.edges.key_watch import watch_keys  # noqa: E402

#: what says whether this process is well
_HERE = frozenset({"/healthz", "/readyz"})
#: who balances calls asks so, and PostgreSQL is not asked for it
_FOR_CALLS = b"for=calls"

# A body is read first: whoever sends one slowly has no turn meanwhile.
django_pages = BoundedBodies(InTurn(LettingGo(django_app)), settings.MAX_PAGE_BODY_BYTES)
#: they take no body, and hold none in the processes that serve calls
django_health = BoundedBodies(django_app, 0)
#: nor does a crowd of those who ask PostgreSQL, as anybody may, take its connections or these processes' time
django_readiness = BoundedBodies(InTurn(LettingGo(django_app), Turns(2, 1, 32)), 0)
pages_app: Any = Relay(settings.PAGES_SOCKET) if settings.PAGES_SOCKET else django_pages
proxy_app = App()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve a request, or the server's start and stop."""
    if scope["type"] == "http":
        if scope["path"].startswith(PREFIX):
            await proxy_app(scope, receive, send)
        elif scope["path"] in _HERE:
            asks_database = scope["path"] == "/readyz" and scope["query_string"] != _FOR_CALLS
            await (django_readiness if asks_database else django_health)(scope, receive, send)
        else:
            await pages_app(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)


async def pages(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """What the page server's processes run: no call comes here."""
    if scope["type"] == "http":
        await RelayedCaller(django_pages)(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live_without_calls(receive, send)


async def _live_without_calls(receive: Any, send: Any) -> None:
    watch = watch_keys(settings.REDIS_URL)
    for moment in ("startup", "shutdown"):
        while (await receive())["type"] != f"lifespan.{moment}":
            pass
        if moment == "shutdown":
            await asyncio.to_thread(watch.close)
        await send({"type": f"lifespan.{moment}.complete"})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await proxy_app.open()
            settle_memory()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await proxy_app.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
