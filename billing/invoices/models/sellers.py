"""What the operator of the installation keeps: who issues invoices, plans and exchange rates. No tenant's rows."""

import uuid

from django.db import models

from costhub.lib import clock


class LegalEntity(models.Model):
    """Who issues invoices. Numbers are taken from its row, in the transaction that issues, so they have no gap.

    ``tax_rates`` are basis points by country.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    street = models.CharField(max_length=200)
    postcode = models.CharField(max_length=20)
    city = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    tax_id = models.CharField(max_length=40, blank=True)
    email = models.CharField(max_length=254, blank=True)
    bank_account = models.CharField(max_length=60, blank=True)
    prefix = models.CharField(max_length=12, unique=True)
    tax_rates = models.JSONField(default=dict)
    #: whether Stripe Tax says what tax is due, in place of the rates
    uses_stripe_tax = models.BooleanField(default=False)
    next_invoice = models.BigIntegerField(default=1)
    next_note = models.BigIntegerField(default=1)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        verbose_name = "legal entity"

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """A version of a plan. Its terms never change: another version is another row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    terms = models.JSONField(default=dict)
    #: whether an organisation may choose it for itself
    is_public = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="plan_versions_are_unique")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class ExchangeRate(models.Model):
    """Units of a currency for one USD, of a day; ``source`` says who published it."""

    id = models.BigAutoField(primary_key=True)
    currency = models.CharField(max_length=3)
    day = models.DateField()
    rate = models.DecimalField(max_digits=18, decimal_places=8)
    source = models.CharField(max_length=100)

    class Meta:
        verbose_name = "exchange rate"
        constraints = [models.UniqueConstraint(fields=["currency", "day"], name="one_rate_a_day")]

    def __str__(self) -> str:
        return f"{self.currency} {self.day}"
