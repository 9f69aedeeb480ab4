"""One ASGI application: ``/v1`` goes to the proxy, which is no Django, everything else to Django."""

import gc
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
os.environ["COSTHUB_SERVES_PAGES"] = "1"

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from proxy.app import PREFIX, App  # noqa: E402 - wants Django's apps to be loaded

proxy_app = App()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve a request, or the server's start and stop."""
    if scope["type"] == "http":
        if scope["path"].startswith(PREFIX):
            await proxy_app(scope, receive, send)
        else:
            await django_app(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)


def _settle_memory() -> None:
    """What is loaded now stays for good: leave it out of the search for garbage, and search more rarely. A call leaves
    hundreds of objects, hardly one of them in a cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await proxy_app.open()
            _settle_memory()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await proxy_app.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
