"""The rows of a world that the product's own actions have made once, to be copied for each test.

Thousands of tests want a world of their own. By way of the actions that is some 150 statements; a copy is a dozen, and
has ids, names, secrets and moments of its own. What the actions write tomorrow is seen here: a table that is not copied
fails every test at once.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, models, transaction

from costhub.lib import clock
from costhub.lib.keyspace import shard_of
from costhub.lib.secrets import ADMIN_TOKEN, API_KEY, make_data_key, make_secret
from tenants.access import org_scope
from tenants.actions.changes import _try_to_announce
from tenants.models import AdminToken, ApiKey, AuditEntry, Membership, Organization, Project, User

#: stands in the names of the rows that are copied, and in no others
MARK: Final = "-pattern"
#: rows of organisations, in the order in which they may be stored
COPIED: Final[tuple[type[Any], ...]] = (Organization, Membership, Project, AdminToken, ApiKey, AuditEntry)

_WRITTEN: Final = re.compile(r'^(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"')

Row = dict[str, Any]


@dataclass(frozen=True)
class Copies:
    """The rows of one copy, in the order of those that they are copies of, and the secrets that were made for them."""

    users: list[User]
    rows: dict[type[models.Model], list[Any]]
    #: by the digest that a row is stored with
    secrets: dict[bytes, str]


@dataclass
class Pattern:
    """What the actions have stored for the people and organisations of one world."""

    users: list[Row] = field(default_factory=list)
    rows: dict[type[models.Model], list[Row]] = field(default_factory=dict)

    def learn(self, make: Callable[[], tuple[list[User], list[Organization]]]) -> None:
        """Have the actions store everything, remember it, and take it back. Raises AssertionError for a table that
        would not be copied."""
        with transaction.atomic():
            with _noting_tables() as written:
                people, orgs = make()
            missed = written - {User._meta.db_table, *(model._meta.db_table for model in COPIED)}
            assert not missed, f"tests/pattern.py has to copy {', '.join(sorted(missed))}, too"
            self.users = [_read(user) for user in people]
            with org_scope(*(org.pk for org in orgs)):
                for model in COPIED:
                    found = model._default_manager.filter(**_of(model, orgs)).order_by("created_at", "pk")
                    self.rows[model] = [_read(row) for row in found]
            transaction.set_rollback(True)

    def copy(self, mark: str) -> Copies:
        """Store a copy whose names have ``mark`` where the pattern's have ``MARK``. Raises IntegrityError where
        somebody has such a name."""
        new = _Values(mark)
        copies = Copies([User(**(new.of(row) | {"id": None})) for row in self.users], {}, {})
        User.objects.bulk_create(copies.users)
        new.users = {row["id"]: user.pk for row, user in zip(self.users, copies.users, strict=True)}
        orgs = [self._org(row, new) for row in self.rows[Organization]]
        with org_scope(*(org.pk for org in orgs)):
            for model in COPIED:
                if model is Organization:
                    made: list[Any] = orgs
                else:
                    made = [self._row(model, row, new, copies.secrets) for row in self.rows[model]]
                model._default_manager.bulk_create(made)
                copies.rows[model] = made
            for org in orgs:
                transaction.on_commit(partial(_try_to_announce, org.pk, org.version, (), False))
        return copies

    def _org(self, row: Row, new: "_Values") -> Organization:
        org = Organization(**new.of(row))
        org.shard = shard_of(str(org.pk))
        org.data_key = make_data_key(settings.MASTER_KEYS, str(org.pk))
        return org

    def _row(self, model: type[models.Model], row: Row, new: "_Values", secrets: dict[bytes, str]) -> models.Model:
        changed: Row = {}
        if model in {ApiKey, AdminToken}:
            secret = make_secret(API_KEY if model is ApiKey else ADMIN_TOKEN, settings.KEY_PEPPER)
            changed = {"prefix": secret.prefix, "digest": secret.digest}
            secrets[secret.digest] = secret.text
            new.known[row["prefix"]] = secret.prefix
        elif model is Membership:
            changed = {"user_id": new.users[row["user_id"]]}
        elif model is AuditEntry:
            # The database numbers and chains them.
            changed = {"number": None, "hash": None}
        return model(**(new.of(row) | changed))


@dataclass
class _Values:
    """What stands in a copy where something else stands in the pattern: the same each time that it does."""

    mark: str
    #: by the pattern's ids: numbers, which might as well be something else
    users: dict[int, int] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)

    def of(self, row: Row) -> Row:
        return {name: self._of(value) for name, value in row.items()}

    def _of(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.known.get(value) or value.replace(MARK, self.mark)
        if isinstance(value, UUID):
            if value not in self.known:
                self.known[value] = uuid4()
                self.known[str(value)] = str(self.known[value])
            return self.known[value]
        if isinstance(value, datetime):
            return clock.now()
        if isinstance(value, list):
            return [self._of(item) for item in value]
        if isinstance(value, dict):
            return {name: self._of(item) for name, item in value.items()}
        return value


@cache
def learned(make: Callable[[], tuple[list[User], list[Organization]]]) -> Pattern:
    """What ``make`` stores, learned once in a process."""
    pattern = Pattern()
    pattern.learn(make)
    return pattern


def _of(model: type[models.Model], orgs: list[Organization]) -> dict[str, Any]:
    return {"pk__in" if model is Organization else "org_id__in": [org.pk for org in orgs]}


def _read(row: models.Model) -> Row:
    return {one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields}


@contextmanager
def _noting_tables() -> Iterator[set[str]]:
    """The tables that are written to while inside."""
    written: set[str] = set()

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if found := _WRITTEN.match(sql):
            written.add(found[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield written
