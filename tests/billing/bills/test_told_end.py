"""That a bill and the ledger agree again is told by mail and webhook, as that they did not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
import time_machine
from pytest_django.fixtures import Settings

from billing.alerts.actions.channels import create_channel, ensure_channels
from billing.alerts.models import Alert
from billing.alerts.sender import send_due
from billing.bills.actions import connect_bill, disconnect_bill, fetch_bills
from billing.bills.models import BillSource
from billing.choices import AlertKind, ChannelKind
from costhub.lib.net import Gate, gate_from_settings
from tenants.access import org_scope
from tenants.models import Upstream
from tests.billing.bills.biller import KEY, Biller
from tests.billing.ledger import NOW, record_call
from tests.hooks import Receiver, run_receiver
from tests.mail import MailSink, run_mail_sink
from tests.stripe_double.server import serve
from tests.world import Tenant, World, make_catalog

SIX_HOURS = timedelta(hours=6)
TUESDAY = datetime(2026, 11, 17, 12, tzinfo=UTC)
OPENED = "The bill of the upstream for small is not what the ledger has"


@pytest.fixture
def sink(settings: Settings) -> Iterator[MailSink]:
    """The mail server of the settings."""
    with run_mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", sink.port, 5
        yield sink


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A webhook of one's own."""
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def acme(world: World, receiver: Receiver) -> Iterator[Tenant]:
    """Its upstream's bill is over 0.008 USD, of which the ledger has 0.002; mails and a webhook tell of it."""
    acme = world.acme
    catalog = make_catalog(acme)
    biller = Biller({TUESDAY.date(): {"gpt-4o, input": 0.002, "o3, output": 0.006}})
    with serve(biller) as url, time_machine.travel(NOW, tick=False):
        with org_scope(acme.org.pk):
            connect_bill(actor=acme.owner, upstream=catalog.upstream, credential=KEY)
            Upstream.objects.filter(pk=catalog.upstream.pk).update(base_url=f"{url}/v1")
            ensure_channels(acme.org)
            create_channel(actor=acme.owner, kind=ChannelKind.WEBHOOK, name="Hook", url=receiver.url)
        use(acme, 2_000_000, "gpt-4o")
        yield acme


def use(acme: Tenant, cost: int, model: str) -> None:
    """A call of Tuesday's."""
    with org_scope(acme.org.pk):
        upstream = Upstream.objects.get(org=acme.org)
    record_call(acme, TUESDAY, cost=cost, response_model=model, upstream_id=upstream.pk)


def look(acme: Tenant, now: datetime) -> list[Any]:
    """Fetch the bill, and send what there is to tell; the moments at which its alerts ended."""
    gate = Gate(allowed=[(ip_network("127.0.0.1/32"), None)])
    with time_machine.travel(now, tick=False):
        fetch_bills(acme.org.pk, gate, now)
        while send_due(acme.org.pk, gate_from_settings()):
            pass
    with org_scope(acme.org.pk):
        found = Alert.objects.filter(org=acme.org, kind=AlertKind.BILL.value).order_by("created_at")
        return list(found.values_list("ended_at", flat=True))


def hooks(receiver: Receiver) -> list[tuple[str, str]]:
    bodies = [orjson.loads(call.body) for call in receiver.calls]
    return [(body["type"], body["data"]["kind"]) for body in bodies]


@pytest.mark.parametrize("late", [6_000_000, 5_900_000])
def test_a_bill_that_the_ledger_has_again_is_told(acme: Tenant, sink: MailSink, receiver: Receiver, late: int) -> None:
    """To the nano, or within what is no difference."""
    assert look(acme, NOW) == [None]
    use(acme, late, "o3")
    assert look(acme, NOW + SIX_HOURS) == [NOW + SIX_HOURS]
    assert [mail["Subject"] for mail in sink.mails] == [f"[Acme] {OPENED}", f"[Acme] Over: {OPENED}"]
    assert hooks(receiver) == [("alert.opened", "bill"), ("alert.recovered", "bill")]


def test_of_a_bill_that_is_fetched_no_more_nobody_is_told_that_it_agrees(
    acme: Tenant, sink: MailSink, receiver: Receiver
) -> None:
    assert look(acme, NOW) == [None]
    with org_scope(acme.org.pk), time_machine.travel(NOW + SIX_HOURS, tick=False):
        disconnect_bill(actor=acme.owner, source=BillSource.objects.get(org=acme.org))
    assert look(acme, NOW + SIX_HOURS) == [NOW + SIX_HOURS]
    assert [mail["Subject"] for mail in sink.mails] == [f"[Acme] {OPENED}"]
    assert hooks(receiver) == [("alert.opened", "bill")]
