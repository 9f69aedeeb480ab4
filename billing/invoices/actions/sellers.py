"""What the operator keeps: legal entities, plans, exchange rates. Whoever calls has checked that it is the operator."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError, transaction

from billing.invoices.actions.closing import CLOSING
from billing.invoices.core.tax import EU
from billing.invoices.core.terms import CURRENCIES, WHOLE, parse_share, parse_terms, show_terms
from billing.invoices.models import ExchangeRate, LegalEntity, Plan
from billing.invoices.selectors.due import find_number_at
from costhub.lib.database import try_to_be_only
from costhub.lib.errors import Conflict, InvalidField
from tenants.actions.values import check_name

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_PREFIX: Final = re.compile(r"[A-Z0-9]{1,8}-?")
_TAX_ID: Final = re.compile(r"[A-Z0-9 .\-/]{4,40}")
_MAX_RATE: Final = Decimal(1_000_000)


def create_legal_entity(
    *,
    name: str,
    street: str,
    postcode: str,
    city: str,
    country: str,
    prefix: str,
    tax_id: str = "",
    email: str = "",
    bank_account: str = "",
    tax_rates: Mapping[str, Any] | None = None,
    uses_stripe_tax: bool = False,
) -> LegalEntity:
    """Somebody who issues invoices, with numbers of its own that begin with ``prefix``. ``tax_rates`` are per cents by
    country; Stripe Tax may be asked in their place.

    Raises InvalidField, also for rates without a tax id, which an e-invoice with tax on it has to name; Conflict for a
    name or prefix that is taken."""
    if not _PREFIX.fullmatch(prefix):
        raise InvalidField("Give 1 to 8 capital letters and digits, such as INV-.", field="prefix")
    entity = LegalEntity(
        name=check_name(name),
        street=check_name(street, "street"),
        postcode=check_text(postcode, "postcode", 20),
        city=check_name(city, "city"),
        country=check_country(country),
        tax_id=check_tax_id(tax_id, country),
        email=check_text(email, "email", 254),
        bank_account=check_text(bank_account, "bank_account", 60),
        prefix=prefix,
        uses_stripe_tax=uses_stripe_tax,
        tax_rates={check_country(each, "tax_rates"): _tax_rate(share) for each, share in (tax_rates or {}).items()},
    )
    if any(entity.tax_rates.values()) and not entity.tax_id:
        raise InvalidField("Give the tax id, too: whoever adds tax to its invoices has to name it.", field="tax_id")
    try:
        with transaction.atomic():
            entity.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("There is a legal entity of this name or prefix already.") from error
    return entity


def _tax_rate(value: Any) -> int:
    rate = parse_share("tax_rates", value)
    if not 0 <= rate <= WHOLE:
        raise InvalidField("Give tax rates from 0 to 100 per cent.", field="tax_rates")
    return rate


def create_plan(*, name: str, terms: Mapping[str, Any], is_public: bool = False) -> Plan:
    """The next version of the plan ``name``. Raises InvalidField for a term that cannot be, and Conflict where somebody
    else adds one at the same time."""
    checked = show_terms(parse_terms(terms))
    if not checked["invoices_credits"]:
        # The release before, which may run beside this one, knows no such term.
        del checked["invoices_credits"]
    with transaction.atomic():
        last = Plan.objects.filter(name=check_name(name)).order_by("-version").first()
        plan = Plan(name=check_name(name), version=last.version + 1 if last else 1, terms=checked, is_public=is_public)
        try:
            with transaction.atomic():
                plan.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict("Somebody else is adding a version of this plan: try again.") from error
    return plan


def set_exchange_rate(
    *, currency: str, day: date, rate: Decimal, source: str, is_replacing: bool = False
) -> ExchangeRate:
    """Units of ``currency`` for one USD, as ``source`` published it for ``day``. Given again, the first one stays,
    unless this one ``is_replacing`` it: one that was typed wrongly, and that no document was issued with.

    Raises InvalidField; Conflict where a document was, or months are being closed at the moment."""
    if currency not in CURRENCIES or currency == "USD":
        raise InvalidField(f"Give one of {', '.join(CURRENCIES[1:])}.", field="currency")
    if not rate.is_finite() or not 0 < rate < _MAX_RATE:
        raise InvalidField("Give a rate above zero.", field="rate")
    values = {"rate": rate, "source": check_text(source, "source", 100)}
    found, is_new = ExchangeRate.objects.get_or_create(currency=currency, day=day, defaults=values)
    if is_new or not is_replacing:
        return found
    # Nothing is issued while the lock of closing is ours.
    with try_to_be_only(CLOSING) as is_ours:
        if not is_ours:
            raise Conflict("Months are being closed at the moment, at the rates that there are: try again in a minute.")
        if number := find_number_at(currency, day):
            raise Conflict(f"{number} was issued at this rate, and stays as it is: give the rate of another day.")
        ExchangeRate.objects.filter(pk=found.pk).update(**values)
    found.refresh_from_db()
    return found


def check_country(text: str, field: str = "country") -> str:
    """The code of a country, two capital letters. Raises InvalidField."""
    if not _COUNTRY.fullmatch(text):
        raise InvalidField("Give a country by its ISO 3166 code, such as DE.", field=field)
    return text


def check_tax_id(text: str, country: str, field: str = "tax_id") -> str:
    """A tax id, or nothing; in the EU it begins with its country's letters. Raises InvalidField."""
    if not text:
        return ""
    if not _TAX_ID.fullmatch(text):
        raise InvalidField("Give a tax id in capital letters and digits, such as DE123456789.", field=field)
    start = "EL" if country == "GR" else country
    if country in EU and not text.startswith(start):
        raise InvalidField(f"A VAT id of {country} begins with {start}.", field=field)
    return text


def check_text(text: str, field: str, most: int) -> str:
    """One line of visible characters, or nothing, without spaces around it. Raises InvalidField."""
    if len(text) > most or not text.isprintable():
        raise InvalidField(f"Give at most {most} visible characters.", field=field)
    return text.strip()
