"""Webhooks are told of what the audit log says: everything that was done, in order, and nothing that was not."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import time_machine
from django.db import connections, transaction
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook

from billing.alerts.actions.changes import list_orgs_with_untold_changes, queue_changes
from billing.alerts.actions.channels import create_channel, update_channel
from billing.alerts.models import Channel, Delivery
from billing.alerts.sender import send_due
from billing.choices import ChannelKind
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.money import parse_usd
from costhub.lib.net import gate_from_settings
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.keys import create_key, revoke_key
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import AuditEntry
from tests.hooks import Receiver, run_receiver
from tests.world import Tenant, World, make_budget

Json = dict[str, Any]


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    return committed_world.acme


@pytest.fixture
def secret(acme: Tenant, receiver: Receiver) -> str:
    """That of a webhook which is told of changes."""
    with org_scope(acme.org_id):
        _, secret = create_channel(
            actor=acme.owner, kind=ChannelKind.WEBHOOK, name="SIEM", url=receiver.url, gets_changes=True
        )
    assert secret is not None
    return secret


def tell(tenant: Tenant) -> int:
    """Put what was changed among the messages, and send all that is due; gives how many were sent."""
    connections.close_all()
    while queue_changes(tenant.org.pk, clock.now()):
        pass
    sent = 0
    while taken := send_due(tenant.org.pk, gate_from_settings()):
        sent += taken
    return sent


def read(receiver: Receiver, secret: str) -> list[Json]:
    return [Webhook(secret).verify(call.body, call.headers) for call in receiver.calls]


def test_keys_members_and_budgets_are_told_of_signed_and_in_order(
    acme: Tenant, receiver: Receiver, secret: str
) -> None:
    budget = make_budget(acme, "10.00")
    with org_scope(acme.org_id):
        made = create_key(actor=acme.owner, name="search")
        revoke_key(actor=acme.owner, key=made.key)
        member = add_member(actor=acme.owner, email=f"ivy@{acme.org.slug}.example", role=Role.VIEWER)
        update_budget(actor=acme.owner, budget=budget, limit_nanos=parse_usd("20"))
    assert acme.org.pk in list_orgs_with_untold_changes()
    assert tell(acme) == 6
    assert tell(acme) == 0
    assert acme.org.pk not in list_orgs_with_untold_changes()
    told = sorted(read(receiver, secret), key=lambda body: body["data"]["number"])
    assert [body["type"] for body in told] == [
        "channel.created",
        "budget.created",
        "api_key.created",
        "api_key.revoked",
        "membership.added",
        "budget.updated",
    ]
    with org_scope(acme.org_id):
        entry = AuditEntry.objects.get(org=acme.org, action="membership.added", target_id=str(member.pk))
    assert told[4] == {
        "type": "membership.added",
        "timestamp": entry.created_at.isoformat(),
        "data": {
            "organization": acme.org.name,
            "id": str(entry.pk),
            "number": entry.number,
            "actor": acme.owner.name,
            "target_kind": "membership",
            "target_id": str(member.pk),
            "changes": entry.changes,
        },
    }
    numbers = [body["data"]["number"] for body in told]
    assert numbers == list(range(numbers[0], numbers[0] + 6)), "without a gap"
    assert made.secret not in str(told)


def test_what_was_rolled_back_is_not_told(acme: Tenant, receiver: Receiver, secret: str) -> None:
    with pytest.raises(InterruptedError), transaction.atomic(), org_scope(acme.org_id):
        create_key(actor=acme.owner, name="never")
        raise InterruptedError
    assert tell(acme) == 1
    assert [body["type"] for body in read(receiver, secret)] == ["channel.created"]


def test_a_receiver_that_fails_is_told_again_under_the_same_id(acme: Tenant, receiver: Receiver, secret: str) -> None:
    receiver.answers = [(500, {}), (200, {})]
    assert tell(acme) == 1
    with time_machine.travel(clock.now() + timedelta(seconds=10), tick=True):
        assert tell(acme) == 1
    first, second = receiver.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_nobody_hears_of_changes_who_does_not_want_to(acme: Tenant, receiver: Receiver, secret: str) -> None:
    make_budget(acme, "10.00")
    connections.close_all()
    queue_changes(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        channel = Channel.objects.get(org=acme.org, name="SIEM")
        update_channel(actor=acme.owner, channel=channel, gets_changes=False)
        with pytest.raises(InvalidField) as error:
            create_channel(actor=acme.owner, kind=ChannelKind.EMAIL, name="M", roles=[Role.OWNER], gets_changes=True)
    assert error.value.field == "gets_changes"
    tell(acme)
    assert receiver.calls == []
    with org_scope(acme.org_id):
        rows = Delivery.objects.filter(org=acme.org)
        assert {(row.state, row.error) for row in rows} == {("dropped", "The channel is no longer sent changes.")}
    # What was changed while nobody wanted to hear of it is not told afterwards.
    make_budget(acme, "11.00")
    with org_scope(acme.org_id):
        channel.refresh_from_db()
        update_channel(actor=acme.owner, channel=channel, gets_changes=True)
    tell(acme)
    assert [body["type"] for body in read(receiver, secret)] == ["channel.updated"]


def test_a_long_list_is_told_whole(acme: Tenant, receiver: Receiver, secret: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("billing.alerts.actions.changes._BATCH", 2)
    for amount in range(1, 6):
        make_budget(acme, f"{amount}.00")
    assert tell(acme) == 6
    assert len({body["data"]["id"] for body in read(receiver, secret)}) == 6
