"""A shard of Valkey, and an organisation that lives on it, for one test alone."""

from collections.abc import Iterator

import pytest

from tests.proxy.edges.till import Till, next_shard


@pytest.fixture
def till() -> Iterator[Till]:
    """An open shard of this test alone, empty."""
    till = Till(next_shard())
    till.open()
    yield till
    till.lose_everything()
