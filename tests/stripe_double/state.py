"""What the double knows, and how it answers: form-encoded requests in, JSON out, as the API reference has it."""

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.stripe_double.billing import BillingDouble
from tests.stripe_double.parameters import find_fault

ACCOUNT_KEY = "sk_test_costhub"
WEBHOOK_SECRET = "whsec_costhub"
_DAY = 86_400
_HOUR = 3_600
_OLDEST = timedelta(days=35).total_seconds()

Json = dict[str, Any]
Answer = tuple[int, Json]


class Replayed(Json):
    """An answer that was given before, under the same key."""

    @property
    def headers(self) -> dict[str, str]:
        """By which Stripe says so."""
        return {"Idempotent-Replayed": "true"}


def headers_of(answer: Json) -> dict[str, str]:
    """The headers that tell of an answer."""
    return answer.headers if isinstance(answer, Replayed) else {}


class Lost(Exception):
    """The answer never came; whether anything happened is for the double to know."""


def sign(body: bytes, at: float, secret: str = WEBHOOK_SECRET) -> str:
    """The header of a webhook."""
    signature = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={int(at)},v1={signature}"


@dataclass
class StripeDouble:
    """One account in test mode. ``now`` gives seconds since the epoch. It takes what Stripe takes, and nothing else.

    ``troubles`` are what the next calls have, one each: ``"500"`` (it failed), ``"500 after"`` (it happened, and the
    answer says that it failed), ``"lost"`` (it happened, and no answer came), ``"never"`` (it did not even arrive),
    ``"429"``, ``"402"``; an empty one is none. What had begun to be done is a key's result for a day, 402 and 500 too.
    ``is_down`` loses everything before it arrives. ``slow_payments`` are the states in which the next payments that are
    confirmed stay: ``"processing"``, ``"requires_action"``.
    """

    now: Callable[[], float]
    customers: dict[str, Json] = field(default_factory=dict)
    #: cards by customer, the newest first: each customer has entered one, and has it charged for invoices
    cards: dict[str, list[Json]] = field(default_factory=dict)
    meters: dict[str, Json] = field(default_factory=dict)
    invoices: dict[str, Json] = field(default_factory=dict)
    sessions: dict[str, Json] = field(default_factory=dict)
    #: entries of customers' credit, below zero what is theirs
    balances: dict[str, Json] = field(default_factory=dict)
    intents: dict[str, Json] = field(default_factory=dict)
    charges: dict[str, Json] = field(default_factory=dict)
    refunds: dict[str, Json] = field(default_factory=dict)
    disputes: dict[str, Json] = field(default_factory=dict)
    #: which payment paid which invoice
    invoice_payments: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    #: (meter's event name, customer, hour) -> sum
    usage: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    identifiers: dict[str, float] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    is_down: bool = False
    slow_payments: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    _answers: dict[str, tuple[str, float, Answer]] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: count(1))
    # As at Stripe, no two accounts ever see the same id; a database may remember those of the test before.
    _run: str = field(default_factory=lambda: token_hex(4))

    def __post_init__(self) -> None:
        self.billing = BillingDouble(self._id, self._usage_of, self.invoices)

    def add_meter(self, event_name: str) -> Json:
        """A meter that sums."""
        meter = {"id": self._id("mtr"), "object": "billing.meter", "event_name": event_name, "status": "active"}
        self.meters[meter["id"]] = meter
        return meter

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """Answer one request. Raises Lost."""
        trouble = self.troubles.pop(0) if self.troubles else ""
        path = urlsplit(url).path
        self.calls.append((method.upper(), path))
        if self.is_down or trouble == "never":
            raise Lost
        if trouble == "429":
            return self._error(429, "api_error", "Too many requests.")
        given = {name.lower(): value for name, value in headers.items()}
        if given.get("authorization") != f"Bearer {ACCOUNT_KEY}":
            return self._error(401, "invalid_request_error", "Invalid API Key provided.")
        if fault := find_fault(method.upper(), _parts_of(path), _given(method.upper(), url, body)):
            # Of what it does not understand nothing is done, or kept under a key.
            status, refused = self._error(400 if fault.code else 404, "invalid_request_error", fault.message)
            refused["error"] |= {"code": fault.code, "param": fault.param} if fault.code else {}
            return status, refused
        answer = self._idempotent(method.upper(), path, url, given.get("idempotency-key"), body, trouble)
        if trouble == "lost":
            raise Lost
        return answer

    def make_event(self, kind: str, found: Json) -> bytes:
        """A webhook's body about an object as it is now."""
        event = {
            "id": self._id("evt"),
            "object": "event",
            "type": kind,
            "created": int(self.now()),
            "livemode": False,
            "api_version": "2026-10-28.endive",
            "data": {"object": dict(found)},
        }
        self.events.append(event)
        return json.dumps(event).encode()

    def pay(self, invoice_id: str) -> Json:
        """A customer pays an invoice."""
        invoice = self.invoices[invoice_id]
        intent = self._take(invoice["customer"], invoice["amount_remaining"], "usd", {})
        paid = {
            "invoice": invoice_id,
            "status": "paid",
            "customer": invoice["customer"],
            "payment_intent": intent["id"],
        }
        self._keep(self.invoice_payments, "inpay", "invoice_payment", paid)
        return self._close(invoice_id)

    def void(self, invoice_id: str) -> Json:
        """Somebody of ours voids an open invoice there."""
        invoice = self.invoices[invoice_id]
        invoice["status"] = "void"
        return invoice

    def pay_session(self, session_id: str) -> Json:
        """A customer pays at a page."""
        session = self.sessions[session_id]
        intent = self._take(session["customer"], session["amount_total"], session["currency"], {})
        if session.get("payment_intent_data", {}).get("setup_future_usage") == "off_session":
            self.cards[session["customer"]].insert(0, {"id": self._id("pm"), "object": "payment_method"})
        session |= {"payment_status": "paid", "status": "complete", "payment_intent": intent["id"]}
        return session

    def add_card(self, customer: str) -> str:
        """A customer enters another card, and chooses it; its id."""
        card = {"id": self._id("pm"), "object": "payment_method"}
        self.cards[customer].insert(0, card)
        self.customers[customer]["invoice_settings"] = {"default_payment_method": card["id"]}
        return str(card["id"])

    def forget_cards(self, customer: str) -> None:
        """A customer takes its cards back."""
        self.cards[customer] = []
        self.customers[customer]["invoice_settings"] = {"default_payment_method": None}

    def refund(self, charge_id: str, cents: int) -> Json:
        """Somebody gives back so much of a charge."""
        self.charges[charge_id]["amount_refunded"] += cents
        self._keep(self.refunds, "re", "refund", {"charge": charge_id, "amount": cents, "status": "succeeded"})
        return self.charges[charge_id]

    def dispute(self, charge_id: str) -> Json:
        """A customer has its bank take a charge back."""
        amount = self.charges[charge_id]["amount_captured"]
        made = self._keep(
            self.disputes, "dp", "dispute", {"charge": charge_id, "amount": amount, "status": "needs_response"}
        )
        return self.disputes[made["id"]]

    def _take(self, customer: str, cents: int, currency: str, more: Json) -> Json:
        """A payment that came through."""
        values = {"customer": customer, "amount": cents, "currency": currency}
        made = self._keep(self.intents, "pi", "payment_intent", {**more, **values})
        return self._charge(self.intents[made["id"]])

    def _confirm(self, intent: Json, params: Json) -> Answer:
        """A payment that was made is taken, once."""
        if intent["status"] != "requires_payment_method":
            return self._error(400, "invalid_request_error", f"This PaymentIntent is {intent['status']} already.")
        if params.get("payment_method") not in {card["id"] for card in self.cards[intent["customer"]]}:
            return self._error(400, "invalid_request_error", "This PaymentIntent is missing a payment method.")
        if params.get("off_session") != "true" and "return_url" not in params:
            return self._error(400, "invalid_request_error", "A return_url must be given where somebody is present.")
        intent |= params
        if self.slow_payments:
            intent["status"] = self.slow_payments.pop(0)
            return 200, dict(intent)
        return 200, self._charge(intent)

    def _cancel(self, intent: Json) -> Answer:
        if intent["status"] in {"succeeded", "processing", "canceled"}:
            return self._error(400, "invalid_request_error", f"This PaymentIntent is {intent['status']} already.")
        intent["status"] = "canceled"
        return 200, dict(intent)

    def settle_payment(self, intent_id: str, error: str = "") -> Json:
        """A payment that took its time is done; or with an error it was not."""
        intent = self.intents[intent_id]
        if not error:
            return self._charge(intent)
        tried = {"customer": intent["customer"], "payment_intent": intent_id, "amount_captured": 0}
        charge = self._keep(self.charges, "ch", "charge", tried | {"amount_refunded": 0, "status": "failed"})
        # The means that did not do are the payment's no more: the error says which they were.
        means = {"id": intent.get("payment_method"), "object": "payment_method"}
        intent |= {"status": "requires_payment_method", "latest_charge": charge["id"], "payment_method": None}
        intent["last_payment_error"] = {"type": "card_error", "message": error, "payment_method": means}
        return intent

    def _change(self, intent: Json, params: Json) -> Answer:
        """Another amount of a payment that nobody was charged for, and what else it is to remember."""
        if intent["status"] != "requires_payment_method":
            return self._error(400, "invalid_request_error", f"This PaymentIntent is {intent['status']} already.")
        intent["amount"] = int(params["amount"])
        remembered = intent["metadata"] | params.get("metadata", {})
        intent["metadata"] = {name: value for name, value in remembered.items() if value}
        return 200, dict(intent)

    def _charge(self, intent: Json) -> Json:
        intent |= {"amount_received": intent["amount"], "status": "succeeded", "last_payment_error": None}
        charge = {"customer": intent["customer"], "payment_intent": intent["id"], "amount_refunded": 0}
        made = self._keep(self.charges, "ch", "charge", charge | {"amount_captured": intent["amount"]})
        intent["latest_charge"] = made["id"]
        return dict(intent)

    def _close(self, invoice_id: str) -> Json:
        invoice = self.invoices[invoice_id]
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"], "amount_remaining": 0}
        return invoice

    def _idempotent(self, method: str, path: str, url: str, key: str | None, body: str, trouble: str) -> Answer:
        if method != "POST" or key is None:
            return self._try(method, path, url, body, trouble)
        known = self._answers.get(key)
        if known and self.now() - known[1] < _DAY:
            if known[0] != f"{path}?{body}":
                return self._error(400, "idempotency_error", "Keys for idempotent requests can only be used once.")
            return known[2][0], Replayed(known[2][1])
        answer = self._try(method, path, url, body, trouble)
        self._answers[key] = f"{path}?{body}", self.now(), answer
        return answer

    def _try(self, method: str, path: str, url: str, body: str, trouble: str) -> Answer:
        """It is done, or fails on the way."""
        if trouble == "402":
            return self._decline(path, _read(body))
        failed = self._error(500, "api_error", "An error happened on our side.")
        if trouble == "500":
            return failed
        answer = self._route(method, path, url, body)
        return failed if trouble == "500 after" else answer

    def _decline(self, path: str, params: Json) -> Answer:
        status, answer = self._error(402, "card_error", "Your card was declined.")
        parts = path.removeprefix("/v1/").split("/")
        if parts[0] == "payment_intents" and parts[-1] == "confirm":
            self.intents[parts[1]] |= params
            answer["error"]["payment_intent"] = dict(self.settle_payment(parts[1], answer["error"]["message"]))
        return status, answer

    def _route(self, method: str, path: str, url: str, body: str) -> Answer:
        params, parts = _given(method, url, body), _parts_of(path)
        if (answer := self.billing.answer(method, parts, params)) is not None:
            status, row = answer
            if isinstance(row, list):
                return status, _list(path, row)
            return (status, dict(row)) if status < 400 else self._error(status, "invalid_request_error", row["message"])
        match (method, *parts):
            case ("POST", "customers"):
                return 200, self._add_customer(params)
            case ("GET", "customers"):
                since = int(params["created"]["gte"])
                return 200, _list(path, [dict(row) for row in self.customers.values() if row["created"] >= since])
            case ("POST", "customers", customer):
                self.customers[customer] |= params
                return self._show(self.customers, customer)
            case ("GET", "customers", "search"):
                # Its index is a minute behind: a new one is not found at once.
                wanted = params["query"].removeprefix("metadata['org']:'").removesuffix("'")
                rows = [
                    dict(row)
                    for row in self.customers.values()
                    if row["metadata"].get("org") == wanted and self.now() - row["created"] >= 60
                ]
                return 200, _list(path, rows) | {"object": "search_result"}
            case ("POST", "billing", "meters"):
                if params["event_name"] in {meter["event_name"] for meter in self.meters.values()}:
                    return self._error(400, "invalid_request_error", "An active meter has this event name already.")
                return 200, self._keep(self.meters, "mtr", "billing.meter", params | {"status": "active"})
            case ("POST", "billing", "meter_events"):
                return self._take_usage(params)
            case ("GET", "billing", "meters"):
                return 200, _list(path, list(self.meters.values()))
            case ("GET", "billing", "meters", meter_id, "event_summaries"):
                return self._summarize(path, meter_id, params)
            case ("POST", "invoices"):
                return 200, self._keep(
                    self.invoices,
                    "in",
                    "invoice",
                    params | {"status": "draft", "total": 0, "amount_due": 0, "amount_paid": 0, "amount_remaining": 0},
                )
            case ("GET", "invoices"):
                return self._list_of(path, self.invoices, params)
            case ("GET", "charges", charge_id):
                return self._show(self.charges, charge_id)
            case ("GET", "refunds", refund_id):
                return self._show(self.refunds, refund_id)
            case ("GET", "disputes", dispute_id):
                return self._show(self.disputes, dispute_id)
            case ("GET", "disputes"):
                return self._list_of(path, self.disputes, params)
            case ("GET", "checkout", "sessions"):
                return self._list_of(path, self.sessions, params)
            case ("GET", "invoice_payments"):
                return self._list_of(path, self.invoice_payments, params["payment"])
            case ("GET", "payment_intents"):
                return self._list_of(path, self.intents, params)
            case ("POST", "invoiceitems"):
                return self._add_item(params)
            case ("POST", "invoices", invoice_id, "finalize"):
                return self._finalize(invoice_id)
            case ("POST", "invoices", invoice_id, "pay" | "mark_uncollectible" as what):
                return self._settle(invoice_id, what, params)
            case ("GET", "customers", customer, "payment_methods"):
                return 200, _list(path, self.cards[customer])
            case ("GET", "customers", customer):
                return self._show(self.customers, customer)
            case ("GET", "customers", customer, "balance_transactions"):
                return 200, _list(path, [dict(row) for row in self.balances.values() if row["customer"] == customer])
            case ("POST", "customers", customer, "balance_transactions"):
                more = {"customer": customer, "amount": int(params["amount"])}
                return 200, self._keep(self.balances, "cbtxn", "customer_balance_transaction", params | more)
            case ("GET", "invoices", invoice_id):
                return self._show_invoice(invoice_id, params)
            case ("POST", "checkout", "sessions"):
                return 200, self._open_session(params)
            case ("GET", "checkout", "sessions", session_id):
                return self._show(self.sessions, session_id)
            case ("POST", "billing_portal", "sessions"):
                found = {"id": self._id("bps"), "object": "billing_portal.session", **params}
                return 200, found | {"url": f"https://billing.stripe.example/{found['id']}"}
            case ("POST", "payment_intents"):
                more = {"amount": int(params["amount"]), "amount_received": 0, "status": "requires_payment_method"}
                return 200, self._keep(self.intents, "pi", "payment_intent", params | more)
            case ("POST", "payment_intents", intent_id):
                return self._change(self.intents[intent_id], params)
            case ("POST", "payment_intents", intent_id, "cancel"):
                return self._cancel(self.intents[intent_id])
            case ("POST", "payment_intents", intent_id, "confirm"):
                return self._confirm(self.intents[intent_id], params)
            case ("GET", "payment_intents", intent_id):
                return self._show(self.intents, intent_id)
        return self._error(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")

    def _take_usage(self, params: Json) -> Answer:
        identifier, at = params["identifier"], int(params["timestamp"])
        if self.now() - self.identifiers.get(identifier, -_DAY) < _DAY:
            return self._error(400, "invalid_request_error", f"An event already exists with identifier {identifier}.")
        if at < self.now() - _OLDEST or at > self.now() + 300:
            return self._error(400, "invalid_request_error", "The timestamp is not within the last 35 calendar days.")
        if params["event_name"] not in {meter["event_name"] for meter in self.meters.values()}:
            return self._error(400, "invalid_request_error", "No active meter found.")
        payload = params["payload"]
        if payload["stripe_customer_id"] not in self.customers:
            return self._error(400, "invalid_request_error", "No such customer.")
        self.identifiers[identifier] = self.now()
        self.usage[params["event_name"], payload["stripe_customer_id"], at - at % _HOUR] += int(payload["value"])
        return 200, {"object": "billing.meter_event", "livemode": False, "created": int(self.now()), **params}

    def _summarize(self, path: str, meter_id: str, params: Json) -> Answer:
        if meter_id not in self.meters:
            return self._error(404, "invalid_request_error", "No such meter.")
        name, start, end = self.meters[meter_id]["event_name"], int(params["start_time"]), int(params["end_time"])
        rows = [
            {
                "id": f"mtrusg_{hour}",
                "object": "billing.meter_event_summary",
                "aggregated_value": value,
                "start_time": hour,
                "end_time": hour + _HOUR,
                "meter": meter_id,
                "livemode": False,
            }
            for (event_name, customer, hour), value in sorted(self.usage.items(), reverse=True)
            if (event_name, customer) == (name, params["customer"]) and start <= hour < end
        ]
        after = params.get("starting_after")
        place = next((n for n, row in enumerate(rows, 1) if row["id"] == after), 0)
        limit = int(params.get("limit", 10))
        return 200, _list(path, rows[place : place + limit], has_more=len(rows) > place + limit)

    def _add_item(self, params: Json) -> Answer:
        invoice = self.invoices.get(params["invoice"])
        if invoice is None or invoice["status"] != "draft":
            return self._error(400, "invalid_request_error", "This invoice is no longer editable.")
        invoice["total"] += int(params["amount"])
        invoice["amount_due"] += int(params["amount"])
        invoice["amount_remaining"] = invoice["amount_due"]
        return 200, {"id": self._id("ii"), "object": "invoiceitem", **params}

    def _finalize(self, invoice_id: str) -> Answer:
        invoice = self.invoices.get(invoice_id)
        if invoice is None:
            return self._error(404, "invalid_request_error", "No such invoice.")
        if invoice["status"] != "draft":
            return self._error(400, "invalid_request_error", "This invoice is already finalized.")
        invoice["status"] = "open"
        mine = [row for row in self.balances.values() if row["customer"] == invoice["customer"]]
        credit = min(-sum(row["amount"] for row in mine), invoice["amount_due"])
        if credit > 0:
            applied = {"customer": invoice["customer"], "amount": credit, "type": "applied_to_invoice"}
            self._keep(self.balances, "cbtxn", "customer_balance_transaction", applied)
            invoice["amount_due"] -= credit
            invoice["amount_remaining"] = invoice["amount_due"]
        return 200, dict(invoice)

    def _show_invoice(self, invoice_id: str, params: Json) -> Answer:
        """What was paid elsewhere is told to who asks for it alone."""
        status, row = self._show(self.invoices, invoice_id)
        if "amount_paid_off_stripe" not in params.get("expand", {}).values():
            row.pop("amount_paid_off_stripe", None)
        return status, row

    def _settle(self, invoice_id: str, what: str, params: Json) -> Answer:
        invoice = self.invoices[invoice_id]
        if invoice["status"] not in ({"open"} if what == "mark_uncollectible" else {"open", "uncollectible"}):
            return self._error(400, "invalid_request_error", f"This invoice is {invoice['status']}.")
        if what == "mark_uncollectible":
            invoice["status"] = "uncollectible"
        elif params.get("paid_out_of_band") == "true":
            invoice["amount_paid_off_stripe"] = invoice["amount_remaining"]
            self._close(invoice_id)
        else:
            return self._error(402, "card_error", "This customer has no means of payment.")
        return self._show_invoice(invoice_id, params)

    def _add_customer(self, params: Json) -> Json:
        customer = self._keep(self.customers, "cus", "customer", params)
        self.cards[customer["id"]] = [{"id": self._id("pm"), "object": "payment_method"}]
        self.customers[customer["id"]]["invoice_settings"] = {
            "default_payment_method": self.cards[customer["id"]][0]["id"]
        }
        return customer

    def _open_session(self, params: Json) -> Json:
        items = params["line_items"].values()
        amount = sum(int(item["price_data"]["unit_amount"]) * int(item["quantity"]) for item in items)
        (currency,) = {item["price_data"]["currency"] for item in items}
        more = {"payment_status": "unpaid", "status": "open", "amount_total": amount}
        more |= {"currency": currency, "url": "https://checkout.stripe.example/pay"}
        return self._keep(self.sessions, "cs_test", "checkout.session", params | more)

    def _keep(self, rows: dict[str, Json], prefix: str, kind: str, values: Json) -> Json:
        row = {"metadata": {}, **values, "id": self._id(prefix), "object": kind, "livemode": False}
        row["created"] = int(self.now())
        rows[row["id"]] = row
        return dict(row)

    def _usage_of(self, meter: str, customer: str, start: int, end: int) -> int:
        name = self.meters[meter]["event_name"]
        return sum(
            value
            for (event_name, who, hour), value in self.usage.items()
            if (event_name, who) == (name, customer) and start <= hour < end
        )

    def _list_of(self, path: str, rows: dict[str, Json], params: Json) -> Answer:
        """Those of a customer, a subscription, a charge or a payment, the newest first."""
        found = [dict(row) for row in reversed(rows.values()) if _is_of(row, params)]
        after = params.get("starting_after")
        place = next((n for n, row in enumerate(found, 1) if row["id"] == after), 0)
        limit = int(params.get("limit", 10))
        return 200, _list(path, found[place : place + limit], has_more=len(found) > place + limit)

    def _show(self, rows: dict[str, Json], row_id: str) -> Answer:
        if row_id not in rows:
            return self._error(404, "invalid_request_error", f"No such object: {row_id}.")
        return 200, dict(rows[row_id])

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._run}{next(self._ids):04d}"

    @staticmethod
    def _error(status: int, kind: str, message: str) -> Answer:
        return status, {"error": {"type": kind, "message": message}}


def _is_of(row: Json, params: Json) -> bool:
    if "subscription" in params:
        details = (row.get("parent") or {}).get("subscription_details") or {}
        return bool(details.get("subscription") == params["subscription"])
    (name,) = params.keys() & {"customer", "charge", "payment_intent"}
    return bool(row.get(name) == params[name])


def _parts_of(path: str) -> list[str]:
    return path.removeprefix("/v1/").split("/")


def _given(method: str, url: str, body: str) -> Json:
    return _read(body if method == "POST" else urlsplit(url).query)


def _list(path: str, rows: list[Json], *, has_more: bool = False) -> Json:
    return {"object": "list", "url": path, "has_more": has_more, "data": rows}


def _read(encoded: str) -> Json:
    """Stripe's form encoding: ``payload[value]=1`` is an object."""
    found: Json = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        place = found
        first, *rest = name.replace("]", "").split("[")
        for part in rest:
            place = place.setdefault(first, {})
            first = part
        place[first] = value
    return found
