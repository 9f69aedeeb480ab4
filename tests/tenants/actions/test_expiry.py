"""Keys and tokens that end by themselves are told of in the audit log, once."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session

from costhub.lib import clock
from costhub.lib.keyspace import key_snapshot_key
from costhub.lib.redis import client
from costhub.ops.tasks import clear_sessions
from tenants.access import enter_org
from tenants.actions.expiry import note_expired
from tenants.actions.keys import create_key, revoke_key, rotate_key
from tenants.models import AdminToken, ApiKey
from tests.audit import read_audit
from tests.world import Api, World

NOW = clock.now().replace(microsecond=0)
SOON = NOW + timedelta(hours=1)
LATER = NOW + timedelta(hours=2)


@pytest.fixture
def key(world: World) -> ApiKey:
    enter_org(world.acme.org.pk)
    return create_key(actor=world.ben_actor, name="night", expires_at=SOON).key


def told(world: World) -> list[tuple[str, str, str]]:
    entries = read_audit(world.acme.org, action__endswith=".expired")
    return [(entry.actor, entry.action, entry.target_id) for entry in entries]


def note_later(world: World) -> int:
    with time_machine.travel(LATER, tick=False):
        return note_expired(world.acme.org.pk)


def test_a_key_that_expires_is_told_of_once(world: World, key: ApiKey) -> None:
    name = key_snapshot_key(bytes(key.digest))
    client().set(name, b"{}")
    assert note_expired(world.acme.org.pk) == 0
    assert client().exists(name)
    assert note_later(world) == 1
    assert note_later(world) == 0
    assert told(world) == [("costhub", "api_key.expired", str(key.pk))]
    (entry,) = read_audit(world.acme.org, action="api_key.expired")
    assert entry.changes == {"name": "night", "prefix": key.prefix, "expires_at": SOON.isoformat()}
    assert not client().exists(name)


def test_the_end_of_a_grace_is_one(world: World, key: ApiKey) -> None:
    with time_machine.travel(NOW, tick=False):
        rotate_key(actor=world.acme.owner, key=key, grace_seconds=60)
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        assert note_expired(world.acme.org.pk) == 1
    assert told(world) == [("costhub", "api_key.expired", str(key.pk))]


def test_a_revoked_key_has_ended_before(world: World, key: ApiKey) -> None:
    revoke_key(actor=world.acme.owner, key=key)
    assert note_later(world) == 0


def test_a_token_is_one_too(world: World) -> None:
    enter_org(world.acme.org.pk)
    token = AdminToken.objects.get(org=world.acme.org)
    AdminToken.objects.filter(pk=token.pk).update(expires_at=SOON)
    assert note_later(world) == 1
    assert told(world) == [("costhub", "admin_token.expired", str(token.pk))]


def test_another_organisation_is_not_touched(world: World, key: ApiKey) -> None:
    with time_machine.travel(LATER, tick=False):
        assert note_expired(world.mallcorp.org.pk) == 0
    assert told(world) == []


def test_the_api_says_so(world: World, key: ApiKey) -> None:
    api = Api(token=world.acme.admin_token)
    assert api.get(f"/keys/{key.pk}").json()["is_expired"] is False
    with time_machine.travel(LATER, tick=False):
        assert api.get(f"/keys/{key.pk}").json()["is_expired"] is True


def test_sessions_that_have_ended_are_forgotten(world: World) -> None:
    api = Api(user=world.ada)
    name = api.client.session.session_key
    clear_sessions()
    assert Session.objects.filter(pk=name).exists()
    with time_machine.travel(NOW + timedelta(days=30), tick=False):
        clear_sessions()
    assert not Session.objects.filter(pk=name).exists()
