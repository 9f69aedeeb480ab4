"""The emergency stop: who may pull it, and what it leaves behind."""

import pytest

from costhub.lib.errors import Forbidden
from tenants.access import Actor, enter_org
from tenants.actions.keys import rotate_key
from tenants.actions.stops import set_stopped
from tenants.choices import Role
from tenants.models import ApiKey, Organization, Project
from tenants.selectors import load_org_snapshot
from tests.audit import read_audit
from tests.world import Tenant, World


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


def target_of(tenant: Tenant, what: str) -> Organization | Project | ApiKey:
    targets: dict[str, Organization | Project | ApiKey] = {
        "organization": tenant.org,
        "project": tenant.project,
        "api_key": tenant.key,
    }
    return targets[what]


@pytest.mark.parametrize("what", ["organization", "project", "api_key"])
def test_it_is_told_to_proxies_and_kept_in_the_audit_log(world: World, what: str) -> None:
    acme, target = world.acme, target_of(world.acme, what)
    before = acme.org.version
    set_stopped(actor=acme.owner, target=target, is_stopped=True)
    entry = read_audit(acme.org)[-1]
    assert (entry.action, entry.target_id, entry.changes) == (
        f"{what}.updated",
        str(target.pk),
        {"is_stopped": [False, True]},
    )
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot is not None
    assert snapshot.version == before + 1
    stopped = {
        "organization": snapshot.is_stopped,
        "project": snapshot.stopped_projects == frozenset({str(acme.project.pk)}),
        "api_key": snapshot.stopped_keys == frozenset({str(acme.key.pk)}),
    }
    assert stopped == {name: name == what for name in stopped}
    assert type(snapshot).from_json(snapshot.to_json()) == snapshot


def test_finance_may_pull_it_and_a_developer_may_not(world: World) -> None:
    acme = world.acme
    set_stopped(actor=Actor(acme.org, Role.FINANCE, "fin"), target=acme.key, is_stopped=True)
    with pytest.raises(Forbidden):
        set_stopped(actor=world.ben_actor, target=acme.key, is_stopped=False)


def test_a_stopped_keys_successor_is_stopped_too(world: World) -> None:
    acme = world.acme
    set_stopped(actor=acme.owner, target=acme.key, is_stopped=True)
    assert rotate_key(actor=acme.owner, key=acme.key).key.is_stopped
