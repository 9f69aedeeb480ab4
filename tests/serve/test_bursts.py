"""A burst of requests from one address, more than PostgreSQL has connections: it waits for itself, and ends well."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest
from django.conf import settings
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.secrets import ADMIN_TOKEN, make_secret
from costhub.stack.postgres import MAX_CONNECTIONS
from costhub.turns import MOST_OF_A_CALLER
from tests.patience import wait_until
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.raw_http import connect, exchange, make_request, read_answer

BURST: Final = MAX_CONNECTIONS + 50
#: one that is nobody's
TOKEN: Final = make_secret(ADMIN_TOKEN, settings.KEY_PEPPER).text


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("bursts")
    with django_db_blocker.unblock(), deploy(folder, COSTHUB_TRUSTED_PROXIES="1") as proxy:
        yield proxy


@contextmanager
def nobody_reads(table: str) -> Iterator[None]:
    """Whoever wants a row of a table waits, for as long as the block runs."""
    try:
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        connections["owner"].close()


def count_waiting(table: str) -> int:
    """How many connections wait for a table."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [table])
        return int(cursor.fetchone()[0])


def ask(path: str, caller: str) -> bytes:
    headers = [("authorization", f"Bearer {TOKEN}"), ("x-forwarded-for", caller), ("connection", "close")]
    return make_request("GET", path, headers)


def test_it_takes_no_more_connections_than_it_has_turns_and_keeps_no_one_else_waiting(proxy: Deployment) -> None:
    with ExitStack() as held:
        callers: list[socket.socket] = []
        with nobody_reads("tenants_admintoken"):
            for _ in range(BURST):
                callers.append(held.enter_context(connect(proxy.port)))
                callers[-1].sendall(ask("/api/v1/keys", "203.0.113.66"))
            wait_until(lambda: count_waiting("tenants_admintoken") >= MOST_OF_A_CALLER)
            # Answered behind all of them, while they wait.
            assert exchange(proxy.port, ask("/login", "198.51.100.7"), "GET").status == 200
            assert count_waiting("tenants_admintoken") == MOST_OF_A_CALLER
        answers = Counter(read_answer(caller, "GET").status for caller in callers)
    assert answers == {401: BURST}


def test_those_who_ask_whether_all_is_well_are_looked_for_one_after_the_other(proxy: Deployment) -> None:
    """In the processes that take calls, and whoever balances these waits for none of them."""
    with ExitStack() as held:
        callers: list[socket.socket] = []
        with nobody_reads("django_migrations"):
            for _ in range(BURST):
                callers.append(held.enter_context(connect(proxy.port)))
                callers[-1].sendall(ask("/readyz", "203.0.113.66"))
            wait_until(lambda: count_waiting("django_migrations") >= 1)
            for path in ("/readyz?for=calls", "/healthz"):
                assert exchange(proxy.port, ask(path, "203.0.113.66"), "GET").status == 200
            assert count_waiting("django_migrations") == 1
        answers = Counter(read_answer(caller, "GET").status for caller in callers)
    # Some are told to come again: so many do not wait.
    assert answers.keys() == {200, 503}
