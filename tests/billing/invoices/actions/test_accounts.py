"""Plans that customers choose and end themselves, and what becomes of calls when none holds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

from billing.invoices.actions.accounts import choose_plan, end_subscription, follow_plan, leave, subscribe
from billing.invoices.core.terms import parse_terms
from billing.invoices.models import Plan, Subscription
from billing.invoices.selectors.accounts import terms_of
from billing.invoices.selectors.due import list_to_follow
from costhub.lib.errors import Conflict
from tenants.access import org_scope
from tenants.selectors import load_org_snapshot
from tests.billing.invoices.at_once import apart, wait_until
from tests.billing.invoices.examples import (
    DAY,
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    close,
    make_customer,
    make_plan,
    show_lines,
)
from tests.billing.ledger import NOW, record_call
from tests.patience import PATIENCE_SECONDS
from tests.world import Tenant, World

USD = 10**9


@pytest.fixture
def acme(world: World) -> Iterator[Tenant]:
    with org_scope(world.acme.org.pk), time_machine.travel(NOW, tick=False):
        yield world.acme


def is_refused(acme: Tenant) -> bool:
    found = load_org_snapshot(acme.org_id)
    assert found
    return found.is_suspended


def follow(acme: Tenant, now: datetime) -> int:
    """What the job does a while after a moment; how many customers it looked at."""
    due = list_to_follow([acme.org.pk], now)
    for _ in due:
        follow_plan(acme.owner, now)
    return len(due)


def test_who_leaves_is_billed_until_the_months_end_and_refused_from_then_on(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, fee="30.00", markup="10", grace_days=0)
    left = leave(actor=acme.owner)
    assert (left.ends_at, leave(actor=acme.owner).ends_at) == (DECEMBER, DECEMBER)
    record_call(acme, NOW + DAY, cost=10 * USD)
    assert (follow(acme, DECEMBER - DAY), is_refused(acme)) == (0, False)
    assert (follow(acme, DECEMBER), is_refused(acme)) == (1, True)
    acme.org.refresh_from_db()
    assert not acme.org.is_read_only, "a plan can be chosen"
    *_, november = close(acme, DECEMBER)
    assert [(kind, nanos) for kind, _, nanos in show_lines(acme, november)] == [
        ("fee", 30 * USD),
        ("usage", 10 * USD),
        ("markup", USD),
    ]
    with time_machine.travel(DECEMBER + DAY, tick=False):
        choose_plan(actor=acme.owner, plan=make_plan(fee="1.00"))
        assert not is_refused(acme)


def test_the_month_is_that_of_the_customer(acme: Tenant) -> None:
    acme.org.time_zone = acme.owner.org.time_zone = "Asia/Tokyo"
    acme.org.save(update_fields=["time_zone"])
    make_customer(acme, since=OCTOBER)
    assert leave(actor=acme.owner).ends_at == datetime(2026, 12, 1, tzinfo=ZoneInfo("Asia/Tokyo"))


def test_leaving_and_coming_back_within_a_month_leaves_no_day_out(acme: Tenant) -> None:
    plan = make_plan(fee="30.00")
    make_customer(acme, since=OCTOBER, plan=plan)
    leave(actor=acme.owner)
    record_call(acme, NOW + DAY, cost=7 * USD)
    with time_machine.travel(NOW + DAY * 2, tick=False):
        choose_plan(actor=acme.owner, plan=plan)
    first, second = Subscription.objects.order_by("starts_at")
    assert (first.ends_at, second.starts_at, second.ends_at) == (NOW + DAY * 2, NOW + DAY * 2, None)
    _, november = close(acme, DECEMBER + DAY * 3)
    lines = show_lines(acme, november)
    assert sum(nanos for kind, _, nanos in lines if kind == "fee") == 30 * USD
    assert sum(nanos for kind, _, nanos in lines if kind == "usage") == 7 * USD


def test_the_operator_ends_a_plan_at_once(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER)
    assert not is_refused(acme)
    end_subscription(actor=acme.owner)
    assert is_refused(acme)
    subscribe(actor=acme.owner, plan=make_plan(), at=NOW + DAY)
    assert is_refused(acme), "it begins tomorrow"
    assert (follow(acme, NOW + DAY), is_refused(acme)) == (1, False)


def test_who_never_had_a_plan_is_not_refused(world: World, acme: Tenant) -> None:
    """Nobody bills an installation without plans; nor is one refused whose first plan is to begin."""
    follow_plan(acme.owner, NOW)
    assert not is_refused(acme)
    make_customer(acme, since=NOW + DAY)
    assert not is_refused(acme)


@pytest.mark.parametrize(("public", "kept"), [("5.00", "100"), ("250.00", "250")])
def test_a_minimum_that_was_agreed_stays_with_a_plan_that_is_chosen(acme: Tenant, public: str, kept: str) -> None:
    make_customer(acme, since=OCTOBER)
    subscribe(actor=acme.owner, plan=make_plan(), at=NOW - DAY, overrides={"minimum": "100", "markup": "-5"})
    chosen = choose_plan(actor=acme.owner, plan=make_plan(minimum=public, markup="20"))
    assert terms_of(chosen) == parse_terms({"minimum": kept, "markup": "20"})
    with time_machine.travel(NOW + DAY, tick=False):
        again = choose_plan(actor=acme.owner, plan=make_plan())
        assert terms_of(again).minimum == 100 * USD, "the agreed one, whatever plan was in between"
        with pytest.raises(Conflict, match="ask there to end it"):
            leave(actor=acme.owner)
    with time_machine.travel(NOW + DAY * 2, tick=False):
        subscribe(actor=acme.owner, plan=make_plan())
        assert leave(actor=acme.owner).ends_at == DECEMBER, "the operator has agreed to none"


@pytest.mark.parametrize("does", ["chooses", "leaves"])
def test_what_the_operator_is_agreeing_to_holds_for_whoever_chooses_or_leaves_meanwhile(
    committed_world: World, does: str
) -> None:
    acme = committed_world.acme

    def act() -> str:
        with org_scope(acme.org.pk):
            try:
                found = choose_plan(actor=acme.owner, plan=other) if does == "chooses" else leave(actor=acme.owner)
            except Conflict as error:
                return error.message
            return f"a minimum of {found.agreed_minimum}, until {found.ends_at}"

    with ThreadPoolExecutor(1) as pool, time_machine.travel(NOW, tick=False):
        make_customer(acme, since=OCTOBER)
        agreed, other = make_plan(), make_plan()
        with org_scope(acme.org.pk):
            subscribe(actor=acme.owner, plan=agreed, at=NOW - DAY, overrides={"minimum": "100"})
            done = pool.submit(apart, act)
            wait_until(done.done)
        assert (
            done.result(timeout=PATIENCE_SECONDS)
            == {
                "chooses": f"a minimum of {100 * USD}, until None",
                "leaves": "This plan was agreed with the operator of this installation: ask there to end it.",
            }[does]
        )


def test_the_minimum_of_a_plan_that_is_not_for_everybody_is_agreed_too(acme: Tenant) -> None:
    plan = make_plan(minimum="100")
    Plan.objects.filter(pk=plan.pk).update(is_public=False)
    make_customer(acme, plan=plan, since=OCTOBER)
    with pytest.raises(Conflict, match="ask there to end it"):
        leave(actor=acme.owner)
    assert terms_of(choose_plan(actor=acme.owner, plan=make_plan(minimum="5"))).minimum == 100 * USD


def test_what_was_agreed_is_not_ended_by_the_customer(acme: Tenant) -> None:
    with pytest.raises(Conflict, match="has no plan"):
        leave(actor=acme.owner)
    make_customer(acme, since=OCTOBER)
    subscribe(actor=acme.owner, plan=make_plan(), at=NOW - DAY, overrides={"minimum": "100"})
    with pytest.raises(Conflict, match="ask there to end it"):
        leave(actor=acme.owner)
    subscribe(actor=acme.owner, plan=make_plan(), at=DECEMBER + DAY)
    with pytest.raises(Conflict, match="ask there to end it"):
        leave(actor=acme.owner)
    assert Subscription.objects.get(ends_at=None).starts_at == DECEMBER + DAY
    assert end_subscription(actor=acme.owner, at=NOVEMBER + DAY * 40).ends_at is not None
