"""The jobs of invoices: every one may run twice, or on two workers at once, and die anywhere."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from celery import shared_task
from django.db import connections

from billing.invoices.actions.closing import CLOSING, close_period
from billing.invoices.actions.dunning import remind, settle_standing, tell_end
from billing.invoices.actions.mails import line_kept_open, mail_invoice
from billing.invoices.actions.outbox import fill_outbox as fill_outbox_of
from billing.invoices.actions.outbox import send_outbox
from billing.invoices.actions.packs import deliver_packs
from billing.invoices.actions.pushing import push_credits, push_issued, push_outcomes
from billing.invoices.actions.rerating import carry_on
from billing.invoices.actions.stripe_setup import ensure_customer
from billing.invoices.actions.subscriptions import sync_subscription
from billing.invoices.actions.taxes import settle_taxes
from billing.invoices.actions.top_up import top_up
from billing.invoices.actions.wallet import follow_wallet
from billing.invoices.actions.webhooks import (
    apply_event,
    date_given_up,
    list_waiting,
    put_off_waiting,
    refresh_collected,
)
from billing.invoices.choices import Collection
from billing.invoices.models import BillingAccount, Invoice
from billing.invoices.reconciliation import reconcile
from billing.invoices.selectors.accounts import list_accounts
from billing.invoices.selectors.due import (
    list_to_close,
    list_to_collect,
    list_to_follow,
    list_to_mail,
    list_to_pack,
    list_to_send,
    list_to_tax,
)
from billing.invoices.selectors.rerating import find_next_rerating, list_orgs_with_reratings
from billing.invoices.stripe_client import (
    Stripe,
    StripeRefused,
    StripeSilent,
    StripeUnavailable,
    read_stored,
    stripe_from_settings,
)
from costhub.lib import clock
from costhub.lib.database import try_to_be_only
from costhub.lib.errors import AppError
from tenants.access import Actor, job_scope, org_scope

_log = logging.getLogger(__name__)
#: a lock of PostgreSQL
_APPLYING: Final = 0x53545249_50455645  # "STRIPEVE"
#: one run goes on for so long; the next one goes on where it stopped
RUN_SECONDS: Final = 150
#: one run that applies Stripe's events; it is one of the quick jobs, which others wait behind
EVENTS_SECONDS: Final = 30
#: so long it waits for an answer of Stripe's: less than who waits for what it has locked
EVENTS_TIMEOUT_SECONDS: Final = 8.0
#: so many customers' usage goes to Stripe side by side: what one sender does most of the time is wait for an answer
SENDERS: Final = 24
#: and so many customers' invoices are typeset and mailed: much of the time a mail waits for PostgreSQL and its server
MAILERS: Final = 4
Result = TypeVar("Result")
#: something that is done for a customer with Stripe; gives how much was done
Step = Callable[[Actor, Stripe], int]


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a job: its moment, and until when it goes on, whatever it has to do."""

    now: datetime = field(default_factory=clock.now)
    ends: int = field(default_factory=lambda: clock.ends_in(RUN_SECONDS))

    def half(self) -> "_Run":
        """The same, until half of the time that is left is over."""
        left = self.ends - clock.monotonic_ns()
        return replace(self, ends=self.ends - left // 2)

    @property
    def is_over(self) -> bool:
        """Whether the rest is for the next run."""
        return clock.monotonic_ns() > self.ends

    def in_turn(self, org_ids: list[UUID]) -> list[UUID]:
        """These in the order of this hour: runs that do not reach all begin at another one each hour."""
        turn = int(self.now.timestamp()) // 3600 * 7919 % max(len(org_ids), 1)
        return org_ids[turn:] + org_ids[:turn]


@shared_task
def close_months() -> int:
    """Close the months that are over, of every customer, and mail what was issued. Gives how many were issued."""
    with try_to_be_only(CLOSING) as is_ours:
        if not is_ours:
            return 0
        org_ids = [org_id for org_id, _, _ in list_accounts()]
        # One time for all steps: a step each would take longer than a task may. However many customers there are to
        # close, what follows has its half.
        run = _Run()
        issued = sum(_each(_close, list_to_close(org_ids, run.now), run.half()))
        gateway = stripe_from_settings()
        if gateway is not None:
            taxed = list_to_tax(org_ids)
            issued += sum(_each(lambda actor, now: settle_taxes(actor, gateway, now), taxed, run, in_one=False))

        def mail(org_id: UUID) -> list[int]:
            return _each(_mail, [org_id], run, in_one=False)

        _side_by_side(mail, list_to_mail(org_ids), run, MAILERS, line_kept_open)
        _each(lambda actor, now: deliver_packs(actor, now, gateway), list_to_pack(org_ids, run.now), run, in_one=False)
        return issued


@shared_task
def dun() -> None:
    """Remind of unpaid invoices, say that plans have ended, and bring organisations to what these have come to."""
    org_ids = [org_id for org_id, _, _ in list_accounts()]
    run = _Run()
    # Mails, which take long, come last.
    _follow(org_ids, run)
    _each(remind, org_ids, run.half(), in_one=False)
    _each(tell_end, org_ids, run)


@shared_task
def follow_plans() -> int:
    """Apply plans that have begun or ended at a moment that was said before: the stop at zero credits, and whether
    calls are taken. Gives how many customers were looked at."""
    run = _Run()
    return _follow(list_to_follow([org_id for org_id, _, _ in list_accounts()], run.now), run)


def _follow(org_ids: list[UUID], run: _Run) -> int:
    """As ``follow_plan`` does, each step for itself: no trouble with credits keeps who owes from being suspended."""
    followed = len(_each(settle_standing, org_ids, run.half()))
    _each(lambda actor, _: follow_wallet(actor), org_ids, run.half())
    return followed


@shared_task
def fill_outbox() -> int:
    """Write the deltas of hours that are over."""
    return sum(_each(fill_outbox_of, _on_stripe(), _Run()))


@shared_task
def send_usage() -> int:
    """Buy credits that are short, have Stripe collect what is issued, and send what is in the outbox; of several
    customers side by side, of one in order. Gives how much was done."""
    gateway = stripe_from_settings()
    if gateway is None:
        return 0
    run, org_ids = _Run(), _on_stripe()
    # Most have nothing but usage, and that once an hour: each step that has nothing to do costs as much as sending.
    to_collect, to_send = set(list_to_collect(org_ids)), set(list_to_send(org_ids))

    def send(org_id: UUID) -> list[int]:
        steps = _BESIDE_USAGE if org_id in to_collect else ()
        return _each(lambda actor, now: _send(actor, gateway, now, steps), [org_id], run, in_one=False)

    waiting = [org_id for org_id in org_ids if org_id in to_collect or org_id in to_send]
    return _side_by_side(send, waiting, run, SENDERS, gateway.kept_open)


@shared_task
def reconcile_meters() -> int:
    """Compare Stripe's meters with the ledger. Gives the hours that differ."""
    gateway = stripe_from_settings()
    if gateway is None:
        return 0
    found = _each(lambda actor, now: reconcile(actor, gateway, now), _on_stripe(), _Run())
    return sum(len(differing) for differing in found)


@shared_task
def apply_stripe_events() -> int:
    """Do what Stripe's events tell of, until time is up; one run at a time, so that whatever Stripe does no more than
    one process waits for it. Gives how many are done."""
    gateway = stripe_from_settings(timeout_seconds=EVENTS_TIMEOUT_SECONDS)
    if gateway is None:
        return 0
    with try_to_be_only(_APPLYING) as is_ours:
        if not is_ours:
            return 0
        date_given_up()
        done, ends = 0, clock.ends_in(EVENTS_SECONDS)
        tried: set[str] = set()
        # One by one: a payment that comes meanwhile is the next.
        while clock.monotonic_ns() < ends and (waiting := list_waiting(clock.now(), 1, but_not=tried)):
            (row,) = waiting
            tried.add(row.pk)
            try:
                done += apply_event(row, read_stored(bytes(row.body)), gateway, clock.now())
            except StripeSilent:
                put_off_waiting(clock.now())
                break
            except StripeUnavailable:
                # It may give the others no answer either: they are the next run's.
                break
        return done


@shared_task
def refresh_collected_invoices() -> int:
    """Ask Stripe for the invoices that it collects, in case an event was lost. Gives how many were asked for."""
    gateway = stripe_from_settings()
    if gateway is None:
        return 0
    run = _Run()

    def refresh(org_id: UUID) -> list[int]:
        return _each(lambda actor, now: refresh_collected(actor, gateway, now), [org_id], run, in_one=False)

    return _side_by_side(refresh, _on_stripe(), run, SENDERS, gateway.kept_open)


@shared_task
def apply_reratings() -> int:
    """Go on with re-ratings that are approved, a batch a transaction, until time is up. Gives the steps."""
    now, ends = clock.now(), clock.ends_in(RUN_SECONDS)
    steps = 0
    for org_id in list_orgs_with_reratings():
        try:
            while clock.monotonic_ns() < ends:
                with job_scope(org_id) as actor:
                    row = find_next_rerating(actor)
                    if row is None:
                        break
                    carry_on(actor, row, now)
                steps += 1
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("a re-rating failed", extra={"org": str(org_id)})
    return steps


def _close(actor: Actor, now: datetime) -> int:
    """In a transaction of its own: the legal entity's next number waits for it, and must not wait for a mail."""
    return len(close_period(actor, now))


def _mail(actor: Actor, now: datetime) -> int:
    """Each in a transaction of its own: neither the trouble of one nor the end of this process must undo that another
    one was mailed, which would be mailed again; and whoever pays one does not wait for the others' mails."""
    with org_scope(actor.org.pk):
        waiting = list(Invoice.objects.filter(org=actor.org, mailed_at=None).exclude(number="").order_by("number"))
    sent = 0
    for invoice in waiting:
        try:
            with org_scope(actor.org.pk):
                sent += mail_invoice(actor, invoice, now)
        except Exception:  # noqa: BLE001 - whatever it is, the next document has done nothing wrong
            _log.exception("a document could not be mailed", extra={"org": str(actor.org.pk), "number": invoice.number})
    return sent


#: what is done for a customer before its usage is sent, in this order
_BESIDE_USAGE: Final[Sequence[Step]] = (
    ensure_customer,
    top_up,
    sync_subscription,
    push_issued,
    push_credits,
    push_outcomes,
)


def _send(actor: Actor, gateway: Stripe, now: datetime, steps: Sequence[Step] = _BESIDE_USAGE) -> int:
    """These steps, then usage, each for itself: a card that is declined keeps neither invoices nor usage from Stripe.
    What was refused of the customer is kept with its account until nothing is any more."""
    done = 0
    refusals: list[str] = []
    is_answered = True
    send: Step = partial(send_outbox, now=now)
    for step in (*steps, send):
        try:
            done += step(actor, gateway)
        except AppError as error:
            _log.warning(
                "Stripe did not do what it was asked", extra={"org": str(actor.org.pk), "reason": error.message}
            )
            if isinstance(error, StripeRefused):
                refusals.append(error.message)
            else:
                is_answered = False
    # Who has only usage to be sent was refused nothing before.
    if refusals or (steps and is_answered):
        refusal = " ".join(refusals)[:300]
        with org_scope(actor.org.pk):
            BillingAccount.objects.filter(org=actor.org).exclude(refusal=refusal).update(refusal=refusal)
    return done


def _side_by_side(
    work: Callable[[UUID], list[int]],
    org_ids: list[UUID],
    run: _Run,
    most: int,
    kept_open: Callable[[], AbstractContextManager[None]],
) -> int:
    """The sum of what comes of each customer: several at a time, each by one thread, which keeps its line open."""
    waiting = deque(run.in_turn(org_ids))
    threads = min(most, len(waiting))
    if not threads:
        return 0
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="billing") as pool:
        done = [pool.submit(_take_turns, work, waiting, run, kept_open) for _ in range(threads)]
    return sum(each.result() for each in done)


def _take_turns(
    work: Callable[[UUID], list[int]],
    waiting: deque[UUID],
    run: _Run,
    kept_open: Callable[[], AbstractContextManager[None]],
) -> int:
    """One of several threads: takes the next customer that nobody has, until there is none or time is up."""
    done = 0
    try:
        with kept_open():
            while waiting and not run.is_over:
                try:
                    org_id = waiting.popleft()
                except IndexError:
                    # Another thread was first.
                    break
                done += sum(work(org_id))
    finally:
        # This thread's own, a pooler's beside it too: nobody closes them after it.
        connections.close_all()
    return done


def _on_stripe() -> list[UUID]:
    return [org_id for org_id, collection, _ in list_accounts() if collection == Collection.STRIPE]


def _each(
    work: Callable[[Actor, datetime], Result], org_ids: list[UUID], run: _Run, *, in_one: bool = True
) -> list[Result]:
    """What came of each, until the run's time is up; the trouble of one keeps no other waiting. ``in_one`` transaction,
    unless the work opens its own as it goes."""
    results: list[Result] = []
    for org_id in run.in_turn(org_ids):
        if run.is_over:
            break
        try:
            with job_scope(org_id) as actor:
                if in_one:
                    results.append(work(actor, run.now))
            if not in_one:
                results.append(work(actor, run.now))
        except Exception:  # noqa: BLE001 - whatever it is, the next organisation has done nothing wrong
            _log.exception("a job of billing failed for an organisation", extra={"org": str(org_id)})
    return results
