"""The server runs on uvloop, whose transports differ in small ways from asyncio's: so do its tests."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop for each test of this folder."""
    return {"uvloop": uvloop.new_event_loop}
