"""Two people who save one form in the same moment: one is done, and the other is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections, transaction

from costhub.lib.database import take_turn
from tenants.access import org_scope
from tenants.models import AuditEntry
from tests.console.client import Visit, read_form, text_of
from tests.patience import PATIENCE_SECONDS
from tests.world import World, make_budget


def count_waiting(name: str) -> int:
    """How many wait for their turn under a name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(%s, 0)",
            [f"turn {name}"],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@contextmanager
def taken_elsewhere(name: str) -> Iterator[None]:
    """Somebody else has the turn, and nobody waits for long."""
    values = settings.DATABASES["default"]
    with psycopg.connect(
        host=str(values["HOST"]),
        port=str(values["PORT"]),
        user=str(values["USER"]),
        password=str(values["PASSWORD"]),
        dbname=str(values["NAME"]),
    ) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"turn {name}"])
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
        yield


def test_of_two_who_save_at_once_one_is_told(committed_world: World) -> None:
    acme = committed_world.acme
    budget = make_budget(acme, "10.00")
    page = f"/o/{acme.org.slug}/budgets/{budget.pk}"
    visits = [Visit(committed_world.ada) for _ in range(2)]
    forms = [read_form(visit.get(page).content.decode()) for visit in visits]
    found: list[int] = []

    def save(number: int) -> None:
        found.append(visits[number].post(page, forms[number] | {"limit": f"{number + 20}"}).status_code)
        connections.close_all()

    threads = [threading.Thread(target=save, args=(number,)) for number in range(2)]
    with transaction.atomic():
        take_turn(page)
        for thread in threads:
            thread.start()
        ends = time.monotonic() + PATIENCE_SECONDS
        while count_waiting(page) < len(threads):
            assert time.monotonic() < ends, "they do not wait for their turn"
            threading.Event().wait(0.02)
    for thread in threads:
        thread.join()
    assert sorted(found) == [302, 409]
    with org_scope(acme.org.pk):
        changes = AuditEntry.objects.filter(org=acme.org, action="budget.updated").values_list("changes", flat=True)
        assert len(changes) == 1
        budget.refresh_from_db()
        assert changes[0]["limit_nanos"] == [10 * 10**9, budget.limit_nanos]


@pytest.mark.parametrize("path", ["/o/acme/budgets/%00", "/o/acme/keys/%00/revoke", "/o/acme/budgets/%ff"])
def test_a_path_that_nothing_can_have_is_not_there(world: World, path: str) -> None:
    """PostgreSQL knows no NUL, not even in the name of a turn."""
    assert Visit(world.ada).post(path, {"limit": "1"}).status_code == 404


def test_who_waits_too_long_for_a_turn_is_told(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    page, ada = f"/o/acme/budgets/{budget.pk}", Visit(world.ada)
    form = read_form(ada.get(page).content.decode())
    with taken_elsewhere(page):
        assert ada.post(page, form | {"limit": "20"}).headers["Location"] == "/"
    assert "Somebody else is doing this at the moment" in text_of(ada.get(page))
    assert read_form(ada.get(page).content.decode())["limit"] == form["limit"]
    assert ada.post(page, form | {"limit": "20"}).status_code == 302
    assert read_form(ada.get(page).content.decode())["limit"] != form["limit"]


def test_one_person_makes_one_organisation_after_the_other(world: World) -> None:
    """Else two forms of one moment would both find room for one more."""
    ada, page = Visit(world.ada), "/organizations/new"
    with taken_elsewhere(f"organizations of {world.ada.pk}"):
        refused = ada.post(page, {"name": "Globex"})
    assert (refused.status_code, "Somebody else is doing this" in text_of(refused)) == (409, True)
    assert ada.post(page, {"name": "Globex"}).headers["Location"] == "/o/globex/welcome"
