"""Row-level security, asked in plain SQL as the app role: it must hold where the ORM and the doors are not in the
way."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from costhub.lib import clock
from costhub.lib.money import Nanos
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.endpoints import register_endpoint
from tenants.actions.increases import increase_budget
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.models import LanguageModel
from tests.billing.alerts.examples import make_alerts
from tests.billing.invoices.examples import furnish_billing
from tests.billing.outlook import store_anomaly, store_forecast
from tests.proxy.answers.rows import keep_answer
from tests.proxy.batches.rows import fill_batches
from tests.proxy.cache.rows import fill_cache
from tests.proxy.learning.rows import fill_learning
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.route_examples import fill_routes
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

DIRECT = "permission denied for table"
POLICY = "violates row-level security policy"
#: the last: of an issued invoice and its lines, by a trigger that comes first
REFUSALS = (POLICY, "permission denied", "issued invoice never changes")


def tenant_tables() -> list[str]:
    """Every table with an org_id, from the catalog, so that a new one is covered by itself; partitions are apart."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id'
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               ORDER BY 1"""
        )
        return [name for (name,) in cursor.fetchall()]


def count(table: str, condition: str = "true", *values: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE {condition}", list(values))
        return int(cursor.fetchone()[0])


@pytest.fixture
def furnished(all_furnished: World, db: None) -> World:
    return all_furnished


@pytest.fixture(scope="module")
def all_furnished(standing_world: World) -> World:
    """Both organisations have a row in every tenant table."""
    world = standing_world
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions('2000-01-01', 0)")
    for tenant in (world.acme, world.mallcorp):
        catalog = make_catalog(tenant)
        budget = make_budget(tenant, "10.00")
        make_rate_limit(tenant, 10)
        make_alerts(tenant)
        store_forecast(tenant)
        store_anomaly(tenant)
        furnish_billing(tenant)
        make_account_rows(tenant)
        with org_scope(tenant.org.pk):
            until = clock.now() + timedelta(days=1)
            increase_budget(actor=tenant.owner, budget=budget, amount_nanos=Nanos(1), until=until)
            create_end_user(actor=tenant.owner, external_id="u-1")
            register_endpoint(actor=tenant.owner, upstream=catalog.upstream, base_url="https://one.acme.example/v1")
            model = LanguageModel.objects.get(org=tenant.org)
            adjust_list_price(actor=tenant.owner, kind=AdjustmentKind.DISCOUNT, percent=Decimal(5), model=model)
            fill_cache(tenant)
            keep_answer(tenant)
            fill_batches(tenant)
            fill_routes(tenant)
            fill_learning(tenant)
            record_call(tenant, "2 days")
            record_call(tenant, "0 days")
            record_old_call(tenant)
    with connection.cursor() as cursor:
        rolled = 1
        while rolled:
            cursor.execute("SELECT costhub_roll_up(1000, date_trunc('day', now(), 'UTC') + interval '12 hours')")
            (rolled,) = cursor.fetchone()
        cursor.execute("SELECT costhub_drop_ledger_month('2000-01-01')")
    # At noon the day before yesterday is a sum, today's first quarter of an hour too, and today is not; these wait.
    for tenant in (world.acme, world.mallcorp):
        record_call(tenant, "0 days")
    return world


def record_call(tenant: Tenant, age: str) -> None:
    """A call at the beginning of today, or of a day so long ago."""
    insert_call(tenant, "date_trunc('day', now(), 'UTC') - %s::interval", age, 0)


def record_old_call(tenant: Tenant) -> None:
    """A call that cost something in a month that is dropped."""
    insert_call(tenant, "%s::timestamptz", "2000-01-10", 1)


def insert_call(tenant: Tenant, moment: str, argument: str, cost: int) -> None:
    with org_scope(tenant.org.pk), connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO proxy_ledgerentry SELECT {moment}, gen_random_uuid(), %s, %s, %s, '', '{{}}', 'call', NULL, '', '',
                '', NULL, '', '[]', false, 0, 0, 0, 0, 0, 0, 0, 0, %s, '{{}}', NULL, false, false, 0, '', '', 200, '', '', 0,
                NULL, NULL, now()""",
            [argument, tenant.org.pk, tenant.project.pk, tenant.key.pk, cost],
        )


def test_the_catalog_knows_the_tables(db: None) -> None:
    assert {"tenants_apikey", "tenants_budget", "tenants_auditentry", "proxy_ledgerentry"} <= set(tenant_tables())


def test_the_app_role_cannot_get_around_it(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)
        cursor.execute(
            "SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        )
        assert cursor.fetchone() == (0,)
        cursor.execute(
            """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
               AND NOT (relrowsecurity AND relforcerowsecurity)
               AND oid IN (SELECT attrelid FROM pg_attribute WHERE attname = 'org_id')"""
        )
        assert cursor.fetchall() == []


def test_without_a_scope_no_row_is_there(furnished: World) -> None:
    assert {table: count(table) for table in tenant_tables()} == dict.fromkeys(tenant_tables(), 0)
    assert count("tenants_organization") == 0


def test_with_an_own_scope_the_rows_are_there(furnished: World) -> None:
    with org_scope(furnished.acme.org.pk):
        assert [table for table in tenant_tables() if count(table) == 0] == []
        assert count("tenants_organization") == 1


def test_in_mallorys_scope_nothing_of_acme_is_there(furnished: World) -> None:
    acme = furnished.acme.org.pk
    with org_scope(furnished.mallcorp.org.pk):
        assert {table: count(table, "org_id = %s", acme) for table in tenant_tables()} == dict.fromkeys(
            tenant_tables(), 0
        )
        assert count("tenants_organization", "id = %s", acme) == 0


def touch(statement: str, *values: UUID) -> int | str:
    """How many rows a statement changed, or what of it was refused."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, list(values))
            return int(cursor.rowcount)
    except DatabaseError as error:
        return next((refusal for refusal in REFUSALS if refusal in str(error)), str(error))


def columns_of(table: str) -> str:
    """What can be written when a row is made."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'",
            [table],
        )
        return str(cursor.fetchone()[0])


@pytest.mark.parametrize("verb", ["UPDATE {} SET org_id = org_id", "DELETE FROM {}"])
def test_in_mallorys_scope_nothing_of_acme_changes_or_goes(furnished: World, verb: str) -> None:
    with org_scope(furnished.mallcorp.org.pk):
        found = {
            table: touch(f"{verb.format(table)} WHERE org_id = %s", furnished.acme.org.pk) for table in tenant_tables()
        }
    assert {table: told for table, told in found.items() if told not in {0, "permission denied"}} == {}
    assert list(found.values()).count(0) >= 20, "the policy was asked, and not the grants alone"


def test_in_no_table_a_row_of_mallorys_becomes_acmes(furnished: World) -> None:
    """Neither one that is there, nor a copy of it."""
    acme, found = furnished.acme.org.pk, {}
    with org_scope(furnished.mallcorp.org.pk):
        for table in tenant_tables():
            columns = columns_of(table)
            foreign = ", ".join("%s" if name == "org_id" else name for name in columns.split(", "))
            found[table] = (
                touch(f"UPDATE {table} SET org_id = %s", acme),
                touch(f"INSERT INTO {table} ({columns}) SELECT {foreign} FROM {table} LIMIT 1", acme),
            )
    assert {table: told for table, told in found.items() if not set(told) <= set(REFUSALS)} == {}
    assert sum(POLICY in told for told in found.values()) >= 20


def test_a_row_cannot_be_put_into_another_organisation(furnished: World) -> None:
    with org_scope(furnished.mallcorp.org.pk):
        for statement in (
            "INSERT INTO tenants_project (id, org_id, name, is_archived, created_at) VALUES (%s, %s, 'x', false, now())",
            "UPDATE tenants_project SET name = %s::text, org_id = %s",
        ):
            with (
                pytest.raises(DatabaseError, match="violates row-level security policy"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement, [uuid4(), furnished.acme.org.pk])


@pytest.mark.parametrize(
    ("table", "column", "foreign"),
    [
        ("tenants_apikey", "project_id", "tenants_project"),
        ("tenants_languagemodel", "upstream_id", "tenants_upstream"),
        ("tenants_price", "model_id", "tenants_languagemodel"),
        ("tenants_budgetincrease", "budget_id", "tenants_budget"),
        ("tenants_budgetrequest", "budget_id", "tenants_budget"),
        ("tenants_budgetrequest", "increase_id", "tenants_budgetincrease"),
        ("tenants_admintoken", "account_id", "tenants_serviceaccount"),
    ],
)
def test_a_row_cannot_point_into_another_organisation(furnished: World, table: str, column: str, foreign: str) -> None:
    with org_scope(furnished.acme.org.pk), connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {foreign} LIMIT 1")
        (foreign_id,) = cursor.fetchone()
    with (
        pytest.raises(IntegrityError, match="violates foreign key constraint"),
        org_scope(furnished.mallcorp.org.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"UPDATE {table} SET {column} = %s", [foreign_id])


def test_partitions_are_closed_to_whoever_names_them(furnished: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'proxy_ledgerentry'::regclass"
        )
        partitions = [name for (name,) in cursor.fetchall()]
    assert "proxy_ledgerentry_default" in partitions
    with org_scope(furnished.acme.org.pk):
        for partition in partitions:
            with pytest.raises(DatabaseError, match=DIRECT), transaction.atomic():
                count(partition)
            for statement in (
                "UPDATE {} SET effective_cost = 0",
                "DELETE FROM {}",
                "INSERT INTO {} SELECT * FROM proxy_ledgerentry LIMIT 1",
                "TRUNCATE {}",
            ):
                assert touch(statement.format(partition)) == "permission denied", statement


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE tenants_budget",
        "UPDATE tenants_auditentry SET actor = 'nobody'",
        "DELETE FROM tenants_auditentry",
        "UPDATE proxy_ledgerentry SET effective_cost = 0",
        "DELETE FROM proxy_ledgerentry",
        "SELECT * FROM proxy_deadletter",
        "ALTER TABLE tenants_budget DISABLE ROW LEVEL SECURITY",
        "SET ROLE costhub_owner",
    ],
)
def test_what_the_app_role_may_never_do(furnished: World, statement: str) -> None:
    with (
        org_scope(furnished.acme.org.pk),
        pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
