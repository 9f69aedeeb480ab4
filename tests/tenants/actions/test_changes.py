"""Every proxy hears of a change: the version in PostgreSQL, the hash and the channel in Valkey, and the repairs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import pytest
from django.db import transaction
from pytest_django import Settings

from costhub.lib.keyspace import CHANGES, VERSIONS, key_snapshot_key, org_snapshot_key
from costhub.lib.redis import client
from costhub.stack.ports import find_free_port
from tenants.access import org_scope
from tenants.actions.changes import publish, sync_versions
from tenants.actions.keys import revoke_key
from tenants.actions.orgs import update_organization
from tenants.actions.projects import update_project
from tenants.models import Organization
from tenants.selectors import load_key_snapshot
from tests.patience import PATIENCE_SECONDS
from tests.world import World


def announced(org_id: str) -> int | None:
    value = cast(bytes | None, client().hget(VERSIONS, org_id))
    return None if value is None else int(value)


def stored(org_id: str) -> int:
    with org_scope(org_id):
        return Organization.objects.get(pk=org_id).version


@contextmanager
def listening() -> Iterator[Any]:
    with client().pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(CHANGES)
        channel.get_message(timeout=PATIENCE_SECONDS)
        yield channel


def heard(channel: Any, *org_ids: str) -> set[bytes]:
    """The next message about each of these organisations, in any order: tests beside this one announce their own."""
    found: dict[str, bytes] = {}
    while len(found) < len(org_ids):
        message = channel.get_message(timeout=PATIENCE_SECONDS)
        assert message is not None, "nothing was announced within a second"
        org_id = message["data"].partition(b" ")[0].decode()
        if org_id in org_ids:
            found.setdefault(org_id, bytes(message["data"]))
    return set(found.values())


class TestPublish:
    def test_a_change_is_announced_after_the_commit_and_not_before(self, committed_world: World) -> None:
        acme = committed_world.acme
        client().set(org_snapshot_key(acme.org_id), b"old")
        with listening() as channel, org_scope(acme.org.pk):
            update_organization(actor=acme.owner, name="Acme & Daughters")
            assert announced(acme.org_id) == 2
            assert client().get(org_snapshot_key(acme.org_id)) == b"old"
        with listening() as channel:
            with org_scope(acme.org.pk):
                update_organization(actor=acme.owner, name="Acme & Sons")
            assert heard(channel, acme.org_id) == {f"{acme.org_id} 4".encode()}
        assert (announced(acme.org_id), stored(acme.org_id)) == (4, 4)
        assert client().get(org_snapshot_key(acme.org_id)) is None

    def test_a_change_that_is_undone_is_not_announced(self, committed_world: World) -> None:
        acme = committed_world.acme
        with pytest.raises(ZeroDivisionError), org_scope(acme.org.pk):
            update_organization(actor=acme.owner, name="Nobody")
            raise ZeroDivisionError
        assert (announced(acme.org_id), stored(acme.org_id)) == (2, 2)

    def test_a_change_of_nothing_is_none(self, committed_world: World) -> None:
        acme = committed_world.acme
        with org_scope(acme.org.pk):
            update_organization(actor=acme.owner, name=acme.org.name)
        assert (announced(acme.org_id), stored(acme.org_id)) == (2, 2)

    def test_the_announced_version_only_goes_forward(self, committed_world: World) -> None:
        acme = committed_world.acme
        client().hset(VERSIONS, acme.org_id, "10")
        with org_scope(acme.org.pk):
            publish(acme.org)
        assert announced(acme.org_id) == 10

    def test_versions_are_compared_as_numbers(self, committed_world: World) -> None:
        acme = committed_world.acme
        client().hset(VERSIONS, acme.org_id, "9")
        with org_scope(acme.org.pk):
            Organization.objects.filter(pk=acme.org.pk).update(version=9)
            publish(acme.org)
        assert announced(acme.org_id) == 10

    def test_a_revocation_is_heard_within_a_second_and_the_key_is_forgotten(self, committed_world: World) -> None:
        acme = committed_world.acme
        client().set(key_snapshot_key(bytes(acme.key.digest)), b"alive")
        with listening() as channel:
            with org_scope(acme.org.pk):
                revoke_key(actor=acme.owner, key=acme.key)
            assert heard(channel, acme.org_id) == {f"{acme.org_id} 3 {bytes(acme.key.digest).hex()}".encode()}
        assert client().get(key_snapshot_key(bytes(acme.key.digest))) is None

    def test_a_projects_new_name_is_known_of_its_keys(self, committed_world: World) -> None:
        """Callers are told it where a budget refuses them."""
        acme = committed_world.acme
        digest = bytes(acme.key.digest)
        client().set(key_snapshot_key(digest), b"with the old name")
        with listening() as channel:
            with org_scope(acme.org.pk):
                update_project(actor=acme.owner, project=acme.project, name="Search")
            assert heard(channel, acme.org_id) == {f"{acme.org_id} 3 {digest.hex()}".encode()}
        assert client().get(key_snapshot_key(digest)) is None
        found = load_key_snapshot(digest)
        assert found is not None
        assert (found.name, found.project_name) == (acme.key.name, "Search")

    def test_without_valkey_the_change_stands_and_a_warning_is_left(
        self, committed_world: World, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        acme = committed_world.acme
        settings.REDIS_URL = f"redis://127.0.0.1:{find_free_port()}/0"
        client.cache_clear()
        try:
            with caplog.at_level(logging.WARNING), org_scope(acme.org.pk):
                update_organization(actor=acme.owner, name="Acme offline")
        finally:
            client.cache_clear()
        assert stored(acme.org_id) == 3
        assert "change_not_announced" in [record.message for record in caplog.records]


class TestSync:
    def test_what_valkey_missed_or_lost_is_repaired(self, committed_world: World) -> None:
        acme, mallcorp = committed_world.acme.org_id, committed_world.mallcorp.org_id
        gone = str(uuid4())
        sync_versions()
        client().hset(VERSIONS, mapping={acme: "1", gone: "7"})
        client().hdel(VERSIONS, mallcorp)
        client().set(org_snapshot_key(acme), b"old")
        with listening() as channel:
            assert sync_versions() == 3
            assert heard(channel, acme, mallcorp) == {f"{acme} 2 ! *".encode(), f"{mallcorp} 2 ! *".encode()}
        assert (announced(acme), announced(mallcorp), announced(gone)) == (2, 2, None)
        assert client().get(org_snapshot_key(acme)) is None
        assert sync_versions() == 0

    def test_a_database_restored_from_yesterday_overtakes_what_proxies_know(self, committed_world: World) -> None:
        acme = committed_world.acme.org_id
        sync_versions()
        client().hset(VERSIONS, acme, "40")
        assert sync_versions() == 1
        assert (announced(acme), stored(acme)) == (41, 41)


def test_a_version_moves_once_for_each_change_of_one_transaction(world: World) -> None:
    with org_scope(world.acme.org.pk), transaction.atomic():
        publish(world.acme.org)
        publish(world.acme.org)
        assert world.acme.org.version == 4
