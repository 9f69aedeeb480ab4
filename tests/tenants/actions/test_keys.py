"""Keys: shown once, stored as a digest, rotated with grace, revoked for ever."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connection

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.secrets import API_KEY, digest_of, is_well_formed
from tenants.access import Actor, enter_org
from tenants.actions.keys import MAX_GRACE_SECONDS, create_key, revoke_key, rotate_key, update_key
from tenants.actions.projects import create_project, update_project
from tenants.choices import BudgetScope, LimitUnit, Role
from tenants.models import ApiKey, AuditEntry, Budget, RateLimit
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

    def test_restrictions_and_budgets_come_along(self, world: World) -> None:
        make_catalog(world.acme)
        key = create_key(actor=world.ben_actor, name="bound", end_user="u-1", models=["small"]).key
        budget = make_budget(world.acme, "3.00", scope=BudgetScope.KEY, subject=str(key.pk))
        ladder = [{"at": 90, "rung": "block"}]
        Budget.objects.filter(pk=budget.pk).update(action="degrade", ladder=ladder, is_shadow=True)
        limit = make_rate_limit(world.acme, 7, LimitUnit.TOKENS, subject=str(key.pk), is_shadow=True)
        make_rate_limit(world.acme, 9)
        new = rotate_key(actor=world.ben_actor, key=key).key
        assert (new.end_user, new.allowed_models) == ("u-1", ["small"])
        copy = Budget.objects.get(subject=str(new.pk))
        assert (copy.limit_nanos, copy.period, copy.action) == (3_000_000_000, budget.period, "degrade")
        assert (copy.ladder, copy.is_shadow) == (ladder, True)
        same = RateLimit.objects.get(subject=str(new.pk))
        assert (same.unit, same.amount, same.window_seconds, same.is_shadow) == (
            "tokens",
            7,
            limit.window_seconds,
            True,
        )

    def test_what_is_within_a_key_is_within_its_successor(self, world: World) -> None:
        key, place = world.acme.key, {"key": str(world.acme.key.pk)}
        make_budget(world.acme, "3.00", scope=BudgetScope.END_USER, subject="ann", within=place)
        make_rate_limit(world.acme, 7, scope=BudgetScope.TAG, within=place)
        make_rate_limit(world.acme, 8, scope=BudgetScope.TAG, within={"project": str(world.acme.project.pk)})
        new = rotate_key(actor=world.ben_actor, key=key).key
        budget, limit = Budget.objects.get(within=str(new.pk)), RateLimit.objects.get(within=str(new.pk))
        assert (budget.subject, budget.within_scope, budget.limit_nanos) == ("ann", "key", 3_000_000_000)
        assert (limit.subject, limit.within_scope, limit.amount) == ("", "key", 7)
        assert Budget.objects.count() == 2
        assert RateLimit.objects.count() == 3

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
    assert AuditEntry.objects.latest("created_at").changes == {
        "name": ["first key", "main"],
        "allowed_models": [[], ["small"]],
    }
