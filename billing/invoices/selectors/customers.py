"""Every customer of the installation, for its operator: who owes what, and what waits for somebody."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoices.choices import OutboxState
from billing.invoices.models import BillingAccount, Invoice, MeterDelta
from billing.invoices.selectors.accounts import find_credit, find_subscription, list_accounts, list_unpaid
from billing.invoices.selectors.wallet import find_balance
from tenants.access import job_scope


@dataclass(frozen=True, slots=True)
class Customer:
    """How a customer stands. ``owed`` are cents by currency of what is issued and not paid, ``overdue_since`` the
    oldest due day that has passed. ``problems`` say why invoices wait. ``refused`` counts hours of usage that Stripe
    does not take, ``refusals`` say what else it refused the last time: of the customer, or of a document, by its
    number. ``credit`` are cents by currency that are left for invoices to come; ``credits`` are nano-USD of prepaid
    ones that are left by the books."""

    org: UUID
    slug: str
    name: str
    seller: str
    plan: str
    collection: str
    subscription: str
    dunning: str
    owed: dict[str, int]
    overdue_since: datetime | None
    last_number: str
    problems: list[str]
    refused: int
    credits: int
    refusals: list[str]
    credit: dict[str, int]


def list_customers(
    now: datetime,
    *,
    after: UUID | None = None,
    limit: int = 50,
    among: Collection[UUID] | None = None,
    order: Sequence[UUID] = (),
) -> tuple[list[Customer], UUID | None]:
    """So many customers behind ``after``, in the order of their organisations' ids or in that of ``order``, and the one
    to go on behind; only those ``among`` some organisations, where these are given. Each is opened by itself."""
    ids = [org for org, _, _ in list_accounts() if among is None or org in among]
    start = bisect_right(ids, after) if after else 0
    if order:
        known = frozenset(ids)
        ids = [org for org in order if org in known]
        start = ids.index(after) + 1 if after in ids else 0
    page = ids[start : start + limit]
    found = [customer for org in page if (customer := _find_customer(org, now)) is not None]
    return found, page[-1] if start + limit < len(ids) else None


def _find_customer(org: UUID, now: datetime) -> Customer | None:
    with job_scope(org) as actor:
        account = BillingAccount.objects.select_related("legal_entity").filter(org=org).first()
        if account is None:
            return None
        subscription = find_subscription(actor)
        rows = Invoice.objects.filter(org=org)
        unpaid = list_unpaid(actor)
        owed = Counter[str]()
        for invoice, cents in unpaid:
            owed[invoice.currency] += cents
        overdue = next((invoice.due_at for invoice, _ in unpaid if invoice.due_at and invoice.due_at < now), None)
        last = rows.exclude(number="").order_by("-issued_at", "-number").first()
        refused = MeterDelta.objects.filter(org=org, state=OutboxState.PENDING.value).exclude(error="")
        refusals = rows.exclude(refusal="").order_by("issued_at", "number").values_list("number", "refusal")
        return Customer(
            org=org,
            slug=actor.org.slug,
            name=account.name,
            seller=account.legal_entity.name,
            plan=subscription.plan.name if subscription else "",
            collection=account.collection,
            subscription=account.stripe_subscription,
            dunning=account.dunning,
            owed=dict(owed),
            overdue_since=overdue,
            last_number=last.number if last else "",
            problems=list(rows.exclude(problem="").filter(number="").values_list("problem", flat=True)),
            refused=refused.count(),
            credits=find_balance(actor),
            refusals=[*filter(None, [account.refusal]), *(f"{number}: {text}" for number, text in refusals)],
            credit=find_credit(actor),
        )
