"""Keys: shown once, stored as a digest, rotated with grace, revoked for ever."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.secrets import API_KEY, digest_of, is_well_formed
from proxy.core.budgets import find_scopes
from proxy.core.rate_limits import find_rates
from tenants.access import Actor, enter_org
from tenants.actions.keys import MAX_GRACE_SECONDS, create_key, revoke_key, rotate_key, update_key
from tenants.actions.projects import create_project, update_project
from tenants.choices import BudgetScope, Role
from tenants.models import ApiKey, AuditEntry, Budget, RateLimit
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tests.audit import read_audit
from tests.world import World, make_budget, make_catalog, make_rate_limit

NOW = "2026-03-01T12:00:00+00:00"


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


class TestCreate:
    def test_the_secret_is_shown_once_and_only_its_digest_is_stored(self, world: World) -> None:
        made = create_key(actor=world.ben_actor, name="batch")
        assert is_well_formed(made.secret, API_KEY)
        with connection.cursor() as cursor:
            cursor.execute("SELECT t::text, digest FROM tenants_apikey t WHERE id = %s", [made.key.pk])
            text, digest = cursor.fetchone()
            cursor.execute("SELECT string_agg(t::text, ' ') FROM tenants_auditentry t")
            (log,) = cursor.fetchone()
        assert bytes(digest) == digest_of(made.secret, settings.KEY_PEPPER)
        assert made.secret[12:] not in text + log
        assert made.key.prefix == made.secret[:12]

    def test_without_a_project_it_belongs_to_the_first(self, world: World) -> None:
        create_project(actor=world.acme.owner, name="second")
        assert create_key(actor=world.ben_actor, name="k").key.project == world.acme.project

    def test_models_are_named_by_name_or_id(self, world: World) -> None:
        small, large = make_catalog(world.acme), make_catalog(world.acme, model="large")
        made = create_key(actor=world.ben_actor, name="k", models=["small", str(large.model.pk), small.model.name])
        assert made.key.allowed_models == ["large", "small"]

    def test_a_model_of_somebody_else_does_not_exist(self, world: World) -> None:
        theirs = make_catalog(world.mallcorp, model="theirs")
        for name in ("theirs", str(theirs.model.pk), "none"):
            with pytest.raises(InvalidField) as caught:
                create_key(actor=world.ben_actor, name="k", models=[name])
            assert caught.value.field == "models"

    def test_an_expiry_lies_ahead(self, world: World) -> None:
        with time_machine.travel(NOW, tick=False):
            for moment in (clock.now(), clock.now() - timedelta(seconds=1)):
                with pytest.raises(InvalidField, match="future"):
                    create_key(actor=world.ben_actor, name="k", expires_at=moment)
            ahead = clock.now() + timedelta(seconds=1)
            assert create_key(actor=world.ben_actor, name="k", expires_at=ahead).key.expires_at == ahead

    @pytest.mark.parametrize("end_user", ["two words", "x" * 201, "a\tb", "zero\u200bwidth"])
    def test_an_end_user_is_a_word(self, world: World, end_user: str) -> None:
        with pytest.raises(InvalidField) as caught:
            create_key(actor=world.ben_actor, name="k", end_user=end_user)
        assert caught.value.field == "end_user"

    def test_a_viewer_may_not(self, world: World) -> None:
        with pytest.raises(Forbidden):
            create_key(actor=Actor(world.acme.org, Role.VIEWER, "v"), name="k")

    def test_an_archived_project_takes_no_keys(self, world: World) -> None:
        project = create_project(actor=world.acme.owner, name="old")
        update_project(actor=world.acme.owner, project=project, is_archived=True)
        with pytest.raises(Conflict, match="archived"):
            create_key(actor=world.ben_actor, name="k", project=project)


class TestRotate:
    def test_the_old_key_lives_through_its_grace(self, world: World) -> None:
        old = world.acme.key
        with time_machine.travel(NOW, tick=False):
            new = rotate_key(actor=world.ben_actor, key=old, grace_seconds=3600)
            assert old.expires_at == clock.now() + timedelta(hours=1)
        assert (old.revoked_at, old.rotated_to) == (None, new.key.pk)
        assert (new.key.name, new.key.project_id, new.key.expires_at) == (old.name, old.project_id, None)

    def test_without_grace_it_ends_at_once(self, world: World) -> None:
        with time_machine.travel(NOW, tick=False):
            rotate_key(actor=world.ben_actor, key=world.acme.key)
            assert world.acme.key.revoked_at == clock.now()

    def test_grace_does_not_prolong_a_life(self, world: World) -> None:
        with time_machine.travel(NOW, tick=False):
            soon = clock.now() + timedelta(minutes=5)
            key = create_key(actor=world.ben_actor, name="short", expires_at=soon).key
            new = rotate_key(actor=world.ben_actor, key=key, grace_seconds=3600)
        assert (key.expires_at, new.key.expires_at) == (soon, soon)

    def test_restrictions_come_along(self, world: World) -> None:
        make_catalog(world.acme)
        key = create_key(actor=world.ben_actor, name="bound", end_user="u-1", models=["small"]).key
        new = rotate_key(actor=world.ben_actor, key=key).key
        assert (new.end_user, new.allowed_models, new.project_id) == ("u-1", ["small"], key.project_id)

    def test_limits_stay_where_they_are_and_hold_the_successor_too(self, world: World) -> None:
        """Of its own, those within it, and those of each key: no room is taken, and nothing begins anew."""
        key = world.acme.key
        make_budget(world.acme, "3.00", scope=BudgetScope.KEY, subject=str(key.pk))
        make_budget(world.acme, "4.00", scope=BudgetScope.KEY)
        make_budget(world.acme, "5.00", scope=BudgetScope.END_USER, subject="ann", within={"key": str(key.pk)})
        make_rate_limit(world.acme, 7, subject=str(key.pk))
        make_rate_limit(world.acme, 8, scope=BudgetScope.TAG, within={"key": str(key.pk)})
        first = rotate_key(actor=world.ben_actor, key=key)
        second = rotate_key(actor=world.ben_actor, key=first.key)
        held = [counters_of(world, bytes(one.digest)) for one in (key, first.key, second.key)]
        assert len(held[0]) == 5
        assert held == [held[0]] * 3
        assert (Budget.objects.count(), RateLimit.objects.count()) == (3, 2)

    @pytest.mark.parametrize("stranger", [True, False])
    def test_another_key_has_counters_of_its_own(self, world: World, stranger: bool) -> None:
        make_budget(world.acme, "4.00", scope=BudgetScope.KEY)
        rotated = rotate_key(actor=world.ben_actor, key=world.acme.key).key
        other = create_key(actor=world.ben_actor, name="other").key
        other = other if stranger else rotate_key(actor=world.ben_actor, key=other).key
        counters = [counters_of(world, bytes(one.digest)) for one in (rotated, other)]
        assert not counters[0] & counters[1]

    def test_a_limit_that_is_made_for_the_successor_is_the_lines(self, world: World) -> None:
        new = rotate_key(actor=world.ben_actor, key=world.acme.key, grace_seconds=60).key
        budget = make_budget(world.acme, "3.00", scope=BudgetScope.KEY, subject=str(new.pk))
        assert budget.subject == str(world.acme.key.pk)

    @pytest.mark.parametrize(("days", "is_kept"), [(0, True), (2, True), (40, False)])
    def test_limits_of_a_line_end_a_day_after_its_last_key(self, world: World, days: int, is_kept: bool) -> None:
        budget = make_budget(world.acme, "3.00", scope=BudgetScope.KEY, subject=str(world.acme.key.pk))
        with time_machine.travel(clock.now() + timedelta(days=1), tick=False):
            new = rotate_key(actor=world.ben_actor, key=world.acme.key).key
        with time_machine.travel(clock.now() + timedelta(days=30), tick=False):
            revoke_key(actor=world.ben_actor, key=new)
        with time_machine.travel(clock.now() + timedelta(days=days), tick=False):
            org = load_org_snapshot(world.acme.org_id)
        assert org is not None
        assert (str(budget.pk) in {one.id for one in org.budgets}) is is_kept

    def test_only_once(self, world: World) -> None:
        rotate_key(actor=world.ben_actor, key=world.acme.key, grace_seconds=60)
        before = ApiKey.objects.count()
        with pytest.raises(Conflict):
            rotate_key(actor=world.ben_actor, key=world.acme.key, grace_seconds=60)
        assert ApiKey.objects.count() == before

    def test_the_dead_are_not_rotated(self, world: World) -> None:
        revoke_key(actor=world.ben_actor, key=world.acme.key)
        with pytest.raises(Conflict):
            rotate_key(actor=world.ben_actor, key=world.acme.key)
        with time_machine.travel(NOW, tick=False):
            key = create_key(actor=world.ben_actor, name="k", expires_at=clock.now() + timedelta(seconds=1)).key
        with pytest.raises(Conflict, match="expired"):
            rotate_key(actor=world.ben_actor, key=key)

    @pytest.mark.parametrize("grace", [-1, MAX_GRACE_SECONDS + 1, 10**12])
    def test_a_grace_has_bounds(self, world: World, grace: int) -> None:
        with pytest.raises(InvalidField) as caught:
            rotate_key(actor=world.ben_actor, key=world.acme.key, grace_seconds=grace)
        assert caught.value.field == "grace_seconds"


def test_without_an_open_project_there_is_no_key(world: World) -> None:
    revoke_key(actor=world.ben_actor, key=world.acme.key)
    update_project(actor=world.acme.owner, project=world.acme.project, is_archived=True)
    with pytest.raises(Conflict) as caught:
        create_key(actor=world.ben_actor, name="k")
    assert caught.value.field == "project"


def test_revoking_twice_changes_nothing_more(world: World) -> None:
    with time_machine.travel(NOW, tick=False):
        first = revoke_key(actor=world.ben_actor, key=world.acme.key).revoked_at
    assert revoke_key(actor=world.ben_actor, key=world.acme.key).revoked_at == first
    assert AuditEntry.objects.filter(action="api_key.revoked").count() == 1


def test_a_key_may_be_renamed_and_narrowed(world: World) -> None:
    make_catalog(world.acme)
    update_key(actor=world.ben_actor, key=world.acme.key, name="main", models=["small"])
    world.acme.key.refresh_from_db()
    assert (world.acme.key.name, world.acme.key.allowed_models) == ("main", ["small"])
    assert read_audit(world.acme.org)[-1].changes == {
        "name": ["first key", "main"],
        "allowed_models": [[], ["small"]],
    }


def counters_of(world: World, digest: bytes) -> set[str]:
    """The names of all counters and windows that hold a call of a key."""
    org, key = load_org_snapshot(world.acme.org_id), load_key_snapshot(digest)
    assert org is not None
    assert key is not None
    whom: dict[str, Any] = {"end_user": "ann", "model": "small", "tags": {"team": "search"}, "session": ""}
    scopes = find_scopes(org, key, **whom, at_ms=clock.now_ms())
    return {scope.counter for scope in scopes} | {rate.name for rate in find_rates(org, key, **whom)}
