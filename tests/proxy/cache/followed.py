"""The product's own ASGI application in processes that note who is waited for: whenever a call that leads is told that
others wait for it, its process's number goes into the file that ``TEST_FOLLOWED`` names, a line each."""

import os
from pathlib import Path

from costhub.asgi import application
from proxy.cache.coalesce import Flight

__all__ = ["application"]

_NOTED = Path(os.environ["TEST_FOLLOWED"])
_note_awaited = Flight.note_awaited


def note(flight: Flight) -> None:
    """As ``Flight.note_awaited``."""
    _note_awaited(flight)
    with _NOTED.open("a") as noted:
        noted.write(f"{os.getpid()}\n")


Flight.note_awaited = note  # type: ignore[method-assign, assignment]
