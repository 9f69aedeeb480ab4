"""Money: the only place that rounds it or formats it.

Units:

- ``Nanos``: an int of nano-USD (1e-9 USD), the amount of everything inside the product;
- ``Picos``: an int of pico-USD (1e-12 USD), the price of one token;
- ``Decimal`` USD: prices per million tokens as people type them, and money that leaves us.

There is no float here. A price of a dollar per million tokens is exactly one million picos per token, so a compiled
price is an integer for every price with at most six decimal places; a finer one is rounded up when it is compiled,
so that it is never too low.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final, NewType

Nanos = NewType("Nanos", int)
Picos = NewType("Picos", int)

NANOS_PER_USD: Final = 1_000_000_000
PICOS_PER_NANO: Final = 1_000
PICOS_PER_TOKEN_AT_ONE_USD_PER_MILLION: Final = 1_000_000

#: The largest amount that a limit or counter may hold: a Lua number is exact up to 2**53.
MAX_LIMIT_NANOS: Final = Nanos(9_000_000 * NANOS_PER_USD)
#: What one call or batch may cost must be less: Valkey's scripts count it in picos, and a Lua number is exact up to
#: 2**53, which is 9,007 USD.
MAX_PICOS_A_CALL: Final = Picos(2**53)
#: The same for people, in whole dollars.
MAX_CALL_TEXT: Final = f"${MAX_PICOS_A_CALL // (PICOS_PER_NANO * NANOS_PER_USD):,}"
#: The dearest price that may be typed, in USD per million tokens: keeps every product inside 2**63.
MAX_PRICE_PER_MILLION: Final = Decimal(1_000_000)

#: The finest prices that are counted exactly: whole pico-USD a token, and whole pico-USD a fee.
PRICE_DECIMAL_PLACES: Final = 6
FEE_DECIMAL_PLACES: Final = 12

_NINE_PLACES: Final = Decimal("0.000000001")
_CENT: Final = Decimal("0.01")
#: of the largest amount that is read at all, by the power of ten
_MOST_DIGITS: Final = 12
_DECIMAL_PLACES: Final = 9


def parse_usd(text: str | int | Decimal) -> Nanos:
    """Read an amount of USD as a person types it, such as ``"10.00"``.

    Raises ValueError for anything that is not a finite decimal number or that is finer than a nano-dollar.
    """
    try:
        amount = Decimal(text)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"{text!r} is not a decimal number of USD") from error
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not a finite amount")
    # By its digits: arithmetic fails on exponents that no amount has.
    if amount.adjusted() > _MOST_DIGITS:
        raise ValueError(f"{text!r} is more money than a ledger can hold")
    if amount and amount.adjusted() < -_DECIMAL_PLACES:
        raise ValueError(f"{text!r} is finer than a nano-dollar (9 decimal places)")
    if abs(amount) > Decimal(10) ** 12:
        raise ValueError(f"{text!r} is more money than a ledger can hold")
    nanos = amount * NANOS_PER_USD
    if nanos != nanos.to_integral_value():
        raise ValueError(f"{text!r} is finer than a nano-dollar (9 decimal places)")
    return Nanos(int(nanos))


def compile_price(usd_per_million: Decimal) -> Picos:
    """Turn USD per million tokens into whole pico-USD per token, rounding up what is finer."""
    return Picos(int((usd_per_million * PICOS_PER_TOKEN_AT_ONE_USD_PER_MILLION).to_integral_value(ROUND_CEILING)))


def compile_fee(usd: Decimal) -> Picos:
    """Turn a fee in USD, per request or per image, into whole pico-USD, rounding up what is finer."""
    return Picos(int((usd * NANOS_PER_USD * PICOS_PER_NANO).to_integral_value(ROUND_CEILING)))


def coarsen(usd: Decimal, decimal_places: int) -> Decimal:
    """The amount with so many decimal places at most, rounded up."""
    return usd.quantize(Decimal(1).scaleb(-decimal_places), ROUND_CEILING)


def round_up(picos: int) -> Nanos:
    """The one rounding of a call's cost: pico-USD, summed over its token classes, up to a whole nano-USD."""
    return Nanos(-(-picos // PICOS_PER_NANO))


def to_usd(nanos: int) -> Decimal:
    """An exact Decimal of USD with nine places, for exports and invoices."""
    return Decimal(nanos).scaleb(-9).quantize(_NINE_PLACES)


def format_usd(nanos: int) -> str:
    """Decimal USD with exactly nine places, as headers and APIs carry it: ``"0.000000420"``."""
    if nanos < 0:
        return f"-{format_usd(-nanos)}"
    whole, rest = divmod(nanos, NANOS_PER_USD)
    return f"{whole}.{rest:09d}"


def format_for_people(nanos: int) -> str:
    """Dollars and cents for a page: ``$1,234.50``; what is not zero is never shown as zero:
    ``< $0.01`` and ``> -$0.01``."""
    if -(NANOS_PER_USD // 100) < nanos < 0:
        return "> -$0.01"
    if nanos < 0:
        return "-" + format_for_people(-nanos)
    if 0 < nanos < NANOS_PER_USD // 100:
        return "< $0.01"
    return f"${to_usd(nanos).quantize(_CENT, ROUND_HALF_EVEN):,}"
