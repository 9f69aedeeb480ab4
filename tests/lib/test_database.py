"""Plans that outlive a statement."""

from secrets import token_hex

import pytest
from django.conf import settings
from django.db import DatabaseError, DataError, connection, connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.database import planned_once, run_together, turn_held
from costhub.lib.errors import Conflict

in_a_transaction = pytest.mark.django_db


def plans() -> dict[str, tuple[int, int]]:
    """The statements that this connection keeps, and how often each ran by its kept plan and by one for its values."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements ORDER BY prepare_time"
        )
        return {statement: (kept, anew) for statement, kept, anew in cursor.fetchall()}


def ask(sql: str, *values: int) -> object:
    with planned_once() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


@in_a_transaction
def test_a_statement_is_planned_once_whatever_its_values() -> None:
    statement = "SELECT %s::integer + 1 AS planned_once"
    assert [ask(statement, number) for number in (1, 2, 3)] == [(2,), (3,), (4,)]
    assert plans()["SELECT $1::integer + 1 AS planned_once"] == (3, 0)


@in_a_transaction
def test_others_of_the_connection_are_as_they_were() -> None:
    ask("SELECT 1 AS kept")
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::integer AS passing", [1])
    assert not any("passing" in statement for statement in plans())
    with pytest.raises(DatabaseError), transaction.atomic():
        ask("SELECT 1 / %s::integer", 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::integer AS passing", [1])
    assert not any("passing" in statement for statement in plans())


@in_a_transaction
def test_a_connection_keeps_the_twenty_that_were_used_last() -> None:
    for number in range(25):
        ask(f"SELECT {number} AS place")
    kept = [statement for statement in plans() if statement.endswith("AS place")]
    assert kept == [f"SELECT {number} AS place" for number in range(5, 25)]


def test_what_is_sent_together_is_one_transaction(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    def mark(value: str) -> tuple[str, list[str]]:
        return "SELECT set_config('costhub.test', %s, false)", [value]

    with django_db_blocker.unblock():
        try:
            shown: tuple[str, list[str]] = ("SELECT current_setting('costhub.test', true) AS together", [])
            assert run_together(mark("first"), shown) == [("first",)]
            with pytest.raises(DataError):
                run_together(mark("second"), ("SELECT 1 / %s::integer", [0]))
            assert run_together(shown) == [("first",)]
            assert connection.get_autocommit()
            assert plans()[shown[0]] == (2, 0)
            assert run_together(("UPDATE pg_settings SET setting = '' WHERE name = ''", [])) == []
        finally:
            connection.close()


def test_a_column_gets_another_type_and_a_kept_connection_goes_on(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """What is selected has another type than when it was planned: PostgreSQL refuses the plan, and nobody notices."""
    table, role = f"typed_{token_hex(4)}", settings.DATABASES["default"]["USER"]
    reads = f"SELECT amount, %s::integer FROM {table}"

    def read() -> object:
        with transaction.atomic():
            found = ask(reads, 7)
            # The transaction is whole afterwards.
            return found, ask(reads, 8)

    with django_db_blocker.unblock():
        try:
            with connections["owner"].cursor() as owner:
                owner.execute(f"CREATE TABLE {table} AS SELECT 5::integer AS amount")
                owner.execute(f'GRANT SELECT ON {table} TO "{role}"')
                assert read() == ((5, 7), (5, 8))
                kept = connection.connection.info.backend_pid
                owner.execute(f"ALTER TABLE {table} ALTER amount TYPE text")
                assert read() == (("5", 7), ("5", 8))
                owner.execute(f"ALTER TABLE {table} ALTER amount TYPE bigint USING amount::bigint")
                assert read() == ((5, 7), (5, 8))
            assert connection.connection.info.backend_pid == kept
            with pytest.raises(DatabaseError, match="does not exist"), transaction.atomic():
                ask(f"SELECT none, %s::integer FROM {table}", 7)
        finally:
            with connections["owner"].cursor() as owner:
                owner.execute(f"DROP TABLE IF EXISTS {table}")
            connections.close_all()


def test_a_turn_that_somebody_else_has_is_told_of(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    name = f"number for {token_hex(8)}"
    with django_db_blocker.unblock():
        other = connections["owner"].copy("owner")
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"turn {name}"])
            with connections["owner"].cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Conflict, match="Somebody else"), turn_held(name, "owner"):
                raise AssertionError("it is not ours")
        finally:
            other.close()
            connections["owner"].close()
