"""A world that is copied is what the product's own actions make."""

from typing import Any

import pytest
from django.db import models, transaction

from tenants.access import org_scope
from tenants.actions.audit import verify_audit_chain
from tenants.models import User
from tests.pattern import COPIED
from tests.world import Tenant, World, _make_world, make_world

#: what no two worlds have in common
OWN = {
    "id",
    "pk",
    "org_id",
    "user_id",
    "project_id",
    "created_at",
    "date_joined",
    "digest",
    "prefix",
    "data_key",
    "shard",
}
OWN |= {"password", "number", "hash", "target_id"}


def rows_of(tenant: Tenant) -> dict[str, list[dict[str, Any]]]:
    """What there is of an organisation, by table, but for ``OWN``."""
    with org_scope(tenant.org.pk):
        return {model.__name__: [_told(row) for row in _rows(model, tenant)] for model in COPIED}


def _rows(model: type[Any], tenant: Tenant) -> list[Any]:
    mine = {"pk" if model.__name__ == "Organization" else "org": tenant.org.pk}
    return list(model._default_manager.filter(**mine).order_by("created_at", "pk"))


def _told(row: models.Model) -> dict[str, Any]:
    told = {one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields if one.attname not in OWN}
    if "changes" in told:
        told["changes"] = {name: value for name, value in told["changes"].items() if name not in {"prefix", "project"}}
    return told


def test_a_copy_is_what_the_actions_make(db: None) -> None:
    with transaction.atomic():
        made = _make_world("")
        wanted = [rows_of(made.acme), rows_of(made.mallcorp)]
        people = [_told(user) for user in (made.ada, made.ben, made.mallory)]
        transaction.set_rollback(True)
    copied = make_world()
    assert [rows_of(copied.acme), rows_of(copied.mallcorp)] == wanted
    assert [
        _told(user)
        for user in User.objects.filter(pk__in=[copied.ada.pk, copied.ben.pk, copied.mallory.pk]).order_by("pk")
    ] == people


def test_two_copies_have_nothing_in_common(world: World, db: None) -> None:
    other = make_world(unique=True)
    mine, theirs = (
        [w.acme.org_id, w.acme.api_key, w.acme.admin_token, w.acme.key.prefix, w.acme.org.slug, w.ada.email, w.ada.pk]
        for w in (world, other)
    )
    assert set(mine).isdisjoint(theirs)


@pytest.mark.parametrize("name", ["acme", "mallcorp"])
def test_the_log_of_a_copy_is_chained_and_names_its_own(committed_world: World, name: str) -> None:
    tenant: Tenant = getattr(committed_world, name)
    with org_scope(tenant.org.pk):
        chain = verify_audit_chain(tenant.org.pk)
        told = {one.action: one for one in _rows(COPIED[-1], tenant)}
    assert (chain.entries, chain.first_broken) == (6 if name == "acme" else 5, None)
    assert told["api_key.created"].changes["prefix"] == tenant.key.prefix == tenant.api_key[:12]
    assert told["api_key.created"].changes["project"] == str(tenant.project.pk)
    assert told["organization.created"].target_id == tenant.org_id
    assert told["organization.created"].changes == {"name": tenant.org.name}


def test_a_name_that_is_taken_is_lived_with(world: World) -> None:
    again = make_world()
    assert again.ada.pk == world.ada.pk
    assert again.acme.org.slug.startswith("acme-")
