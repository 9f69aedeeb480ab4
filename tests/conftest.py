"""The database of the test run, and the named world as fixtures.

The servers are real and fresh (tests/plugin.py). Tests connect as the app role, which owns nothing and cannot
TRUNCATE, so ``transaction=True`` is not for them: a test either rolls everything back (``db``, ``world``), or commits
rows of organisations that nobody else has (``committed_world``).
"""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connections
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import DjangoDbBlocker

from tests.world import World, make_world

# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("costhub", deadline=None)
hypothesis_settings.load_profile("costhub")


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """Migrate the fresh database as the owner of its tables. There is no second, ``test_`` database."""
    with django_db_blocker.unblock():
        call_command("migrate", database="owner", verbosity=0)
        connections["owner"].close()


@pytest.fixture
def world(db: None) -> World:
    """Ada owns Acme, Ben is its developer, Mallory owns Mallcorp; gone when the test ends."""
    return make_world()


@pytest.fixture
def committed_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """The same people and organisations under names of this test alone, committed, for code that has connections of its
    own.

    Not together with ``db`` or ``world``, whose transaction would hold it back.
    """
    with django_db_blocker.unblock():
        yield make_world(unique=True)
        connections.close_all()
