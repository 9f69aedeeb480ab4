"""Consent: what is stored under it, and what goes with it."""

from datetime import timedelta
from uuid import uuid4

import orjson
import pytest

from costhub.lib import clock, keyspace
from costhub.lib.errors import Forbidden, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.learning.capture import store_captured
from proxy.learning.consent import Consent, Erased, forget_uncovered, is_covered, withdraw_end_user
from proxy.learning.datasets import count_withdrawn, gather_calls, read_version
from proxy.learning.models import CapturedCall, LearnedExample
from tenants.access import org_scope
from tenants.actions.capture import delete_capture_policy, update_capture_policy
from tests.proxy.learning.rows import capture, consent, make_dataset, make_version
from tests.world import Tenant, World

DAY = timedelta(days=1)


def put(tenant: Tenant, *, age: timedelta = timedelta(0), org: str = "", **fields: str) -> str:
    """A call on the stream, as the hot path leaves it there."""
    call_id = str(uuid4())
    head = {
        "id": call_id,
        "at_ms": to_ms(clock.now() - age),
        "org": org or tenant.org_id,
        "project": str(tenant.project.pk),
        "model": "small",
        "teacher": "small",
        "end_user": "",
    }
    client().xadd(keyspace.CAPTURED, {"h": orjson.dumps(head | fields), "s": b"sealed"})
    return call_id


def stored(tenant: Tenant) -> dict[str, CapturedCall]:
    with org_scope(tenant.org.pk):
        return {str(call.pk): call for call in CapturedCall.objects.filter(org=tenant.org)}


def store_all() -> None:
    while store_captured():
        pass


def test_what_is_covered() -> None:
    now = clock.now()
    consents = [Consent("small", now), Consent("", now - DAY)]
    assert is_covered(consents, "small", now - DAY)
    assert is_covered(consents[:1], "small", now)
    assert not is_covered(consents[:1], "small", now - DAY)
    assert not is_covered(consents[:1], "other", now)
    assert not is_covered([], "small", now)


def test_calls_are_stored_once_and_only_those_that_are_covered(world: World) -> None:
    acme = world.acme
    consent(acme, kept_days=7)
    before = put(acme, age=DAY)
    one = put(acme, end_user="una", teacher="large")
    two = put(acme)
    foreign = put(world.mallcorp)
    gone = put(acme, org=str(uuid4()))
    client().xadd(keyspace.CAPTURED, {"h": b"not JSON", "s": b""})
    store_all()
    put(acme, id=two)
    store_all()
    assert client().xlen(keyspace.CAPTURED) == 0
    found = stored(acme)
    assert found.keys() == {one, two}
    assert found.keys().isdisjoint({before, foreign, gone})
    assert (found[one].end_user, found[one].teacher, found[one].model) == ("una", "large", "small")
    assert found[one].expires_at - found[one].at == 7 * DAY
    assert stored(world.mallcorp) == {}


def test_withdrawn_consent_leaves_tombstones_and_no_later_version_has_them(world: World) -> None:
    acme = world.acme
    policy = consent(acme)
    dataset = make_dataset(acme)
    for number in range(4):
        capture(acme, f"Question {number}?", f"Answer {number}.")
    first = make_version(acme, dataset)
    assert (len(first.train), len(first.held_out)) == (3, 1)
    assert forget_uncovered(acme.org.pk) == Erased(0, 0)

    with org_scope(acme.org.pk):
        delete_capture_policy(actor=acme.owner, policy=policy)
    # Nothing is learned from it from this moment on, whether it was erased already or not.
    failed = make_version(acme, dataset)
    assert (failed.state, failed.error[:38]) == ("failed", "Of 0 examples 0 can be used: two are t")
    assert forget_uncovered(acme.org.pk) == Erased(4, 4)
    with org_scope(acme.org.pk):
        assert count_withdrawn(first) == 4
        assert read_version(acme.owner, first, held_out=False) == []
        tombs = list(LearnedExample.objects.filter(org=acme.org))
        assert [(tomb.sealed, tomb.scrubbed, tomb.withdrawn_at is None) for tomb in tombs] == [(None, {}, False)] * 4

    # Consent that is given anew does not bring back what was said before it.
    consent(acme)
    capture(acme, "Later?", "Yes.")
    capture(acme, "Later still?", "Yes.")
    third = make_version(acme, dataset)
    assert (third.number, len(third.train), len(third.held_out)) == (3, 1, 1)
    assert {tomb.pk for tomb in tombs}.isdisjoint({*third.train, *third.held_out})


def test_a_sample_of_none_keeps_what_is_there(world: World) -> None:
    policy = consent(world.acme)
    capture(world.acme, "A?", "B.")
    with org_scope(world.acme.org.pk):
        update_capture_policy(actor=world.acme.owner, policy=policy, per_mille=0)
    assert forget_uncovered(world.acme.org.pk) == Erased(0, 0)


def test_calls_whose_time_is_over_go_and_what_was_learned_stays(world: World) -> None:
    consent(world.acme)
    dataset = make_dataset(world.acme)
    capture(world.acme, "A?", "B.", expires_at=clock.now())
    assert gather_calls(world.acme.org.pk, dataset.pk) == 1
    assert forget_uncovered(world.acme.org.pk) == Erased(1, 0)


def test_an_end_user_takes_back_theirs_and_nobody_elses(world: World) -> None:
    acme = world.acme
    consent(acme)
    dataset = make_dataset(acme)
    for end_user in ("una", "una", "leo", ""):
        capture(acme, f"From {end_user or 'nobody'} {uuid4()}", "Yes.", end_user=end_user)
    gather_calls(acme.org.pk, dataset.pk)
    with org_scope(acme.org.pk):
        assert withdraw_end_user(actor=acme.owner, end_user="una") == Erased(2, 2)
        assert withdraw_end_user(actor=acme.owner, end_user="una") == Erased(0, 0)
        left = LearnedExample.objects.filter(org=acme.org, sealed__isnull=False)
        assert sorted(example.end_user for example in left) == ["", "leo"]
        with pytest.raises(InvalidField):
            withdraw_end_user(actor=acme.owner, end_user="")
        with pytest.raises(Forbidden):
            withdraw_end_user(actor=world.ben_actor, end_user="leo")
    with org_scope(world.mallcorp.org.pk):
        assert withdraw_end_user(actor=world.mallcorp.owner, end_user="leo") == Erased(0, 0)
