"""Suspended and let in again by Stripe's webhooks, all of it in processes: proxies that serve calls and webhooks, the
worker and its beat, an upstream that bills, and a Stripe behind a port."""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from billing.invoices.actions.pushing import push_issued
from billing.invoices.models import BillingAccount, Invoice, StripeEvent
from costhub.lib import clock
from costhub.ops.schedule import JOBS
from costhub.stack.services import Beat, Service, Worker
from tenants.access import org_scope
from tenants.periods import period_bounds, previous_bounds
from tests.bank import Bank
from tests.billing.invoices.examples import close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, PATIENT, ROOT, Deployment, deploy
from tests.proxy.in_process import chat
from tests.proxy.load import call_once
from tests.stack.queue import clean_queue
from tests.stripe_double import ACCOUNT_KEY, WEBHOOK_SECRET, StripeDouble, sign
from tests.stripe_double.in_process import make_stripe
from tests.stripe_double.server import serve
from tests.world import Tenant, World, make_catalog

CALLERS = 4
KINDS: tuple[type[Worker] | type[Beat], ...] = (Worker, Beat)
#: what a payment may take until calls are answered again
FIVE_SECONDS = 5.0
#: the job that does what Stripe's events tell of: a payment that comes while a run looks is found by the next one
JOB = "billing.invoices.tasks.apply_stripe_events"
RUNS = 2
Seen = list[tuple[int, int]]


def issue_long_ago(acme: Tenant, double: StripeDouble) -> Invoice:
    """An invoice that was due four weeks ago or more, and is on its way to Stripe."""
    quick = make_stripe(double)
    month, _ = period_bounds("month", clock.now().astimezone(UTC), "UTC")
    last, _ = previous_bounds("month", month, "UTC")
    before, _ = previous_bounds("month", last, "UTC")
    make_stripe_customer(acme, quick, since=before, fee="49.00", grace_days=0, payment_days=0)
    (invoice,) = close(acme, last)
    push_issued(acme.owner, quick)
    with org_scope(acme.org.pk):
        # The next month is nobody's here.
        BillingAccount.objects.update(stripe_meter="")
        invoice.refresh_from_db()
    return invoice


@contextmanager
def run_jobs(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The worker of the quick jobs and the beat, as `costhub up` runs them. Gives the worker's log."""
    with clean_queue(), ExitStack() as stack:
        parts: list[Service] = []
        for kind in KINDS:
            home = folder / kind.name
            home.mkdir()
            parts.append(kind(home, environment))
            parts[-1].start()
            stack.callback(parts[-1].reap)
            stack.callback(parts[-1].kill)
        for part in parts:
            part.wait_ready(PATIENCE_SECONDS)
        yield parts[0].log_path


def count_runs(log: Path) -> int:
    """How many runs of the job have ended, as the worker itself says."""
    return len(re.findall(rf"Task {re.escape(JOB)}\[[^]]*\] succeeded", log.read_text()))


def send_webhook(proxy: Deployment, double: StripeDouble, kind: str, stripe_invoice: str) -> int:
    """What Stripe does when something happens to an invoice."""
    body = double.make_event(kind, double.invoices[stripe_invoice])
    headers = {"stripe-signature": sign(body, double.now()), "content-type": "application/json"}
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        return http.post(f"{proxy.root_url}/api/v1/stripe/webhook", content=body, headers=headers).status_code


@dataclass(frozen=True)
class Life:
    """What each call was answered, with the moment; the moments of both webhooks; and how many runs of the job ended
    between the payment and the first answer behind it."""

    seen: Seen
    overdue_at: int
    paid_at: int
    runs: int


async def live(proxy: Deployment, acme: Tenant, double: StripeDouble, stripe_invoice: str, log: Path) -> Life:
    """Calls without a pause while Stripe tells that the invoice is overdue, and then that it is paid."""
    seen: Seen = []
    is_over = asyncio.Event()

    async def call_on_and_on(http: httpx2.AsyncClient) -> None:
        while not is_over.is_set():
            began = clock.monotonic_ns()
            seen.append((began, (await call_once(http, chat())).status))

    async def until(status: int, since: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(found == status and began > since for began, found in seen):
                await asyncio.sleep(0.02)

    headers = {"authorization": f"Bearer {acme.api_key}"}
    async with httpx2.AsyncClient(
        base_url=proxy.base_url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False, verify=NO_TLS
    ) as http:
        callers = [asyncio.create_task(call_on_and_on(http)) for _ in range(CALLERS)]
        await until(200, 0)
        overdue_at = clock.monotonic_ns()
        assert await asyncio.to_thread(send_webhook, proxy, double, "invoice.overdue", stripe_invoice) == 200
        await until(402, overdue_at)
        double.pay(stripe_invoice)
        before, paid_at = count_runs(log), clock.monotonic_ns()
        assert await asyncio.to_thread(send_webhook, proxy, double, "invoice.paid", stripe_invoice) == 200
        await until(200, paid_at)
        runs = count_runs(log) - before
        # Until every process of the proxy knows.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {status for _, status in seen[-50:]} != {200}:
                await asyncio.sleep(0.02)
        is_over.set()
        await asyncio.gather(*callers)
    return Life(seen, overdue_at, paid_at, runs)


def test_suspended_and_let_in_again_by_webhooks_while_calls_run(
    committed_world: World, bank: Bank, tmp_path: Path
) -> None:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    double = StripeDouble(now=lambda: datetime.now(UTC).timestamp())
    invoice = issue_long_ago(acme, double)
    with serve(double) as url:
        stripe: dict[str, Any] = {
            "STRIPE_API_KEY": ACCOUNT_KEY,
            "STRIPE_API_URL": url,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        jobs = os.environ | PATIENT | stripe | {"PYTHONPATH": str(ROOT)}
        with deploy(tmp_path, workers=2, **stripe) as proxy, run_jobs(tmp_path, jobs) as log:
            life = asyncio.run(live(proxy, acme, double, invoice.stripe_invoice, log))
    # Nothing but answers and refusals, and in the middle refusals alone.
    seen, overdue_at, paid_at = life.seen, life.overdue_at, life.paid_at
    assert {status for _, status in seen} == {200, 402}
    first_refused = min(began for began, status in seen if status == 402)
    first_let_in = min(began for began, status in seen if status == 200 and began > paid_at)
    assert overdue_at < first_refused < paid_at < first_let_in
    took = (first_let_in - paid_at) / 1e9
    print(f"calls are let in {took:.2f} s and {life.runs} runs after the payment, of {len(seen)} calls in all")
    # What the five seconds are made of is the wait for the second run at the latest: of these the schedule says how
    # often they come, and a machine that others keep busy only how long they take.
    (job,) = [job for job in JOBS if job.task == JOB]
    assert RUNS * job.every_seconds < FIVE_SECONDS
    assert life.runs <= RUNS
    about = invoice.stripe_invoice.encode()
    told = [event for event in StripeEvent.objects.order_by("received_at") if about in bytes(event.body)]
    assert [(event.kind, event.tries) for event in told] == [("invoice.overdue", 1), ("invoice.paid", 1)]
    with org_scope(acme.org.pk):
        assert Invoice.objects.get(pk=invoice.pk).state == "paid"
