"""From facts to alerts: each fires once, the gravest is told, and it is over when nothing speaks for it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from billing.alerts.actions.alerts import acknowledge, report
from billing.alerts.actions.channels import create_channel, ensure_channels, update_channel
from billing.alerts.actions.mutes import set_muted
from billing.alerts.actions.rules import create_rule, ensure_rules, update_rule
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Alert, AlertRule, Delivery
from billing.choices import AlertKind, ChannelKind, Digest
from costhub.lib.errors import Conflict, Forbidden, InvalidField, NotFound
from tenants.access import Actor, org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tests.billing.ledger import NOW
from tests.world import World, make_budget

DAY = NOW.replace(hour=0)


@pytest.fixture(autouse=True)
def _open(request: pytest.FixtureRequest) -> Any:
    if "world" not in request.fixturenames:
        yield
        return
    world: World = request.getfixturevalue("world")
    with org_scope(world.acme.org.pk):
        yield


def budget_fact(percent: int, *, subject: str = "b:x", **more: Any) -> Fact:
    details = {
        "budget": "b",
        "name": "",
        "who": "Acme",
        "period": "day",
        "spent": percent * 10_000_000,
        "limit": 1_000_000_000,
        "percent": percent,
        "ends": (DAY + timedelta(days=1)).isoformat(),
        "action": "block",
        "is_shadow": False,
        "refuses": percent >= 100,
    }
    return Fact(AlertKind.BUDGET, subject, percent, details, DAY, (50, 80, 100), "b", **more)


def told(world: World) -> list[tuple[str, str, int]]:
    """(recipient, event, threshold) of every message."""
    rows = Delivery.objects.filter(org=world.acme.org).select_related("user")
    alerts = {alert.pk: alert for alert in Alert.objects.filter(org=world.acme.org)}
    return sorted(
        (row.user.email if row.user else "-", row.event, alerts[row.alert].threshold) for row in rows if row.alert
    )


def report_budget(world: World, *facts: Fact, is_complete: bool = False) -> list[int]:
    opened = report(world.acme.org, AlertKind.BUDGET, facts, now=NOW, is_complete=is_complete)
    return [alert.threshold for alert in opened]


def open_thresholds(world: World) -> list[int]:
    return sorted(Alert.objects.filter(org=world.acme.org, ended_at=None).values_list("threshold", flat=True))


def test_each_threshold_fires_once(world: World) -> None:
    assert report_budget(world, budget_fact(49)) == []
    assert report_budget(world, budget_fact(50)) == [50]
    assert report_budget(world, budget_fact(79)) == []
    assert report_budget(world, budget_fact(81)) == [80]
    assert report_budget(world, budget_fact(81)) == []
    assert report_budget(world, budget_fact(250)) == [100]
    ada = world.ada.email
    assert told(world) == [(ada, "opened", 50), (ada, "opened", 80), (ada, "opened", 100)]


def test_who_jumps_over_several_hears_of_the_gravest_only(world: World) -> None:
    assert report_budget(world, budget_fact(101)) == [50, 80, 100]
    assert told(world) == [(world.ada.email, "opened", 100)]


def test_the_next_window_fires_anew_and_ends_the_old_one_silently(world: World) -> None:
    report_budget(world, budget_fact(85))
    assert report_budget(world, replace(budget_fact(51), window_start=DAY + timedelta(days=1))) == [50]
    assert open_thresholds(world) == [50]
    assert {event for _, event, _ in told(world)} == {"opened"}


def test_what_comes_late_from_an_old_window_changes_nothing(world: World) -> None:
    tomorrow = replace(budget_fact(55), window_start=DAY + timedelta(days=1))
    report_budget(world, tomorrow)
    assert report_budget(world, budget_fact(60)) == []
    assert report_budget(world, tomorrow) == []


def test_a_budget_that_is_raised_is_over_and_told_so(world: World) -> None:
    report_budget(world, budget_fact(85))
    report_budget(world, budget_fact(60))
    assert open_thresholds(world) == [50]
    assert told(world) == [(world.ada.email, "opened", 80), (world.ada.email, "recovered", 80)]
    assert report_budget(world, budget_fact(85)) == [], "once a rule, window and threshold"


def test_who_wants_no_notice_of_the_end_gets_none(world: World) -> None:
    ensure_rules(world.acme.org)
    rule = AlertRule.objects.get(org=world.acme.org, kind="budget")
    update_rule(actor=world.acme.owner, rule=rule, tells_recovery=False)
    report_budget(world, budget_fact(85))
    report_budget(world, budget_fact(10))
    assert open_thresholds(world) == []
    assert {event for _, event, _ in told(world)} == {"opened"}


def test_what_is_not_looked_at_stands_and_what_is_left_out_of_everything_ends(world: World) -> None:
    report_budget(world, budget_fact(55, subject="b:x"), budget_fact(55, subject="b:y"))
    report_budget(world, budget_fact(10, subject="b:y"))
    assert open_thresholds(world) == [50]
    report_budget(world, is_complete=True)
    assert open_thresholds(world) == []


def test_of_a_group_one_that_is_well_ends_nothing(world: World) -> None:
    report_budget(world, budget_fact(90, subject="b:*", is_group=True))
    report_budget(world, budget_fact(1, subject="b:*", is_group=True))
    assert open_thresholds(world) == [50, 80]


def test_an_episode_begins_when_it_is_seen_and_may_come_again(world: World) -> None:
    failing = Fact(AlertKind.UPSTREAM, "u", 60, {"name": "u", "calls": 10, "failed": 6, "minutes": 5, "error": "503"})
    org = world.acme.org
    assert len(report(org, AlertKind.UPSTREAM, [failing], now=NOW, is_complete=True)) == 1
    later = NOW + timedelta(minutes=1)
    assert report(org, AlertKind.UPSTREAM, [replace(failing, value=55, opens=False)], now=later, is_complete=True) == []
    assert Alert.objects.get(org=org).ended_at is None
    report(org, AlertKind.UPSTREAM, [], now=later, is_complete=True)
    assert Alert.objects.get(org=org).ended_at == later
    again = NOW + timedelta(minutes=9)
    assert report(org, AlertKind.UPSTREAM, [replace(failing, opens=False)], now=again, is_complete=True) == []
    (alert,) = report(org, AlertKind.UPSTREAM, [failing], now=again, is_complete=True)
    assert alert.window_start == again
    assert [event for _, event, _ in told(world)] == ["opened", "opened", "recovered"]


def test_money_goes_to_finance_and_operations_to_admins(world: World) -> None:
    acme = world.acme
    add_member(actor=acme.owner, email="fay@acme.example", role=Role.FINANCE)
    add_member(actor=acme.owner, email="ole@acme.example", role=Role.ADMIN)
    report_budget(world, budget_fact(55))
    report(acme.org, AlertKind.CHANNEL_OFF, [Fact(AlertKind.CHANNEL_OFF, "c", 1, {})], now=NOW, is_complete=True)
    assert {who for who, _, level in told(world) if level == 50} == {world.ada.email, "fay@acme.example"}
    assert {who for who, _, level in told(world) if level == 1} == {world.ada.email, "ole@acme.example"}


def test_who_unsubscribed_of_a_kind_gets_the_others(world: World) -> None:
    set_muted(actor=world.acme.owner, user_id=world.ada.pk, kinds=[AlertKind.BUDGET], is_muted=True)
    report_budget(world, budget_fact(55))
    assert told(world) == []
    report(world.acme.org, AlertKind.UNPRICED, [Fact(AlertKind.UNPRICED, "m", 1, {}, DAY)], now=NOW, is_complete=True)
    assert told(world) == [(world.ada.email, "opened", 1)]


def test_a_rule_of_ones_own_has_its_own_thresholds_budget_and_channels(world: World) -> None:
    acme = world.acme
    ensure_channels(acme.org)
    _, second = make_budget(acme, "1.00"), make_budget(acme, "2.00")
    ops = next(channel for channel in ensure_channels(acme.org) if "Operations" in channel.name)
    update_channel(actor=acme.owner, channel=ops, kinds=list(AlertKind))
    ensure_rules(acme.org)
    update_rule(actor=acme.owner, rule=AlertRule.objects.get(org=acme.org, kind="budget"), is_active=False)
    create_rule(
        actor=acme.owner,
        kind=AlertKind.BUDGET,
        name="Early",
        thresholds=[5, 30],
        budget=str(second.pk),
        channels=[str(ops.pk)],
    )
    assert report_budget(world, budget_fact(90)) == []
    assert report_budget(world, replace(budget_fact(31), budget=str(second.pk))) == [5, 30]
    assert {row.channel for row in Delivery.objects.filter(org=acme.org)} == {ops.pk}


def test_a_digest_waits_and_what_is_critical_does_not(world: World) -> None:
    acme = world.acme
    for channel in ensure_channels(acme.org):
        update_channel(actor=acme.owner, channel=channel, digest=Digest.DAILY, quiet_from=1320, quiet_until=420)
    report_budget(world, budget_fact(55))
    report_budget(world, budget_fact(100))
    due = {(row.is_digest, row.due_at) for row in Delivery.objects.filter(org=acme.org)}
    assert due == {(True, NOW.replace(hour=8) + timedelta(days=1)), (False, NOW)}


def test_rules_are_made_once_however_many_ask(committed_world: World) -> None:
    org = committed_world.acme.org

    def work(_: int) -> int:
        try:
            with org_scope(org.pk):
                return len(ensure_rules(org))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [len(AlertKind)] * 4
    with org_scope(org.pk):
        assert AlertRule.objects.filter(org=org).count() == len(AlertKind)


@pytest.mark.parametrize(
    ("kind", "thresholds", "field"),
    [
        (AlertKind.BUDGET, [100, 50], "thresholds"),
        (AlertKind.BUDGET, [50, 50], "thresholds"),
        (AlertKind.BUDGET, [0], "thresholds"),
        (AlertKind.BUDGET, [201], "thresholds"),
        (AlertKind.UPSTREAM, [101], "thresholds"),
        (AlertKind.BUDGET, list(range(1, 12)), "thresholds"),
    ],
)
def test_thresholds_out_of_order_or_range_are_refused(
    world: World, kind: AlertKind, thresholds: list[int], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        create_rule(actor=world.acme.owner, kind=kind, name="x", thresholds=thresholds)
    assert refused.value.field == field


def test_a_rule_names_no_foreign_budget_or_channel(world: World) -> None:
    foreign = make_budget(world.mallcorp, "1.00")
    with pytest.raises(NotFound):
        create_rule(actor=world.acme.owner, kind=AlertKind.BUDGET, name="x", budget=str(foreign.pk))
    with org_scope(world.mallcorp.org.pk):
        theirs = ensure_channels(world.mallcorp.org)[0]
    with pytest.raises(NotFound):
        create_rule(actor=world.acme.owner, kind=AlertKind.BUDGET, name="x", channels=[str(theirs.pk)])
    with pytest.raises(InvalidField):
        create_rule(actor=world.acme.owner, kind=AlertKind.DRIFT, name="x", budget=str(foreign.pk))


def test_acknowledging_is_for_who_may_see_money_and_happens_once(world: World) -> None:
    report_budget(world, budget_fact(55))
    alert = Alert.objects.get(org=world.acme.org)
    with pytest.raises(Forbidden):
        acknowledge(actor=Actor(world.acme.org, Role.VIEWER, "vic"), alert=alert)
    first = acknowledge(actor=world.ben_actor, alert=alert).acknowledged_at
    assert acknowledge(actor=world.acme.owner, alert=alert).acknowledged_at == first
    assert alert.acknowledged_by == world.ben.email


def test_two_channels_cannot_have_one_name(world: World) -> None:
    create_channel(actor=world.acme.owner, kind=ChannelKind.EMAIL, name="Boss", roles=[Role.OWNER])
    with pytest.raises(Conflict):
        create_channel(actor=world.acme.owner, kind=ChannelKind.EMAIL, name="Boss", roles=[Role.OWNER])
