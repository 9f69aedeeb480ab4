"""One bank for the tests of a module, without orders and without calls in progress at the start of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bank.client import Bank


@pytest.fixture(scope="module")
def module_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    bank = Bank.start(tmp_path_factory.mktemp("bank"))
    yield bank
    bank.stop()
    assert bank.complaints() == ""


@pytest.fixture
def bank(module_bank: Bank) -> Bank:
    """A bank that serves every call normally. Its bill holds the calls of earlier tests: ask for yours by its id."""
    module_bank.wait_quiet()
    module_bank.clear()
    return module_bank


@pytest.fixture
def own_bank(tmp_path: Path) -> Iterator[Bank]:
    """A bank with an empty bill, to be killed and restarted at will."""
    own = Bank.start(tmp_path)
    yield own
    own.stop()
