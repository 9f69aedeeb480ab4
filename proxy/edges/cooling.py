"""Tells Valkey which upstreams this process leaves alone, so that pages may say so."""

import asyncio
import logging
from typing import Any

from costhub.lib.keyspace import cooling_key
from proxy.edges.valkey import Valkey, ValkeyUnavailable

_log = logging.getLogger(__name__)


def tell_cool_down(valkey: Valkey, place_id: str, length_ms: int) -> None:
    """An upstream, or one of its endpoints, is left alone for so long from now. Not awaited: no call hangs on it."""
    try:
        answer = valkey.send(b"SET", cooling_key(place_id), b"1", b"PX", max(length_ms, 1))
    except ValkeyUnavailable:
        return
    answer.add_done_callback(_look_away)


def _look_away(done: "asyncio.Future[Any]") -> None:
    """Read the failure, if it is one, so that nobody is told that it was not."""
    if not done.cancelled() and done.exception() is not None:
        _log.info("cool_down_not_told")
