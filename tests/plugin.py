"""Starts the stack before anything else: pytest loads this with `-p`, earlier than pytest-django and any conftest.py.

pytest-django reads the settings, and so DATABASE_URL, before it looks for a conftest.py; only a plugin that wraps
that very step is early enough. With DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL set, nothing is started. Where the
tests are dealt out to several processes (`-n 2`), each of these has servers of its own, and the one that deals has
none.
"""

import os
from collections.abc import Generator

import pytest

from tests.stack_fixtures import TestStack, start_test_stack

STACK = pytest.StashKey[TestStack]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Have the servers running when pytest-django loads the settings; stop them when pytest is done."""
    if not _is_dealer(early_config) and not {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"} <= os.environ.keys():
        stack = start_test_stack()
        early_config.stash[STACK] = stack
        early_config.add_cleanup(stack.stop)
    yield


def _is_dealer(config: pytest.Config) -> bool:
    return "PYTEST_XDIST_WORKER" not in os.environ and bool(getattr(config.known_args_namespace, "numprocesses", None))
