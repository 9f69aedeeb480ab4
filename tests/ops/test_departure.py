"""An organisation goes: all of its data can be taken along, and nothing of it stays."""

import asyncio
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, connections
from pytest_django.plugin import DjangoDbBlocker

from billing.invoices.actions.closing import issue_invoice
from billing.invoices.models import Invoice
from costhub.lib import clock, keyspace
from costhub.lib.errors import Conflict, NotFound
from costhub.lib.objects import Objects
from costhub.lib.redis import client
from costhub.lib.secrets import UnusableCredential, unseal
from costhub.ops import erasure, export
from costhub.ops.erasure import (
    CallsUnderWay,
    CheckpointsUnknown,
    FilesMissing,
    InvoicesRemain,
    erase_again,
    erase_organization,
)
from costhub.ops.export import OPENED, export_organization
from costhub.ops.tenant_tables import SECRETS, TenantTable, find_remains, list_tenant_tables
from costhub.stack.backup.store import BackupStore
from proxy.batches.ids import object_path
from proxy.batches.model import StoredFile
from proxy.learning.checkpoints import Checkpoints, open_store
from tenants.access import org_scope
from tenants.models import Organization, Route, Upstream, User
from tenants.route_snapshots import COMPARISON_TAG, name_comparison_budget
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer
from tests.billing.ledger import record_call
from tests.proxy.batches.rows import fill_batches
from tests.proxy.learning.rows import capture
from tests.tenants.api.rows import make_rows
from tests.world import Api, Tenant, World

#: bytes that are no secret, and no sealed words: an export has them as PostgreSQL writes bytes
PLAIN_BYTES = {
    "billing_invoicedocument.content",
    "proxy_batchline.event",
    "proxy_cacheanswer.scope",
    "proxy_cacheentry.packed",
    "proxy_cacheentry.scope",
    "proxy_learnedroute.packed",
    "proxy_student.weights",
    "tenants_auditentry.hash",
}


#: sealed words in columns of text
SEALED_TEXTS = {"proxy_cacheentry.question", "proxy_cachelookup.asked", "proxy_cachelookup.kept_question"}


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    """With a row of every resource, a captured call, a file, and a call in the ledger."""
    acme = committed_world.acme
    make_rows(committed_world)
    record_call(acme, clock.now())
    capture(acme, "What is the canary's name?", "Tweety")
    return acme


async def keep_file(acme: Tenant) -> str:
    file_id = uuid4()
    async with Objects(settings.FILES_URL).writer(object_path(acme.org_id, file_id)) as writer:
        await writer.write(b'{"line": 1}')
    return file_id.hex


@pytest.fixture
def tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[list[TenantTable]]:
    """As the owner of the database sees them."""
    with django_db_blocker.unblock():
        yield list_tenant_tables()
        connections.close_all()


def test_every_table_with_an_organisation_is_one_of_the_database(tables: list[TenantTable]) -> None:
    names = {table.name for table in tables}
    modelled = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if any(field.column == "org_id" for field in model._meta.concrete_fields)
    }
    assert modelled - names == {"billing_ledgerline"}, "a view"
    assert {"proxy_ledgercarry", "proxy_ledgerentry"} <= names


def test_every_column_of_bytes_is_a_secret_or_opened_or_plain(tables: list[TenantTable]) -> None:
    """A new one belongs into one of the three."""
    found = {f"{table.name}.{column}" for table in tables for column in table.binary}
    assert found == (SECRETS | OPENED.keys() | PLAIN_BYTES) - {"tenants_organization.data_key"} - SEALED_TEXTS


def test_an_export_has_every_row_and_no_secret(acme: Tenant, committed_world: World, tmp_path: Path) -> None:
    with org_scope(acme.org.pk):
        credential = bytes(Upstream.objects.filter(org=acme.org).exclude(credential=None)[0].credential or b"")
    told = export_organization(acme.org.slug, tmp_path / "acme.zip")
    with zipfile.ZipFile(tmp_path / "acme.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        tables: dict[str, list[Any]] = {
            name: [json.loads(line) for line in archive.read(f"tables/{name}.jsonl").splitlines()] for name in told
        }
    assert {name: len(rows) for name, rows in tables.items()} == told
    assert set(told) == {table.name for table in list_tenant_tables()} | {"people", "tenants_organization"}
    assert [row["slug"] for row in tables["tenants_organization"]] == [acme.org.slug]
    assert {row["org_id"] for name, rows in tables.items() for row in rows if "org_id" in row} == {acme.org_id}
    emails = {committed_world.ada.email, committed_world.ben.email}
    assert emails <= {row["email"] for row in tables["people"]}
    (said,) = [row["sealed"] for row in tables["proxy_capturedcall"] if "canary" in row["sealed"]]
    assert "Tweety" in said
    empty = {name for name, rows in told.items() if not rows}
    assert len(told) - len(empty) >= 40, empty
    whole = (tmp_path / "acme.zip").read_bytes() + json.dumps(tables).encode()
    assert credential.hex().encode() not in whole
    assert manifest["tables"]["tenants_upstream"]["left_out"] == ["credential"]
    assert not any("credential" in row for row in tables["tenants_upstream"])
    with pytest.raises(FileExistsError):
        export_organization(acme.org.slug, tmp_path / "acme.zip")


def test_nothing_of_it_stays(acme: Tenant, committed_world: World) -> None:
    before = find_remains(committed_world.mallcorp.org.pk)
    client().set(keyspace.org_snapshot_key(acme.org_id), "{}")
    client().set(keyspace.key_snapshot_key(bytes(acme.key.digest)), "{}")
    with org_scope(acme.org.pk):
        route = Route.objects.filter(org=acme.org)[0]
    # What its comparisons have spent this month.
    budget = name_comparison_budget(route.pk)
    client().set(keyspace.counter_key(acme.org.shard, f"{budget}.1", f"{COMPARISON_TAG}={route.name}", 0), "5")
    # What a response in the background has said is kept for a while behind its end.
    said = str(uuid4())
    fill_batches(acme)
    client().xadd(keyspace.told_key(acme.org.shard, said), {"events": "words"})
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "UPDATE proxy_batchline SET custom_id = %s, is_background = true WHERE org_id = %s", [said, acme.org.pk]
        )
        cursor.execute(
            "INSERT INTO proxy_deadletter (stream, entry_id, event, reason) VALUES (%s, '0-1', %s, 'broken')",
            [acme.org_id[:8], json.dumps({"org_id": acme.org_id})],
        )
        cursor.execute(
            "INSERT INTO billing_stripeevent (id, kind, body, received_at, tries, error)"
            " VALUES (%s, 'invoice.paid', %s, now(), 0, '')",
            [f"evt_{acme.org_id[:8]}", json.dumps({"metadata": {"org": acme.org_id}}).encode()],
        )
    with pytest.raises(InvoicesRemain):
        erase_organization(acme.org.slug)
    assert Api(token=acme.admin_token).get("/keys").status_code == 200
    gone = erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True, files_are_gone=True)
    assert find_remains(acme.org.pk) == {}
    assert find_remains(committed_world.mallcorp.org.pk) == before
    assert not [
        key
        for key in client().scan_iter()
        if any(name.encode() in key for name in (acme.org_id, acme.key.digest.hex(), budget, said))
    ]
    assert (gone.rows["tenants_organization"], gone.rows["proxy_ledgerentry"]) == (1, 1)
    assert len(gone.rows) >= 40
    assert Api(token=acme.admin_token).get("/keys").status_code == 401
    people = User.objects.filter(email__in=[committed_world.ada.email, committed_world.ben.email])
    assert not people.exists()
    assert User.objects.filter(pk=committed_world.mallory.pk).exists()
    assert Api(token=committed_world.mallcorp.admin_token).get("/keys").status_code == 200
    with pytest.raises(NotFound):
        erase_organization(acme.org.slug)


def test_what_was_sealed_stays_closed_whoever_has_a_copy(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed just after the organisation was closed: its key is gone already, its rows are still there."""
    with org_scope(acme.org.pk):
        row = Upstream.objects.filter(org=acme.org).exclude(credential=None)[0]

    def die(org_id: Any) -> int:
        raise SystemExit

    monkeypatch.setattr(erasure, "_delete_rows", die)
    with pytest.raises(SystemExit):
        erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True)
    with org_scope(acme.org.pk):
        left = Organization.objects.get(pk=acme.org.pk)
    assert not left.is_active
    with pytest.raises(UnusableCredential):
        unseal(
            settings.MASTER_KEYS,
            bytes(left.data_key),
            org_id=acme.org_id,
            origin=row.origin,
            sealed=bytes(row.credential or b""),
        )
    assert Api(token=acme.admin_token).get("/keys").status_code == 401
    monkeypatch.undo()
    erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True)
    assert find_remains(acme.org.pk) == {}


def test_no_document_gets_a_number_once_they_were_counted(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that issues comes in the middle of an erasure that was told of no invoice: it is sent away."""
    acme = committed_world.acme
    make_customer(acme, since=OCTOBER, grace_days=2)
    assert close(acme, NOVEMBER) == [], "in its days of grace"
    with org_scope(acme.org_id):
        draft = Invoice.objects.get()
    usual, tried = erasure._delete_rows, []

    def issue() -> None:
        try:
            with org_scope(acme.org_id):
                issue_invoice(acme.owner, draft, NOVEMBER + DAY * 3)
        finally:
            connections.close_all()

    def delete_rows(org: Organization) -> Any:
        with ThreadPoolExecutor(1) as thread, pytest.raises(Conflict, match="Somebody else is doing this"):
            tried.append(org.pk)
            thread.submit(issue).result()
        return usual(org)

    monkeypatch.setattr(erasure, "_delete_rows", delete_rows)
    erase_organization(acme.org.slug)
    assert tried == [acme.org.pk]
    assert find_remains(acme.org.pk) == {}


def test_money_that_is_held_is_waited_for(acme: Tenant) -> None:
    store, shard = client(), acme.org.shard
    hold = keyspace.hold_key(shard, "a-call")
    store.hset(hold, "row", json.dumps({"org_id": acme.org_id}))
    store.zadd(keyspace.leases_key(shard), {"a-call": 4_102_444_800_000})
    try:
        with pytest.raises(CallsUnderWay, match="1 calls or batches are still under way"):
            erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True)
    finally:
        store.delete(hold)
        store.zrem(keyspace.leases_key(shard), "a-call")
    assert find_remains(acme.org.pk) != {}


def test_a_file_is_taken_along_and_erased(acme: Tenant, tmp_path: Path) -> None:
    file_id = asyncio.run(keep_file(acme))
    with org_scope(acme.org.pk):
        StoredFile.objects.create(
            id=file_id,
            org_id=acme.org.pk,
            project_id=acme.project.pk,
            end_user="",
            filename="a.jsonl",
            purpose="batch",
            bytes=11,
        )
    export_organization(acme.org.slug, tmp_path / "acme.zip")
    with zipfile.ZipFile(tmp_path / "acme.zip") as archive:
        assert archive.read(f"files/{file_id}") == b'{"line": 1}'
    assert erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True).files == 2, "and that of the batch"

    async def read() -> None:
        await Objects(settings.FILES_URL).read(f"{acme.org_id}/{file_id}", 0, 1)

    with pytest.raises(FileNotFoundError):
        asyncio.run(read())


def test_packs_and_whatever_else_lies_in_its_folders_are_erased(
    acme: Tenant, committed_world: World, settings: Any, tmp_path: Path
) -> None:
    """Not by the rows that know of them: an answer that a provider's batch left half read has none."""
    settings.FILES_URL = tmp_path.as_uri()
    other = committed_world.mallcorp.org_id
    for path in (f"{acme.org_id}/x.upstream", f"finance-packs/{acme.org_id}/finance-2026-10.zip"):
        for place in (path, path.replace(acme.org_id, other)):
            asyncio.run(write(place))
    assert erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True).files == 2
    left = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert left == [f"{other}/x.upstream", f"finance-packs/{other}/finance-2026-10.zip"]


async def write(path: str) -> None:
    async with Objects(settings.FILES_URL).writer(path) as writer:
        await writer.write(b"PK")


def make_job(acme: Tenant) -> str:
    """A training that a worker has begun: its id."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE proxy_trainingjob SET fence = 1 WHERE org_id = %s RETURNING id::text", [acme.org.pk])
        return str(cursor.fetchall()[0][0])


def test_checkpoints_are_erased(acme: Tenant, settings: Any, tmp_path: Path) -> None:
    """They are made of what people said. Another organisation's stay."""
    settings.CHECKPOINTS_URL = tmp_path.as_uri()
    job, another = make_job(acme), str(uuid4())
    for name in (job, another):
        checkpoints = Checkpoints(open_store(settings.CHECKPOINTS_URL), name, fence=1)
        checkpoints.take_over()
        checkpoints.save(1, {"weights": b"\x01"})
    erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True, files_are_gone=True)
    assert {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("*") if path.is_file()} == {another}


def test_who_does_not_say_where_checkpoints_are_erases_nothing(acme: Tenant, settings: Any) -> None:
    settings.CHECKPOINTS_URL = ""
    make_job(acme)
    with pytest.raises(CheckpointsUnknown, match="set COSTHUB_CHECKPOINTS_URL"):
        erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True, files_are_gone=True)
    assert Api(token=acme.admin_token).get("/keys").status_code == 200


def test_a_store_that_has_none_of_its_files_is_another_one(acme: Tenant, settings: Any, tmp_path: Path) -> None:
    """As where a command's environment does not say where files are: nothing is told to be erased that is not."""
    file_id = asyncio.run(keep_file(acme))
    with org_scope(acme.org.pk):
        StoredFile.objects.create(
            id=file_id,
            org_id=acme.org.pk,
            project_id=acme.project.pk,
            end_user="",
            filename="a.jsonl",
            purpose="batch",
            bytes=11,
        )
    right, settings.FILES_URL = settings.FILES_URL, (tmp_path / "empty").as_uri()
    with pytest.raises(
        FilesMissing, match=r"has 2 files, and none of them is in file://.*/empty\. Set COSTHUB_FILES_URL"
    ):
        erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True)
    assert Api(token=acme.admin_token).get("/keys").status_code == 200
    settings.FILES_URL = right
    assert erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True).files == 2


def test_who_was_erased_is_noted_beside_the_backups_and_erased_again(
    acme: Tenant, committed_world: World, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that was brought back has the rows, and the data key that opens them. Here: one whose rows stayed."""
    settings.BACKUP_URL = tmp_path.as_uri()
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_delete_rows", lambda _: ({}, 0))
        erase_organization(acme.org.slug, invoices_are_kept_elsewhere=True)
    store = BackupStore(settings.BACKUP_URL)
    assert store.list_erased() == [acme.org.pk]
    assert store.list_backups() == []
    assert find_remains(acme.org.pk) != {}
    before = find_remains(committed_world.mallcorp.org.pk)
    assert erase_again(store.list_erased()) == [acme.org.pk]
    assert find_remains(acme.org.pk) == {}
    assert find_remains(committed_world.mallcorp.org.pk) == before
    assert erase_again(store.list_erased()) == []


def test_the_application_itself_can_do_none_of_it(acme: Tenant) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), org_scope(acme.org.pk), connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry")


def test_an_export_that_is_interrupted_leaves_nothing_in_the_way(
    acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "acme.zip"
    with monkeypatch.context() as patch:
        patch.setattr(export, "_write_files", stop)
        with pytest.raises(KeyboardInterrupt):
            export_organization(acme.org.slug, target)
    assert list(tmp_path.iterdir()) == []
    # Of one that was killed there is a part, which is nobody's archive.
    (tmp_path / ".acme.zip.part").write_bytes(b"PK")
    told = export_organization(acme.org.slug, target)
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert set(json.loads(archive.read("manifest.json"))["tables"]) == set(told)


def test_two_exports_to_one_place_do_not_write_into_each_other(
    acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first writes: it is refused, and the first one's archive is whole."""
    target, write_files = tmp_path / "acme.zip", export._write_files
    refused: list[str] = []

    async def meet(*arguments: Any) -> dict[str, str]:
        # a descriptor of its own, as another process has: locks are between descriptors
        with pytest.raises(FileExistsError) as error, export._alone(tmp_path / ".acme.zip.part", target):
            pass
        refused.append(str(error.value))
        return await write_files(*arguments)

    monkeypatch.setattr(export, "_write_files", meet)
    export_organization(acme.org.slug, target)
    assert refused == [f"{target} is being written by another export."]
    assert list(tmp_path.iterdir()) == [target]
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None


def test_a_part_that_is_somebody_elses_is_not_written_to(acme: Tenant, tmp_path: Path) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "acme.zip"
    elsewhere.write_bytes(b"mine")
    (tmp_path / ".acme.zip.part").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"):
        export_organization(acme.org.slug, target)
    assert elsewhere.read_bytes() == b"mine"
    assert not target.exists()


def test_an_export_is_kept_where_files_have_one_name(
    acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    target = tmp_path / "acme.zip"
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    export_organization(acme.org.slug, target)
    assert list(tmp_path.iterdir()) == [target]
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
