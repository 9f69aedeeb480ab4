"""The product's own ASGI application in a process that a test arms when it wants to: at which named place it dies, and
at which visit.

The file that ``TEST_FAILPOINT`` names says so, as ``COSTHUB_FAILPOINT`` does. Who has read it takes it away, so that
the process that follows lives.
"""

import os
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from costhub import asgi
from costhub.lib import failpoints

ORDER = Path(os.environ["TEST_FAILPOINT"])


def look() -> None:
    """Arm this process, if that is asked for."""
    if ORDER.exists():
        name, _, visit = ORDER.read_text().partition(":")
        ORDER.unlink()
        patch.multiple(failpoints, ARMED=name, _NTH=int(visit), _visits=count(1)).start()


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    look()
    await asgi.application(scope, receive, send)
