"""Messages by real SMTP and real HTTP: each arrives, once under its id, whatever the receiver does first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_network
from typing import Literal
from uuid import UUID

import orjson
import psycopg
import pytest
import time_machine
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook

from billing import tasks
from billing.alerts import sender
from billing.alerts.actions.alerts import report
from billing.alerts.actions.channels import (
    LONGEST_FAILING,
    MOST_FAILURES,
    create_channel,
    ensure_channels,
    rotate_secret,
    update_channel,
)
from billing.alerts.actions.deliveries import LEASE, queue_test, redeliver
from billing.alerts.actions.mutes import set_muted
from billing.alerts.core.delivery_times import RETRY_SECONDS
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Alert, Channel, Delivery
from billing.alerts.sender import list_due_orgs, send_due
from billing.choices import AlertKind, ChannelKind, DeliveryState, Digest
from billing.tasks import send_messages
from costhub.lib import clock
from costhub.lib.errors import Conflict
from costhub.lib.net import BlockedAddress, gate_from_settings
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tests.hooks import Receiver, run_receiver
from tests.mail import MailSink, run_mail_sink
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import ROOT
from tests.world import Tenant, World

NOON = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


@pytest.fixture
def sink(settings: Settings) -> Iterator[MailSink]:
    with run_mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", sink.port, 5
        settings.PUBLIC_URL = "https://costhub.acme.example"
        settings.MAIL_FROM = "CostHub <costhub@acme.example>"
        yield sink


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def clocks() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def fact(percent: int = 85, subject: str = "b:x", who: str = "Acme") -> Fact:
    details = {
        "name": "",
        "who": who,
        "period": "day",
        "spent": percent * 10_000_000,
        "limit": 1_000_000_000,
        "percent": percent,
        "ends": "2026-11-23T00:00:00+00:00",
        "action": "block",
        "is_shadow": False,
        "refuses": percent >= 100,
    }
    return Fact(AlertKind.BUDGET, subject, percent, details, NOON.replace(hour=0), (80,), "b")


def alert(tenant: Tenant, *facts: Fact) -> None:
    with org_scope(tenant.org.pk):
        report(tenant.org, AlertKind.BUDGET, facts or [fact()], now=clock.now(), is_complete=False)


def send_all(tenant: Tenant) -> int:
    sent = 0
    while taken := send_due(tenant.org.pk, gate_from_settings()):
        sent += taken
    return sent


def deliveries(tenant: Tenant) -> list[Delivery]:
    with org_scope(tenant.org.pk):
        return list(Delivery.objects.filter(org=tenant.org).order_by("created_at", "id"))


def read_part(mail: EmailMessage, kind: Literal["plain", "html"]) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def make_webhook(tenant: Tenant, receiver: Receiver, kind: ChannelKind = ChannelKind.WEBHOOK) -> tuple[Channel, str]:
    """A webhook, and no mails beside it."""
    with org_scope(tenant.org.pk):
        for channel in ensure_channels(tenant.org):
            update_channel(actor=tenant.owner, channel=channel, is_active=False)
        channel, secret = create_channel(actor=tenant.owner, kind=kind, name="Hook", url=receiver.url)
    return channel, secret or ""


class TestMails:
    def test_a_mail_says_what_happened_and_how_to_have_no_more_of_them(self, world: World, sink: MailSink) -> None:
        alert(world.acme)
        assert send_all(world.acme) == 1
        (mail,) = sink.mails
        (row,) = deliveries(world.acme)
        assert mail["Subject"] == "[Acme] Acme used 85 % of the daily budget"
        assert mail["To"] == world.ada.email
        assert mail["Message-ID"] == f"<{row.pk}@acme.example>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["List-Unsubscribe"].strip().startswith("<https://costhub.acme.example/unsubscribe/")
        text, html = (part.get_content() for part in mail.iter_parts())
        assert text.splitlines()[:8] == [
            "Acme used 85 % of the daily budget",
            "",
            "Spent: $0.85",
            "Budget: $1.00",
            "Left: $0.15",
            "Resets: 23 November 2026, 00:00 (UTC)",
            "",
            "Calls that do not fit into what is left are refused.",
        ]
        assert "https://costhub.acme.example/o/acme/alerts" in text
        assert "<h1" in html
        assert "Acme used 85 % of the daily budget" in html
        assert (row.state, row.status, row.sent_as) == ("sent", 250, row.pk)

    def test_a_name_in_a_mail_is_text_and_no_header(self, world: World, sink: MailSink) -> None:
        alert(world.acme, fact(who="End user <b>x</b>\r\nBcc: all@acme.example"))
        send_all(world.acme)
        (mail,) = sink.mails
        assert mail["Bcc"] is None
        assert "<b>x</b>" not in read_part(mail, "html")

    @pytest.mark.parametrize("refusal", ["451 try again later", "554 no thanks", "421 going down"])
    def test_what_the_server_refuses_is_tried_again_and_arrives_once(
        self, world: World, sink: MailSink, clocks: time_machine.Traveller, refusal: str
    ) -> None:
        sink.refusals = [refusal]
        alert(world.acme)
        assert send_all(world.acme) == 1
        (row,) = deliveries(world.acme)
        assert (row.state, row.tries, row.status) == ("queued", 1, int(refusal[:3]))
        assert refusal[4:] in row.error
        assert sink.mails == []
        assert send_all(world.acme) == 0, "not before its time"
        clocks.shift(timedelta(seconds=RETRY_SECONDS[0]))
        assert send_all(world.acme) == 1
        assert send_all(world.acme) == 0
        assert len(sink.mails) == 1
        assert [row.state for row in deliveries(world.acme)] == ["sent"]

    def test_a_recipient_that_is_refused_keeps_nobody_else_waiting(self, world: World, sink: MailSink) -> None:
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email="fay@acme.example", role=Role.FINANCE)
        sink.refused_recipients = {world.ada.email: "550 no such user"}
        alert(world.acme)
        send_all(world.acme)
        assert [mail["To"] for mail in sink.mails] == ["fay@acme.example"]
        assert sorted((row.state, row.status) for row in deliveries(world.acme)) == [("queued", 550), ("sent", 250)]

    def test_a_server_that_is_down_loses_nothing(
        self, world: World, sink: MailSink, clocks: time_machine.Traveller, settings: Settings
    ) -> None:
        settings.EMAIL_PORT = 1
        alert(world.acme)
        for seconds in RETRY_SECONDS[:4]:
            assert send_all(world.acme) == 1
            clocks.shift(timedelta(seconds=seconds))
        settings.EMAIL_PORT = sink.port
        assert send_all(world.acme) == 1
        assert len(sink.mails) == 1

    def test_in_the_end_it_is_given_up_and_can_be_sent_again_by_hand(
        self, world: World, sink: MailSink, clocks: time_machine.Traveller
    ) -> None:
        sink.refusals = ["451 later"] * (len(RETRY_SECONDS) + 1)
        alert(world.acme)
        for seconds in (*RETRY_SECONDS, 0):
            assert send_all(world.acme) == 1
            clocks.shift(timedelta(seconds=seconds))
        (row,) = deliveries(world.acme)
        assert (row.state, row.tries) == ("failed", len(RETRY_SECONDS) + 1)
        with org_scope(world.acme.org.pk):
            redeliver(actor=world.acme.owner, delivery=row, now=clock.now())
        assert send_all(world.acme) == 1
        assert len(sink.mails) == 1

    def test_a_digest_is_one_mail_of_all(self, world: World, sink: MailSink, clocks: time_machine.Traveller) -> None:
        with org_scope(world.acme.org.pk):
            for channel in ensure_channels(world.acme.org):
                update_channel(actor=world.acme.owner, channel=channel, digest=Digest.HOURLY)
        alert(world.acme, fact(subject="b:x", who="Project X"), fact(subject="b:y", who="Project Y"))
        assert send_all(world.acme) == 0
        clocks.shift(timedelta(hours=1))
        assert send_all(world.acme) == 2
        (mail,) = sink.mails
        assert mail["Subject"] == "[Acme] 2 alerts"
        text = read_part(mail, "plain")
        assert "Project X used 85 %" in text
        assert "Project Y used 85 %" in text
        first, second = deliveries(world.acme)
        assert first.sent_as == second.sent_as
        assert mail["Message-ID"] == f"<{first.sent_as}@acme.example>"

    def test_what_was_muted_meanwhile_is_not_in_a_digest(
        self, world: World, sink: MailSink, clocks: time_machine.Traveller
    ) -> None:
        acme = world.acme
        with org_scope(acme.org.pk):
            for channel in ensure_channels(acme.org):
                update_channel(actor=acme.owner, channel=channel, digest=Digest.HOURLY)
            unpriced = Fact(AlertKind.UNPRICED, "m", 1, {"model": "m", "refused": 1, "answered": 0}, NOON)
            report(acme.org, AlertKind.UNPRICED, [unpriced], now=clock.now(), is_complete=True)
        alert(acme)
        with org_scope(acme.org.pk):
            set_muted(actor=acme.owner, user_id=world.ada.pk, kinds=[AlertKind.UNPRICED], is_muted=True)
        clocks.shift(timedelta(hours=1))
        send_all(acme)
        assert sink.subjects() == ["[Acme] Acme used 85 % of the daily budget"]
        assert sorted(row.state for row in deliveries(acme)) == ["dropped", "sent"]

    def test_one_that_cannot_be_made_keeps_no_other_waiting(self, world: World, sink: MailSink) -> None:
        alert(world.acme, fact(), fact(subject="b:y", who="Project Y"))
        with org_scope(world.acme.org.pk):
            broken = Alert.objects.get(org=world.acme.org, subject="b:x")
            # of a kind that a later release has
            broken.kind = "tomorrow's"
            broken.save()
        send_due(world.acme.org.pk, gate_from_settings())
        assert sink.subjects() == ["[Acme] Project Y used 85 % of the daily budget"]
        assert sorted(row.state for row in deliveries(world.acme)) == ["queued", "sent"]

    def test_who_left_meanwhile_gets_nothing(self, world: World, sink: MailSink) -> None:
        alert(world.acme)
        world.ada.is_active = False
        world.ada.save()
        assert send_all(world.acme) == 1
        assert sink.mails == []
        assert [row.state for row in deliveries(world.acme)] == ["dropped"]


class TestWebhooks:
    def test_it_is_signed_as_the_standard_says(self, world: World, receiver: Receiver) -> None:
        _, secret = make_webhook(world.acme, receiver)
        alert(world.acme)
        assert send_all(world.acme) == 1
        (call,) = receiver.calls
        (row,) = deliveries(world.acme)
        body = Webhook(secret).verify(call.body, call.headers)
        assert call.headers["webhook-id"] == str(row.pk)
        assert body["type"] == "alert.opened"
        assert body["data"]["title"] == "Acme used 85 % of the daily budget"
        assert body["data"]["facts"]["spent"] == 850_000_000
        assert (body["data"]["kind"], body["data"]["threshold"]) == ("budget", 80)
        assert (row.state, row.status) == ("sent", 204)

    def test_after_a_rotation_both_secrets_sign_for_a_day(
        self, world: World, receiver: Receiver, clocks: time_machine.Traveller
    ) -> None:
        channel, old = make_webhook(world.acme, receiver)
        with org_scope(world.acme.org.pk):
            new = rotate_secret(actor=world.acme.owner, channel=channel)
        alert(world.acme)
        send_all(world.acme)
        for secret in (old, new):
            assert Webhook(secret).verify(receiver.calls[0].body, receiver.calls[0].headers)
        clocks.shift(timedelta(days=1, seconds=1))
        alert(world.acme, fact(subject="b:y"))
        send_all(world.acme)
        assert Webhook(new).verify(receiver.calls[1].body, receiver.calls[1].headers)
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(old).verify(receiver.calls[1].body, receiver.calls[1].headers)

    def test_a_retry_has_the_same_id_and_comes_when_it_was_asked_to(
        self, world: World, receiver: Receiver, clocks: time_machine.Traveller
    ) -> None:
        make_webhook(world.acme, receiver)
        receiver.answers = [(503, {"retry-after": "90"}), (302, {"location": "http://127.0.0.1/elsewhere"})]
        alert(world.acme)
        send_all(world.acme)
        (row,) = deliveries(world.acme)
        assert (row.state, row.status, row.due_at) == ("queued", 503, NOON + timedelta(seconds=90))
        clocks.shift(timedelta(seconds=90))
        assert send_all(world.acme) == 1
        assert deliveries(world.acme)[0].status == 302, "nothing follows a redirect"
        clocks.shift(timedelta(seconds=RETRY_SECONDS[1]))
        assert send_all(world.acme) == 1
        assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
        assert len(receiver.calls) == 3
        assert deliveries(world.acme)[0].state == DeliveryState.SENT

    def test_a_receiver_that_is_gone_is_switched_off_at_once(self, world: World, receiver: Receiver) -> None:
        channel, _ = make_webhook(world.acme, receiver)
        receiver.answers = [(410, {})]
        alert(world.acme)
        send_all(world.acme)
        with org_scope(world.acme.org.pk):
            channel.refresh_from_db()
            assert (channel.is_active, channel.disabled_reason) == (False, "The receiver answered 410.")
            off = Alert.objects.get(org=world.acme.org, kind="channel_off")
            assert off.facts == {"name": "Hook", "reason": "The receiver answered 410."}

    def test_one_that_fails_long_enough_is_too_and_not_before(
        self, world: World, receiver: Receiver, clocks: time_machine.Traveller
    ) -> None:
        channel, _ = make_webhook(world.acme, receiver)
        receiver.answers = [(500, {})] * 100
        for number in range(MOST_FAILURES - 1):
            alert(world.acme, fact(subject=f"b:{number}"))
            send_due(world.acme.org.pk, gate_from_settings())
        with org_scope(world.acme.org.pk):
            channel.refresh_from_db()
        assert (channel.is_active, channel.failures) == (True, MOST_FAILURES - 1)
        clocks.shift(LONGEST_FAILING)
        send_due(world.acme.org.pk, gate_from_settings())
        with org_scope(world.acme.org.pk):
            channel.refresh_from_db()
        assert not channel.is_active

    def test_slack_gets_slacks_body_and_its_url_stays_secret(self, world: World, receiver: Receiver) -> None:
        channel, secret = make_webhook(world.acme, receiver, ChannelKind.SLACK)
        assert secret == ""
        assert channel.url == receiver.url.removesuffix("/hook") + "/…"
        alert(world.acme, fact(who="End user <!channel>"))
        send_all(world.acme)
        body = orjson.loads(receiver.calls[0].body)
        assert body["text"] == "Acme: 🟠 End user &lt;!channel&gt; used 85 % of the daily budget"
        assert body["blocks"][0] == {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": "🟠 End user <!channel> used 85 % of the daily budget",
                "emoji": True,
            },
        }
        assert {"type": "mrkdwn", "text": "*Spent*\n$0.85"} in body["blocks"][1]["fields"]

    def test_a_private_address_is_refused_at_the_form_and_when_it_is_called(
        self, world: World, settings: Settings, receiver: Receiver
    ) -> None:
        make_webhook(world.acme, receiver)
        settings.ALLOWED_PRIVATE_NETWORKS = ()
        for url in ("https://169.254.169.254/latest", "https://localhost/hook", receiver.url):
            with pytest.raises(BlockedAddress), org_scope(world.acme.org.pk):
                create_channel(actor=world.acme.owner, kind=ChannelKind.WEBHOOK, name="Inside", url=url)
        alert(world.acme)
        send_all(world.acme)
        assert receiver.calls == []
        assert "may not be called" in deliveries(world.acme)[0].error

    def test_a_test_says_that_it_is_one(self, world: World, receiver: Receiver) -> None:
        channel, _ = make_webhook(world.acme, receiver)
        with org_scope(world.acme.org.pk):
            queue_test(actor=world.acme.owner, channel=channel, now=clock.now())
        assert send_all(world.acme) == 1
        assert orjson.loads(receiver.calls[0].body)["type"] == "alert.test"


RUN_SENDER = """
import django; django.setup()
from uuid import UUID
from billing.alerts.sender import send_due
from costhub.lib.net import gate_from_settings
# What a turn has no time for is the next one's.
while send_due(UUID("{org}"), gate_from_settings()):
    pass
"""


@pytest.mark.parametrize(("place", "arrived"), [("delivery_taken", 0), ("delivery_sent", 1)])
def test_a_sender_that_dies_is_followed_by_another(
    committed_world: World, sink: MailSink, place: str, arrived: int
) -> None:
    acme = committed_world.acme
    alert(acme)
    died = subprocess.run(
        [sys.executable, "-c", RUN_SENDER.format(org=acme.org_id)],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_FAILPOINT": place,
            "COSTHUB_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
            "COSTHUB_MAIL_FROM": django_settings.MAIL_FROM,
        },
        capture_output=True,
    )
    assert died.returncode == -9, died.stderr.decode()
    assert len(sink.mails) == arrived
    assert send_all(acme) == 0, "its lease is not over"
    with time_machine.travel(clock.now() + LEASE + timedelta(seconds=1), tick=False):
        assert acme.org.pk in list_due_orgs(clock.now())
        assert send_all(acme) == 1
    (row,) = deliveries(acme)
    assert row.state == DeliveryState.SENT
    assert {mail["Message-ID"] for mail in sink.mails} == {f"<{row.pk}@acme.example>"}


def test_two_senders_take_different_messages(committed_world: World, sink: MailSink) -> None:
    acme = committed_world.acme
    alert(acme, *(fact(subject=f"b:{number}") for number in range(30)))
    code = RUN_SENDER.format(org=acme.org_id)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "costhub.settings",
        "COSTHUB_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
        "COSTHUB_MAIL_FROM": django_settings.MAIL_FROM,
    }
    senders = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment) for _ in range(3)]
    assert [sender.wait(timeout=PATIENCE_SECONDS) for sender in senders] == [0, 0, 0]
    ids = [UUID(str(mail["Message-ID"]).strip("<>").partition("@")[0]) for mail in sink.mails]
    assert sorted(ids) == sorted(row.pk for row in deliveries(acme))
    assert len(ids) == 30


def test_mallory_has_nothing_to_send_of_acmes(world: World, sink: MailSink) -> None:
    alert(world.acme)
    assert send_due(world.mallcorp.org.pk, gate_from_settings()) == 0
    assert sink.mails == []


def test_one_process_sends_at_a_time(committed_world: World, sink: MailSink) -> None:
    alert(committed_world.acme)
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [tasks._SENDING])
        assert send_messages() == 0
        # let go at once: a connection that is closed keeps its locks until the server has noticed
        other.execute("SELECT pg_advisory_unlock(%s)", [tasks._SENDING])
    assert send_messages() >= 1


def test_a_channel_has_one_test_at_a_time(world: World, receiver: Receiver) -> None:
    channel, _ = make_webhook(world.acme, receiver)
    with org_scope(world.acme.org.pk):
        queue_test(actor=world.acme.owner, channel=channel, now=clock.now())
        with pytest.raises(Conflict):
            queue_test(actor=world.acme.owner, channel=channel, now=clock.now())


def test_a_receiver_that_hangs_keeps_no_other_organisation_waiting(
    committed_world: World, sink: MailSink, receiver: Receiver
) -> None:
    acme, mallcorp = committed_world.acme, committed_world.mallcorp
    make_webhook(acme, receiver)
    # It answers when the other organisation's mail has come: if they took turns, neither would.
    receiver.waits_for = lambda: bool(sink.mails)
    alert(acme)
    alert(mallcorp)
    assert send_messages() >= 2
    assert [row.state for row in deliveries(acme)] == [DeliveryState.SENT]
    assert [row.state for row in deliveries(mallcorp)] == [DeliveryState.SENT]


def test_an_organisation_whose_receivers_are_slow_has_its_turn_and_no_more(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_webhook(world.acme, receiver)
    alert(world.acme, fact(subject="b:x"), fact(subject="b:y"), fact(subject="b:z"))
    monkeypatch.setattr(sender, "TURN_SECONDS", 0)
    assert send_due(world.acme.org.pk, gate_from_settings()) == 1
    assert [(row.state, row.tries) for row in deliveries(world.acme)].count(("queued", 0)) == 2
    assert send_all(world.acme) == 2
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 3
