"""What a plan says: a frozen value, read strictly from the JSON that is stored of it.

Amounts are nano-USD, shares are basis points (1/100 of a per cent): 2,500 is 25 %.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd, parse_usd

WHOLE: Final = 10_000
MAX_AMOUNT: Final = 10**9 * 10**9
_MAX_SHARE: Final = 10 * WHOLE
_MAX_DAYS: Final = 366
_MAX_SEATS: Final = 1_000_000
#: in nano-USD: times more members than an organisation ever has it is an amount that a row can hold
_MAX_SEAT_FEE: Final = 10_000 * 10**9
_MAX_TIERS: Final = 20
_MAX_MODELS: Final = 200
_PER_CENT: Final = re.compile(r"-?[0-9]{1,4}(\.[0-9]{1,2})?")
CURRENCIES: Final = ("USD", "EUR", "GBP", "CHF")


@dataclass(frozen=True, slots=True)
class Tier:
    """From so much usage in a period on, what is above it has this markup; below zero it is a discount."""

    from_nanos: int
    markup: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a plan, or those of a subscription: the plan's with its overrides.

    ``fee`` is of a whole month, and ``seat_fee`` for each member beyond ``included_seats``. ``included`` usage is not
    charged, ``minimum`` is the least that fee and usage come to.
    ``models`` has markups of their own. With ``pass_through`` the tenant pays its upstreams itself, and only the fee
    here. With ``prepaid`` usage is taken from credits, which stop calls when they are gone. With ``invoices_credits``
    what is bought of them at Stripe has an invoice at once, and its tax on top.
    """

    currency: str = "USD"
    fee: int = 0
    seat_fee: int = 0
    included_seats: int = 0
    included: int = 0
    markup: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    minimum: int = 0
    trial_days: int = 0
    grace_days: int = 2
    payment_days: int = 14
    pass_through: bool = False
    prepaid: bool = False
    invoices_credits: bool = False

    def markup_of(self, model: str) -> int:
        """The model's own markup, else the plan's."""
        return self.models.get(model, self.markup)


@dataclass(frozen=True, slots=True)
class Coupon:
    """Off the fee and usage of so many months: a share, or an amount."""

    share: int = 0
    amount: int = 0
    months: int = 1

    def off(self, nanos: int) -> int:
        """What it takes off ``nanos``; never more than that, nor less than nothing."""
        if nanos <= 0:
            return 0
        return min(nanos, nanos * self.share // WHOLE if self.share else self.amount)


def parse_terms(data: Mapping[str, Any], base: Terms | None = None) -> Terms:
    """Read terms as the API takes them: money in decimal USD, shares in per cent. What is left out is ``base``'s.

    Raises InvalidField naming the term at fault.
    """
    for name in data:
        if name not in _READERS:
            raise InvalidField(f"There is no such term; there are: {', '.join(_READERS)}.", field=_field(name))
    read: dict[str, Any] = {name: _READERS[name](name, value) for name, value in data.items()}
    return replace(base or Terms(), **read)


def show_terms(terms: Terms) -> dict[str, Any]:
    """The terms as the API shows them, and as ``parse_terms`` reads them back."""
    return {
        "currency": terms.currency,
        "fee": format_usd(terms.fee),
        "seat_fee": format_usd(terms.seat_fee),
        "included_seats": terms.included_seats,
        "included": format_usd(terms.included),
        "markup": show_share(terms.markup),
        "models": {name: show_share(share) for name, share in sorted(terms.models.items())},
        "tiers": [{"from": format_usd(tier.from_nanos), "markup": show_share(tier.markup)} for tier in terms.tiers],
        "minimum": format_usd(terms.minimum),
        "trial_days": terms.trial_days,
        "grace_days": terms.grace_days,
        "payment_days": terms.payment_days,
        "pass_through": terms.pass_through,
        "prepaid": terms.prepaid,
        "invoices_credits": terms.invoices_credits,
    }


def parse_coupon(data: Mapping[str, Any]) -> Coupon:
    """``{"percent_off": "20"} `` or ``{"amount_off": "5.00"}``, and ``months``. Raises InvalidField."""
    unknown = [name for name in data if name not in {"percent_off", "amount_off", "months"}]
    if unknown or ("percent_off" in data) == ("amount_off" in data):
        raise InvalidField("Give percent_off or amount_off, and how many months.", field="coupon")
    months = _days("coupon.months", data.get("months", 1))
    if "percent_off" in data:
        share = parse_share("coupon.percent_off", data["percent_off"])
        if not 0 < share <= WHOLE:
            raise InvalidField("Give per cents above 0 and up to 100.", field="coupon.percent_off")
        return Coupon(share=share, months=months)
    return Coupon(amount=_amount("coupon.amount_off", data["amount_off"]), months=months)


def show_coupon(coupon: Coupon) -> dict[str, Any]:
    """As ``parse_coupon`` reads it."""
    off = {"percent_off": show_share(coupon.share)} if coupon.share else {"amount_off": format_usd(coupon.amount)}
    return off | {"months": coupon.months}


def parse_share(name: str, value: Any) -> int:
    """Per cents with at most two places, as basis points: ``"2.5"`` is 250. Raises InvalidField."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _PER_CENT.fullmatch(text):
        raise InvalidField('Give per cents with at most two decimal places, such as "12.5".', field=_field(name))
    whole, _, rest = text.lstrip("-").partition(".")
    share = int(whole) * 100 + int(rest.ljust(2, "0") or "0")
    share = -share if text.startswith("-") else share
    if not -WHOLE <= share <= _MAX_SHARE:
        raise InvalidField("Give per cents from -100 to 1000.", field=_field(name))
    return share


def show_share(share: int) -> str:
    """Basis points as per cents: 250 is ``"2.5"``."""
    sign, share = ("-", -share) if share < 0 else ("", share)
    whole, rest = divmod(share, 100)
    return f"{sign}{whole}" + (f".{rest:02d}".rstrip("0") if rest else "")


def _amount(name: str, value: Any) -> int:
    try:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError("not a string")
        nanos = parse_usd(value)
    except ValueError as error:
        raise InvalidField('Give USD as a string, such as "49.00".', field=_field(name)) from error
    if not 0 <= nanos <= MAX_AMOUNT:
        raise InvalidField("Give an amount from $0 to $1,000,000,000.", field=_field(name))
    return nanos


def _seat_fee(name: str, value: Any) -> int:
    nanos = _amount(name, value)
    if nanos > _MAX_SEAT_FEE:
        raise InvalidField("Give at most 10,000 USD for a seat.", field=_field(name))
    return nanos


def _days(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_DAYS:
        raise InvalidField(f"Give a whole number from 0 to {_MAX_DAYS}.", field=_field(name))
    return value


def _seats(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SEATS:
        raise InvalidField(f"Give a whole number from 0 to {_MAX_SEATS}.", field=_field(name))
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidField("Give true or false.", field=_field(name))
    return value


def _currency(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in CURRENCIES:
        raise InvalidField(f"Give one of {', '.join(CURRENCIES)}.", field=_field(name))
    return value


def _models(name: str, value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > _MAX_MODELS:
        raise InvalidField(f"Give an object of at most {_MAX_MODELS} models and their per cents.", field=_field(name))
    return {str(model): parse_share(f"{name}.{model}", share) for model, share in value.items()}


def _tiers(name: str, value: Any) -> tuple[Tier, ...]:
    if not isinstance(value, list) or len(value) > _MAX_TIERS:
        raise InvalidField(f"Give a list of at most {_MAX_TIERS} tiers.", field=_field(name))
    tiers = []
    for place, tier in enumerate(value):
        if not isinstance(tier, dict) or tier.keys() != {"from", "markup"}:
            raise InvalidField("Give each tier as {from, markup}.", field=_field(f"{name}[{place}]"))
        tiers.append(
            Tier(_amount(f"{name}[{place}].from", tier["from"]), parse_share(f"{name}[{place}].markup", tier["markup"]))
        )
    if not all(low.from_nanos < high.from_nanos for low, high in pairwise(tiers)):
        raise InvalidField("Give tiers in rising order, each from another amount.", field=_field(name))
    return tuple(tiers)


def _field(name: str) -> str:
    return f"terms.{name}".replace("\x00", "")[:200]


_READERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "currency": _currency,
    "fee": _amount,
    "seat_fee": _seat_fee,
    "included_seats": _seats,
    "included": _amount,
    "markup": parse_share,
    "models": _models,
    "tiers": _tiers,
    "minimum": _amount,
    "trial_days": _days,
    "grace_days": _days,
    "payment_days": _days,
    "pass_through": _flag,
    "prepaid": _flag,
    "invoices_credits": _flag,
}
