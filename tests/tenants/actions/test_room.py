"""How many budgets and rate limits there may be, and that no rate limit is there twice."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import enter_org
from tenants.actions import room
from tenants.actions.budgets import update_budget
from tenants.actions.keys import revoke_key, rotate_key
from tenants.actions.limits import update_rate_limit
from tenants.choices import BudgetScope, LimitUnit
from tenants.models import Budget, RateLimit
from tenants.selectors import load_org_snapshot
from tests.world import World, make_budget, make_rate_limit


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


class TestRoom:
    @pytest.fixture(autouse=True)
    def room_for_three(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(room, "MAX_LIMITS", 3)

    def fill(self, world: World) -> Budget:
        make_budget(world.acme, "1")
        make_rate_limit(world.acme, 1, subject=str(world.acme.key.pk))
        return make_budget(world.acme, "1", scope=BudgetScope.KEY, subject=str(world.acme.key.pk))

    def test_budgets_and_rate_limits_count_together(self, world: World) -> None:
        self.fill(world)
        for make in (lambda: make_budget(world.acme, "1"), lambda: make_rate_limit(world.acme, 9)):
            with pytest.raises(Conflict, match="at most 3 active budgets and rate limits"):
                make()
        assert (Budget.objects.count(), RateLimit.objects.count()) == (2, 1)
        make_budget(world.mallcorp, "1")

    def test_one_that_is_switched_off_does_not_and_needs_room_to_come_back(self, world: World) -> None:
        budget = self.fill(world)
        update_budget(actor=world.acme.owner, budget=budget, is_active=False)
        limit = make_rate_limit(world.acme, 9)
        with pytest.raises(Conflict):
            update_budget(actor=world.acme.owner, budget=budget, is_active=True)
        update_rate_limit(actor=world.acme.owner, limit=limit, is_active=False)
        update_budget(actor=world.acme.owner, budget=budget, is_active=True)
        with pytest.raises(Conflict):
            update_rate_limit(actor=world.acme.owner, limit=limit, is_active=True)
        update_budget(actor=world.acme.owner, budget=budget, is_active=True, name="on all the time")

    def test_a_rotation_needs_none(self, world: World) -> None:
        self.fill(world)
        new = rotate_key(actor=world.ben_actor, key=world.acme.key).key
        assert new.lineage == world.acme.key.pk

    def test_those_of_a_key_that_has_been_dead_for_a_day_are_forgotten(self, world: World) -> None:
        self.fill(world)
        revoke_key(actor=world.ben_actor, key=world.acme.key)
        for hours, known in ((23, (2, 1)), (25, (1, 0))):
            with time_machine.travel(clock.now() + timedelta(hours=hours), tick=False):
                snapshot = load_org_snapshot(world.acme.org_id)
                assert snapshot is not None
                assert (len(snapshot.budgets), len(snapshot.rate_limits)) == known
        with time_machine.travel(clock.now() + timedelta(hours=25), tick=False):
            make_budget(world.acme, "1")
            make_budget(world.acme, "1", scope=BudgetScope.TAG, within={"key": str(world.acme.key.pk)})
            make_budget(world.acme, "1")


class TestTwice:
    PLACE: dict[str, Any] = {"scope": BudgetScope.END_USER, "subject": "ann"}

    def test_the_other_one_is_named(self, world: World) -> None:
        first = make_rate_limit(world.acme, 5, **self.PLACE)
        with pytest.raises(Conflict) as caught:
            make_rate_limit(world.acme, 7, **self.PLACE)
        assert caught.value.message == (
            f"The rate limit {first.pk} of 5 requests counts the same: change that one, or switch it off first."
        )

    @pytest.mark.parametrize(
        "other",
        [
            {"scope": BudgetScope.SESSION},
            {"subject": ""},
            {"unit": LimitUnit.TOKENS},
            {"unit": LimitUnit.CONCURRENT},
            {"window_seconds": 61},
            {"is_shadow": True},
            {"within": {"project": "default"}},
        ],
    )
    def test_what_differs_is_another_one(self, world: World, other: dict[str, Any]) -> None:
        make_rate_limit(world.acme, 5, **self.PLACE)
        make_rate_limit(world.acme, 5, **self.PLACE | other)
        assert RateLimit.objects.count() == 2

    def test_it_does_not_come_back_as_a_second_one(self, world: World) -> None:
        first = make_rate_limit(world.acme, 5, **self.PLACE)
        update_rate_limit(actor=world.acme.owner, limit=first, is_active=False)
        second = make_rate_limit(world.acme, 7, **self.PLACE)
        with pytest.raises(Conflict):
            update_rate_limit(actor=world.acme.owner, limit=first, is_active=True)
        shadow = make_rate_limit(world.acme, 5, **self.PLACE, is_shadow=True)
        with pytest.raises(Conflict):
            update_rate_limit(actor=world.acme.owner, limit=shadow, is_shadow=False)
        update_rate_limit(actor=world.acme.owner, limit=second, amount=8, is_active=True, is_shadow=False)
