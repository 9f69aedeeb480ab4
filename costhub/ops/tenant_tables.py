"""Every table in which an organisation has rows, read from the database itself: a new one is exported and erased
without anybody thinking of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

#: the alias of the role that owns the tables: it sees every organisation's rows, and may delete them
OWNER: Final = "owner"

#: sealed or hashed secrets: nobody takes them along, and they open nowhere else
SECRETS: Final = frozenset(
    {
        "tenants_organization.data_key",
        "tenants_upstream.credential",
        "tenants_upstreamendpoint.credential",
        "tenants_signon.client_secret",
        "tenants_apikey.digest",
        "tenants_admintoken.digest",
        "tenants_invitation.digest",
        "billing_billingaccount.bucket_secret",
        "billing_billsource.credential",
        "billing_channel.secret",
        "billing_channel.former_secret",
        "proxy_teacherrun.api_key",
        "proxy_paidreplay.api_key",
        "proxy_providertuning.api_key",
    }
)


@dataclass(frozen=True, slots=True)
class TenantTable:
    """A table with ``org_id``, its columns, those of them that hold bytes, and whether rows of others refer to its."""

    name: str
    columns: tuple[str, ...]
    binary: tuple[str, ...]
    is_referred_to: bool

    @property
    def left_out(self) -> list[str]:
        """Columns that no export has."""
        return [column for column in self.columns if f"{self.name}.{column}" in SECRETS]


def list_tenant_tables(connection: BaseDatabaseWrapper | None = None) -> list[TenantTable]:
    """All of them by name, parts of a table not apart; ``tenants_organization`` itself is none. As the owner sees them,
    or those that the role of a ``connection`` may read."""
    with (connection or connections[OWNER]).cursor() as cursor:
        cursor.execute(
            "SELECT relname, array_agg(attname ORDER BY attnum),"
            " coalesce(array_agg(attname ORDER BY attnum) FILTER (WHERE atttypid = 'bytea'::regtype), '{}'),"
            " EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = pg_class.oid)"
            " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            " AND attnum > 0 AND NOT attisdropped AND has_table_privilege(pg_class.oid, 'SELECT') GROUP BY pg_class.oid, relname HAVING 'org_id' = ANY (array_agg(attname))"
            " ORDER BY relname"
        )
        return [
            TenantTable(str(name), tuple(columns), tuple(binary), bool(is_referred_to))
            for name, columns, binary, is_referred_to in cursor.fetchall()
        ]


def find_remains(org_id: UUID) -> dict[str, int]:
    """How many rows of any table name an organisation, in any column, as text or as bytes. Reads the whole database."""
    found = {}
    with connections[OWNER].cursor() as cursor:
        for table in _list_all_tables():
            cursor.execute(
                f'SELECT count(*) FROM "{table}" everything'  # noqa: S608 - the database's own name
                " WHERE everything::text LIKE %s OR everything::text LIKE %s",
                [f"%{org_id}%", f"%{str(org_id).encode().hex()}%"],
            )
            (rows,) = cursor.fetchone()
            if rows:
                found[table] = int(rows)
    return found


def _list_all_tables() -> Iterator[str]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition ORDER BY relname"
        )
        names = [str(name) for (name,) in cursor.fetchall()]
    yield from names
