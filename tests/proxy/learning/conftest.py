"""What tests of learning share."""

from collections.abc import Iterator

import pytest

from tests.proxy.learning.s3 import S3, run_s3


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """One server for all, with a part of its bucket for each test: it takes seconds to start."""
    with run_s3() as server:
        yield server
