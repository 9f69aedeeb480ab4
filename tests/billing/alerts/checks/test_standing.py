"""What stands until somebody does something: channels that fail, and prices that are news."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.alerts.actions.channels import ensure_channels, note_success, update_channel
from billing.alerts.checks.standing import watch_standing
from billing.alerts.models import Alert, Channel, Delivery
from billing.choices import ChannelKind
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tenants.choices import UpstreamKind
from tenants.models import ListPrice
from tests.billing.ledger import NOW, record_call
from tests.world import World, make_catalog


def find(world: World, kind: str) -> list[Alert]:
    with org_scope(world.acme.org.pk):
        return list(Alert.objects.filter(org=world.acme.org, kind=kind).order_by("window_start"))


def test_a_channel_that_fails_is_told_of_before_it_is_switched_off(world: World) -> None:
    with org_scope(world.acme.org.pk):
        channel = Channel.objects.create(org=world.acme.org, name="Hook", kind=ChannelKind.WEBHOOK.value)
    for failures, opened, ended in ((2, 0, 0), (3, 1, 0), (4, 1, 0), (0, 1, 1)):
        with org_scope(world.acme.org.pk):
            since = NOW if failures else None
            Channel.objects.filter(org=world.acme.org, pk=channel.pk).update(failures=failures, failing_since=since)
        watch_standing(world.acme.org.pk, NOW)
        told = find(world, "channel_failing")
        assert (len(told), sum(alert.ended_at is not None for alert in told)) == (opened, ended), failures
    assert (told[0].subject, told[0].facts["failures"], told[0].severity) == (str(channel.pk), 3, "warning")


@pytest.mark.parametrize(("ends", "told"), [("arrives", ["opened", "recovered"]), ("switched off", ["opened"])])
def test_nobody_is_told_that_a_channel_is_well_that_was_switched_off(world: World, ends: str, told: list[str]) -> None:
    org, owner = world.acme.org, world.acme.owner
    with org_scope(org.pk):
        ensure_channels(org)
        channel = Channel.objects.create(org=org, name="Hook", kind=ChannelKind.WEBHOOK.value)
        Channel.objects.filter(pk=channel.pk).update(failures=3, failing_since=NOW)
    watch_standing(org.pk, NOW)
    with org_scope(org.pk):
        if ends == "switched off":
            update_channel(actor=owner, channel=Channel.objects.get(pk=channel.pk), is_active=False)
        else:
            note_success(Channel.objects.get(pk=channel.pk))
    watch_standing(org.pk, NOW)
    (alert,) = find(world, "channel_failing")
    assert alert.ended_at == NOW
    with org_scope(org.pk):
        assert list(Delivery.objects.order_by("created_at", "event").values_list("event", flat=True)) == told


@pytest.mark.parametrize(("output", "severity", "month"), [("1.20", "warning", 2_100_000), ("0.30", "info", 1_200_000)])
def test_another_price_is_told_with_what_it_does_to_a_month(
    world: World, output: str, severity: str, month: int
) -> None:
    began = NOW - timedelta(days=60)
    catalog = make_catalog(world.acme, model="small", effective_from=began)
    assert catalog.price is not None
    billed = {"price_id": catalog.price.pk, "upstream_id": catalog.upstream.pk, "request_model": "small"}
    for _ in range(10):
        record_call(world.acme, NOW - timedelta(days=40), input_tokens=600, output_tokens=100, cost=150_000, **billed)
    watch_standing(world.acme.org.pk, NOW)
    assert find(world, "price") == [], "a first price takes no other's place"
    with org_scope(world.acme.org.pk):
        create_price(
            actor=world.acme.owner,
            model=catalog.model,
            input_per_million=Decimal("0.15"),
            output_per_million=Decimal(output),
            effective_from=NOW - timedelta(days=1),
        )
    watch_standing(world.acme.org.pk, NOW)
    watch_standing(world.acme.org.pk, NOW + timedelta(hours=1))
    (alert,) = find(world, "price")
    assert (alert.subject, alert.severity) == (str(catalog.model.pk), severity)
    assert (alert.facts["month_before"], alert.facts["month_now"]) == (1_500_000, month)
    watch_standing(world.acme.org.pk, NOW + timedelta(days=7))
    assert find(world, "price")[0].ended_at is not None


def make_list_price(model: str, began: datetime, output: str) -> None:
    ListPrice.objects.create(
        provider="openai",
        model=model,
        source="test",
        effective_from=began,
        input_per_million=Decimal("0.15"),
        output_per_million=Decimal(output),
    )


@pytest.mark.parametrize("name", ["new-model", "new-model-2026-10-01"])
def test_another_list_price_is_told_to_whom_it_concerns_and_nobody_else_is_looked_at_for_it(
    world: World, name: str
) -> None:
    """Also that of a dated version, as which the model may answer."""
    for model, kind in (("new-model", UpstreamKind.OPENAI), ("other", UpstreamKind.OPENAI)):
        make_catalog(
            world.acme if model == "new-model" else world.mallcorp, model=model, kind=kind, input_per_million=None
        )
    for began, output in ((NOW - timedelta(days=60), "0.60"), (NOW - timedelta(days=1), "0.30")):
        make_list_price("new-model", began, output)
        if name != "new-model":
            make_list_price(name, began, output)
    watch_standing(world.acme.org.pk, NOW)
    (alert,) = find(world, "price")
    assert alert.facts["model"] == "new-model"
    with CaptureQueriesContext(connection) as asked:
        watch_standing(world.mallcorp.org.pk, NOW)
    statements = " ".join(query["sql"] for query in asked)
    # No snapshot is read, nor does anybody wait for its alerts' turn.
    assert "tenants_budget" not in statements
    assert "pg_advisory" not in statements
