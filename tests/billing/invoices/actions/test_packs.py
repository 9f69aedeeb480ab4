"""The finance pack of a month: every book says the same, and it goes out once."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import date, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import time_machine
from celery.exceptions import SoftTimeLimitExceeded
from pytest_django import Settings

from billing.invoices.actions import packs
from billing.invoices.actions.accounts import connect_bucket, disconnect_bucket, update_account
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.packs import deliver_packs, make_pack, read_meter, send_pack_again
from billing.invoices.choices import PackTo
from billing.invoices.models import BillingAccount, FinancePack
from billing.invoices.selectors.packs import find_metered_time
from billing.invoices.stripe_client import Stripe
from costhub.lib.errors import AppError, Conflict, InvalidField
from tenants.access import Actor, StaleSession, org_scope
from tenants.models import AuditEntry
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, close, make_customer
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.mail import MailSink
from tests.proxy.learning.s3 import run_s3
from tests.stripe_double import StripeDouble
from tests.world import Api, Tenant, World

OF_OCTOBER = date(2026, 10, 1)
OF_NOVEMBER = date(2026, 11, 1)
CLOSED = NOVEMBER + DAY * 3
HOUR = timedelta(hours=1)


def close_october(tenant: Tenant, pack_to: PackTo = PackTo.NOBODY) -> str:
    make_customer(tenant, since=OCTOBER, fee="49.00")
    with org_scope(tenant.org.pk):
        BillingAccount.objects.filter(org=tenant.org).update(pack_to=pack_to.value)
    record_call(tenant, OCTOBER + DAY, cost=1_234_567_891, tags={"team": "=search"})
    record_call(tenant, OCTOBER + DAY, cost=9)
    (invoice,) = close(tenant, CLOSED)
    return invoice.number


def read(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_a_page_that_no_font_can_write_is_left_out(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00", account={"name": "株式会社 例"})
    (invoice,) = close(acme, CLOSED)
    with org_scope(acme.org.pk):
        archive, _ = make_pack(acme.owner, OF_OCTOBER, CLOSED, None)
    papers = {name for name in read(archive) if name.startswith("invoices/")}
    assert papers == {f"invoices/{invoice.number}.csv", f"invoices/{invoice.number}.xml"}


def test_it_has_every_paper_and_all_books_agree(world: World) -> None:
    acme = world.acme
    number = close_october(acme)
    with org_scope(acme.org.pk):
        archive, files = make_pack(acme.owner, OF_OCTOBER, CLOSED, None)
        again, _ = make_pack(acme.owner, OF_OCTOBER, CLOSED + DAY, None)
    assert archive == again
    found = read(archive)
    assert sorted(found) == sorted([*files, "manifest.json", "manifest.sig"])
    assert {f"invoices/{number}.{form}" for form in ("csv", "pdf", "xml")} < set(found)
    assert json.loads(found["reconciliation.json"]) == {
        "ledger": "1.234567900",
        "billed": "1.234567900",
        "late": "0.000000000",
        "focus": "1.234567900",
        "chargeback": "1.234567900",
        "to_meter": None,
        "metered": None,
        "agrees": True,
    }
    lines = found["chargeback.csv"].decode().splitlines()
    assert lines[1] == "project,default,2,0,0,1.234567900,1.234567900,0.000000000,USD,1.234567900"
    assert "tag:team,'=search,1,0,0,1.234567891,1.234567891,0.000000000,USD,1.234567891" in lines


def test_what_came_late_is_told(world: World) -> None:
    acme = world.acme
    close_october(acme)
    record_call(acme, OCTOBER + DAY, cost=100)
    with org_scope(acme.org.pk):
        archive, _ = make_pack(acme.owner, OF_OCTOBER, CLOSED, None)
    found = json.loads(read(archive)["reconciliation.json"])
    assert (found["late"], found["agrees"]) == ("0.000000100", False)
    close(acme, DECEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        archive, _ = make_pack(acme.owner, OF_OCTOBER, CLOSED, None)
    assert json.loads(read(archive)["reconciliation.json"])["agrees"]


def test_a_meter_that_says_something_else_is_told(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick, since=OCTOBER, metered_from=OCTOBER + DAY * 9)
    record_call(acme, OCTOBER + DAY, cost=1_000)
    record_call(acme, OCTOBER + DAY * 10, cost=300)
    close(acme, CLOSED)

    def find() -> tuple[str | None, str | None, bool]:
        with org_scope(acme.org.pk):
            time = find_metered_time(acme.owner, OCTOBER, NOVEMBER)
        metered = read_meter(quick, time)
        with org_scope(acme.org.pk):
            archive, _ = make_pack(acme.owner, OF_OCTOBER, CLOSED, metered)
        found = json.loads(read(archive)["reconciliation.json"])
        return found["to_meter"], found["metered"], found["agrees"]

    # What is not sent yet is not there.
    assert find() == ("0.000000300", "0.000000000", False)
    with org_scope(acme.org.pk):
        fill_outbox(acme.owner, CLOSED, since=OCTOBER)
    with time_machine.travel(CLOSED, tick=False):
        assert send_outbox(acme.owner, quick, CLOSED) == 1
    assert find() == ("0.000000300", "0.000000300", True)
    with time_machine.travel(CLOSED, tick=False):
        quick.send_usage(identifier="a hand", meter="usage", customer=customer_of(acme), value=7, at=OCTOBER + DAY * 12)
    assert find() == ("0.000000300", "0.000000307", False)
    # Nor does all agree where Stripe does not say.
    double.is_down = True
    assert find() == ("0.000000300", None, False)


def customer_of(tenant: Tenant) -> str:
    with org_scope(tenant.org.pk):
        return BillingAccount.objects.get().stripe_customer


def test_a_month_that_is_not_over_has_none(world: World) -> None:
    with org_scope(world.acme.org.pk), pytest.raises(InvalidField, match="a month that is over"):
        make_pack(world.acme.owner, date(2026, 11, 1), CLOSED, None)


def test_it_is_mailed_once(world: World, sink: MailSink) -> None:
    acme = world.acme
    close_october(acme, PackTo.MAIL)
    sink.refusals = ["451 later"]
    assert [deliver_packs(acme.owner, CLOSED, None) for _ in range(2)] == [0, 0]
    with org_scope(acme.org.pk):
        assert FinancePack.objects.get().problem == "The mail server did not take the mail."
    later = CLOSED + HOUR
    assert [deliver_packs(acme.owner, later, None) for _ in range(2)] == [1, 0]
    (mail,) = sink.mails
    (attached,) = mail.iter_attachments()
    assert (mail["Subject"], attached.get_filename()) == ("Finance pack of October 2026", "finance-2026-10.zip")
    with org_scope(acme.org.pk):
        row = FinancePack.objects.get()
    assert (row.month, row.delivered_to, row.delivered_at) == (OF_OCTOBER, "finance@acme.example", later)
    assert row.problem == ""


def test_without_an_address_none_is_made_until_there_is_one(world: World, sink: MailSink) -> None:
    acme = world.acme
    close_october(acme, PackTo.MAIL)
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(emails=[])
    assert deliver_packs(acme.owner, CLOSED, None) == 0
    with org_scope(acme.org.pk):
        owed = FinancePack.objects.get()
        assert (owed.digest, owed.problem) == (
            "",
            "There is no address to mail it to: give one in the billing account.",
        )
        update_account(actor=acme.owner, account=BillingAccount.objects.get(), emails=["late@acme.example"])
    assert [deliver_packs(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
    assert sink.mails[0]["To"] == "late@acme.example"


def test_or_it_lies_with_the_operators_files(world: World, settings: Settings, tmp_path: Path) -> None:
    acme = world.acme
    settings.FILES_URL = tmp_path.as_uri()
    close_october(acme, PackTo.FILES)
    assert [deliver_packs(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
    (stored,) = tmp_path.rglob("*.zip")
    assert str(stored.relative_to(tmp_path)) == f"finance-packs/{acme.org_id}/finance-2026-10.zip"
    assert "focus.csv" in read(stored.read_bytes())


def connect(tenant: Tenant, url: str, **changes: str) -> None:
    values = {"region": "us-east-1", "key_id": "access", "secret": "secret"} | changes
    with org_scope(tenant.org.pk):
        connect_bucket(actor=tenant.owner, account=BillingAccount.objects.get(), url=url, **values)


def test_or_in_a_bucket_of_the_customers_own(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = world.acme
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    close_october(acme)
    # The operator's own variables are of no account.
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the operator's")
    with run_s3() as s3:
        connect(acme, f"{s3.endpoint}/nowhere/papers")
        assert deliver_packs(acme.owner, CLOSED, None) == 0
        with org_scope(acme.org.pk):
            row = FinancePack.objects.get()
        assert row.problem == "The bucket answered 404: look at its name, region, key and rights."
        # Not with every run; but with another bucket at once.
        assert deliver_packs(acme.owner, CLOSED, None) == 0
        connect(acme, f"{s3.endpoint}/{s3.bucket}/papers/")
        assert [deliver_packs(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
        kept = s3.read_everything()
    name, _, archive = kept.partition(b"\n")
    assert name == b"papers/finance-2026-10.zip"
    assert "focus.csv" in read(archive)
    with org_scope(acme.org.pk):
        row.refresh_from_db()
        account = BillingAccount.objects.get()
    assert (row.delivered_to, row.problem) == (f"{s3.endpoint}/{s3.bucket}/papers/finance-2026-10.zip", "")
    assert b"secret" not in bytes(account.bucket_secret or b"")
    # A server that is gone is told, too.
    with org_scope(acme.org.pk):
        FinancePack.objects.update(delivered_at=None)
    assert deliver_packs(acme.owner, CLOSED, None) == 0
    with org_scope(acme.org.pk):
        assert FinancePack.objects.get().problem
        disconnect_bucket(actor=acme.owner, account=account)
        account.refresh_from_db()
    assert (account.pack_to, account.bucket_url, account.bucket_secret) == ("none", "", None)


def show(tenant: Tenant) -> list[tuple[date, bool, str]]:
    """Each month's pack: whether it went out, and why not."""
    with org_scope(tenant.org.pk):
        rows = FinancePack.objects.order_by("month")
        return [(row.month, row.delivered_at is not None, row.problem) for row in rows]


def test_a_month_that_a_bucket_refused_is_delivered_in_the_next_one(world: World, settings: Settings) -> None:
    acme = world.acme
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    close_october(acme)
    refused = "The bucket answered 404: look at its name, region, key and rights."
    with run_s3() as s3:
        connect(acme, f"{s3.endpoint}/nowhere/papers")
        # Hourly for two days, and then daily.
        tries = [CLOSED + HOUR * hours for hours in (0, 0.5, 1, 47, 48, 71, 72, 24 * 29)]
        seen = [_is_tried(acme, moment) for moment in tries]
        assert seen == [True, False, True, True, False, True, False, True]
        close(acme, DECEMBER + DAY * 3)
        # Where one month's papers are not taken, others' are not tried in the same run: a bucket that hangs costs a
        # minute each.
        for november in ("", refused):
            assert deliver_packs(acme.owner, DECEMBER + DAY * 3, None) == 0
            assert show(acme) == [(OF_OCTOBER, False, refused), (OF_NOVEMBER, False, november)]
        connect(acme, f"{s3.endpoint}/{s3.bucket}/papers/")
        assert [deliver_packs(acme.owner, DECEMBER + DAY * 3, None) for _ in range(2)] == [2, 0]
        kept = s3.read_everything()
    assert show(acme) == [(OF_OCTOBER, True, ""), (OF_NOVEMBER, True, "")]
    assert b"papers/finance-2026-10.zip" in kept
    assert b"papers/finance-2026-11.zip" in kept


def _is_tried(tenant: Tenant, now: datetime) -> bool:
    with org_scope(tenant.org.pk):
        FinancePack.objects.filter(delivered_at=None).update(problem="")
    assert deliver_packs(tenant.owner, now, None) == 0
    return show(tenant) != [(OF_OCTOBER, False, "")]


def test_months_that_are_invoiced_together_have_a_pack_each(world: World, sink: MailSink) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    with org_scope(acme.org.pk):
        BillingAccount.objects.filter(org=acme.org).update(pack_to=PackTo.MAIL.value)
    # Jobs stood still for a month.
    close(acme, DECEMBER + DAY * 3)
    assert [deliver_packs(acme.owner, DECEMBER + DAY * 3, None) for _ in range(2)] == [2, 0]
    assert [mail["Subject"] for mail in sink.mails] == [
        "Finance pack of October 2026",
        "Finance pack of November 2026",
    ]


def test_who_wants_packs_from_now_on_has_none_of_long_ago(world: World, sink: MailSink) -> None:
    acme = world.acme
    close_october(acme)
    close(acme, DECEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        update_account(actor=acme.owner, account=BillingAccount.objects.get(), pack_to=PackTo.MAIL)
    assert deliver_packs(acme.owner, DECEMBER + DAY * 20, None) == 1
    assert show(acme) == [(OF_NOVEMBER, True, "")]


def test_the_trouble_of_one_month_keeps_no_other_waiting(
    world: World, sink: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.acme
    close_october(acme, PackTo.MAIL)
    close(acme, DECEMBER + DAY * 3)

    def make(actor: Actor, month: date, now: datetime, metered: int | None) -> tuple[bytes, dict[str, Any]]:
        if month == OF_OCTOBER:
            raise RuntimeError("a fault of ours")
        return make_pack(actor, month, now, metered)

    monkeypatch.setattr(packs, "make_pack", make)
    with org_scope(acme.org.pk):
        FinancePack.objects.create(org=acme.org, month=OF_OCTOBER)
    assert deliver_packs(acme.owner, DECEMBER + DAY * 3, None) == 1
    problem = "It could not be made: the log of the installation's jobs says why."
    assert show(acme) == [(OF_OCTOBER, False, problem), (OF_NOVEMBER, True, "")]


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("end", [_Killed, SoftTimeLimitExceeded])
def test_a_month_that_kills_its_worker_is_not_the_first_of_every_run(
    world: World, sink: MailSink, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    acme, at = world.acme, DECEMBER + DAY * 3
    close_october(acme, PackTo.MAIL)
    close(acme, at)

    def make(actor: Actor, month: date, now: datetime, metered: int | None) -> tuple[bytes, dict[str, Any]]:
        if month == OF_OCTOBER:
            raise end
        return make_pack(actor, month, now, metered)

    with org_scope(acme.org.pk):
        FinancePack.objects.create(org=acme.org, month=OF_OCTOBER, created_at=at)
    with monkeypatch.context() as patch:
        patch.setattr(packs, "make_pack", make)
        with pytest.raises(end):
            deliver_packs(acme.owner, at, None)
        assert show(acme) == [
            (OF_OCTOBER, False, "It was begun, and has not come to its end."),
            (OF_NOVEMBER, False, ""),
        ]
        assert deliver_packs(acme.owner, at, None) == 1
    assert [deliver_packs(acme.owner, moment, None) for moment in (at + HOUR * 0.9, at + HOUR)] == [0, 1]
    assert show(acme) == [(OF_OCTOBER, True, ""), (OF_NOVEMBER, True, "")]


def test_one_that_is_owed_is_sent_again_when_somebody_asks(world: World, sink: MailSink) -> None:
    acme = world.acme
    close_october(acme, PackTo.MAIL)
    sink.refusals = ["451 later"]
    assert deliver_packs(acme.owner, CLOSED, None) == 0
    api = Api(token=acme.admin_token)
    (listed,) = api.get("/finance-packs").json()["data"]
    assert (listed["month"], listed["problem"], listed["delivered_at"]) == (
        "2026-10",
        "The mail server did not take the mail.",
        None,
    )
    assert deliver_packs(acme.owner, CLOSED, None) == 0
    again = f"/finance-packs/{listed['id']}/send"
    answer = api.post(again, {})
    assert (answer.status_code, answer.json()["tried_at"]) == (200, None)
    assert deliver_packs(acme.owner, CLOSED, None) == 1
    refused = api.post(again, {})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "The pack of October 2026 was delivered: download it instead.",
    )
    with org_scope(acme.org.pk):
        entry = AuditEntry.objects.get(action="finance_pack.tried_again")
        assert entry.changes == {"month": "2026-10"}
        pack = FinancePack.objects.create(org=acme.org, month=OF_NOVEMBER)
        update_account(actor=acme.owner, account=BillingAccount.objects.get(), pack_to=PackTo.NOBODY)
        with pytest.raises(Conflict, match="say first where they are to go"):
            send_pack_again(actor=acme.owner, pack=pack)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "https://s3.example"}, "url"),
        ({"url": "https://s3.example/bucket?x=1"}, "url"),
        ({"url": "https://s3.example/a b"}, "url"),
        ({"url": "https://169.254.169.254/bucket"}, "url"),
        ({"url": "https://s3.example/" + "b" * 300}, "url"),
        ({"region": "eu west"}, "region"),
        ({"region": ""}, "region"),
        ({"key_id": "key\n"}, "key_id"),
        ({"secret": ""}, "secret"),
        ({"secret": "a b"}, "secret"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(world: World, changes: dict[str, str], field: str) -> None:
    make_customer(world.acme, since=OCTOBER)
    with pytest.raises(AppError) as error:
        connect(world.acme, **({"url": "https://s3.example/bucket"} | changes))
    assert error.value.field == field
    with org_scope(world.acme.org.pk), pytest.raises(InvalidField, match="Connect a bucket first"):
        update_account(actor=world.acme.owner, account=BillingAccount.objects.get(), pack_to=PackTo.BUCKET)


def test_a_bucket_is_for_who_has_just_shown_who_they_are(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    stale = replace(world.acme.owner, is_fresh=False)
    with org_scope(world.acme.org.pk), pytest.raises(StaleSession):
        connect_bucket(
            actor=stale,
            account=BillingAccount.objects.get(),
            url="https://s3.example/bucket",
            region="eu-central-1",
            key_id="access",
            secret="secret",
        )


def test_nobody_is_sent_what_nobody_asked_for(world: World) -> None:
    close_october(world.acme)
    assert deliver_packs(world.acme.owner, CLOSED, None) == 0
