"""Loopback is on the operator's list of networks, because the bank lives there."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.bank import Bank


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An upstream of this test alone."""
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def loopback(settings: Settings) -> None:
    """Tenants may call this machine."""
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
