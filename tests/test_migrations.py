"""Migrations only expand: the release before runs on beside them, and no table is locked for longer than a moment.

What an older release still reads or writes stays until nobody runs it any more. A migration that takes something away
says since when nobody needs it, as ``contracts = "0.3.0: nothing since 0.2.0 reads it"``; it comes at least one release
later than the code that does without. docs/operations.md has the order of an upgrade.
"""

import re
from typing import Any, Final

import pytest
from django.db import IntegrityError, connection, connections, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from pytest_django import DjangoDbBlocker

from tenants.schema import make_index

#: the newest that 0.1.0 was made with: before it nobody ran anything that could be broken
BASE: Final = {"tenants": "0009_extract_percent", "proxy": "0014_encoders", "billing": "0010_fill_finer_sums"}
#: its partitions are many and large: an index is made on each by itself, and then joined to the whole's
LEDGER: Final = "proxy_ledgerentry"
MARK: Final = "contracts"

_TAKES_AWAY: Final = re.compile(
    r"\bdrop\s+(?:table|column|view|function)\b|\brename\s+(?:column|to)\b|\bset\s+not\s+null\b"
    r"|\balter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b",
    re.IGNORECASE,
)
_MAKES_TABLE: Final = re.compile(r"\bcreate\s+table\s+(?:if\s+not\s+exists\s+)?\"?(\w+)", re.IGNORECASE)
_MAKES_INDEX: Final = re.compile(
    r"\bcreate\s+(?:unique\s+)?index\s+(concurrently\s+)?.*?\bon\s+(only\s+)?\"?(\w+)", re.IGNORECASE | re.DOTALL
)


def find_breaks(migration: migrations.Migration, before: ProjectState) -> list[str]:
    """What of a migration an older release, or a busy table, does not bear. ``before``: the models as they were."""
    found: list[str] = []
    made = {table for operation in migration.operations for table in _tables_made(operation, migration.app_label)}
    state = before.clone()
    for operation in migration.operations:
        found += _look_at(operation, migration.app_label, state, made)
        operation.state_forwards(migration.app_label, state)
    return found


def _tables_made(operation: Operation, app: str) -> list[str]:
    if isinstance(operation, migrations.CreateModel):
        return [str(operation.options.get("db_table", f"{app}_{operation.name_lower}"))]
    return [name for statement in _statements(operation) for name in _MAKES_TABLE.findall(statement)]


def _statements(operation: Operation) -> list[str]:
    if not isinstance(operation, migrations.RunSQL):
        return []
    given: Any = operation.sql
    if isinstance(given, str):
        return [given]
    return [each if isinstance(each, str) else each[0] for each in given]


def _look_at(operation: Operation, app: str, state: ProjectState, made: set[str]) -> list[str]:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return [each for inner in operation.database_operations for each in _look_at(inner, app, state, made)]
    if isinstance(operation, migrations.RunSQL):
        return [each for statement in _statements(operation) for each in _look_at_statement(statement, made)]
    name = type(operation).__name__
    table = f"{app}_{getattr(operation, 'model_name_lower', '')}"
    if table in made:
        return []
    if name in {"RemoveField", "RenameField", "RenameModel", "DeleteModel", "AlterModelTable"}:
        return [f"{name} {table}"]
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if not field.null and not field.has_db_default() and not field.many_to_many:
            return [f"AddField {table}.{operation.name}: an older release does not fill it, so give it a db_default"]
    if isinstance(operation, migrations.AlterField):
        old = state.models[app, operation.model_name_lower].fields[operation.name_lower]
        if not _still_takes(old, operation.field):
            return [f"AlterField {table}.{operation.name}"]
    if name in {"AddIndex", "AddConstraint"}:
        return [f"{name} {table}: AddIndexConcurrently, or NOT VALID and VALIDATE, locks nobody out"]
    return []


def _still_takes(old: Any, new: Any) -> bool:
    """Whether a column takes all that it took, without being written anew."""
    if old.null and not new.null:
        return False
    was, becomes = old.db_type(connection), new.db_type(connection)
    if was == becomes:
        return True
    length = re.compile(r"varchar\((\d+)\)")
    narrow, wide = length.fullmatch(was or ""), length.fullmatch(becomes or "")
    if narrow and becomes == "text":
        return True
    return bool(narrow and wide and int(narrow[1]) <= int(wide[1]))


def _look_at_statement(statement: str, made: set[str]) -> list[str]:
    # What a function does when it is called is not done now.
    text = re.sub(r"\$(\w*)\$.*?\$\1\$", "", statement, flags=re.DOTALL)
    if not any(re.search(rf"\b{table}\b", text) for table in made) and (taken := _TAKES_AWAY.search(text)):
        return [taken[0].upper()]
    index = _MAKES_INDEX.search(text)
    if index is None or index[3] in made:
        return []
    concurrently, only, table = index.groups()
    if table == LEDGER:
        return [] if only else [f"CREATE INDEX on {table}: ON ONLY, then on each partition CONCURRENTLY, then ATTACH"]
    return [] if concurrently else [f"CREATE INDEX on {table}: CONCURRENTLY, in a migration that is not atomic"]


def find_stuck(migration: migrations.Migration) -> list[str]:
    """Indexes that cannot be made again after a run that was cut short, which leaves one that is no good under the same
    name; or that have to be made within the time of a statement of a page."""
    given = [each for operation in migration.operations for each in _statements_within(operation)]
    found = []
    for place, statement in enumerate(given):
        index = _MAKES_INDEX.search(statement)
        if index and index[1]:
            (name,) = re.findall(r"concurrently\s+(\w+)", index[0], re.IGNORECASE)
            if not {f"DROP INDEX CONCURRENTLY IF EXISTS {name}", "SET statement_timeout = 0"} <= set(given[:place]):
                found.append(name)
    return found


def _statements_within(operation: Operation) -> list[str]:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return [each for inner in operation.database_operations for each in _statements_within(inner)]
    return _statements(operation)


def list_newer() -> list[tuple[str, str]]:
    """Those behind the base."""
    loader = MigrationLoader(None)
    return sorted(key for key in loader.disk_migrations if key[0] in BASE and key[1] > BASE[key[0]])


def test_migrations_expand() -> None:
    loader = MigrationLoader(None)
    assert {(app, name) for app, name in BASE.items()} <= loader.disk_migrations.keys()
    broken = {}
    for key in list_newer():
        migration = loader.disk_migrations[key]
        assert find_stuck(migration) == [], key
        why = getattr(migration, MARK, "")
        breaks = find_breaks(migration, loader.project_state(key, at_end=False))
        assert why == "" or re.fullmatch(r"\d+\.\d+\.\d+: .+", why), f"{key}: say since which release, and why"
        if breaks and not why:
            broken[key] = breaks
    assert broken == {}


def planted(*operations: Operation) -> list[str]:
    """What is found in a migration of these, on today's models."""
    migration = type("Planted", (migrations.Migration,), {"operations": list(operations)})("planted", "proxy")
    loader = MigrationLoader(None)
    return find_breaks(migration, loader.project_state())


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (migrations.RemoveField("batch", "status"), "RemoveField proxy_batch"),
        (migrations.RenameField("batch", "status", "state"), "RenameField proxy_batch"),
        (
            migrations.AddField("batch", "more", models.TextField(default="")),
            "AddField proxy_batch.more: an older release does not fill it, so give it a db_default",
        ),
        (
            migrations.AlterField("student", "encoder", models.BinaryField(default=b"")),
            "AlterField proxy_student.encoder",
        ),
        (migrations.AlterField("trainingjob", "seed", models.TextField()), "AlterField proxy_trainingjob.seed"),
        (
            migrations.AlterField("trainingjob", "base_model", models.CharField(max_length=3)),
            "AlterField proxy_trainingjob.base_model",
        ),
        (
            migrations.AddIndex("trainingjob", models.Index(fields=["seed"], name="seeds")),
            "AddIndex proxy_trainingjob: AddIndexConcurrently, or NOT VALID and VALIDATE, locks nobody out",
        ),
        (migrations.RunSQL("ALTER TABLE proxy_batch DROP COLUMN status"), "DROP COLUMN"),
        (
            migrations.RunSQL(["SELECT 1", "ALTER TABLE proxy_batch ALTER COLUMN status TYPE text"]),
            "ALTER COLUMN STATUS TYPE",
        ),
        (migrations.RunSQL("ALTER TABLE proxy_batch ALTER status SET NOT NULL"), "SET NOT NULL"),
        (
            migrations.RunSQL("CREATE INDEX odd ON proxy_batch (status)"),
            "CREATE INDEX on proxy_batch: CONCURRENTLY, in a migration that is not atomic",
        ),
        (
            migrations.RunSQL("CREATE INDEX odd ON proxy_ledgerentry (status)"),
            "CREATE INDEX on proxy_ledgerentry: ON ONLY, then on each partition CONCURRENTLY, then ATTACH",
        ),
        (
            migrations.SeparateDatabaseAndState([migrations.RunSQL("DROP TABLE proxy_batch")], []),
            "DROP TABLE",
        ),
    ],
    ids=str,
)
def test_what_takes_away_is_found(operation: Operation, told: str) -> None:
    assert planted(operation) == [told]


@pytest.mark.parametrize(
    "operations",
    [
        [migrations.AddField("batch", "more", models.TextField(db_default=""))],
        [migrations.AddField("batch", "more", models.TextField(null=True))],
        [migrations.AlterField("trainingjob", "base_model", models.CharField(max_length=900))],
        [migrations.AlterField("trainingjob", "base_model", models.TextField())],
        [migrations.RunSQL("CREATE INDEX CONCURRENTLY odd ON proxy_batch (status)")],
        [migrations.RunSQL("CREATE INDEX odd ON ONLY proxy_ledgerentry (status)")],
        [
            migrations.RunSQL(
                [
                    "CREATE TABLE fresh (a int)",
                    "CREATE INDEX odd ON fresh (a)",
                    "ALTER TABLE fresh ALTER a SET NOT NULL",
                ]
            )
        ],
        [migrations.RunSQL("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE gone; END $$")],
        [
            migrations.CreateModel("Fresh", [("id", models.UUIDField(primary_key=True))]),
            migrations.AddField("fresh", "more", models.TextField(default="")),
            migrations.AddIndex("fresh", models.Index(fields=["more"], name="more")),
        ],
    ],
    ids=str,
)
def test_what_expands_is_let_be(operations: list[Operation]) -> None:
    assert planted(*operations) == []


def test_an_index_that_a_run_may_have_left_half_made_is_found() -> None:
    made = make_index("odd", "proxy_batch (status)")
    for statements, told in ((made, []), (made[3:], ["odd"])):
        operations = [migrations.RunSQL([*statements])]
        migration = type("Planted", (migrations.Migration,), {"operations": operations})("planted", "proxy")
        assert find_stuck(migration) == told


@pytest.mark.usefixtures("django_db_setup")
def test_an_index_that_was_cut_short_is_made_anew(django_db_blocker: DjangoDbBlocker) -> None:
    """PostgreSQL keeps the one that is no good; the time of statements is as before, whoever comes next."""
    made = make_index("odd", "odd_rows (a)", is_unique=True)
    with django_db_blocker.unblock(), connections["owner"].cursor() as cursor:

        def ask(sql: str) -> list[Any]:
            cursor.execute(sql)
            return [value for (value,) in cursor.fetchall()]

        before = ask("SHOW statement_timeout")
        cursor.execute("CREATE TABLE odd_rows AS SELECT 1 AS a FROM generate_series(1, 2)")
        try:
            with pytest.raises(IntegrityError):
                for statement in made:
                    cursor.execute(statement)
            assert ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'odd'::regclass") == [False]
            cursor.execute("TRUNCATE odd_rows")
            for statement in made:
                cursor.execute(statement)
            assert ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'odd'::regclass") == [True]
            assert ask("SHOW statement_timeout") == before
        finally:
            cursor.execute("DROP TABLE odd_rows")
    connections["owner"].close()
