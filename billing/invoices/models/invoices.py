"""Invoices, credit and debit notes. A trigger of PostgreSQL's keeps what was issued as it was."""

from decimal import Decimal

from django.db import models

from billing.invoices.choices import InvoiceKind, InvoiceState, LineKind
from tenants.models.base import TenantRow


class Invoice(TenantRow):
    """A document over ``[period_start, period_end)``. Amounts of a note are above zero too; its kind says the sign.

    ``usage_nanos`` is the sum of its usage lines. ``groups`` are what stands on it as amounts: name, title, nano-USD
    and cents. ``seller`` and ``buyer`` are as they were when it was issued. ``rate`` is units of ``currency`` for a
    USD. ``problem`` is why it cannot be issued yet.
    """

    kind = models.CharField(
        max_length=12, default=InvoiceKind.INVOICE.value, choices=[(each.value, each.value) for each in InvoiceKind]
    )
    state = models.CharField(
        max_length=14, default=InvoiceState.DRAFT.value, choices=[(each.value, each.value) for each in InvoiceState]
    )
    number = models.CharField(max_length=40, blank=True)
    legal_entity = models.UUIDField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    time_zone = models.CharField(max_length=64)
    currency = models.CharField(max_length=3, default="USD")
    rate = models.DecimalField(max_digits=18, decimal_places=8, default=Decimal(1))
    rate_day = models.DateField(null=True, blank=True)
    rate_source = models.CharField(max_length=100, blank=True)
    #: members when its draft was made, as the month was over
    seats = models.PositiveIntegerField(default=0)
    usage_nanos = models.BigIntegerField(default=0)
    net_nanos = models.BigIntegerField(default=0)
    net_cents = models.BigIntegerField(default=0)
    tax_category = models.CharField(max_length=2, blank=True)
    tax_rate = models.IntegerField(default=0)
    tax_reason = models.CharField(max_length=100, blank=True)
    tax_cents = models.BigIntegerField(default=0)
    total_cents = models.BigIntegerField(default=0)
    #: of the total, what earlier invoices below zero pay for
    carried_cents = models.BigIntegerField(default=0)
    groups = models.JSONField(default=list)
    seller = models.JSONField(default=dict)
    buyer = models.JSONField(default=dict)
    po_number = models.CharField(max_length=60, blank=True)
    corrects = models.UUIDField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)
    computed_at = models.DateTimeField(null=True, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    #: what Stripe Tax said of an amount, before it was issued
    tax_quote = models.JSONField(default=dict)
    #: Stripe's record of the tax, once it is issued
    stripe_tax = models.CharField(max_length=64, blank=True)
    #: when each stage of dunning was told, by stage
    reminders = models.JSONField(default=dict)
    stripe_invoice = models.CharField(max_length=64, blank=True)
    #: paid by hand or given up, and Stripe, where it collects it, was not told yet
    is_untold = models.BooleanField(default=False, db_default=False)
    #: why Stripe did not take it the last time; nothing once it did
    refusal = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "period_start"],
                condition=models.Q(kind=InvoiceKind.INVOICE.value) & ~models.Q(state=InvoiceState.VOID.value),
                name="one_invoice_a_period",
            ),
            models.UniqueConstraint(
                fields=["legal_entity", "number"], condition=~models.Q(number=""), name="numbers_are_unique"
            ),
        ]
        indexes = [models.Index(fields=["org", "-created_at", "-id"], name="invoices_newest_first")]

    def __str__(self) -> str:
        return self.number or f"{self.state} {self.period_start:%Y-%m}"

    @property
    def due_cents(self) -> int:
        """What is to be paid: nothing where the total is below zero, which the next invoices take into account, or was
        paid before."""
        return 0 if self.kind == InvoiceKind.PREPAYMENT else max(self.total_cents - self.carried_cents, 0)


class InvoiceLine(TenantRow):
    """One line, exact in nano-USD: see ``billing.invoices.core.lines``."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines", db_constraint=False)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=[(each.value, each.value) for each in LineKind])
    group = models.CharField(max_length=400, blank=True)
    text = models.CharField(max_length=400)
    nanos = models.BigIntegerField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    project = models.CharField(max_length=36, blank=True)
    project_name = models.CharField(max_length=120, blank=True)
    model = models.CharField(max_length=200, blank=True)
    #: a price version, with its adjustment and service tier where it has any
    price = models.CharField(max_length=120, blank=True)
    token_class = models.CharField(max_length=20, blank=True)
    quantity = models.BigIntegerField(default=0)
    unit_price = models.BigIntegerField(default=0)
    share = models.IntegerField(default=0)
    saved = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "invoice line"
        constraints = [models.UniqueConstraint(fields=["invoice", "position"], name="one_line_a_position")]
        indexes = [models.Index(fields=["org", "start"], name="lines_of_a_period")]

    def __str__(self) -> str:
        return self.text


class InvoiceDocument(TenantRow):
    """The bytes of an issued document, as they were made the first time: PDF, XML or CSV. Append-only."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="documents", db_constraint=False)
    form = models.CharField(max_length=4)
    content = models.BinaryField()
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = "invoice document"
        constraints = [models.UniqueConstraint(fields=["invoice", "form"], name="one_document_a_form")]

    def __str__(self) -> str:
        return f"{self.form} of {self.invoice_id}"
