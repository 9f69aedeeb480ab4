"""The measurements of ``bench.outbox``: in the process that has Django, in the database that it made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from uuid import uuid4

import psycopg
from django.core.management import call_command
from django.test import override_settings

from bench.computing import SERVERS, Computing, show_computing
from bench.rollup_figures import owner_address
from bench.stripe_server import METER, serve_stripe
from billing.invoices import tasks
from billing.invoices.actions.sellers import create_legal_entity
from billing.invoices.models import BillingAccount, LegalEntity, MeterDelta
from costhub.lib import clock
from costhub.lib.keyspace import shard_of
from tenants.models import Organization
from tests.stripe_double.state import ACCOUNT_KEY

SENDERS = (1, tasks.SENDERS)
_COMPUTING = Computing("the job", {**SERVERS, "spawn_main": "the double"})


def measure(customers: int, deltas: int, answers_after: float) -> Iterator[str]:
    """Fill, send, compare; the report line by line."""
    call_command("migrate", database="owner", verbosity=0)
    owner = psycopg.connect(owner_address(), autocommit=True)
    seller = create_legal_entity(
        name="CostHub GmbH",
        street="Musterstr. 1",
        postcode="10115",
        city="Berlin",
        country="DE",
        tax_id="DE123456789",
        email="billing@bench.example",
        prefix="B-",
        tax_rates={"DE": "19"},
    )
    usual = tasks.SENDERS
    yield (
        "| the double answers after, ms | customers | deltas | senders | deltas a second | computing, us a delta"
        " | at the double | twice |"
    )
    yield "|---:|---:|---:|---:|---:|---|---|---:|"
    for seconds, each in ((0.0, deltas), (answers_after, deltas), (answers_after, 1)):
        for senders in SENDERS:
            # One sender waits for every answer in turn: a part of the customers says how fast.
            chosen = max(customers // 10, 1) if senders == 1 and seconds else customers
            known = _fill(owner, seller, chosen, each)
            tasks.SENDERS = senders  # type: ignore[misc]
            with (
                _double(seconds, known) as (url, asked),
                override_settings(STRIPE_API_KEY=ACCOUNT_KEY, STRIPE_API_URL=url),
            ):
                before = _COMPUTING.read()
                began = took = time.perf_counter()
                while tasks.send_usage():
                    took = time.perf_counter() - began
                    spent = _COMPUTING.since(before)
                asked.send("told")
                found, calls = asked.recv()
            (expected,) = owner.execute("SELECT sum(value) FROM billing_meterdelta").fetchone() or (0,)
            says = "equal to the nano" if found == expected else f"DIFFERENT: {found} for {expected}"
            yield (
                f"| {seconds * 1000:.0f} | {chosen} | {chosen * each:,} | {senders} | {chosen * each / took:,.0f}"
                f" | {show_computing(spent, chosen * each)} | {says} | {calls - chosen * each} |"
            )
    tasks.SENDERS = usual  # type: ignore[misc]
    owner.close()


def _fill(owner: psycopg.Connection, seller: LegalEntity, customers: int, deltas: int) -> list[str]:
    """Customers whose hours that are over have one delta each, in place of those that there were; Stripe's names for
    them."""
    owner.execute("DELETE FROM billing_meterdelta")
    owner.execute("DELETE FROM billing_billingaccount")
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    orgs = [uuid4() for _ in range(customers)]
    Organization.objects.using("owner").bulk_create(
        Organization(id=org, name="Org", slug=f"org-{org}", time_zone="UTC", shard=shard_of(str(org)), data_key=b"")
        for org in orgs
    )
    BillingAccount.objects.using("owner").bulk_create(
        BillingAccount(
            org_id=org,
            legal_entity_id=seller.pk,
            name="Customer",
            country="DE",
            collection="stripe",
            stripe_customer=f"cus_{org.hex}",
            stripe_meter=METER,
            metered_from=now - timedelta(days=30),
        )
        for org in orgs
    )
    MeterDelta.objects.using("owner").bulk_create(
        (
            MeterDelta(
                org_id=org,
                customer=f"cus_{org.hex}",
                meter=METER,
                hour=now - timedelta(hours=hour),
                sequence=1,
                value=1_000_003 * hour,
                identifier=f"{org.hex}-{hour}",
            )
            for org in orgs
            for hour in range(1, deltas + 1)
        ),
        batch_size=2_000,
    )
    return [f"cus_{org.hex}" for org in orgs]


@contextmanager
def _double(answers_after: float, customers: list[str]) -> Iterator[tuple[str, Connection]]:
    """Stripe's double in a process of its own: its address, and where to ask it what it holds."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_stripe, args=(theirs, answers_after, customers))
    process.start()
    # Else nobody would notice that it is gone.
    theirs.close()
    try:
        yield ours.recv(), ours
    finally:
        ours.send("end")
        process.join()
