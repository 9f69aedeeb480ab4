"""An organisation as a customer: who pays, under which contracts, with what prepaid."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing.invoices.choices import Collection, DunningStage, PackTo, WalletAccount
from billing.invoices.models.sellers import LegalEntity, Plan
from tenants.models.base import TenantRow


class BillingAccount(TenantRow):
    """Whom invoices are made out to, and how they are collected. One an organisation."""

    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    street = models.CharField(max_length=200, blank=True)
    postcode = models.CharField(max_length=20, blank=True)
    city = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2)
    tax_id = models.CharField(max_length=40, blank=True)
    po_number = models.CharField(max_length=60, blank=True)
    emails = ArrayField(models.CharField(max_length=254), default=list, blank=True)
    collection = models.CharField(
        max_length=8, default=Collection.MANUAL.value, choices=[(each.value, each.value) for each in Collection]
    )
    stripe_customer = models.CharField(max_length=64, blank=True)
    stripe_meter = models.CharField(max_length=100, blank=True)
    #: Stripe's subscription, where Stripe bills fee and meter itself and our invoice is brought onto its own
    stripe_subscription = models.CharField(max_length=64, blank=True)
    #: where the month's papers go when its invoice is issued
    pack_to = models.CharField(
        max_length=5, default=PackTo.NOBODY.value, choices=[(each.value, each.value) for each in PackTo]
    )
    #: the customer's own bucket, ``https://endpoint/bucket/prefix``; ``bucket_secret`` is sealed for that origin
    bucket_url = models.CharField(max_length=300, blank=True, default="", db_default="")
    bucket_region = models.CharField(max_length=40, blank=True, default="", db_default="")
    bucket_key_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    bucket_secret = models.BinaryField(editable=False, null=True)
    #: what Stripe refused of the customer or its subscription the last time; nothing once it did not
    refusal = models.CharField(max_length=300, blank=True, default="", db_default="")
    #: usage of hours before this one is not for Stripe's meter
    metered_from = models.DateTimeField(null=True, blank=True)
    dunning = models.CharField(
        max_length=10, default=DunningStage.NONE.value, choices=[(each.value, each.value) for each in DunningStage]
    )
    top_up_below_nanos = models.BigIntegerField(null=True, blank=True)
    top_up_nanos = models.BigIntegerField(null=True, blank=True)
    #: the budget that stops calls when prepaid credits are gone
    credit_budget = models.UUIDField(null=True, blank=True)
    #: until then calls are taken although the plan has ended: of who called without one before such calls were refused
    admitted_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "billing account"
        constraints = [
            models.UniqueConstraint(fields=["org"], name="one_billing_account"),
            models.UniqueConstraint(
                fields=["stripe_customer"], condition=~models.Q(stripe_customer=""), name="customers_are_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Subscription(TenantRow):
    """A plan from one moment until another, with what was agreed beside it. A change of plan ends one and begins
    another; what was is never edited."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    overrides = models.JSONField(default=dict, blank=True)
    coupon = models.JSONField(default=dict, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    trial_until = models.DateTimeField(null=True, blank=True)
    #: when finance was mailed that it has ended, and that no other followed
    end_told_at = models.DateTimeField(null=True, blank=True)
    #: nano-USD a month that were agreed beside a plan: no plan that the customer has chosen since comes to less
    agreed_minimum = models.BigIntegerField(null=True, blank=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org"], condition=models.Q(ends_at__isnull=True), name="one_open_subscription"
            )
        ]
        indexes = [models.Index(fields=["org", "-starts_at"], name="subscriptions_of_an_org")]

    def __str__(self) -> str:
        return f"{self.plan_id} from {self.starts_at:%Y-%m-%d}"


_ACCOUNTS = [(each.value, each.value) for each in WalletAccount]


class WalletTransfer(TenantRow):
    """Prepaid money from one account to another, nano-USD above zero: each row is both its debit and its credit, so
    the books always balance. Append-only. ``reference`` makes it happen once."""

    debit = models.CharField(max_length=10, choices=_ACCOUNTS)
    credit = models.CharField(max_length=10, choices=_ACCOUNTS)
    amount_nanos = models.BigIntegerField()
    reference = models.CharField(max_length=200)
    reason = models.CharField(max_length=300, blank=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = "wallet transfer"
        constraints = [
            models.UniqueConstraint(fields=["org", "reference"], name="a_transfer_happens_once"),
            models.CheckConstraint(condition=models.Q(amount_nanos__gt=0), name="transfers_are_above_zero"),
            models.CheckConstraint(condition=~models.Q(debit=models.F("credit")), name="transfers_have_two_accounts"),
        ]

    def __str__(self) -> str:
        return f"{self.debit} to {self.credit}: {self.amount_nanos}"
