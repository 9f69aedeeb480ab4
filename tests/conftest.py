"""The database of the test run, and the named world as fixtures.

The servers are real and fresh (tests/plugin.py). Tests connect as the app role, which owns nothing and cannot
TRUNCATE, so ``transaction=True`` is not for them: a test either rolls everything back (``db``, ``world``), or commits
rows of organisations that nobody else has (``committed_world``).
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.postgres import base
from tests import gone
from tests.gone import hide_the_gone
from tests.sampling import IS_WHOLE, examples
from tests.template import MIGRATED
from tests.world import World, learn_world, make_world

# How long an example takes, or making it, says more about the machine than about the code. `make test` tries the same
# examples each time, since it is asked whether a change is good; `make soak` looks for new ones.
hypothesis_settings.register_profile(
    "costhub",
    deadline=None,
    max_examples=examples(100),
    derandomize=not IS_WHOLE,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("costhub")


#: whether this process has its database
_DATABASE: Final = pytest.StashKey[bool]()
#: what a forked process must neither use nor close
_inherited: Final[list[Any]] = []


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Migrate the fresh database as the owner of its tables, unless it is a copy of one that was migrated. There is no
    second, ``test_`` database."""
    with django_db_blocker.unblock():
        if MIGRATED not in os.environ:
            call_command("migrate", database="owner", verbosity=0)
        with connections["owner"].cursor() as cursor:
            hide_the_gone(cursor)
        connections["owner"].close()
        _keep_connection()
        learn_world()
    request.config.stash[_DATABASE] = True
    yield
    connections.close_all()
    for _, left in base._idle.pop("default", []):
        left.close()


def _keep_connection() -> None:
    """Have this thread's connection, when a test closes it, wait for the next one: a new process of PostgreSQL takes
    twice as long for the first statements of each kind. Other threads connect anew, as they do in the product's jobs.
    """
    ours = connections["default"]
    ours.settings_dict = ours.settings_dict | {"IDLE_SECONDS": 600}
    os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    _inherited.append(base._idle.copy())
    base._idle.clear()


@pytest.fixture(scope="module", autouse=True)
def _leave_everybody(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Organisations that a file's tests have committed in whatever way are gone after it."""
    yield
    if request.config.stash.get(_DATABASE, False):
        with django_db_blocker.unblock():
            connections.close_all()
            gone.leave_everybody()
            connections.close_all()


@pytest.fixture
def world(db: None) -> World:
    """Ada owns Acme, Ben is its developer, Mallory owns Mallcorp; gone when the test ends."""
    return make_world()


@pytest.fixture(scope="module")
def standing_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """The same people and organisations, made once for a whole file and rolled back after it.

    Beside ``db``, which takes back what each test did; not for what has connections of its own, nor for who changes
    these objects.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_world()
        transaction.set_rollback(True)


@pytest.fixture
def committed_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """The same people and organisations under names of this test alone, committed, for code that has connections of its
    own.

    Not together with ``db`` or ``world``, whose transaction would hold it back.
    """
    with django_db_blocker.unblock(), gone.committed_world() as world:
        yield world
