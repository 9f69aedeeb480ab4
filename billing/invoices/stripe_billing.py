"""What Stripe does about an account beyond collecting: subscriptions and their prices, credit notes, tax.

Stripe stays the second opinion. Where it bills a subscription itself, its draft is held until our invoice is issued and
then brought onto it by one item, so that both say the same cents. All calls go through ``stripe_client.Stripe`` and
raise as its methods do; each may be repeated, also when Stripe has forgotten the idempotency key: what is there already
is looked for first.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from billing.invoices.choices import NOTHING, TaxCategory
from billing.invoices.stripe_client import Stripe, StripeRefused, metadata, subscription_of

#: cents that a nano-USD is
CENTS_A_NANO: Final = Decimal("0.0000001")
#: what the ids of tax calculations begin with
CALCULATION: Final = "taxcalc_"
#: in place of an id: Stripe has it, and its answer with the id never came
RECORDED: Final = "recorded"
#: Stripe's code for software that a business uses over the net
_TAX_CODE: Final = "txcd_10103001"
#: a subscription's period and ours may begin in different time zones
_APART: Final = timedelta(hours=27)
_ENDED: Final = frozenset({"canceled", "incomplete_expired"})
_CATEGORIES: Final[Mapping[str, tuple[TaxCategory, str]]] = {
    "standard_rated": (TaxCategory.STANDARD, ""),
    "reduced_rated": (TaxCategory.STANDARD, ""),
    "portion_standard_rated": (TaxCategory.STANDARD, ""),
    "zero_rated": (TaxCategory.ZERO, ""),
    "reverse_charge": (TaxCategory.REVERSE_CHARGE, "Reverse charge"),
}


@dataclass(frozen=True, slots=True)
class WantedPrice:
    """A monthly price that a subscription has. ``cents`` are a unit's, as Stripe's decimals; with a ``meter`` (its id)
    units are the meter's. The same ``key`` is the same price for ever."""

    key: str
    title: str
    cents: Decimal
    meter: str = ""


@dataclass(frozen=True, slots=True)
class TaxQuote:
    """What Stripe Tax says of an amount; ``rate`` in basis points, summed over all authorities."""

    id: str
    cents: int
    rate: int
    category: TaxCategory
    reason: str


def ensure_meter(gateway: Stripe, event_name: str, title: str) -> str:
    """The id of a meter that sums, made if it is not there."""
    if found := gateway.find_meter(event_name):
        return found
    params = {
        "display_name": title,
        "event_name": event_name,
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    return str(gateway.call(gateway.client.v1.billing.meters.create, params, key=f"meter:{event_name}").id)


def ensure_price(gateway: Stripe, wanted: WantedPrice, currency: str) -> str:
    """The id of a price, made if it is not there."""
    prices = gateway.client.v1.prices
    page = gateway.call(prices.list, {"lookup_keys": [wanted.key], "limit": 1})
    for found in gateway.pages(page):
        return str(found.id)
    recurring: dict[str, Any] = {"interval": "month", "usage_type": "metered" if wanted.meter else "licensed"}
    if wanted.meter:
        recurring["meter"] = wanted.meter
    params = {
        "currency": currency.lower(),
        "unit_amount_decimal": f"{wanted.cents:f}",
        "recurring": recurring,
        "lookup_key": wanted.key,
        "product_data": {"name": wanted.title},
    }
    # Plans may share a price of usage under names of their own.
    return str(gateway.call(prices.create, params, key=f"price:{wanted.key}:{_digest(params)}").id)


def ensure_subscription(
    gateway: Stripe, *, customer: str, org_id: str, prices: Sequence[str], anchor: datetime, due_days: int
) -> str:
    """The id of the organisation's subscription with exactly these prices, from ``anchor`` on by the month. Stripe
    prorates nothing: our invoice does."""
    subscriptions = gateway.client.v1.subscriptions
    page = gateway.call(subscriptions.list, {"customer": customer, "status": "all", "limit": 100})
    for found in gateway.pages(page):
        if metadata(found, "org") == org_id and found.status not in _ENDED:
            _change_prices(gateway, found, prices)
            return str(found.id)
    params = {
        "customer": customer,
        "items": [{"price": price} for price in prices],
        "collection_method": "send_invoice",
        "days_until_due": max(due_days, 0),
        "billing_cycle_anchor": int(anchor.timestamp()),
        "proration_behavior": "none",
        "metadata": {"org": org_id},
    }
    # The plan may be another one by the time it is asked for again.
    return str(gateway.call(subscriptions.create, params, key=f"subscription:{org_id}:{_digest(params)}").id)


def cancel_subscription(gateway: Stripe, subscription: str) -> None:
    """End it now; what it has used since its last invoice is on ours. One that is ended stays so."""
    subscriptions = gateway.client.v1.subscriptions
    if gateway.call(subscriptions.retrieve, subscription).status not in _ENDED:
        gateway.call(subscriptions.cancel, subscription, {"invoice_now": False, "prorate": False})


def hold_drafts(gateway: Stripe, subscription: str) -> int:
    """Keep every draft of a subscription from being sent by itself, which Stripe does after an hour; how many."""
    page = gateway.call(
        gateway.client.v1.invoices.list, {"subscription": subscription, "status": "draft", "limit": 100}
    )
    going = [found for found in gateway.pages(page) if found.status == "draft" and found.auto_advance]
    for found in going:
        hold_draft(gateway, str(found.id))
    return len(going)


def hold_draft(gateway: Stripe, invoice: str) -> None:
    """Keep a draft of Stripe's from being sent by itself."""
    gateway.call(gateway.client.v1.invoices.update, invoice, {"auto_advance": False})


def bill_subscription(
    gateway: Stripe, *, subscription: str, ours: str, number: str, cents: int, currency: str, end: datetime
) -> str | None:
    """Bring Stripe's draft of the period that ends at ``end`` onto our invoice, and send it; its id. None where there
    is no such draft: then the invoice is one of its own. Raises StripeRefused, too, where Stripe has sent it."""
    client = gateway.client.v1
    found = _find_draft(gateway, subscription, ours, end)
    if found is None:
        return None
    if found.status != "draft":
        return str(found.id)
    if metadata(found, "invoice") != ours:
        params = {"auto_advance": False, "description": number, "metadata": {"invoice": ours, "number": number}}
        found = gateway.call(client.invoices.update, found.id, params, key=f"claim:{ours}:{found.id}")
    # What is due is the total less the customer's credit with Stripe, which is theirs.
    if change := cents - int(found.total):
        item = {
            "customer": found.customer,
            "invoice": found.id,
            "amount": change,
            "currency": currency.lower(),
            "description": f"To {number}: proration, late usage, tax, discounts and credits",
        }
        # The amount is in the key: where the draft has changed in between, another one is due.
        gateway.call(client.invoice_items.create, item, key=f"level:{ours}:{int(found.total)}:{cents}")
    gateway.call(client.invoices.finalize_invoice, found.id, {}, key=f"finalize:{ours}")
    return str(found.id)


def settle_by_hand(gateway: Stripe, *, invoice: str, ours: str) -> None:
    """Tell Stripe that its open invoice was paid elsewhere: nobody is asked for it, nor can pay it, any more."""
    params = {"paid_out_of_band": True}
    gateway.call(gateway.client.v1.invoices.pay, invoice, params, key=f"paid:{ours}")


def write_off(gateway: Stripe, *, invoice: str, ours: str) -> None:
    """Tell Stripe that nobody will pay its open invoice."""
    gateway.call(gateway.client.v1.invoices.mark_uncollectible, invoice, {}, key=f"written-off:{ours}")


def credit_customer(gateway: Stripe, *, customer: str, ours: str, number: str, cents: int, currency: str) -> str:
    """Make what was paid twice the customer's credit with Stripe, which its next invoices take; the id of the entry.
    Once an invoice of ours, also when Stripe has forgotten the key."""
    transactions = gateway.client.v1.customers.balance_transactions
    for found in gateway.pages(gateway.call(transactions.list, customer, {"limit": 100})):
        if metadata(found, "paid_twice") == ours:
            return str(found.id)
    params = {
        "amount": -cents,
        "currency": currency.lower(),
        "description": f"{number} was paid twice",
        "metadata": {"paid_twice": ours},
    }
    return str(gateway.call(transactions.create, customer, params, key=f"paid-twice:{ours}").id)


def push_credit(gateway: Stripe, *, invoice: str, ours: str, number: str, cents: int) -> str:
    """Give back ``cents`` of a finalized invoice of Stripe's: what is not paid yet is owed no more, what is paid is the
    customer's credit with Stripe. Gives the id of Stripe's note, or ``NOTHING`` where Stripe's invoice has nothing left
    to give back (it is void there, or was paid by what earlier ones left over)."""
    notes = gateway.client.v1.credit_notes
    for found in gateway.pages(gateway.call(notes.list, {"invoice": invoice, "limit": 100})):
        if metadata(found, "note") == ours:
            return str(found.id)
    there = gateway.call(gateway.client.v1.invoices.retrieve, invoice)
    owed = 0 if there.status == "void" else max(int(there.amount_remaining), 0)
    amount = min(cents, owed + int(there.amount_paid))
    if amount <= 0:
        return NOTHING
    params: dict[str, Any] = {
        "invoice": invoice,
        "amount": amount,
        "memo": number,
        "metadata": {"note": ours, "number": number},
    }
    if amount > owed:
        params["credit_amount"] = amount - owed
    # So may what is paid of the invoice.
    return str(gateway.call(notes.create, params, key=f"credit:{ours}:{_digest(params)}").id)


def quote_tax(
    gateway: Stripe,
    *,
    cents: int,
    currency: str,
    buyer: Mapping[str, str],
    reference: str,
    is_inclusive: bool = False,
) -> TaxQuote:
    """What tax is due on so many cents that this buyer pays, or is in them. ``buyer`` has street, postcode, city,
    country, tax_id."""
    address = {
        "line1": buyer["street"],
        "postal_code": buyer["postcode"],
        "city": buyer["city"],
        "country": buyer["country"],
    }
    customer: dict[str, Any] = {
        "address": {name: value for name, value in address.items() if value},
        "address_source": "billing",
    }
    if buyer["tax_id"]:
        customer["tax_ids"] = [{"type": _tax_id_kind(buyer["country"]), "value": buyer["tax_id"]}]
    behavior = "inclusive" if is_inclusive else "exclusive"
    item = {"amount": abs(cents), "reference": reference, "tax_behavior": behavior, "tax_code": _TAX_CODE}
    params = {"currency": currency.lower(), "line_items": [item], "customer_details": customer}
    found = gateway.call(gateway.client.v1.tax.calculations.create, params)
    tax = int(found.tax_amount_inclusive if is_inclusive else found.tax_amount_exclusive)
    parts = found.to_dict().get("tax_breakdown") or []
    category, reason = _CATEGORIES.get(
        str(parts[0].get("taxability_reason")) if parts else "", (TaxCategory.OUTSIDE, "Not subject to tax")
    )
    if tax:
        category, reason = TaxCategory.STANDARD, ""
    shares = (Decimal(str((part.get("tax_rate_details") or {}).get("percentage_decimal") or 0)) for part in parts)
    rate = int((sum(shares, Decimal(0)) * 100).quantize(Decimal(1), ROUND_HALF_EVEN)) if tax else 0
    return TaxQuote(str(found.id), -tax if cents < 0 else tax, rate, category, reason)


def record_tax(gateway: Stripe, *, quote: str, number: str, is_again: bool = False) -> str:
    """Have Stripe keep the tax of an issued invoice for the returns; once a number. Gives its id there; ``RECORDED``
    where it was asked before (``is_again``), gave no answer, and has it: Stripe finds nothing by a number."""
    create = gateway.client.v1.tax.transactions.create_from_calculation
    return _keep_once(gateway, create, {"calculation": quote, "reference": number}, number, is_again=is_again)


def reverse_tax(gateway: Stripe, *, transaction: str, number: str, cents: int, is_again: bool = False) -> str:
    """Take so many cents, tax included, out of what Stripe keeps of an invoice; once a note's number. As above."""
    params = {
        "mode": "partial",
        "original_transaction": transaction,
        "reference": number,
        "flat_amount": -cents,
    }
    return _keep_once(gateway, gateway.client.v1.tax.transactions.create_reversal, params, number, is_again=is_again)


def _keep_once(gateway: Stripe, create: Any, params: dict[str, Any], number: str, *, is_again: bool) -> str:
    try:
        return str(gateway.call(create, params, key=f"tax:{number}").id)
    except StripeRefused as error:
        # No two of its transactions have one reference. Whoever asks for the first time has met somebody else's.
        if is_again and (error.param == "reference" or "reference" in error.message.lower()):
            return RECORDED
        raise


def _digest(params: Mapping[str, Any]) -> str:
    """What tells one request from another in a key: Stripe refuses a key that comes with other parameters, for a day.
    Only where what may be there already is looked for first."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:16]


def _change_prices(gateway: Stripe, subscription: Any, prices: Sequence[str]) -> None:
    there = {item.price.id: item.id for item in subscription["items"].data}
    items: list[dict[str, Any]] = [{"price": price} for price in prices if price not in there]
    items += [{"id": item, "deleted": True} for price, item in there.items() if price not in prices]
    if items:
        params = {"items": items, "proration_behavior": "none"}
        gateway.call(gateway.client.v1.subscriptions.update, subscription.id, params)


def _find_draft(gateway: Stripe, subscription: str, ours: str, end: datetime) -> Any:
    """The one that we have claimed before, else the draft whose period ends about there. Raises StripeRefused for one
    that was sent as it was."""
    page = gateway.call(gateway.client.v1.invoices.list, {"subscription": subscription, "limit": 100})
    rows = list(gateway.pages(page))
    for found in rows:
        if metadata(found, "invoice") == ours:
            return found
    for found in rows:
        ends = datetime.fromtimestamp(int(found.period_end), UTC)
        if metadata(found, "invoice") or subscription_of(found) != subscription or abs(ends - end) > _APART:
            continue
        if found.status == "void":
            # Stripe keeps it: whoever has voided it has done what is asked below.
            continue
        if found.status != "draft":
            raise StripeRefused(f"Stripe has sent its own invoice {found.id} of this month: void it there first.")
        return found
    return None


def _tax_id_kind(country: str) -> str:
    kinds = {"GB": "gb_vat", "CH": "ch_vat", "NO": "no_vat", "US": "us_ein"}
    if country not in kinds and len(country) != 2:
        raise StripeRefused("Stripe Tax wants a country of two letters.")
    return kinds.get(country, "eu_vat")
