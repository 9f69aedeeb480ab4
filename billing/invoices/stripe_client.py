"""Stripe: the only module that imports its library. Calls go out through the gate, with an idempotency key each, and
what comes back are our own values.

Stripe collects and CostHub decides: an invoice is ours, and Stripe is told its total. What Stripe says of a payment is
always asked for again, never taken from a webhook.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import local
from typing import Any, Final

import stripe
from django.conf import settings

from billing.invoices.core.sales import REMEMBERED, Sale, read_sale, show_sale
from billing.invoices.core.terms import show_share
from costhub.lib import clock
from costhub.lib.errors import AppError
from costhub.lib.net import Gate, gate_from_settings

#: the library's own pin, said aloud: a newer library is read before it is used
API_VERSION: Final = "2026-10-28.endive"
SIGNATURE_HEADER: Final = "Stripe-Signature"
#: how far a signature's moment may be from ours, either way
TOLERANCE_SECONDS: Final = 300
#: so long an answer is waited for
TIMEOUT_SECONDS: Final = 20.0
_NO_ANSWER: Final = "Stripe gave no answer that can be used: it is asked again."
#: so long after a card was declined it is not charged again, and each time twice as long, up to the longest: fourteen
#: times within thirty days, as networks of cards charge for more than fifteen, and banks take it ill
DECLINED_FOR: Final = timedelta(hours=1)
LONGEST_DECLINED: Final = timedelta(days=4)
#: a customer that is older is found by Stripe's search, whose index is a minute behind, or more on a bad day
_SEARCHED_AFTER: Final = timedelta(hours=2)
#: states of a payment that was taken, or is being
_TAKEN: Final = frozenset({"succeeded", "processing"})
#: those in which nothing comes of it by itself any more
_OVER: Final = frozenset({"requires_payment_method", "canceled"})
_NOT_MADE: Final = "Stripe refused: The payment was not made."
#: those of one that nobody has been charged for yet; also of one that was declined, which has an error beside it
_UNCONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
#: states in which a dispute holds no money: inquiries, and what was decided for us
_FREE_DISPUTES: Final = frozenset(
    {"won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed"}
)


class StripeUnavailable(AppError):
    """Stripe did not answer, or asked to be tried again. What was asked for may have happened."""

    code = "stripe_unavailable"
    http_status = 503


class StripeSilent(StripeUnavailable):
    """No answer came at all: whoever else asks is given none either, and waits as long for it."""


class StripeRefused(AppError):
    """Stripe understood, and will not do it. ``param`` is what of the request it does not like, where it says so."""

    code = "stripe_refused"
    http_status = 409

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.param = param


class BadSignature(AppError):
    """A webhook that Stripe did not sign for us, now."""

    code = "bad_signature"
    http_status = 400


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """A webhook whose signature is good. ``object_id`` is what it tells of; ``customer`` may be empty."""

    id: str
    kind: str
    object_kind: str
    object_id: str
    customer: str


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice as Stripe has it now. ``ours`` is the id of our invoice; ``paid_cents`` are what came through
    Stripe, not what it was told of."""

    id: str
    status: str
    customer: str
    ours: str
    paid_cents: int
    subscription: str = ""


@dataclass(frozen=True, slots=True)
class StripePayment:
    """A checkout or payment as Stripe has it now. ``purpose``, ``org`` and ``sale`` are what we gave it to remember."""

    id: str
    is_paid: bool
    customer: str
    cents: int
    currency: str
    purpose: str
    org: str
    sale: Sale | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What of a payment is not ours any more: ``cents`` were given back, or are held in a dispute; ``given_cents`` of
    them for good. ``invoice`` is the one at Stripe that it had paid, if any; ``at`` is when it was paid."""

    payment: StripePayment
    cents: int
    given_cents: int
    is_disputed: bool
    invoice: str
    at: datetime


class GateTransport(stripe.HTTPClient):
    """The library's transport, through the gate: pinned addresses, no redirects, no proxies."""

    name = "costhub"

    def __init__(self, gate: Gate, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__()
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        #: what this thread keeps open
        self._own = local()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Until the block ends this thread's calls go over one connection."""
        with self._gate.keep_open() as line:
            self._own.line = line
            try:
                yield
            finally:
                del self._own.line

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One call. Raises APIConnectionError where no whole answer came."""
        content = post_data.encode() if isinstance(post_data, str) else post_data
        fetch_now = getattr(self._own, "line", self._gate).fetch_now
        try:
            answer = fetch_now(
                method.upper(), url, headers=dict(headers or {}), content=content, timeout_seconds=self._timeout_seconds
            )
        except AppError as error:
            raise stripe.APIConnectionError(error.message, should_retry=False) from error  # type: ignore[no-untyped-call]
        return answer.body.decode(), answer.status, answer.headers

    def close(self) -> None:
        """Nothing is kept open beyond ``kept_open``."""


class Stripe:
    """What CostHub asks of Stripe. Every method raises StripeUnavailable or StripeRefused."""

    def __init__(self, *, api_key: str, url: str, transport: stripe.HTTPClient) -> None:
        self.client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": url.rstrip("/"), "meter_events": url.rstrip("/")},
            http_client=transport,
            # Trying again is the outbox's: it knows what was asked for, and for how long that may be repeated.
            max_network_retries=0,
        )
        self._transport = transport
        # It tells of every call and every answer, and a month has many.
        logging.getLogger("stripe").setLevel(logging.WARNING)

    def kept_open(self) -> AbstractContextManager[None]:
        """For many calls after each other: until the block ends this thread's share a connection, where there is
        one."""
        return self._transport.kept_open() if isinstance(self._transport, GateTransport) else nullcontext()

    def ensure_customer(self, *, org_id: str, name: str, email: str) -> str:
        """The id of the organisation's customer, made if it is not there, under this name and address. Stripe's search
        knows of a new one after a while; of those the list of the newest ones does.

        It is made without either, and named then: were they part of what it is made by, whoever changes one of them
        after a lost answer would ask for something else under the same key, which Stripe refuses for a day, and under
        another key for a second customer.
        """
        customers = self.client.v1.customers
        page = self.call(customers.search, {"query": f"metadata['org']:'{org_id}'"})
        found = next(iter(self.pages(page)), None)
        if found is None:
            since = int((clock.now() - _SEARCHED_AFTER).timestamp())
            newest = self.pages(self.call(customers.list, {"created": {"gte": since}, "limit": 100}))
            found = next((each for each in newest if metadata(each, "org") == org_id), None)
        if found is None:
            # Not the key of versions that made and named it in one: that is another request to Stripe.
            found = self.call(customers.create, {"metadata": {"org": org_id}}, key=f"make-customer:{org_id}")
        self.call(customers.update, found.id, {"name": name} | ({"email": email} if email else {}))
        return str(found.id)

    def send_usage(self, *, identifier: str, meter: str, customer: str, value: int, at: datetime) -> None:
        """Add ``value`` to a meter at a moment. Repeated under the same identifier it happens once."""
        params = {
            "event_name": meter,
            "identifier": identifier,
            "timestamp": int(at.timestamp()),
            "payload": {"stripe_customer_id": customer, "value": str(value)},
        }
        try:
            self.call(self.client.v1.billing.meter_events.create, params, key=identifier)
        except StripeRefused as error:
            # It is there already.
            if "identifier" not in error.message or "already" not in error.message:
                raise

    def read_usage(self, *, meter: str, customer: str, start: datetime, end: datetime) -> dict[datetime, int]:
        """What a meter holds of a customer, by the hour; ``start`` and ``end`` are whole hours."""
        params = {
            "customer": customer,
            "start_time": int(start.timestamp()),
            "end_time": int(end.timestamp()),
            "value_grouping_window": "hour",
            "limit": 100,
        }
        found: dict[datetime, int] = {}
        page = self.call(self.client.v1.billing.meters.event_summaries.list, self.meter_id(meter), params)
        for summary in self.pages(page):
            found[datetime.fromtimestamp(summary.start_time, UTC)] = int(summary.aggregated_value)
        return found

    def push_invoice(self, *, customer: str, ours: str, number: str, cents: int, currency: str, due_days: int) -> str:
        """Have Stripe collect an invoice of ours: one item over its total, finalized. Gives Stripe's id. Repeated for
        the same invoice it is the same one, also when Stripe has forgotten the keys, after a day: it is looked for
        first, and only what it lacks is done.

        Raises StripeRefused, too, where a draft there is over another amount.
        """
        client = self.client.v1
        invoice = self.find_ours(client.invoices, customer, "invoice", ours) or self.call(
            client.invoices.create,
            {
                "customer": customer,
                "collection_method": "send_invoice",
                "days_until_due": max(due_days, 0),
                "auto_advance": False,
                "currency": currency.lower(),
                "description": number,
                "metadata": {"invoice": ours, "number": number},
            },
            key=f"invoice:{ours}",
        )
        if invoice.status == "draft":
            # Not what is due: of that the customer's credit is taken off.
            billed = int(invoice.total)
            if not billed:
                self.call(
                    client.invoice_items.create,
                    {
                        "customer": customer,
                        "invoice": invoice.id,
                        "amount": cents,
                        "currency": currency.lower(),
                        "description": number,
                    },
                    key=f"item:{ours}",
                )
            elif billed != cents:
                raise StripeRefused(
                    f"Stripe's draft of {number} is over {billed} cents, not {cents}: look at it first."
                )
            self.call(client.invoices.finalize_invoice, invoice.id, {}, key=f"finalize:{ours}")
        return str(invoice.id)

    def read_invoice(self, invoice_id: str) -> StripeInvoice:
        """An invoice as it is now."""
        # Told to who asks for it alone: without it what was paid by hand would look as if it had come through Stripe.
        found = self.call(self.client.v1.invoices.retrieve, invoice_id, {"expand": ["amount_paid_off_stripe"]})
        return StripeInvoice(
            id=str(found.id),
            status=str(found.status),
            customer=str(found.customer or ""),
            ours=metadata(found, "invoice"),
            paid_cents=max(int(found.amount_paid) - int(found.to_dict().get("amount_paid_off_stripe") or 0), 0),
            subscription=subscription_of(found),
        )

    def open_checkout(
        self,
        *,
        customer: str,
        org_id: str,
        cents: int,
        currency: str,
        back_to: str,
        key: str,
        sale: Sale | None = None,
    ) -> tuple[str, str]:
        """A page at which credits are paid for, of a ``sale`` with its tax: its session's id and address."""
        items = {"Prepaid credits": cents}
        if sale is not None and sale.tax_cents:
            items[f"Tax, {show_share(sale.tax.rate)} %"] = sale.tax_cents
        params = {
            "mode": "payment",
            "customer": customer,
            "success_url": back_to,
            "cancel_url": back_to,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": currency.lower(),
                        "unit_amount": amount,
                        "product_data": {"name": name},
                    },
                }
                for name, amount in items.items()
            ],
            "metadata": {"purpose": "credits", "org": org_id, **show_sale(sale)},
            # The card may be charged with nobody present from then on.
            "payment_intent_data": {"setup_future_usage": "off_session"},
        }
        session = self.call(self.client.v1.checkout.sessions.create, params, key=key)
        return str(session.id), str(session.url)

    def open_portal(self, *, customer: str, back_to: str) -> str:
        """The address of a page at which a customer keeps its means of payment."""
        params = {"customer": customer, "return_url": back_to}
        return str(self.call(self.client.v1.billing_portal.sessions.create, params).url)

    def charge(
        self, *, customer: str, org_id: str, cents: int, currency: str, key: str, sale: Sale | None = None
    ) -> StripePayment:
        """Take a payment for credits with nobody present, by the customer's default means: ``cents``, and of a ``sale``
        its tax. Repeated under the same key it is the same payment, also when Stripe has forgotten the key, after a
        day: one that was taken is looked for first. One that was declined stays so for an hour, and each time twice as
        long, or until there is another card; from then on there is another try, under a key of its own, as Stripe would
        give the first one's result for a day. Raises StripeRefused, where there are no means, too.

        A payment is made first, and then confirmed with the means of now: Stripe takes each payment once, whichever
        card it is asked to take it from. Were the card named when it is made, a lost answer and another card would be
        two payments, or one key for two requests, which Stripe refuses. One that is left from before is over what is
        wanted by now, unless it is being taken already.
        """
        payments = list(self._list_ours(self.client.v1.payment_intents, customer, "key", key))
        # One that was taken, or the newest.
        known = next((each for each in payments if each.status in _TAKEN), next(iter(payments), None))
        if known is not None and known.status in _TAKEN:
            return self._payment(known, int(known.amount_received))
        means = self._means_of(customer)
        before = ""
        if known is not None and _has_failed(known):
            tries = sum(_has_failed(each) and _means_tried(each) in {"", means} for each in payments)
            if _means_tried(known) in {"", means} and self._ended_at(known) > clock.now() - wait_after(tries):
                why = _error_of(known).get("message")
                raise StripeRefused(f"Stripe refused: {str(why)[:200]}" if why else _NOT_MADE)
            if known.status not in _OVER:
                # It waits for the customer: both could be taken, this one and the next.
                known = self._unless_taken(str(known.id), self.client.v1.payment_intents.cancel, {})
                if known.status in _TAKEN:
                    return self._payment(known, int(known.amount_received))
            before, known = str(known.id), None
        amount = sale.total_cents if sale is not None else cents
        params = {
            "amount": amount,
            "currency": currency.lower(),
            "customer": customer,
            "metadata": {"purpose": "credits", "org": org_id, "key": key, **show_sale(sale)},
        }
        # Not the key of versions that made and took a payment in one: for a day Stripe would refuse it. What is sold is
        # in it, as Stripe refuses a key that comes with something else.
        made_by = ":".join([f"make:{key}:{amount}:{before}", *show_sale(sale).values()])
        made = known or self.call(self.client.v1.payment_intents.create, params, key=made_by)
        if int(made.amount) != amount or _sale_of(made) != sale:
            # What is not named stays, and what is empty goes.
            wanted = {"amount": amount, "metadata": {**dict.fromkeys(REMEMBERED, ""), **show_sale(sale)}}
            made = self._unless_taken(str(made.id), self.client.v1.payment_intents.update, wanted)
        if made.status in _TAKEN:
            return self._payment(made, int(made.amount_received))
        return self._confirm(str(made.id), means)

    def _ended_at(self, payment: Any) -> datetime:
        """When a payment was declined: it may have been made long before; or, of one that was cancelled, when it was
        made."""
        charge = payment.to_dict().get("latest_charge")
        tried = self.call(self.client.v1.charges.retrieve, str(charge)) if charge else payment
        return datetime.fromtimestamp(int(tried.created), UTC)

    def _unless_taken(self, payment_id: str, change: Any, params: dict[str, Any]) -> Any:
        """Change a payment, and give it as it is then: as it was where it is taken meanwhile. Under no key: an amount
        that is asked for again after another one has to be set again. Raises StripeRefused."""
        try:
            return self.call(change, payment_id, params)
        except StripeRefused:
            found = self.call(self.client.v1.payment_intents.retrieve, payment_id)
            if found.status not in _TAKEN:
                raise
            return found

    def _confirm(self, payment_id: str, means: str) -> StripePayment:
        """Take a payment that was made. Raises StripeRefused where it is declined."""
        service = self.client.v1.payment_intents
        params = {"payment_method": means, "off_session": True}
        try:
            done = self.call(service.confirm, payment_id, params, key=f"confirm:{payment_id}:{means}")
        except StripeRefused:
            # Also of one that another request has taken meanwhile.
            done = self.call(service.retrieve, payment_id)
            if done.status not in _TAKEN:
                raise
        if done.status not in _TAKEN:
            # The customer is asked to consent, and is not there.
            raise StripeRefused(_NOT_MADE)
        return self._payment(done, int(done.amount_received))

    def _means_of(self, customer: str) -> str:
        """What a customer pays by: what it chose for invoices, or what it used last. Stripe takes neither by itself."""
        found = self.call(self.client.v1.customers.retrieve, customer)
        if chosen := getattr(found, "invoice_settings", None) and found.invoice_settings.default_payment_method:
            return str(chosen)
        kept = self.call(self.client.v1.customers.payment_methods.list, customer, {"limit": 1})
        for method in kept.data:
            return str(method.id)
        raise StripeRefused("The customer has no means of payment at Stripe.")

    def read_payment(self, payment_id: str) -> StripePayment:
        """A checkout session (``cs_``) or payment (``pi_``) as it is now."""
        if payment_id.startswith("cs_"):
            session = self.call(self.client.v1.checkout.sessions.retrieve, payment_id)
            return self._payment(session, int(session.amount_total or 0), is_paid=session.payment_status == "paid")
        intent = self.call(self.client.v1.payment_intents.retrieve, payment_id)
        return self._payment(intent, int(intent.amount_received))

    def read_taken_back(self, charge_id: str) -> TakenBack | None:
        """What Stripe says by now of the payment that a charge took; None for a charge that is no payment of today's
        kind."""
        client = self.client.v1
        charge = self.call(client.charges.retrieve, charge_id)
        if not charge.payment_intent:
            return None
        intent = str(charge.payment_intent)
        disputes = self.pages(self.call(client.disputes.list, {"charge": charge.id, "limit": 100}))
        of_disputes = [(int(each.amount), str(each.status)) for each in disputes]
        held = sum(amount for amount, status in of_disputes if status not in _FREE_DISPUTES)
        lost = sum(amount for amount, status in of_disputes if status == "lost")
        most = int(charge.amount_captured)
        sessions = self.pages(self.call(client.checkout.sessions.list, {"payment_intent": intent, "limit": 1}))
        session = next((str(found.id) for found in sessions), None)
        paid = {"payment": {"type": "payment_intent", "payment_intent": intent}, "limit": 1}
        invoices = self.pages(self.call(client.invoice_payments.list, paid))
        return TakenBack(
            payment=self.read_payment(session or intent),
            cents=min(int(charge.amount_refunded) + held, most),
            given_cents=min(int(charge.amount_refunded) + lost, most),
            is_disputed=held > 0,
            invoice=next((str(found.invoice) for found in invoices), ""),
            at=datetime.fromtimestamp(int(charge.created), UTC),
        )

    def find_payer(self, kind: str, object_id: str) -> str:
        """The customer whose payment a ``charge``, ``dispute`` or ``refund`` is about; empty where it is nobody's."""
        charge_id = self.find_charge(kind, object_id)
        return str(self.call(self.client.v1.charges.retrieve, charge_id).customer or "") if charge_id else ""

    def find_charge(self, kind: str, object_id: str) -> str:
        """The charge that a ``charge``, ``dispute`` or ``refund`` is, or is about; empty where there is none, as of a
        refund from a balance."""
        if kind not in {"dispute", "refund"}:
            return object_id
        service = self.client.v1.disputes if kind == "dispute" else self.client.v1.refunds
        return str(self.call(service.retrieve, object_id).charge or "")

    def _payment(self, found: Any, cents: int, is_paid: bool | None = None) -> StripePayment:
        return StripePayment(
            id=str(found.id),
            is_paid=found.status == "succeeded" if is_paid is None else is_paid,
            customer=str(found.customer or ""),
            cents=cents,
            currency=str(found.currency).upper(),
            purpose=metadata(found, "purpose"),
            org=metadata(found, "org"),
            sale=_sale_of(found),
        )

    def find_ours(self, service: Any, customer: str, name: str, value: str) -> Any:
        """What a customer has there with this in its metadata, the newest; None if there is nothing."""
        return next(self._list_ours(service, customer, name, value), None)

    def _list_ours(self, service: Any, customer: str, name: str, value: str) -> Iterator[Any]:
        """The same, all of it, the newest first."""
        page = self.call(service.list, {"customer": customer, "limit": 100})
        return (found for found in self.pages(page) if metadata(found, name) == value)

    def meter_id(self, event_name: str) -> str:
        """A meter's id by the name of its events. Raises StripeRefused where there is none."""
        if found := self.find_meter(event_name):
            return found
        raise StripeRefused(f"Stripe has no meter for the event {event_name}: `manage.py stripe_setup` makes ours.")

    def find_meter(self, event_name: str) -> str:
        """A meter's id by the name of its events; empty where there is none."""
        page = self.call(self.client.v1.billing.meters.list, {"status": "active", "limit": 100})
        return next((str(meter.id) for meter in self.pages(page) if meter.event_name == event_name), "")

    def pages(self, page: Any) -> Any:
        """Everything that a list has, page by page."""
        try:
            yield from page.auto_paging_iter()
        except stripe.StripeError as error:
            raise _translate(error) from error

    def call(self, function: Any, *arguments: Any, key: str | None = None) -> Any:
        """One call of the library's, under an idempotency key.

        Stripe gives a key's first result for a day, refusals and failures of its own too. Whoever is given one of those
        again asks anew under a key of this minute: each caller has looked before whether what it wants is there, or has
        it told apart by an identifier or a state.
        """
        try:
            return function(*arguments, **({"options": {"idempotency_key": key}} if key else {}))
        except stripe.StripeError as error:
            if key and _is_replayed(error):
                anew = f"{key.partition('@')[0]}@{int(clock.now().timestamp()) // 60}"
                if anew != key:
                    return self.call(function, *arguments, key=anew)
            raise _translate(error) from error


def stripe_from_settings(*, timeout_seconds: float = TIMEOUT_SECONDS) -> Stripe | None:
    """Stripe as the operator has set it up, or None: then everything is paid by hand. An answer that takes longer than
    ``timeout_seconds`` is none."""
    if not settings.STRIPE_API_KEY:
        return None
    transport = GateTransport(gate_from_settings(), timeout_seconds=timeout_seconds)
    return Stripe(api_key=settings.STRIPE_API_KEY, url=settings.STRIPE_API_URL, transport=transport)


def read_signed(body: bytes, signature: str | None, *, secret: str, now: datetime, is_live: bool) -> SignedEvent:
    """Read a webhook that Stripe signed.

    Beside what the library checks (no, wrong or old signatures, an empty secret) refused are moments in the future,
    which it lets pass; events of test mode in a live installation and the other way round; and those of other
    accounts. Raises BadSignature, with nothing of the body in it.
    """
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
        data = json.loads(body)
        if not isinstance(data, dict) or not isinstance(data.get("id"), str) or not isinstance(data.get("type"), str):
            raise ValueError("no event")
        signed_at = int(next(part[2:] for part in (signature or "").split(",") if part.strip().startswith("t=")))
    except (stripe.SignatureVerificationError, ValueError, TypeError, StopIteration) as error:
        # TypeError: the library compares no signature that is not ASCII.
        raise BadSignature("This webhook is not signed as Stripe signs.") from error
    if signed_at > now.timestamp() + TOLERANCE_SECONDS:
        raise BadSignature("This webhook is signed for a time to come.")
    if bool(data.get("livemode")) != is_live:
        raise BadSignature("This webhook is of the other mode, live or test, than this installation.")
    if data.get("account"):
        raise BadSignature("This webhook is of another account.")
    return _event_of(data)


def read_stored(body: bytes) -> SignedEvent:
    """An event that was verified when it came."""
    return _event_of(json.loads(body))


def _event_of(data: Mapping[str, Any]) -> SignedEvent:
    inside = data.get("data")
    found = inside.get("object") if isinstance(inside, dict) else None
    found = found if isinstance(found, dict) else {}
    customer = found.get("customer")
    return SignedEvent(
        id=str(data["id"])[:255],
        kind=str(data["type"])[:100],
        object_kind=str(found.get("object", "")),
        object_id=str(found.get("id", "")),
        customer=customer if isinstance(customer, str) else "",
    )


def _sale_of(found: Any) -> Sale | None:
    """What of ours a payment remembers: on those of others a name may stand for anything."""
    return read_sale(found.to_dict().get("metadata") or {}) if metadata(found, "purpose") == "credits" else None


def wait_after(tries: int) -> timedelta:
    """How long a card that was declined so often, once at least, is not charged again."""
    # No power of two that no duration can hold.
    return min(DECLINED_FOR * (1 << min(tries - 1, 16)), LONGEST_DECLINED)


def _error_of(payment: Any) -> Mapping[str, Any]:
    """Why a payment was declined the last time, if it was."""
    return payment.to_dict().get("last_payment_error") or {}


def _has_failed(payment: Any) -> bool:
    """Whether a payment that was not taken was tried, or cancelled."""
    return bool(_error_of(payment)) or payment.status not in _UNCONFIRMED


def _means_tried(payment: Any) -> str:
    """By which means a payment was tried, where Stripe says so: of one that was declined the error does."""
    tried = _error_of(payment).get("payment_method") or payment.to_dict().get("payment_method") or ""
    return str(tried["id"] if isinstance(tried, dict) else tried)


def subscription_of(found: Any) -> str:
    """The subscription that an invoice of Stripe's was made for, or nothing."""
    parent = found.to_dict().get("parent") or {}
    return str((parent.get("subscription_details") or {}).get("subscription") or "")


def metadata(found: Any, name: str) -> str:
    """What we gave an object to remember under a name, or nothing."""
    metadata = found.to_dict().get("metadata") or {}
    return str(metadata.get(name, ""))


def _is_replayed(error: stripe.StripeError) -> bool:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true"


def _translate(error: stripe.StripeError) -> AppError:
    status = error.http_status or 0
    if isinstance(error, stripe.APIConnectionError):
        return StripeSilent(_NO_ANSWER)
    if status >= 500 or status in {0, 409, 429}:
        return StripeUnavailable(_NO_ANSWER)
    param = str(getattr(error, "param", None) or "")
    return StripeRefused(f"Stripe refused: {(error.user_message or str(error))[:200]}", param)
