"""Who pays, and under which plan."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.sellers import check_country, check_tax_id, check_text
from billing.invoices.actions.wallet import follow_wallet
from billing.invoices.choices import Collection, PackTo
from billing.invoices.core.terms import parse_coupon, parse_terms, show_coupon
from billing.invoices.models import BillingAccount, FinancePack, LegalEntity, Plan, Subscription
from billing.invoices.selectors.accounts import (
    find_account,
    find_billed_until,
    find_last_subscription,
    list_contracts,
    terms_of,
)
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import format_usd
from costhub.lib.net import gate_from_settings, parse_origin
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import store_changes
from tenants.actions.upstreams import seal_credential
from tenants.actions.values import check_name
from tenants.choices import Permission
from tenants.periods import period_bounds

MAX_EMAILS: Final = 10
MAX_BUCKET_CHARACTERS: Final = 300
_BUCKET_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._-]+)+/?")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def open_account(
    *,
    actor: Actor,
    legal_entity: LegalEntity,
    name: str,
    country: str,
    collection: Collection = Collection.MANUAL,
    stripe_customer: str = "",
    stripe_meter: str = "",
    **address: Any,
) -> BillingAccount:
    """Make the organisation a customer of a legal entity. ``address`` as in ``update_account``. Raises Conflict where
    it is one already, InvalidField for what cannot be."""
    actor.check(Permission.WRITE_MONEY)
    if find_account(actor) is not None:
        raise Conflict("This organisation has a billing account already.")
    account = BillingAccount(
        org=actor.org,
        legal_entity=legal_entity,
        name=check_name(name),
        country=check_country(country),
        collection=collection.value,
        stripe_customer=stripe_customer,
        stripe_meter=stripe_meter,
        metered_from=clock.now() if stripe_customer else None,
    )
    for field, value in _check_address(address, country).items():
        setattr(account, field, value)
    account.save(force_insert=True)
    record(actor, "created", account, name=account.name, legal_entity=legal_entity.name)
    return account


def update_account(*, actor: Actor, account: BillingAccount, **changes: Any) -> BillingAccount:
    """Change whom invoices are made out to: name, street, postcode, city, country, tax_id, po_number, emails; and
    where the month's papers go (``pack_to``). Issued ones stay as they are. Raises InvalidField."""
    actor.check(Permission.WRITE_MONEY)
    country = check_country(changes.get("country", account.country))
    pack_to: PackTo | None = changes.pop("pack_to", None)
    new = _check_address({"tax_id": account.tax_id, **changes}, country)
    if pack_to is PackTo.BUCKET and not account.bucket_url:
        raise InvalidField("Connect a bucket first.", field="pack_to")
    if pack_to is not None:
        new["pack_to"] = pack_to.value
    if "name" in changes:
        new["name"] = check_name(changes["name"])
    if "country" in changes:
        new["country"] = country
    with transaction.atomic():
        store_changes(actor, account, new)
        if new.keys() & {"pack_to", "emails"}:
            # What went nowhere is tried there at once.
            FinancePack.objects.filter(org=actor.org, delivered_at=None).update(tried_at=None)
    return account


def connect_bucket(
    *, actor: Actor, account: BillingAccount, url: str, region: str, key_id: str, secret: str
) -> BillingAccount:
    """Have the month's papers put into a bucket of the customer's own from now on. ``url`` is ``https://endpoint/bucket``
    with a prefix or without; the secret is sealed for its origin and never shown.

    Raises InvalidField or BlockedAddress for what cannot be, StaleSession for who has not signed in just now.
    """
    actor.check(Permission.WRITE_MONEY)
    actor.check_fresh()
    target = parse_origin(url, field="url")
    if target.address is not None:
        gate_from_settings().pin_now(target, field="url")
    if (
        target.query
        or not target.path.strip("/")
        or len(url) > MAX_BUCKET_CHARACTERS
        or not _BUCKET_PATH.fullmatch(target.path)
    ):
        raise InvalidField(
            "Give the bucket's URL with its name in the path, such as https://s3.eu-central-1.amazonaws.com/acme-finance.",
            field="url",
        )
    for field, text, allowed in (("region", region, _REGION), ("key_id", key_id, _KEY_ID)):
        if not allowed.fullmatch(text):
            raise InvalidField("Give plain letters and digits, as the provider shows them.", field=field)
    try:
        sealed = seal_credential(actor, target.origin, secret)["credential"]
    except InvalidField as error:
        raise InvalidField(error.message.replace("credential", "secret"), field="secret") from error
    new = {
        "bucket_url": url.rstrip("/"),
        "bucket_region": region,
        "bucket_key_id": key_id,
        "bucket_secret": sealed,
        "pack_to": PackTo.BUCKET.value,
    }
    with transaction.atomic():
        store_changes(actor, account, new, hidden=frozenset({"bucket_secret"}))
        # What another key or address was refused is tried at once.
        FinancePack.objects.filter(org=actor.org, delivered_at=None).update(tried_at=None)
    return account


def disconnect_bucket(*, actor: Actor, account: BillingAccount) -> BillingAccount:
    """Forget the bucket and its secret; papers that went there go nowhere by themselves."""
    actor.check(Permission.WRITE_MONEY)
    new = {"bucket_url": "", "bucket_region": "", "bucket_key_id": "", "bucket_secret": None}
    if account.pack_to == PackTo.BUCKET:
        new["pack_to"] = PackTo.NOBODY.value
    store_changes(actor, account, new, hidden=frozenset({"bucket_secret"}))
    return account


def subscribe(
    *,
    actor: Actor,
    plan: Plan,
    at: datetime | None = None,
    overrides: Mapping[str, Any] | None = None,
    coupon: Mapping[str, Any] | None = None,
) -> Subscription:
    """Put the organisation under a plan from now on, or from ``at``; the plan that it has ends there, and what of the
    month is left is prorated. A trial comes with the first plan only. Prepaid, calls are held to the credits at once.

    Raises InvalidField for terms that cannot be, a moment before the present plan began, or another currency in
    mid-month, and Conflict without a billing account.
    """
    actor.check(Permission.WRITE_MONEY)
    now = at or clock.now()
    terms = parse_terms(overrides or {}, parse_terms(plan.terms))
    with transaction.atomic():
        account = _lock(actor)
        if account is None:
            raise Conflict("Open a billing account first: a plan needs somebody who pays.")
        if terms.invoices_credits and account.legal_entity.uses_stripe_tax:
            raise InvalidField(
                "Credits are invoiced at fixed rates of tax, and this legal entity has Stripe Tax asked.",
                field="terms.invoices_credits",
            )
        _check_not_billed(actor, now)
        _check_currency(actor, terms.currency, now)
        present = find_last_subscription(actor, now)
        if present is not None:
            if now <= present.starts_at:
                raise InvalidField("Give a moment after the present plan began.", field="at")
            present.ends_at = now
            present.save(update_fields=["ends_at"])
        is_first = not Subscription.objects.filter(org=actor.org).exists()
        subscription = Subscription.objects.create(
            org=actor.org,
            plan=plan,
            overrides=dict(overrides or {}),
            coupon=show_coupon(parse_coupon(coupon)) if coupon else {},
            starts_at=now,
            trial_until=now + timedelta(days=terms.trial_days) if is_first and terms.trial_days else None,
            created_by=actor.name,
        )
        record(actor, "created", subscription, plan=plan.name, version=plan.version, overrides=dict(overrides or {}))
        follow_plan(actor, clock.now())
    return subscription


def choose_plan(*, actor: Actor, plan: Plan) -> Subscription:
    """The customer itself takes a public plan, from now on. A minimum that was agreed with it stays, where the plan has
    no higher one. Raises as ``subscribe``."""
    with transaction.atomic():
        _lock(actor)
        agreed = _agreed_minimum(find_last_subscription(actor, clock.now()))
        keeps = agreed > parse_terms(plan.terms).minimum
        made = subscribe(actor=actor, plan=plan, overrides={"minimum": format_usd(agreed)} if keeps else None)
        if agreed:
            made.agreed_minimum = agreed
            made.save(update_fields=["agreed_minimum"])
    return made


def leave(*, actor: Actor) -> Subscription:
    """The customer itself ends its plan: with the month, in its time zone, and until then it is billed. Again it
    changes nothing.

    Raises Conflict without a plan, and for what the operator alone ends: a minimum that was agreed, or a plan that is
    to begin later.
    """
    actor.check(Permission.WRITE_MONEY)
    now = clock.now()
    with transaction.atomic():
        _lock(actor)
        present = find_last_subscription(actor, now)
        if present is None:
            raise Conflict("This organisation has no plan.")
        _, end = period_bounds("month", now, actor.org.time_zone)
        if present.ends_at is not None and present.ends_at <= end:
            return present
        if _agreed_minimum(present) or present.starts_at >= end:
            raise Conflict("This plan was agreed with the operator of this installation: ask there to end it.")
        return end_subscription(actor=actor, at=end)


def _lock(actor: Actor) -> BillingAccount | None:
    """The account, if there is one, so that nobody agrees to another plan until the present transaction ends."""
    return BillingAccount.objects.select_for_update().filter(org=actor.org).first()


def find_leaving(actor: Actor, now: datetime) -> datetime | None:
    """When the plan would end if its customer ended it now; None where that changes nothing, or is the operator's."""
    present = find_last_subscription(actor, now)
    _, end = period_bounds("month", now, actor.org.time_zone)
    if present is None or (present.ends_at is not None and present.ends_at <= end):
        return None
    return None if _agreed_minimum(present) or present.starts_at >= end else end


def _agreed_minimum(present: Subscription | None) -> int:
    """Nano-USD a month that the operator agreed with the customer, beside this plan or one before it, or by a plan that
    is not for everybody."""
    if present is None:
        return 0
    is_agreed = "minimum" in present.overrides or not present.plan.is_public
    beside = terms_of(present).minimum if is_agreed else 0
    return beside if present.agreed_minimum is None else present.agreed_minimum


def follow_plan(actor: Actor, now: datetime) -> None:
    """Bring the stop at zero credits, and whether calls are taken, to the plan that holds now. To be called whenever
    one begins or ends; may be repeated."""
    follow_wallet(actor)
    settle_standing(actor, now)


def end_subscription(*, actor: Actor, at: datetime | None = None) -> Subscription:
    """The present plan ends, now or at ``at``, and the month's fee with it: from then on calls are refused. Raises
    Conflict without one, and InvalidField for a moment before it began or in a month that was invoiced already."""
    actor.check(Permission.WRITE_MONEY)
    now = at or clock.now()
    with transaction.atomic():
        present = find_last_subscription(actor, now)
        if present is None:
            raise Conflict("This organisation has no plan.")
        present.ends_at = now
        _check_not_billed(actor, present.ends_at)
        if present.ends_at <= present.starts_at:
            raise InvalidField("Give a moment after the present plan began.", field="at")
        present.save(update_fields=["ends_at"])
        record(actor, "ended", present, ends_at=present.ends_at)
        follow_plan(actor, clock.now())
    return present


def _check_not_billed(actor: Actor, at: datetime) -> None:
    until = find_billed_until(actor)
    if until and at < until:
        raise InvalidField("Give a moment that is not in a month that was invoiced already.", field="at")


def _check_currency(actor: Actor, currency: str, at: datetime) -> None:
    """An invoice is in one currency: another one begins with a month."""
    start, end = period_bounds("month", at, actor.org.time_zone)
    before = list_contracts(actor, start, at) if start < at else []
    if other := next((each.terms.currency for each in before if each.terms.currency != currency), None):
        local = end.astimezone(ZoneInfo(actor.org.time_zone))
        raise InvalidField(
            f"This month is invoiced in {other}: a plan in {currency} can begin at {local.isoformat()} at the soonest.",
            field="at",
        )


def _check_address(given: Mapping[str, Any], country: str) -> dict[str, Any]:
    lengths = {"street": 200, "postcode": 20, "city": 100, "po_number": 60}
    known = {*lengths, "tax_id", "emails", "name", "country"}
    if unknown := [name for name in given if name not in known]:
        raise InvalidField(f"There is no such field; there are: {', '.join(sorted(known))}.", field=unknown[0])
    new: dict[str, Any] = {
        field: check_text(given[field], field, most) for field, most in lengths.items() if field in given
    }
    if "tax_id" in given:
        new["tax_id"] = check_tax_id(given["tax_id"], country)
    if "emails" in given:
        new["emails"] = _check_emails(given["emails"])
    return new


def _check_emails(emails: Sequence[str]) -> list[str]:
    if len(emails) > MAX_EMAILS:
        raise InvalidField(f"Give at most {MAX_EMAILS} addresses.", field="emails")
    for email in emails:
        try:
            validate_email(email)
        except ValidationError as error:
            raise InvalidField("Give e-mail addresses.", field="emails") from error
    return list(emails)
