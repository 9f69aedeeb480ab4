"""The audit log is a chain: what is changed, taken out, put in or cut off in it is found."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from tenants.access import org_scope
from tenants.actions.audit import AuditChain, record, verify_audit_chain
from tenants.models import AuditEntry
from tests.world import Api, Tenant, World


def rename(tenant: Tenant, **changes: Any) -> None:
    """One entry, in a transaction of its own."""
    with org_scope(tenant.org.pk):
        record(tenant.owner, "renamed", tenant.project, **changes)


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    """With three more entries."""
    for age in (1, 2, 3):
        rename(committed_world.acme, age=age, name=("Bot", "Bot é 🚀"))
    return committed_world.acme


@pytest.fixture
def as_owner(acme: Tenant) -> Iterator[Any]:
    """What only the database's owner could do to Acme's log; undone in the end."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        yield lambda statement: cursor.execute(statement + " AND org_id = %s", [acme.org.pk])
        transaction.set_rollback(True, using="owner")


def chain_of(tenant: Tenant) -> AuditChain:
    return verify_audit_chain(tenant.org.pk, using="owner")


def verify(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out)
    finally:
        found = [json.loads(line) for line in out.getvalue().splitlines()]
    return found


def test_entries_are_numbered_and_chained(acme: Tenant) -> None:
    with org_scope(acme.org.pk):
        entries = list(AuditEntry.objects.order_by("number"))
    assert [entry.number for entry in entries] == [*range(1, len(entries) + 1)]
    assert len({bytes(entry.hash or b"") for entry in entries}) == len(entries) >= 4
    assert chain_of(acme) == AuditChain(len(entries), bytes(entries[-1].hash or b"").hex(), None)


def test_several_entries_of_one_transaction_follow_one_another(acme: Tenant) -> None:
    before = chain_of(acme).entries
    with org_scope(acme.org.pk):
        record(acme.owner, "paused", acme.project)
        record(acme.owner, "resumed", acme.project)
        assert AuditEntry.objects.filter(number=None).count() == 2, "the database numbers them at the commit"
    with org_scope(acme.org.pk):
        last = AuditEntry.objects.order_by("-number").values_list("number", "action")[:2]
        assert [*last] == [(before + 2, "project.resumed"), (before + 1, "project.paused")]
    assert chain_of(acme).first_broken is None


def test_many_that_write_at_once_make_one_chain(acme: Tenant) -> None:
    before = chain_of(acme).entries

    def write(number: int) -> None:
        try:
            rename(acme, number=number)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(12)))
    found = chain_of(acme)
    assert (found.entries, found.first_broken) == (before + 12, None)


@pytest.mark.parametrize(
    ("harm", "place"),
    [
        ("UPDATE tenants_auditentry SET actor = 'mallory@example.org' WHERE number = 2", 2),
        ("UPDATE tenants_auditentry SET changes = changes || '{\"age\": 4}' WHERE number = 3", 3),
        ("UPDATE tenants_auditentry SET created_at = created_at - interval '1 microsecond' WHERE number = 1", 1),
        ("DELETE FROM tenants_auditentry WHERE number = 2", 2),
        ("UPDATE tenants_auditentry SET number = NULL, hash = NULL WHERE number = 1", 1),
    ],
)
def test_harm_is_found_where_it_was_done(acme: Tenant, as_owner: Any, harm: str, place: int) -> None:
    as_owner(harm)
    assert chain_of(acme).first_broken == place
    with pytest.raises(CommandError, match="1 audit logs are not what was written"):
        verify()


def test_two_entries_that_change_places_are_found(acme: Tenant, as_owner: Any) -> None:
    """With their numbers alone, and with their hashes, too."""
    with org_scope(acme.org.pk):
        hashes = {entry.number: bytes(entry.hash or b"").hex() for entry in AuditEntry.objects.all()}
    for before, after in ((2, -2), (3, 2), (-2, 3)):
        as_owner(f"UPDATE tenants_auditentry SET number = {after} WHERE number = {before}")
    assert chain_of(acme).first_broken == 2
    for number in (2, 3):
        as_owner(f"UPDATE tenants_auditentry SET hash = '\\x{hashes[number]}' WHERE number = {number}")
    assert chain_of(acme).first_broken == 2


@pytest.mark.parametrize("stamp", ["number + 1, sha256('made up')", "number + 1, hash", "NULL::bigint, NULL::bytea"])
def test_an_entry_that_was_written_by_hand_is_found(acme: Tenant, as_owner: Any, stamp: str) -> None:
    """By somebody who keeps the database's own trigger from numbering it: here it would come at the commit."""
    length = chain_of(acme).entries
    as_owner(
        "INSERT INTO tenants_auditentry"
        " (id, org_id, created_at, actor, action, target_kind, target_id, changes, number, hash)"
        f" SELECT gen_random_uuid(), org_id, now(), 'ada', 'key.revoked', 'key', 'x', '{{}}', {stamp}"
        f" FROM tenants_auditentry WHERE number = {length}"
    )
    assert chain_of(acme).first_broken == length + 1


def test_an_end_that_was_cut_off_is_found_by_what_an_earlier_run_printed(
    acme: Tenant, as_owner: Any, tmp_path: Path
) -> None:
    earlier = tmp_path / "audit.jsonl"
    earlier.write_text("".join(json.dumps(line) + "\n" for line in verify()))
    assert verify("--since", str(earlier)) == verify()
    as_owner(f"DELETE FROM tenants_auditentry WHERE number = {chain_of(acme).entries}")
    assert chain_of(acme).first_broken is None
    with pytest.raises(CommandError, match="1 audit logs are not what was written"):
        verify("--since", str(earlier))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"org": "x", "entries": 1, "hash": ""}'])
def test_a_file_that_is_no_earlier_run(acme: Tenant, tmp_path: Path, text: str) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text(text or "null")
    with pytest.raises(CommandError, match="is not what `verify_audit` prints"):
        verify("--since", str(file))


def test_the_application_may_not_touch_what_stands(acme: Tenant) -> None:
    for statement in ("UPDATE tenants_auditentry SET number = 9", "DELETE FROM tenants_auditentry"):
        with (
            pytest.raises(DatabaseError, match="permission denied"),
            org_scope(acme.org.pk),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_a_tenant_reads_how_far_its_own_log_reaches(committed_world: World) -> None:
    ada, found = Api(token=committed_world.acme.admin_token), chain_of(committed_world.acme)
    assert ada.get("/audit-log/chain").json() == {"entries": found.entries, "hash": found.hash, "first_broken": None}
    newest = ada.get("/audit-log", limit="1").json()["data"][0]
    assert (newest["number"], newest["hash"]) == (found.entries, found.hash)
