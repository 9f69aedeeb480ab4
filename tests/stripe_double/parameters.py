"""What Stripe takes at which address: the parameters of its OpenAPI document, which its own library has as types.

One that is unknown or missing, and a value of another kind, is refused in Stripe's words, before anything is done or
kept under an idempotency key.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from stripe import params
from stripe._request_options import RequestOptions

Json = dict[str, Any]

#: method and path, with a star for an id
_TAKES: Final[Mapping[tuple[str, ...], type]] = {
    ("POST", "customers"): params.CustomerCreateParams,
    ("GET", "customers"): params.CustomerListParams,
    ("GET", "customers", "search"): params.CustomerSearchParams,
    ("GET", "customers", "*"): params.CustomerRetrieveParams,
    ("POST", "customers", "*"): params.CustomerUpdateParams,
    ("GET", "customers", "*", "payment_methods"): params.CustomerPaymentMethodListParams,
    ("GET", "customers", "*", "balance_transactions"): params.CustomerBalanceTransactionListParams,
    ("POST", "customers", "*", "balance_transactions"): params.CustomerBalanceTransactionCreateParams,
    ("POST", "billing", "meters"): params.billing.MeterCreateParams,
    ("GET", "billing", "meters"): params.billing.MeterListParams,
    ("GET", "billing", "meters", "*", "event_summaries"): params.billing.MeterEventSummaryListParams,
    ("POST", "billing", "meter_events"): params.billing.MeterEventCreateParams,
    ("POST", "invoices"): params.InvoiceCreateParams,
    ("GET", "invoices"): params.InvoiceListParams,
    ("GET", "invoices", "*"): params.InvoiceRetrieveParams,
    ("POST", "invoices", "*"): params.InvoiceUpdateParams,
    ("POST", "invoices", "*", "finalize"): params.InvoiceFinalizeInvoiceParams,
    ("POST", "invoices", "*", "pay"): params.InvoicePayParams,
    ("POST", "invoices", "*", "mark_uncollectible"): params.InvoiceMarkUncollectibleParams,
    ("POST", "invoiceitems"): params.InvoiceItemCreateParams,
    ("GET", "invoice_payments"): params.InvoicePaymentListParams,
    ("GET", "charges", "*"): params.ChargeRetrieveParams,
    ("GET", "refunds", "*"): params.RefundRetrieveParams,
    ("GET", "disputes"): params.DisputeListParams,
    ("GET", "disputes", "*"): params.DisputeRetrieveParams,
    ("POST", "checkout", "sessions"): params.checkout.SessionCreateParams,
    ("GET", "checkout", "sessions"): params.checkout.SessionListParams,
    ("GET", "checkout", "sessions", "*"): params.checkout.SessionRetrieveParams,
    ("POST", "billing_portal", "sessions"): params.billing_portal.SessionCreateParams,
    ("POST", "payment_intents"): params.PaymentIntentCreateParams,
    ("GET", "payment_intents"): params.PaymentIntentListParams,
    ("GET", "payment_intents", "*"): params.PaymentIntentRetrieveParams,
    ("POST", "payment_intents", "*"): params.PaymentIntentUpdateParams,
    ("POST", "payment_intents", "*", "cancel"): params.PaymentIntentCancelParams,
    ("POST", "payment_intents", "*", "confirm"): params.PaymentIntentConfirmParams,
    ("POST", "prices"): params.PriceCreateParams,
    ("GET", "prices"): params.PriceListParams,
    ("POST", "subscriptions"): params.SubscriptionCreateParams,
    ("GET", "subscriptions"): params.SubscriptionListParams,
    ("GET", "subscriptions", "*"): params.SubscriptionRetrieveParams,
    ("POST", "subscriptions", "*"): params.SubscriptionUpdateParams,
    ("DELETE", "subscriptions", "*"): params.SubscriptionCancelParams,
    ("POST", "credit_notes"): params.CreditNoteCreateParams,
    ("GET", "credit_notes"): params.CreditNoteListParams,
    ("POST", "tax", "calculations"): params.tax.CalculationCreateParams,
    ("POST", "tax", "transactions", "create_from_calculation"): params.tax.TransactionCreateFromCalculationParams,
    ("POST", "tax", "transactions", "create_reversal"): params.tax.TransactionCreateReversalParams,
}
#: keys and values of what an object is to remember
_LONGEST_KEY, _LONGEST_VALUE = 40, 500


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a request: as the members of Stripe's error are called."""

    code: str
    message: str
    param: str


def find_fault(method: str, parts: list[str], given: Json) -> Fault | None:
    """The first fault of a request. What is not in the table is not answered: nobody would know what it takes."""
    shape = _find_shape(method, parts)
    if shape is None:
        return Fault("", f"Unrecognized request URL ({method}: /v1/{'/'.join(parts)}).", "")
    return _check_object(shape, given, "")


def _find_shape(method: str, parts: list[str]) -> type | None:
    wanted = (method, *parts)
    if wanted in _TAKES:
        return _TAKES[wanted]
    found = (
        shape
        for path, shape in _TAKES.items()
        if len(path) == len(wanted) and all(a in ("*", b) for a, b in zip(path, wanted, strict=True))
    )
    return next(found, None)


@cache
def _read_shape(shape: Any) -> dict[str, Any]:
    # What its base says of a call's options is in another module's words, and no parameter.
    hints = get_type_hints(shape, localns={"Mapping": Mapping, "StripeContext": str})
    own = set() if "stripe_version" not in hints else set(RequestOptions.__annotations__)
    return {name: hint for name, hint in hints.items() if name not in own}


def _check_object(shape: Any, given: Json, name: str) -> Fault | None:
    hints = _read_shape(shape)
    for key, value in given.items():
        place = f"{name}[{key}]" if name else key
        if key not in hints:
            return Fault("parameter_unknown", f"Received unknown parameter: {place}", place)
        if fault := _check(hints[key], value, place):
            return fault
    for key in sorted(shape.__required_keys__ - given.keys()):
        place = f"{name}[{key}]" if name else key
        return Fault("parameter_missing", f"Missing required param: {place}.", place)
    return None


def _check(hint: Any, value: Any, name: str) -> Fault | None:
    members = list(_members(hint))
    if isinstance(value, str):
        return _check_text(members, value, name)
    if name == "metadata" and any(len(key) > _LONGEST_KEY or len(text) > _LONGEST_VALUE for key, text in value.items()):
        return Fault("parameter_invalid", "Metadata keys have at most 40 characters, and values 500.", name)
    faults = [_check_inside(member, value, name) for member in members if get_origin(member) is not Literal]
    return None if None in faults else next((fault for fault in faults if fault), None)


def _check_inside(member: Any, value: Json, name: str) -> Fault | None:
    """An object or array as one of the kinds that it may be."""
    if hasattr(member, "__required_keys__"):
        return _check_object(member, value, name)
    items = get_args(member)
    if get_origin(member) is list and all(key.isdigit() for key in value):
        checked = (_check(items[0], each, f"{name}[{key}]") for key, each in value.items())
        return next((fault for fault in checked if fault), None)
    if get_origin(member) is dict:
        checked = (_check(items[1], each, f"{name}[{key}]") for key, each in value.items())
        return next((fault for fault in checked if fault), None)
    return Fault("parameter_invalid", f"Invalid {name}: {value!r}", name)


def _check_text(members: list[Any], value: str, name: str) -> Fault | None:
    choices = [each for member in members if get_origin(member) is Literal for each in get_args(member)]
    # Beside choices the library takes any text, for those that are to come. Stripe does not.
    is_open = not any(choices)
    if value in choices or (is_open and str in members):
        return None
    for kind, pattern in ((int, r"-?[0-9]+"), (bool, "true|false"), (float, _NUMBER), (Decimal, _NUMBER)):
        if kind in members:
            if re.fullmatch(pattern, value):
                return None
            return Fault(f"parameter_invalid_{_WORDS[kind]}", f"Invalid {_WORDS[kind]}: {value}", name)
    told = f"must be one of {', '.join(each for each in choices if each)}" if choices else "must be an object or array"
    return Fault("parameter_invalid", f"Invalid {name}: {told}", name)


_NUMBER: Final = r"-?[0-9]+(?:\.[0-9]{1,12})?"
_WORDS: Final[Mapping[type, str]] = {int: "integer", bool: "boolean", float: "number", Decimal: "decimal"}


def _members(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield hint
