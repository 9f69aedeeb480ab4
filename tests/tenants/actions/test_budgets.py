"""Budgets: limits that Lua can count, subjects that exist, thresholds that rise."""

from dataclasses import replace
from uuid import uuid4

import pytest

from costhub.lib.errors import Forbidden, InvalidField, NotFound
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos
from tenants.access import StaleSession, enter_org
from tenants.actions.budgets import create_budget, update_budget
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tests.audit import read_audit
from tests.world import World, make_catalog

BLOCK, DEGRADE, WARN = BudgetAction.BLOCK, BudgetAction.DEGRADE, BudgetAction.WARN
SHORTER = {"at": 80, "rung": "shorter_output", "max_tokens": 500}
LADDER = [SHORTER, {"at": 100, "rung": "block"}]
LATE = [{"at": 101, "rung": "block"}]


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


def create(world: World, scope: BudgetScope = BudgetScope.ORGANIZATION, **more: object) -> Budget:
    given: dict[str, object] = {"period": BudgetPeriod.DAY, "limit_nanos": Nanos(1)} | more
    return create_budget(actor=world.acme.owner, scope=scope, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [1, MAX_LIMIT_NANOS])
def test_limits_go_from_a_nano_to_nine_million(world: World, limit: int) -> None:
    assert Budget.objects.get(pk=create(world, limit_nanos=limit).pk).limit_nanos == limit


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT_NANOS + 1])
def test_others_are_refused(world: World, limit: int) -> None:
    with pytest.raises(InvalidField) as caught:
        create(world, limit_nanos=limit)
    assert caught.value.field == "limit"
    assert caught.value.message == "Give a limit above zero and up to $9,000,000.00."


def test_subjects_are_stored_as_the_hot_path_names_them(world: World) -> None:
    model = make_catalog(world.acme).model
    project, key = world.acme.project, world.acme.key
    for scope, subject, stored in (
        (BudgetScope.PROJECT, "default", str(project.pk)),
        (BudgetScope.PROJECT, str(project.pk), str(project.pk)),
        (BudgetScope.KEY, str(key.pk).upper(), str(key.pk)),
        (BudgetScope.MODEL, "small", "small"),
        (BudgetScope.MODEL, str(model.pk), "small"),
        (BudgetScope.END_USER, "anybody@example.com", "anybody@example.com"),
        (BudgetScope.TAG, "team=search", "team=search"),
        (BudgetScope.KEY, "", ""),
    ):
        assert create(world, scope, subject=subject).subject == stored


def test_subjects_of_others_do_not_exist(world: World) -> None:
    theirs = make_catalog(world.mallcorp, model="theirs").model
    for scope, subject in (
        (BudgetScope.PROJECT, str(world.mallcorp.project.pk)),
        (BudgetScope.KEY, str(world.mallcorp.key.pk)),
        (BudgetScope.KEY, "first key"),
        (BudgetScope.MODEL, "theirs"),
        (BudgetScope.MODEL, str(theirs.pk)),
        (BudgetScope.PROJECT, str(uuid4())),
    ):
        with pytest.raises(NotFound) as caught:
            create(world, scope, subject=subject)
        assert (caught.value.message, caught.value.field) == (f"There is no such {scope}.", "subject")


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        (BudgetScope.ORGANIZATION, "acme"),
        (BudgetScope.TAG, "team"),
        (BudgetScope.TAG, "=search"),
        (BudgetScope.TAG, "team="),
        (BudgetScope.TAG, "team=\u0007"),
        (BudgetScope.END_USER, "two words"),
    ],
)
def test_subjects_that_cannot_be_are_refused(world: World, scope: BudgetScope, subject: str) -> None:
    with pytest.raises(InvalidField) as caught:
        create(world, scope, subject=subject)
    assert caught.value.field == "subject"


def test_a_place_is_stored_by_its_id(world: World) -> None:
    project, key = world.acme.project, world.acme.key
    for within, stored in (
        ({"project": "default"}, ("project", str(project.pk))),
        ({"project": str(project.pk)}, ("project", str(project.pk))),
        ({"key": str(key.pk).upper()}, ("key", str(key.pk))),
        (None, ("", "")),
    ):
        budget = create(world, BudgetScope.END_USER, within=within)
        assert (budget.within_scope, budget.within) == stored


@pytest.mark.parametrize(
    ("scope", "within"),
    [
        (BudgetScope.ORGANIZATION, {"project": "default"}),
        (BudgetScope.PROJECT, {"project": "default"}),
        (BudgetScope.KEY, {"project": "default"}),
        (BudgetScope.END_USER, {}),
        (BudgetScope.END_USER, {"project": ""}),
        (BudgetScope.END_USER, {"model": "small"}),
        (BudgetScope.END_USER, {"project": "default", "key": "k"}),
    ],
)
def test_places_that_cannot_be_are_refused(world: World, scope: BudgetScope, within: dict[str, str]) -> None:
    with pytest.raises(InvalidField) as caught:
        create(world, scope, within=within)
    assert caught.value.field == "within"


def test_places_of_others_do_not_exist(world: World) -> None:
    for kind, place in (
        ("project", str(world.mallcorp.project.pk)),
        ("key", str(world.mallcorp.key.pk)),
        ("key", "first key"),
        ("project", "nowhere"),
    ):
        with pytest.raises(NotFound) as caught:
            create(world, BudgetScope.END_USER, within={kind: place})
        assert (caught.value.message, caught.value.field) == (f"There is no such {kind}.", "within")


@pytest.mark.parametrize("thresholds", [[80, 50], [50, 50], [0], [201], [-1, 5], list(range(1, 12))])
def test_thresholds_rise_from_1_to_200(world: World, thresholds: list[int]) -> None:
    with pytest.raises(InvalidField) as caught:
        create(world, thresholds=thresholds)
    assert caught.value.field == "thresholds"


@pytest.mark.parametrize("thresholds", [[], [1, 100, 200]])
def test_thresholds_that_do_are_kept(world: World, thresholds: list[int]) -> None:
    assert create(world, thresholds=thresholds).thresholds == thresholds


def test_without_any_there_are_three(world: World) -> None:
    assert create(world).thresholds == [50, 80, 100]


def test_a_change_is_stored_told_and_published(world: World) -> None:
    budget = create(world, limit_nanos=Nanos(10))
    update_budget(actor=world.acme.owner, budget=budget, limit_nanos=Nanos(4), action=BudgetAction.WARN)
    budget.refresh_from_db()
    assert (budget.limit_nanos, budget.action) == (4, "warn")
    assert read_audit(world.acme.org)[-1].changes == {"limit_nanos": [10, 4], "action": ["block", "warn"]}
    world.acme.org.refresh_from_db()
    assert world.acme.org.version == 4


def test_one_that_is_used_again_counts_anew(world: World) -> None:
    """Nobody counted while it was off, so that its counter of this period, a key of its own, is made from the
    ledger."""
    budget = create(world)
    first = budget.created_at
    update_budget(actor=world.acme.owner, budget=budget, limit_nanos=Nanos(7), is_active=True)
    assert Budget.objects.get(pk=budget.pk).created_at == first
    update_budget(actor=world.acme.owner, budget=budget, is_active=False)
    assert Budget.objects.get(pk=budget.pk).created_at == first
    update_budget(actor=world.acme.owner, budget=budget, is_active=True)
    assert Budget.objects.get(pk=budget.pk).created_at > first


def test_a_developer_may_not(world: World) -> None:
    with pytest.raises(Forbidden):
        create_budget(actor=world.ben_actor, scope=BudgetScope.KEY, period=BudgetPeriod.DAY, limit_nanos=Nanos(1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"limit_nanos": Nanos(11)}),
        ({}, {"action": WARN}),
        ({}, {"action": DEGRADE, "ladder": [SHORTER]}),
        ({}, {"is_shadow": True}),
        ({}, {"is_active": False}),
        ({"period": BudgetPeriod.MONTH}, {"rollover": True}),
        ({"action": DEGRADE, "ladder": LADDER}, {"action": WARN}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": [SHORTER]}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": LADDER[1:]}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": [SHORTER, {"at": 101, "rung": "block"}]}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": [SHORTER | {"max_tokens": 501}, LADDER[1]]}),
        ({"action": DEGRADE, "ladder": LADDER}, {"action": BLOCK}),
        ({"action": DEGRADE, "ladder": [SHORTER]}, {"action": WARN}),
    ],
)
def test_who_loosens_one_shows_first_that_it_is_them(
    world: World, before: dict[str, object], after: dict[str, object]
) -> None:
    budget = create(world, BudgetScope.ORGANIZATION, **{"limit_nanos": Nanos(10), **before})
    stale = replace(world.acme.owner, is_fresh=False)
    with pytest.raises(StaleSession):
        update_budget(actor=stale, budget=budget, **after)  # type: ignore[arg-type]
    update_budget(actor=world.acme.owner, budget=budget, **after)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"limit_nanos": Nanos(9)}),
        ({}, {"action": DEGRADE, "ladder": LADDER}),
        ({"action": WARN}, {"action": BLOCK}),
        ({"is_shadow": True}, {"is_shadow": False}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": [SHORTER | {"at": 70, "max_tokens": 400}, LADDER[1]]}),
        ({"action": DEGRADE, "ladder": LADDER}, {"ladder": [{"at": 80, "rung": "block"}]}),
    ],
)
def test_who_tightens_one_is_not_asked(world: World, before: dict[str, object], after: dict[str, object]) -> None:
    budget = create(world, BudgetScope.ORGANIZATION, **{"limit_nanos": Nanos(10), **before})
    update_budget(actor=replace(world.acme.owner, is_fresh=False), budget=budget, **after)  # type: ignore[arg-type]


def test_a_budget_of_ones_own_above_the_default_lifts_it(world: World) -> None:
    """The default no longer holds who has a hard budget of their own: making one is raising the limit."""
    create(world, BudgetScope.END_USER, limit_nanos=Nanos(10))
    create(world, BudgetScope.KEY, limit_nanos=Nanos(10), action=WARN)
    mia: dict[str, object] = {"subject": "mia", "period": BudgetPeriod.DAY}
    key: dict[str, object] = {"subject": str(world.acme.key.pk), "period": BudgetPeriod.DAY}
    stale = replace(world.acme.owner, is_fresh=False)

    def make(scope: BudgetScope, **given: object) -> Budget:
        return create_budget(actor=stale, scope=scope, **given)  # type: ignore[arg-type]

    for lifting in ({"limit_nanos": Nanos(11)}, {"limit_nanos": Nanos(5), "action": DEGRADE, "ladder": LATE}):
        with pytest.raises(StaleSession):
            make(BudgetScope.END_USER, **mia, **lifting)
    # Less than the default, in another period, only warning, only reporting: the default holds as before.
    make(BudgetScope.END_USER, **mia, limit_nanos=Nanos(10))
    make(BudgetScope.END_USER, **mia | {"period": BudgetPeriod.WEEK}, limit_nanos=Nanos(11))
    make(BudgetScope.KEY, **key, limit_nanos=Nanos(11))
    warns = make(BudgetScope.END_USER, **mia, limit_nanos=Nanos(11), action=WARN)
    reports = make(BudgetScope.END_USER, **mia, limit_nanos=Nanos(11), is_shadow=True)
    for budget, change in ((warns, {"action": BLOCK}), (reports, {"is_shadow": False})):
        with pytest.raises(StaleSession):
            update_budget(actor=stale, budget=budget, **change)


def test_one_for_everywhere_lifts_the_default_of_a_project_and_not_the_other_way_round(world: World) -> None:
    project = {"project": "default"}
    create(world, BudgetScope.END_USER, limit_nanos=Nanos(10), within=project)
    stale = replace(world.acme.owner, is_fresh=False)
    given: dict[str, object] = {"scope": BudgetScope.END_USER, "period": BudgetPeriod.DAY, "limit_nanos": Nanos(11)}
    places: list[dict[str, object]] = [{}, {"within": project}]
    for where in places:
        with pytest.raises(StaleSession):
            create_budget(actor=stale, subject="mia", **given, **where)  # type: ignore[arg-type]
    create(world, BudgetScope.MODEL, limit_nanos=Nanos(10))
    make_catalog(world.acme, model="small")
    model = given | {"scope": BudgetScope.MODEL, "subject": "small", "within": project}
    create_budget(actor=stale, **model)  # type: ignore[arg-type]
