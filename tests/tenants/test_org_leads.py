"""The path to many databases: what keeps a tenant's rows apart, unique and together says whose they are.

A database that is spread by ``org_id`` (Citus) wants it in every unique constraint and every reference. Which ones have
none is listed here with the reason, and that primary keys can get it is tried, on PostgreSQL alone.
"""

from typing import Final

import pytest
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.tenants.spread import Key, lead, list_keys

#: unique over all organisations on purpose: these become reference tables, or are looked up at one place
ACROSS: Final = {
    "tenants_apikey (digest)": "whose key it is is what is asked",
    "tenants_admintoken (digest)": "the same of a token",
    "tenants_invitation (digest)": "the same of an invitation",
    "tenants_claimeddomain (name)": "a domain has one owner",
    "billing_invoice (legal_entity, number)": "numbers are a seller's, over all its customers",
    "billing_billingaccount (stripe_customer)": "a customer of Stripe's is one organisation",
    "billing_meterdelta (identifier)": "Stripe counts an identifier once",
    # what is unique within a row of the organisation's: org_id may be added without a change of meaning
    "billing_invoicedocument (invoice_id, form)": "of an invoice",
    "billing_invoiceline (invoice_id, position)": "of an invoice",
    "proxy_datasetversion (dataset_id, number)": "of a dataset",
    "proxy_learnedexample (dataset_id, source, number)": "of a dataset",
    "tenants_upstreamendpoint (upstream_id, base_url)": "of an upstream",
}
#: what a spread database has to be allowed: it takes no triggers by itself
TRIGGERS: Final = {
    "billing_dayrollup": {"make_usage_days", "drop_usage_days"},
    "billing_invoice": {"guard_invoices"},
    "billing_invoiceline": {"guard_invoice_lines"},
    "proxy_ledgerentry": {"mark_quarters"},
    "tenants_auditentry": {"chain"},
}
#: what belongs to nobody, or to people, who may belong to several organisations: reference tables
SHARED: Final = {"billing_legalentity", "billing_plan", "tenants_user"}
#: of all other tables it is a random ``id``, alone or beside ``org_id``
OTHER_PRIMARY_KEYS: Final = {
    "proxy_batchline (batch_id, number)",
    "proxy_cachelookup (request_id)",
    "proxy_ledgerentry (started_at, id)",
}

_CONSTRAINTS: Final = """
    SELECT t.relname, k.conname, k.contype,
           (SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS of(number, place)
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = of.number),
           (SELECT relname FROM pg_class WHERE oid = k.confrelid)
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
    WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition AND k.contype IN ('p', 'u', 'f')
          AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'org_id') ORDER BY 1, 2"""
_INDEXES: Final = """
    SELECT t.relname, (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = i.indexrelid)
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
          AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
          AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'org_id') ORDER BY 1"""


@pytest.fixture(scope="module")
def constraints(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> list[tuple[str, str, str, list[str], str | None]]:
    """Table, name, kind, columns, and where a reference leads, of all tables with an ``org_id``."""
    with django_db_blocker.unblock(), connections["owner"].cursor() as cursor:
        cursor.execute(_CONSTRAINTS)
        return list(cursor.fetchall())


@pytest.fixture(scope="module")
def indexes(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> list[tuple[str, list[str]]]:
    """Table and columns of unique indexes that are no constraints."""
    with django_db_blocker.unblock(), connections["owner"].cursor() as cursor:
        cursor.execute(_INDEXES)
        return list(cursor.fetchall())


Constraints = list[tuple[str, str, str, list[str], str | None]]


def show(table: str, columns: list[str]) -> str:
    return f"{table} ({', '.join(columns)})"


def test_what_is_unique_says_whose_it_is_or_why_not(
    constraints: Constraints, indexes: list[tuple[str, list[str]]]
) -> None:
    unique = [(table, columns) for table, _, kind, columns, _ in constraints if kind == "u"] + indexes
    assert len(unique) >= 50
    assert {show(*each) for each in unique if "org_id" not in each[1]} == ACROSS.keys()


def test_references_stay_inside_or_lead_to_what_is_everybodys(constraints: Constraints) -> None:
    references = [(columns, parent) for _, _, kind, columns, parent in constraints if kind == "f"]
    assert {parent for columns, parent in references if "org_id" not in columns} == SHARED
    assert {columns[0] for columns, _ in references if "org_id" in columns} == {"org_id"}


def test_triggers_are_few_and_known(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT t.relname, array_agg(g.tgname::text) FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid"
            " WHERE NOT g.tgisinternal AND NOT t.relispartition AND t.relnamespace = 'public'::regnamespace GROUP BY 1"
        )
        found = {table: set(names) for table, names in cursor.fetchall()}
    connections["owner"].close()
    assert found == TRIGGERS


def test_primary_keys_can_have_it(constraints: Constraints, django_db_blocker: DjangoDbBlocker) -> None:
    """Each is changed as it would be on the day, in a transaction that is rolled back."""
    without = [
        (table, name, columns)
        for table, name, kind, columns, _ in constraints
        if kind == "p" and "org_id" not in columns
    ]
    assert {show(table, columns) for table, _, columns in without if columns != ["id"]} == OTHER_PRIMARY_KEYS
    with django_db_blocker.unblock():
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            lead(cursor, [Key(*each) for each in without])
            assert [key for key in list_keys(cursor) if key.columns[0] != "org_id"] == []
            transaction.set_rollback(True, using="owner")
        connections["owner"].close()
