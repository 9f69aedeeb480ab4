"""One end user's calls: all that is kept of them can be taken along, and goes where it is asked for. Others' stay."""

import asyncio
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib import clock, keyspace
from costhub.lib.errors import InvalidField, NotFound
from costhub.lib.objects import Objects, StoreUnavailable
from costhub.lib.redis import client
from costhub.ops.end_users import WHOSE, BatchesUnderWay, erase_end_user, erase_end_users_again
from costhub.ops.export import export_organization
from costhub.ops.tenant_tables import list_tenant_tables
from costhub.stack.backup.store import BackupStore, ErasedEndUser, digest_of_end_user
from proxy.answers import store
from proxy.answers.store import Kind, Stored
from proxy.batches.ids import object_path, upstream_path
from proxy.batches.model import Batch, BatchLine, StoredFile
from proxy.batches.sealed_files import SealedFiles, sealed_path
from proxy.batches.store import COMPLETED
from proxy.cache import semantic_store
from proxy.cache.model import CacheLookup
from proxy.cache.valkey_cache import seal_kept
from proxy.routing.model import Feedback, RouteLabel
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.models import CachePurge, EndUser
from tenants.sealed_rows import Sealer
from tests.billing.ledger import record_call
from tests.proxy.answers.test_store import make_key
from tests.proxy.batches.rows import fill_batches
from tests.proxy.cache.examples import make_kept
from tests.proxy.cache.rows import keep_question
from tests.proxy.learning.rows import capture, consent
from tests.world import Tenant, World

#: tables that name calls or end users, and why nothing of one person's calls is in them
OTHERS = {
    "billing_ledgerline": "a view of the ledger",
    "proxy_ledgercarry": "sums of what was paid in months that are dropped",
    "tenants_apikey": "a key that is bound to somebody is the organisation's",
}


@dataclass(frozen=True)
class Person:
    """What one end user has left behind."""

    name: str
    call: UUID
    entry: str
    batch: UUID
    file: UUID


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    consent(committed_world.acme)
    return committed_world.acme


def live(acme: Tenant, name: str) -> Person:
    """Somebody whose calls left something in every place."""
    call = record_call(acme, clock.now(), end_user=name, cost=5).id
    key = make_key(acme)
    told = Stored(f"resp_{name}", {"id": f"resp_{name}", "said": f"dear {name}"}, [{"content": f"I am {name}"}], {})
    assert store.keep(key, Kind.RESPONSE, told, model="small", end_user=name, hours=24)
    capture(acme, f"Who is {name}?", "Nobody.", end_user=name)
    keep_question(acme, f"Where does {name} live?", str(call))
    batch = fill_batches(acme)
    file = uuid4()
    with org_scope(acme.org.pk):
        Batch.objects.filter(pk=batch).update(end_user=name, status=COMPLETED)
        BatchLine.objects.filter(batch_id=batch).update(body=f"{name} asks".encode())
        StoredFile.objects.create(
            id=file,
            org_id=acme.org.pk,
            project_id=acme.project.pk,
            end_user=name,
            filename="a",
            purpose="batch",
            bytes=4,
        )
        semantic_store.note_lookup(acme.org_id, str(call), {"asked": f"Where is {name}?"})
        Feedback.objects.create(org=acme.org, request_id=call, is_right=True)
        RouteLabel.objects.create(id=uuid4(), org_id=acme.org.pk, route_id=uuid4(), request_id=call)
        create_end_user(actor=acme.owner, external_id=name, name=name.title())
    sealer = Sealer(acme.org_id, bytes(acme.org.data_key))
    asyncio.run(write(SealedFiles(Objects(settings.FILES_URL), sealer), object_path(acme.org_id, file)))
    client().set(keyspace.cached_key(call.bytes), seal_kept(sealer, call.bytes, make_kept(id=str(call))))
    return Person(name, call, str(call), batch, file)


async def write(files: SealedFiles, path: str) -> None:
    async with files.writer(path) as writer:
        await writer.write(b"mine")


@pytest.fixture
def una(acme: Tenant) -> Person:
    return live(acme, "una")


@pytest.fixture
def bob(acme: Tenant) -> Person:
    return live(acme, "bob")


def export(acme: Tenant, folder: Path, name: str) -> tuple[dict[str, int], str]:
    """How many rows of each table, and every word of the archive."""
    rows = export_organization(acme.org.slug, folder / f"{name}.zip", end_user=name)
    with zipfile.ZipFile(folder / f"{name}.zip") as archive:
        return rows, "".join(archive.read(each).decode() for each in archive.namelist())


def test_all_that_is_kept_of_one_person_is_taken_along(acme: Tenant, una: Person, bob: Person, tmp_path: Path) -> None:
    rows, words = export(acme, tmp_path, "una")
    assert rows == dict.fromkeys(WHOSE, 1) | {"proxy_learnedexample": 0}
    for said in ("dear una", "I am una", "Who is una?", "Where does una live?", "Where is una?", "mine", "una asks"):
        assert said in words, said
    assert "bob" not in words.lower()
    assert json.loads(zipfile.ZipFile(tmp_path / "una.zip").read("manifest.json"))["end_user"] == "una"


def test_it_goes_and_what_was_paid_stays(acme: Tenant, una: Person, bob: Person, tmp_path: Path) -> None:
    with org_scope(acme.org.pk):
        CacheLookup.objects.create(
            request_id=uuid4(),
            org_id=acme.org.pk,
            asked="Where is Una?",
            entry_id=una.call,
            kept_question="Where does una live?",
        )
    gone = erase_end_user(acme.org.slug, "una")
    left = {"proxy_ledgerentry": 1, "tenants_enduser": 1}
    assert gone.rows == dict.fromkeys(WHOSE.keys() - left.keys() - {"proxy_learnedexample"}, 1)
    assert (gone.answers, gone.files) == (1, 1)
    rows, words = export(acme, tmp_path, "una")
    assert rows == dict.fromkeys(WHOSE, 0) | left
    assert "Una" not in words, "nor the name beside the id"
    with org_scope(acme.org.pk):
        assert list(CacheLookup.objects.filter(entry_id=una.call).values_list("kept_question", flat=True)) == [""]
        assert EndUser.objects.get(external_id="bob").name == "Bob"
        # What a process still has in memory was kept before this.
        assert list(CachePurge.objects.values_list("kind", flat=True)) == ["all"]
    assert client().get(keyspace.cached_key(una.call.bytes)) is None
    assert client().get(keyspace.cached_key(bob.call.bytes)) is not None
    assert export(acme, tmp_path, "bob")[0] == dict.fromkeys(WHOSE, 1) | {"proxy_learnedexample": 0}
    objects = Objects(settings.FILES_URL)
    assert asyncio.run(objects.read(sealed_path(object_path(acme.org_id, bob.file)), 0, 1))
    with pytest.raises(FileNotFoundError):
        asyncio.run(objects.read(sealed_path(object_path(acme.org_id, una.file)), 0, 1))
    assert erase_end_user(acme.org.slug, "una").rows == {}


def test_of_a_call_for_embeddings_every_input_goes(acme: Tenant, una: Person, bob: Person) -> None:
    sealer, kept = Sealer(acme.org_id, bytes(acme.org.data_key)), {}
    for person in (una, bob):
        kept[person.name] = [f"{person.call.hex}-{number}".encode() for number in range(3)]
        for digest in kept[person.name]:
            client().set(keyspace.cached_key(digest), seal_kept(sealer, digest, make_kept(id=str(person.call))))
    # And one answer of each beside them.
    assert erase_end_user(acme.org.slug, "una").answers == 4
    found = {name: [client().exists(keyspace.cached_key(one)) for one in digests] for name, digests in kept.items()}
    assert found == {"una": [0, 0, 0], "bob": [1, 1, 1]}


def test_what_a_dead_worker_left_of_their_batch_goes(acme: Tenant, una: Person, bob: Person) -> None:
    objects = Objects(settings.FILES_URL)
    files = SealedFiles(objects, Sealer(acme.org_id, bytes(acme.org.data_key)))
    for person in (una, bob):
        asyncio.run(write(files, upstream_path(acme.org_id, person.batch)))
    erase_end_user(acme.org.slug, "una")
    left = [path for path in asyncio.run(objects.list_below(acme.org_id)) if ".upstream" in path]
    assert left == [sealed_path(upstream_path(acme.org_id, bob.batch))]


def test_who_was_erased_is_noted_beside_the_backups_and_erased_again(
    acme: Tenant, una: Person, bob: Person, tmp_path: Path, settings: Any
) -> None:
    """A database that was brought back has the rows, and nothing of the erasure. Here: what lives on comes anew."""
    settings.BACKUP_URL = (tmp_path / "backups").as_uri()
    turns = count()

    def taken(name: str) -> tuple[dict[str, int], str]:
        folder = tmp_path / f"turn-{next(turns)}"
        folder.mkdir()
        return export(acme, folder, name)

    began = clock.now()
    erase_end_user(acme.org.slug, "una")
    backups = BackupStore(settings.BACKUP_URL)
    (noted,) = backups.list_erased_end_users()
    assert (noted.org_id, noted.digest) == (acme.org.pk, digest_of_end_user(acme.org.pk, "una"))
    assert began <= noted.at <= clock.now()
    assert (backups.list_erased(), backups.list_backups()) == ([], [])
    assert "una" not in "".join(str(path) + path.read_text() for path in tmp_path.rglob("*.json"))
    # Who is known to have been erased is not erased again: what is there came later.
    lives_on = live_again(acme, "una")
    assert erase_end_users_again(backups.list_erased_end_users()) == 0
    assert taken("una")[0]["proxy_storedanswer"] == 1
    # One that was erased after the moment that was brought back is.
    later = ErasedEndUser(acme.org.pk, noted.digest, clock.now())
    unheard_of = ErasedEndUser(uuid4(), noted.digest, clock.now())
    assert erase_end_users_again([later, unheard_of]) == 1
    left = {"proxy_ledgerentry": 2, "tenants_enduser": 1}
    assert taken("una")[0] == dict.fromkeys(WHOSE, 0) | left
    assert lives_on not in taken("una")[1]
    assert taken("bob")[0] == dict.fromkeys(WHOSE, 1) | {"proxy_learnedexample": 0}
    assert erase_end_users_again([later]) == 0


def live_again(acme: Tenant, name: str) -> str:
    """A later call of somebody whose answer is kept; gives what is said in it."""
    record_call(acme, clock.now(), end_user=name, cost=5)
    told = Stored("resp_later", {"id": "resp_later", "said": "back again"}, [], {})
    assert store.keep(make_key(acme), Kind.RESPONSE, told, model="small", end_user=name, hours=24)
    return "back again"


def test_nothing_is_erased_where_that_cannot_be_noted(acme: Tenant, una: Person, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "backups" / "erased_end_users").mkdir(parents=True)
    # A file where the organisation's folder would be.
    (tmp_path / "backups" / "erased_end_users" / acme.org_id).write_text("")
    settings.BACKUP_URL = (tmp_path / "backups").as_uri()
    with pytest.raises(StoreUnavailable, match="nothing is erased that a backup would bring back"):
        erase_end_user(acme.org.slug, "una")
    assert export(acme, tmp_path, "una")[0] == dict.fromkeys(WHOSE, 1) | {"proxy_learnedexample": 0}


def test_a_batch_that_is_under_way_is_waited_for(acme: Tenant, una: Person, tmp_path: Path) -> None:
    with org_scope(acme.org.pk):
        Batch.objects.filter(pk=una.batch).update(status="in_progress")
    with pytest.raises(BatchesUnderWay, match="1 batches of una are under way: cancel them"):
        erase_end_user(acme.org.slug, "una")
    assert export(acme, tmp_path, "una")[0]["proxy_storedanswer"] == 1


def test_who_is_not_said_is_asked_for(acme: Tenant) -> None:
    with pytest.raises(InvalidField, match="Say whose calls are meant"):
        erase_end_user(acme.org.slug, "")
    with pytest.raises(NotFound):
        erase_end_user("nobody-of-this-name", "una")


@pytest.fixture
def names(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[set[str]]:
    """Tables with a column that names a call or an end user."""
    with django_db_blocker.unblock():
        yield {
            table.name
            for table in list_tenant_tables()
            if {"end_user", "request_id", "external_id"} & set(table.columns)
        }
        connections.close_all()


def test_every_table_that_names_calls_or_end_users_is_thought_of(names: set[str]) -> None:
    found: Any = names - WHOSE.keys()
    assert found == OTHERS.keys() & names
    assert WHOSE.keys() - names == {"proxy_cacheentry"}, "which has the id of the call that brought it"
