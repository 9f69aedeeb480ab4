"""The finance pack of a month: every book says the same, and it goes out once."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from ipaddress import ip_network
from pathlib import Path

import pytest
import time_machine
from pytest_django import Settings

from billing.invoices.actions.accounts import connect_bucket, disconnect_bucket, update_account
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.packs import deliver_pack, make_pack, read_meter
from billing.invoices.choices import PackTo
from billing.invoices.models import BillingAccount, FinancePack
from billing.invoices.selectors.packs import find_metered_time
from billing.invoices.stripe_client import Stripe
from costhub.lib.errors import AppError, InvalidField
from tenants.access import StaleSession, org_scope
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, close, make_customer
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.mail import MailSink
from tests.proxy.learning.s3 import run_s3
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World

OF_OCTOBER = date(2026, 10, 1)
CLOSED = NOVEMBER + DAY * 3


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
    assert [deliver_pack(acme.owner, CLOSED, None) for _ in range(3)] == [0, 1, 0]
    (mail,) = sink.mails
    (attached,) = mail.iter_attachments()
    assert (mail["Subject"], attached.get_filename()) == ("Finance pack of October 2026", "finance-2026-10.zip")
    with org_scope(acme.org.pk):
        row = FinancePack.objects.get()
    assert (row.month, row.delivered_to, row.delivered_at) == (OF_OCTOBER, "finance@acme.example", CLOSED)


def test_without_an_address_none_is_made_until_there_is_one(world: World, sink: MailSink) -> None:
    acme = world.acme
    close_october(acme, PackTo.MAIL)
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(emails=[])
    assert deliver_pack(acme.owner, CLOSED, None) == 0
    with org_scope(acme.org.pk):
        assert FinancePack.objects.count() == 0
        BillingAccount.objects.update(emails=["late@acme.example"])
    assert [deliver_pack(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
    assert sink.mails[0]["To"] == "late@acme.example"


def test_or_it_lies_with_the_operators_files(world: World, settings: Settings, tmp_path: Path) -> None:
    acme = world.acme
    settings.FILES_URL = tmp_path.as_uri()
    close_october(acme, PackTo.FILES)
    assert [deliver_pack(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
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
        assert deliver_pack(acme.owner, CLOSED, None) == 0
        with org_scope(acme.org.pk):
            row = FinancePack.objects.get()
        assert row.problem == "The bucket answered 404: look at its name, region, key and rights."
        # Not with every run; but with another bucket at once.
        assert deliver_pack(acme.owner, CLOSED, None) == 0
        connect(acme, f"{s3.endpoint}/{s3.bucket}/papers/")
        assert [deliver_pack(acme.owner, CLOSED, None) for _ in range(2)] == [1, 0]
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
    assert deliver_pack(acme.owner, CLOSED, None) == 0
    with org_scope(acme.org.pk):
        assert FinancePack.objects.get().problem
        disconnect_bucket(actor=acme.owner, account=account)
        account.refresh_from_db()
    assert (account.pack_to, account.bucket_url, account.bucket_secret) == ("none", "", None)


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
    assert deliver_pack(world.acme.owner, CLOSED, None) == 0
