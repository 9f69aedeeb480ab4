"""Whose a kept answer is: one that a cache gives to several callers is each one's own."""

import zlib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from costhub.lib import clock
from costhub.lib.secrets import make_data_key
from proxy.answers import store
from proxy.answers.model import StoredAnswer
from proxy.answers.store import Kind, Stored, Wanted
from proxy.core.exact_json import MOST_BYTES
from tenants.access import org_scope
from tenants.actions.projects import create_project
from tenants.models import Organization
from tenants.snapshots import KeySnapshot
from tests.world import Tenant, World


def make_key(tenant: Tenant, project: str = "", end_user: str | None = None) -> KeySnapshot:
    return KeySnapshot(
        str(tenant.key.pk), tenant.org_id, project or str(tenant.project.pk), 1, end_user, None, None, False
    )


def keep(key: KeySnapshot, said: str, *, kind: Kind = Kind.RESPONSE, end_user: str = "", **fields: Any) -> None:
    answer = Stored("resp_1", {"id": "resp_1", "said": said}, [{"role": "user", "content": said}], fields)
    assert store.keep(key, kind, answer, model="small", end_user=end_user, hours=24)


def read(key: KeySnapshot, kind: Kind = Kind.RESPONSE) -> str | None:
    found = store.find(key, kind, "resp_1")
    return None if found is None else found.answer["said"]


@pytest.fixture
def mine(world: World) -> KeySnapshot:
    return make_key(world.acme)


@pytest.fixture
def theirs(world: World) -> KeySnapshot:
    """A key of another project of Acme."""
    with org_scope(world.acme.org_id):
        project = create_project(actor=world.acme.owner, name="Another")
    return make_key(world.acme, str(project.pk))


def test_two_projects_each_have_their_own(mine: KeySnapshot, theirs: KeySnapshot) -> None:
    keep(mine, "to me")
    assert (read(mine), read(theirs)) == ("to me", None)
    keep(theirs, "to them")
    assert (read(mine), read(theirs)) == ("to me", "to them")
    assert store.delete(mine, Kind.RESPONSE, "resp_1")
    assert (read(mine), read(theirs)) == (None, "to them")


def test_two_organisations_each_have_their_own(world: World, mine: KeySnapshot) -> None:
    strange = make_key(world.mallcorp)
    keep(strange, "to Mallory")
    keep(mine, "to me")
    assert (read(mine), read(strange)) == ("to me", "to Mallory")


def test_two_end_users_each_have_their_own_and_their_project_sees_the_last(world: World, mine: KeySnapshot) -> None:
    ann, bob, cyd = (make_key(world.acme, end_user=name) for name in ("ann", "bob", "cyd"))
    keep(mine, "to Ann", end_user="ann")
    keep(mine, "to Bob", end_user="bob")
    assert [read(key) for key in (ann, bob, cyd, mine)] == ["to Ann", "to Bob", None, "to Bob"]
    listed, has_more = store.list_answers(mine, Kind.RESPONSE, Wanted(limit=1))
    assert ([one.answer["said"] for one in listed], has_more) == (["to Bob"], False)
    assert store.list_answers(mine, Kind.RESPONSE, Wanted(limit=9, after="resp_1")) == ([], False)
    changed = store.set_metadata(ann, Kind.RESPONSE, "resp_1", {"by": "ann"})
    assert changed is not None
    assert changed.answer["said"] == "to Ann"
    assert store.delete(mine, Kind.RESPONSE, "resp_1"), "and all of them go with it"
    assert [read(key) for key in (ann, bob, mine)] == [None] * 3


def test_both_apis_may_know_an_id(mine: KeySnapshot) -> None:
    keep(mine, "a response")
    keep(mine, "a completion", kind=Kind.COMPLETION)
    assert (read(mine), read(mine, Kind.COMPLETION)) == ("a response", "a completion")


def test_one_that_was_over_is_kept_anew(world: World, mine: KeySnapshot) -> None:
    """The job that forgets comes later: until then the old row is there."""
    keep(mine, "long ago", old="yes")
    with org_scope(world.acme.org_id):
        StoredAnswer.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert read(mine) is None
    keep(mine, "again", new="yes")
    found = store.find(mine, Kind.RESPONSE, "resp_1")
    assert found is not None
    assert (found.answer["said"], found.asked[0]["content"], found.metadata) == ("again", "again", {"new": "yes"})
    with org_scope(world.acme.org_id):
        assert StoredAnswer.objects.count() == 1


def read_row(key: KeySnapshot) -> StoredAnswer:
    with org_scope(key.org_id):
        return StoredAnswer.objects.get(org_id=key.org_id)


def test_it_is_sealed_for_its_own_place(mine: KeySnapshot) -> None:
    """Nothing of it is to be read in the database, and in another row it does not open."""
    keep(mine, "the canary is called Tweety")
    row = read_row(mine)
    sealed = bytes(row.packed)
    assert sealed[:1] == b"\x01"
    for start in (0, 1, 13):
        with pytest.raises(zlib.error):
            zlib.decompress(sealed[start:])
    with org_scope(mine.org_id):
        StoredAnswer.objects.filter(pk=row.pk).update(answer_id="resp_2")
    assert store.find(mine, Kind.RESPONSE, "resp_2") is None
    assert store.list_answers(mine, Kind.RESPONSE, Wanted(limit=9)) == ([], False)
    with org_scope(mine.org_id):
        StoredAnswer.objects.filter(pk=row.pk).update(answer_id="resp_1")
    assert read(mine) == "the canary is called Tweety"


def test_one_of_before_answers_were_sealed_is_read(mine: KeySnapshot) -> None:
    keep(mine, "to me")
    with org_scope(mine.org_id):
        packed = zlib.compress(b'[{"id":"resp_1","said":"once"},[]]', 1)
        StoredAnswer.objects.filter(org_id=mine.org_id).update(packed=packed)
    assert read(mine) == "once"


def test_nobody_reads_one_whose_organisation_has_lost_its_key(world: World, mine: KeySnapshot) -> None:
    """As an erasure overwrites it."""
    keep(mine, "to me")
    with org_scope(mine.org_id):
        Organization.objects.filter(pk=mine.org_id).update(data_key=make_data_key(settings.MASTER_KEYS, mine.org_id))
    assert read(mine) is None


def test_one_with_a_number_that_no_long_body_may_have_is_read(mine: KeySnapshot) -> None:
    """What was asked is short, and with its answer it is long."""
    asked = [{"role": "user", "content": "?", "cents": 2**64 + 1}]
    answer = Stored("resp_1", {"id": "resp_1", "said": "x" * MOST_BYTES}, asked, {})
    assert store.keep(mine, Kind.RESPONSE, answer, model="small", end_user="", hours=24)
    found = store.find(mine, Kind.RESPONSE, "resp_1")
    assert found is not None
    assert (len(found.answer["said"]), found.asked[0]["cents"]) == (MOST_BYTES, float(2**64))
    assert [one.id for one in store.list_answers(mine, Kind.RESPONSE, Wanted(limit=9))[0]] == ["resp_1"]
