"""The double's subscriptions, prices, credit notes and tax: what is kept, and what Stripe would do with it."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Json = dict[str, Any]

#: per cents of VAT that the double knows; a business elsewhere in the EU owes the tax itself
VAT = {"DE": "19", "FR": "20", "NL": "21"}
HOME = "DE"


class BillingDouble:
    """The part of an account that bills. ``new_id`` makes ids, ``usage_of`` sums a meter over a period, ``invoices``
    are those of the account."""

    def __init__(
        self, new_id: Callable[[str], str], usage_of: Callable[[str, str, int, int], int], invoices: dict[str, Json]
    ) -> None:
        self._new_id, self._usage_of, self._invoices = new_id, usage_of, invoices
        self.prices: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.credit_notes: dict[str, Json] = {}
        self.calculations: dict[str, Json] = {}
        self.tax_transactions: dict[str, Json] = {}

    def answer(self, method: str, parts: list[str], params: Json) -> tuple[int, Json | list[Json]] | None:
        """A status with an object, a list of objects, or an error's message; None for what is not of this part."""
        match (method, *parts):
            case ("GET", "prices"):
                wanted = set((params.get("lookup_keys") or {}).values())
                return 200, [row for row in self.prices.values() if row["lookup_key"] in wanted]
            case ("POST", "prices"):
                return self._make_price(params)
            case ("GET", "subscriptions"):
                return 200, [row for row in self.subscriptions.values() if row["customer"] == params["customer"]]
            case ("POST", "subscriptions"):
                return 200, self._make_subscription(params)
            case ("GET", "subscriptions", which):
                return 200, self.subscriptions[which]
            case ("POST", "subscriptions", which):
                return 200, self._change_subscription(which, params)
            case ("DELETE", "subscriptions", which):
                self.subscriptions[which]["status"] = "canceled"
                return 200, self.subscriptions[which]
            case ("POST", "invoices", which):
                return self._change_invoice(which, params)
            case ("GET", "credit_notes"):
                return 200, [row for row in self.credit_notes.values() if row["invoice"] == params["invoice"]]
            case ("POST", "credit_notes"):
                return self._credit(params)
            case ("POST", "tax", "calculations"):
                return 200, self._calculate(params)
            case ("POST", "tax", "transactions", "create_from_calculation"):
                return self._record(params["reference"], params["calculation"], self.calculations)
            case ("POST", "tax", "transactions", "create_reversal"):
                return self._reverse(params)
        return None

    def end_period(self, subscription_id: str, start: int, end: int) -> Json:
        """The draft that a subscription makes when a period is over: a fee, and what its meter holds. (Stripe's fee is
        of the period that begins then; it is the same amount.)"""
        subscription = self.subscriptions[subscription_id]
        cents = Decimal(0)
        for item in subscription["items"]["data"]:
            price = self.prices[item["price"]["id"]]
            meter = price["recurring"].get("meter")
            units = self._usage_of(meter, subscription["customer"], start, end) if meter else 1
            cents += (units * Decimal(price["unit_amount_decimal"])).quantize(Decimal(1), ROUND_HALF_UP)
        row: Json = {
            "id": self._new_id("in"),
            "object": "invoice",
            "customer": subscription["customer"],
            "status": "draft",
            "auto_advance": True,
            "currency": "usd",
            "metadata": {},
            "livemode": False,
            "total": int(cents),
            "amount_due": int(cents),
            "amount_paid": 0,
            "amount_remaining": int(cents),
            "period_start": start,
            "period_end": end,
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": subscription_id}},
        }
        self._invoices[row["id"]] = row
        return row

    def _make_price(self, params: Json) -> tuple[int, Json]:
        if params["lookup_key"] in {row["lookup_key"] for row in self.prices.values()}:
            return 400, {"message": "A price already uses that lookup key."}
        row = {**params, "id": self._new_id("price"), "object": "price", "active": True}
        self.prices[row["id"]] = row
        return 200, row

    def _make_subscription(self, params: Json) -> Json:
        items = [self._item(item["price"]) for item in params["items"].values()]
        row = {
            **params,
            "id": self._new_id("sub"),
            "object": "subscription",
            "status": "active",
            "items": {"object": "list", "data": items},
        }
        self.subscriptions[row["id"]] = row
        return row

    def _change_subscription(self, which: str, params: Json) -> Json:
        row = self.subscriptions[which]
        items = row["items"]["data"]
        for change in params["items"].values():
            if change.get("deleted") == "true":
                items = [item for item in items if item["id"] != change["id"]]
            else:
                items = [*items, self._item(change["price"])]
        row["items"] = {"object": "list", "data": items}
        return row

    def _item(self, price: str) -> Json:
        return {"id": self._new_id("si"), "object": "subscription_item", "price": {"id": price, "object": "price"}}

    def _change_invoice(self, which: str, params: Json) -> tuple[int, Json]:
        row = self._invoices[which]
        if row["status"] != "draft":
            return 400, {"message": "Finalized invoices can't be updated in this way."}
        row["metadata"] = row["metadata"] | params.get("metadata", {})
        if "auto_advance" in params:
            row["auto_advance"] = params["auto_advance"] == "true"
        return 200, row

    def _credit(self, params: Json) -> tuple[int, Json]:
        invoice = self._invoices[params["invoice"]]
        amount, credit = int(params["amount"]), int(params.get("credit_amount", 0))
        if invoice["status"] not in {"open", "paid"}:
            return 400, {"message": "Credit notes are for open or paid invoices."}
        if amount - credit > invoice["amount_remaining"] or credit > invoice["amount_paid"]:
            return 400, {"message": "The amounts of a credit note must fit what is owed and what was paid."}
        invoice["amount_remaining"] -= amount - credit
        if not invoice["amount_remaining"]:
            invoice["status"] = "paid"
        row = {**params, "id": self._new_id("cn"), "object": "credit_note", "status": "issued"}
        self.credit_notes[row["id"]] = row
        return 200, row

    def _calculate(self, params: Json) -> Json:
        amount = sum(int(item["amount"]) for item in params["line_items"].values())
        details = params["customer_details"]
        country = details["address"]["country"]
        reason, share = "not_subject_to_tax", Decimal(0)
        if country in VAT:
            is_reverse = country != HOME and details.get("tax_ids")
            reason = "reverse_charge" if is_reverse else "standard_rated"
            share = Decimal(0) if is_reverse else Decimal(VAT[country])
        is_inclusive = any(item["tax_behavior"] == "inclusive" for item in params["line_items"].values())
        whole = 100 + share if is_inclusive else Decimal(100)
        tax = int((amount * share / whole).quantize(Decimal(1), ROUND_HALF_UP))
        row: Json = {
            "id": self._new_id("taxcalc"),
            "object": "tax.calculation",
            "amount_total": amount if is_inclusive else amount + tax,
            "tax_amount_exclusive": 0 if is_inclusive else tax,
            "tax_amount_inclusive": tax if is_inclusive else 0,
            "tax_breakdown": [
                {
                    "amount": tax,
                    "taxability_reason": reason,
                    "tax_rate_details": {"country": country, "percentage_decimal": str(share), "tax_type": "vat"},
                }
            ],
        }
        self.calculations[row["id"]] = row
        return row

    def _record(self, reference: str, which: str, rows: dict[str, Json]) -> tuple[int, Json]:
        if reference in {row["reference"] for row in self.tax_transactions.values()}:
            return 400, {"message": f"A transaction with the reference {reference} already exists."}
        if which not in rows:
            return 404, {"message": "No such object."}
        row: Json = {
            "id": self._new_id("tax"),
            "object": "tax.transaction",
            "reference": reference,
            "of": which,
            "total": rows[which]["amount_total"],
        }
        self.tax_transactions[row["id"]] = row
        return 200, row

    def _reverse(self, params: Json) -> tuple[int, Json]:
        rows = {key: {"amount_total": int(params["flat_amount"])} for key in self.tax_transactions}
        return self._record(params["reference"], params["original_transaction"], rows)
