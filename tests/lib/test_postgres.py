"""Connections that a thread leaves to the next one, to processes that give way as it does."""

import os
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from django.db import connections

from costhub.lib import clock
from costhub.lib.postgres import base
from costhub.lib.postgres.base import MOST_IDLE, DatabaseWrapper

pytestmark = pytest.mark.django_db

Open = Callable[[], DatabaseWrapper]


@pytest.fixture
def open_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Connects as a thread of the web server does: connections are left to others for a minute."""
    monkeypatch.setattr(base, "_idle", {})
    opened: list[DatabaseWrapper] = []

    def open_one() -> DatabaseWrapper:
        wrapper = cast("DatabaseWrapper", connections.create_connection("default"))
        wrapper.settings_dict = wrapper.settings_dict | {"IDLE_SECONDS": 60}
        wrapper.ensure_connection()
        opened.append(wrapper)
        return wrapper

    yield open_one
    for wrapper in opened:
        wrapper.close()
    for _, idle in base._idle.get("default", []):
        idle.close()


def backend_of(wrapper: DatabaseWrapper) -> int:
    """The process of PostgreSQL behind it."""
    assert wrapper.connection is not None
    return int(wrapper.connection.info.backend_pid)


def leave(wrapper: DatabaseWrapper) -> int:
    pid = backend_of(wrapper)
    wrapper.close()
    return pid


def idle() -> list[int]:
    return [one.info.backend_pid for _, one in base._idle.get("default", [])]


def test_the_next_one_takes_what_was_left_last(open_one: Open) -> None:
    one, other = open_one(), open_one()
    first, last = leave(one), leave(other)
    assert idle() == [first, last]
    assert [backend_of(open_one()), backend_of(open_one())] == [last, first]
    assert backend_of(open_one()) not in {first, last}


def test_of_a_burst_few_are_left(open_one: Open) -> None:
    burst = [open_one() for _ in range(MOST_IDLE + 2)]
    raw = [wrapper.connection for wrapper in burst]
    left = [leave(wrapper) for wrapper in burst]
    assert idle() == left[2:]
    assert [one.closed for one in raw if one is not None] == [True] * 2 + [False] * MOST_IDLE


def test_one_that_is_broken_is_not_taken(open_one: Open) -> None:
    wrappers = [open_one() for _ in range(3)]
    well, *ill = [leave(wrapper) for wrapper in wrappers]
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [ill])
    assert backend_of(open_one()) == well
    assert idle() == []


def test_one_in_the_middle_of_a_transaction_is_closed(open_one: Open) -> None:
    one = open_one()
    one.set_autocommit(False)
    with one.cursor() as cursor:
        cursor.execute("SELECT 1")
    leave(one)
    assert idle() == []


def test_one_that_failed_is_left_as_a_new_one(open_one: Open) -> None:
    one = open_one()
    with pytest.raises(Exception, match="division by zero"), one.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    pid = leave(one)
    again = open_one()
    with again.cursor() as cursor:
        cursor.execute("SELECT current_setting('costhub.orgs', true), current_setting('plan_cache_mode')")
        assert cursor.fetchone() in {("", "auto"), (None, "auto")}
    assert backend_of(again) == pid


def test_after_a_minute_it_is_closed(open_one: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    one = open_one()
    raw, pid = one.connection, leave(one)
    now = clock.monotonic_ns()
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now + 61 * 10**9)
    assert backend_of(open_one()) != pid
    assert raw is not None
    assert raw.closed


def test_a_thread_that_comes_back_for_its_own_leaves_none(open_one: Open) -> None:
    one = open_one()
    one.settings_dict = one.settings_dict | {"IDLE_SECONDS": 0}
    leave(one)
    assert idle() == []


@pytest.mark.parametrize(("is_near", "gives_way"), [(True, True), (False, False)])
def test_its_process_gives_way_as_ours_does_where_it_is_near(
    open_one: Open, monkeypatch: pytest.MonkeyPatch, is_near: bool, gives_way: bool
) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, backend_of(open_one()))
    monkeypatch.setattr(base, "_niceness", lambda: 19)
    wrapper = cast("DatabaseWrapper", connections.create_connection("default"))
    wrapper.settings_dict = wrapper.settings_dict | {"IS_NEAR": is_near}
    wrapper.ensure_connection()
    try:
        assert os.getpriority(os.PRIO_PROCESS, backend_of(wrapper)) == (19 if gives_way else usual)
    finally:
        wrapper.close()
