"""Plans that outlive a statement."""

import pytest
from django.db import DatabaseError, connection, transaction

from costhub.lib.database import planned_once

pytestmark = pytest.mark.django_db


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


def test_a_statement_is_planned_once_whatever_its_values() -> None:
    statement = "SELECT %s::integer + 1 AS planned_once"
    assert [ask(statement, number) for number in (1, 2, 3)] == [(2,), (3,), (4,)]
    assert plans()["SELECT $1::integer + 1 AS planned_once"] == (3, 0)


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


def test_a_connection_keeps_the_twenty_that_were_used_last() -> None:
    for number in range(25):
        ask(f"SELECT {number} AS place")
    kept = [statement for statement in plans() if statement.endswith("AS place")]
    assert kept == [f"SELECT {number} AS place" for number in range(5, 25)]
