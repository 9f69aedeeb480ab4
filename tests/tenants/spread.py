"""Tables as a database that is spread by ``org_id`` has them: what docs/operations.md has one do on the day, on
PostgreSQL alone, and taken back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

#: the function that adds to the ledger names its key where it skips what is there
_APPENDS: Final = "costhub_append_ledger"
_KEYS: Final = """
    SELECT t.relname, k.conname,
           (SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS of(number, place)
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = of.number)
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
    WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition AND k.contype = 'p'
          AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'org_id') ORDER BY 1"""


class Key(NamedTuple):
    """The primary key of a table of tenants' rows."""

    table: str
    name: str
    columns: list[str]


def list_keys(cursor: CursorWrapper) -> list[Key]:
    """Of every table with an ``org_id``."""
    cursor.execute(_KEYS)
    return [Key(*row) for row in cursor.fetchall()]


def lead(cursor: CursorWrapper, keys: list[Key]) -> None:
    """Give primary keys an ``org_id`` in front."""
    for key in keys:
        _change(cursor, key, ["org_id", *(column for column in key.columns if column != "org_id")])


def _change(cursor: CursorWrapper, key: Key, columns: list[str]) -> None:
    cursor.execute(
        f"ALTER TABLE {key.table} DROP CONSTRAINT {key.name},"
        f" ADD CONSTRAINT {key.name} PRIMARY KEY ({', '.join(columns)})"
    )


@contextmanager
def spread() -> Iterator[list[Key]]:
    """Every primary key has ``org_id`` in front while the block runs, for all connections. Gives those that were
    changed."""
    owner = connections["owner"]
    with transaction.atomic(using="owner"), owner.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        keys = [key for key in list_keys(cursor) if key.columns[0] != "org_id"]
        lead(cursor, keys)
        cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [_APPENDS])
        before: str = cursor.fetchone()[0]
        after = re.sub(r"ON CONFLICT \(started_at, id\)", "ON CONFLICT (org_id, started_at, id)", before)
        assert after != before
        _run(cursor, after)
    try:
        yield keys
    finally:
        with transaction.atomic(using="owner"), owner.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            for key in keys:
                _change(cursor, key, key.columns)
            _run(cursor, before)
        owner.close()


def _run(cursor: Any, statement: str) -> None:
    """A statement whose per cent signs are its own."""
    cursor.execute(statement.replace("%", "%%"), [])
