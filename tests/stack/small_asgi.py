"""The least ASGI app that the web server serves: 200 on /readyz, the process id on everything else."""

import os
from collections.abc import Awaitable, Callable
from typing import Any


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    body = b"" if scope["path"] == "/readyz" else str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
