"""While a version is deployed the one before it goes on making rows, which say nothing of columns that are new."""

from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations import AddField

MIGRATIONS = ("0012_trusted", "0014_encoders")


@pytest.mark.django_db
@pytest.mark.parametrize("name", MIGRATIONS)
def test_new_columns_have_a_value_where_nobody_gives_one(name: str) -> None:
    added = [
        (f"proxy_{operation.model_name.lower()}", operation.name)
        for operation in import_module(f"proxy.migrations.{name}").Migration.operations
        if isinstance(operation, AddField)
    ]
    assert added
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND (column_default IS NOT NULL OR is_nullable = 'YES')"
        )
        known = set(cursor.fetchall())
    assert [column for column in added if column not in known] == []
