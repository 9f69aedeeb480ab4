"""Webhooks are told of calls with deadlines when they are out: signed, tried again, and once where they say so."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network

import orjson
import pytest
import time_machine
from django.db import connections
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook

from billing.alerts.actions.calls import list_orgs_with_ended_calls, queue_ended
from billing.alerts.actions.channels import create_channel, update_channel
from billing.alerts.models import Channel, Delivery
from billing.alerts.sender import send_due
from billing.choices import ChannelKind
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.net import gate_from_settings
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import Role
from tests.bank import Bank
from tests.hooks import Receiver, run_receiver
from tests.proxy.batches.desk import run_worker
from tests.proxy.batches.test_background import RESPONSES, ask, begin, look
from tests.proxy.batches.test_deadlines import collect, defer
from tests.world import Tenant, World, make_budget, make_catalog


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_budget(acme, "1.00")
    return acme


def listen(tenant: Tenant, receiver: Receiver) -> str:
    """A webhook that is told of calls; gives its secret."""
    with org_scope(tenant.org_id):
        kind = ChannelKind.WEBHOOK
        _, secret = create_channel(actor=tenant.owner, kind=kind, name="Calls", url=receiver.url, gets_calls=True)
    assert secret is not None
    connections.close_all()
    return secret


def tell(tenant: Tenant) -> int:
    """Put what is out among the messages, and send all that is due; gives how many were sent."""
    while queue_ended(tenant.org.pk, clock.now()):
        pass
    sent = 0
    while taken := send_due(tenant.org.pk, gate_from_settings()):
        sent += taken
    return sent


def test_each_call_is_told_once_and_its_answer_is_asked_for(acme: Tenant, bank: Bank, receiver: Receiver) -> None:
    secret = listen(acme, receiver)
    ids = defer(acme, 600, 3)
    assert tell(acme) == 0, "none is out"
    bank.queue(count=1, fault="http_error", status=400)
    run_worker(acme)
    assert acme.org.pk in list_orgs_with_ended_calls()
    assert tell(acme) == 3
    assert tell(acme) == 0
    assert acme.org.pk not in list_orgs_with_ended_calls()
    told = {}
    for call in receiver.calls:
        body = Webhook(secret).verify(call.body, call.headers)
        told[body["data"]["id"]] = body
        assert set(body["data"]) == {"organization", "id", "object", "status", "url", "deadline_missed"}, "no answer"
        assert body["data"]["deadline_missed"] is False
    assert told.keys() == set(ids)
    assert sorted(body["type"] for body in told.values()) == ["deferred.completed"] * 2 + ["deferred.failed"]
    for call_id, (status, answer) in zip(ids, collect(acme, ids), strict=True):
        assert (status, answer["status"]) == (200, told[call_id]["data"]["status"])
        assert answer["url"] == told[call_id]["data"]["url"]


def test_a_response_in_the_background_is_told_of_by_the_id_that_its_caller_has(
    acme: Tenant, bank: Bank, receiver: Receiver
) -> None:
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    secret = listen(acme, receiver)
    taken = begin(acme)
    run_worker(acme)
    cancelled = begin(acme)
    ask(acme, ("POST", f"/{cancelled['id']}/cancel", {}))
    run_worker(acme)
    assert tell(acme) == 2
    bodies = [Webhook(secret).verify(call.body, call.headers) for call in receiver.calls]
    assert {(body["type"], body["data"]["id"], body["data"]["url"]) for body in bodies} == {
        ("response.completed", taken["id"], f"{RESPONSES}/{taken['id']}"),
        ("response.cancelled", cancelled["id"], f"{RESPONSES}/{cancelled['id']}"),
    }
    for body in bodies:
        assert look(acme, body["data"])["status"] == body["data"]["status"]
    # Under the name of a call with a deadline there is none.
    assert [status for status, _ in collect(acme, [taken["id"].removeprefix("resp_")])] == [404]


def test_a_receiver_that_fails_is_told_again_under_the_same_id(acme: Tenant, receiver: Receiver) -> None:
    listen(acme, receiver)
    receiver.answers = [(500, {}), (200, {})]
    defer(acme, 600, 1)
    run_worker(acme)
    assert tell(acme) == 1
    with time_machine.travel(clock.now() + timedelta(seconds=10), tick=True):
        assert tell(acme) == 1
    with time_machine.travel(clock.now() + timedelta(days=1), tick=True):
        assert tell(acme) == 0, "it has said that it knows"
    first, second = receiver.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert orjson.loads(first.body) == orjson.loads(second.body)


def test_nobody_hears_of_calls_who_does_not_want_to(acme: Tenant, receiver: Receiver) -> None:
    listen(acme, receiver)
    ids = defer(acme, 600, 1)
    run_worker(acme)
    queue_ended(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        channel = Channel.objects.get(org=acme.org, name="Calls")
        update_channel(actor=acme.owner, channel=channel, gets_calls=False)
        with pytest.raises(InvalidField) as error:
            create_channel(actor=acme.owner, kind=ChannelKind.EMAIL, name="Mails", roles=[Role.OWNER], gets_calls=True)
    assert error.value.field == "gets_calls"
    connections.close_all()
    tell(acme)
    assert receiver.calls == []
    with org_scope(acme.org_id):
        (row,) = Delivery.objects.filter(org=acme.org, call=ids[0])
        assert (row.state, row.error) == ("dropped", "The channel is no longer sent calls.")
    connections.close_all()
