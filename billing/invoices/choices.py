"""Stored enumerations of invoices, as plain ``StrEnum`` so that the pure core may import them too."""

from enum import StrEnum
from typing import Final


class InvoiceKind(StrEnum):
    """What a document is. Notes correct an issued one, which itself never changes."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    DEBIT_NOTE = "debit_note"
    #: of credits that were bought, with their tax: paid when it is issued
    PREPAYMENT = "prepayment"


#: what notes correct
CORRECTED: Final = (InvoiceKind.INVOICE, InvoiceKind.PREPAYMENT)
NOTES: Final = (InvoiceKind.CREDIT_NOTE, InvoiceKind.DEBIT_NOTE)


class InvoiceState(StrEnum):
    """How far a document has come. Until it is issued its lines follow the ledger; from then on they are fixed."""

    #: of the month that runs: made whenever somebody looks, and never stored
    DRAFT = "draft"
    #: the period is over, and what comes late to it still comes in
    GRACE = "grace"
    ISSUED = "issued"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


#: what may follow what
FOLLOWING: Final[dict[InvoiceState, frozenset[InvoiceState]]] = {
    InvoiceState.DRAFT: frozenset({InvoiceState.GRACE, InvoiceState.ISSUED, InvoiceState.VOID}),
    InvoiceState.GRACE: frozenset({InvoiceState.ISSUED, InvoiceState.VOID}),
    InvoiceState.ISSUED: frozenset({InvoiceState.PAID, InvoiceState.VOID, InvoiceState.UNCOLLECTIBLE}),
    # Stripe alone takes a payment back.
    InvoiceState.PAID: frozenset({InvoiceState.ISSUED}),
    InvoiceState.VOID: frozenset(),
    InvoiceState.UNCOLLECTIBLE: frozenset({InvoiceState.PAID}),
}


class LineKind(StrEnum):
    """What a line bills, or tells of."""

    FEE = "fee"
    USAGE = "usage"
    #: usage of a period that was billed before: late rows and corrections, under their own dates
    LATE_USAGE = "late_usage"
    #: usage of an invoiced period at another price than it was billed at: on notes alone
    RERATED = "rerated"
    MARKUP = "markup"
    #: told of and not billed: what CostHub saved
    SAVINGS = "savings"
    INCLUDED = "included"
    MINIMUM = "minimum"
    COUPON = "coupon"
    CREDIT = "credit"
    DEBIT = "debit"


#: lines that are usage itself: their sum is the ledger's
USAGE_KINDS: Final = (LineKind.USAGE, LineKind.LATE_USAGE)


class ReratingState(StrEnum):
    """How far a re-rating has come."""

    #: what it would change is being counted, span by span
    COUNTING = "counting"
    #: it is known what it would change, and nothing has
    PREVIEWED = "previewed"
    APPROVED = "approved"
    POSTING = "posting"
    APPLIED = "applied"
    #: what it would change is not what was approved any more
    STALE = "stale"


class Collection(StrEnum):
    """Who collects what is owed."""

    MANUAL = "manual"
    STRIPE = "stripe"


class PackTo(StrEnum):
    """Where a month's papers go by themselves; they can be fetched in any case."""

    NOBODY = "none"
    MAIL = "mail"
    #: beside the operator's files
    FILES = "files"
    #: the customer's own bucket
    BUCKET = "s3"


class WalletAccount(StrEnum):
    """The accounts between which an organisation's prepaid money moves."""

    #: where money comes from and refunds go to
    CASH = "cash"
    #: what we give
    PROMOTIONS = "promotions"
    #: what the organisation has left
    CREDITS = "credits"
    #: what it has used
    USAGE = "usage"


class TaxCategory(StrEnum):
    """Categories of VAT as EN 16931 has them (UNCL 5305)."""

    STANDARD = "S"
    ZERO = "Z"
    REVERSE_CHARGE = "AE"
    EXPORT = "G"
    OUTSIDE = "O"


class DunningStage(StrEnum):
    """What an unpaid invoice has come to."""

    NONE = "none"
    REMINDED = "reminded"
    WARNED = "warned"
    READ_ONLY = "read_only"
    SUSPENDED = "suspended"


#: what a document has in place of its id at Stripe: there was nothing to do there
NOTHING: Final = "-"


class OutboxState(StrEnum):
    """How far a delta of usage has come on its way to Stripe."""

    PENDING = "pending"
    SENT = "sent"
    #: too old for a meter: it goes onto a note
    NOTED = "noted"
