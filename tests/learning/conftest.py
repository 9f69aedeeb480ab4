"""Without the extra nothing here is even read, so that `make test` needs none of it."""

import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.proxy.learning.s3 import S3, run_s3

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]

if find_spec("torch"):
    # Warnings of libraries about each other are nobody's error here; ours still are.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft  # noqa: F401
        import sentence_transformers  # noqa: F401
        import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """One server for all, with a part of its bucket for each test."""
    with run_s3() as server:
        yield server


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of base models with one that takes milliseconds."""
    from tests.learning.bases import make_tiny

    return str(make_tiny(tmp_path_factory.mktemp("models")))
