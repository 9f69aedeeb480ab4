"""Amounts, counts and durations as pages show them. Every amount carries its exact value."""

from datetime import datetime, timedelta
from typing import Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.spend.core.chart import per_cent
from billing.spend.core.price_lines import format_picos
from billing.spend.selectors import Change
from costhub.lib.money import format_for_people, format_usd

register = template.Library()

_SPANS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@register.filter
def money(nanos: int) -> SafeString:
    """Dollars and cents, with the exact amount on hover."""
    return format_html('<span class="money" title="exactly {}">{}</span>', exact_usd(nanos), format_for_people(nanos))


@register.filter
def plain_money(nanos: int) -> str:
    """Dollars and cents as mere text, for where no markup can be."""
    return format_for_people(nanos)


@register.filter
def signed_money(nanos: int) -> str:
    """The same of a change: ``+$1.20``, ``-$1.20``; what is less than a cent says so without a sign before it."""
    text = format_for_people(nanos)
    return f"+{text}" if nanos > 0 and not text.startswith("<") else text


@register.filter
def cents(amount: int) -> str:
    """``1,234.50`` of an invoice's currency."""
    sign, digits = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{digits // 100:,}.{digits % 100:02d}"


@register.filter
def points(hundredths: int) -> str:
    """``+1.25 points`` of hundredths of a percentage point."""
    return f"{'−' if hundredths < 0 else '+'}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d} points"


@register.filter
def exact_money(nanos: int) -> SafeString:
    """All nine places, the trailing zeros pale: the cost of one call, as its header says it."""
    text = exact_usd(nanos)
    strong = text.rstrip("0")
    if strong.endswith("."):
        strong = text[: len(strong) + 2]
    return format_html('<span class="money">{}<span class="pale">{}</span></span>', strong, text[len(strong) :])


@register.filter
def exact_usd(nanos: int) -> str:
    """``$1,234.500000000``: nothing rounded."""
    sign, digits = ("-", -nanos) if nanos < 0 else ("", nanos)
    whole, _, rest = format_usd(digits).partition(".")
    return f"{sign}${int(whole):,}.{rest}"


@register.filter
def picos(amount: int) -> str:
    """Pico-USD, exactly."""
    return format_picos(amount)


@register.filter
def per_million(price: int) -> str:
    """A price of pico-USD per token as USD per million tokens, exactly."""
    whole, rest = divmod(price, 1_000_000)
    return f"${whole:,}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


@register.filter
def count(number: int) -> str:
    """``1,234,567``."""
    return f"{number:,}"


@register.filter
def short_count(number: int) -> str:
    """``1.2 M``, rounded down, for where the exact count stands in the title."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size * 10 or (number >= size and size > 10**3):
            tenths = number * 10 // size
            return f"{tenths // 10:,}{f'.{tenths % 10}' if tenths < 1000 and tenths % 10 else ''} {letter}"
    return f"{number:,}"


@register.filter
def share(part: int, whole: int) -> str:
    """A width in per cent for an SVG attribute."""
    return per_cent(part, whole)


@register.filter
def ratio(part: int, whole: int) -> str:
    """``42 %``; what is above nothing is never shown as nothing."""
    if whole <= 0:
        return "–"
    tenths = part * 1000 // whole
    if part > 0 and tenths < 1:
        return "< 0.1 %"
    return f"{tenths // 10} %" if tenths >= 100 or tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10} %"


@register.filter
def tenths(per_mille: int) -> str:
    """``81.4 %`` of so many thousandths."""
    whole, rest = divmod(abs(per_mille), 10)
    text = f"{whole:,}.{rest} %" if rest and whole < 100 else f"{whole:,} %"
    return f"−{text}" if per_mille < 0 else text


@register.filter
def times(hundredths: int) -> str:
    """``1.57 ×`` of so many hundredths."""
    return f"{hundredths // 100}.{hundredths % 100:02d} ×"


@register.filter
def words(name: str) -> str:
    """``end user`` for ``end_user``."""
    return name.replace("_", " ")


@register.filter
def change(value: Change) -> str:
    """``+12.4 %`` against the period before."""
    if value.per_mille is None:
        return "new" if value.now else "–"
    tenths = abs(value.per_mille)
    if tenths >= 10_000:
        return "> +1,000 %"
    sign = "+" if value.per_mille > 0 else "−" if value.per_mille < 0 else "±"
    return f"{sign}{tenths // 10}.{tenths % 10} %"


@register.filter
def duration(microseconds: int | None) -> str:
    """``840 µs``, ``12 ms``, ``3.2 s``."""
    if microseconds is None:
        return "–"
    if microseconds < 1_000:
        return f"{microseconds} µs"
    if microseconds < 1_000_000:
        tenths = microseconds // 100
        return f"{tenths // 10}.{tenths % 10} ms" if tenths < 100 else f"{tenths // 10} ms"
    tenths = microseconds // 100_000
    return f"{tenths // 10}.{tenths % 10} s"


@register.filter
def seconds(number: int) -> str:
    """``1 day`` or ``90 seconds``: in the largest unit of which it is a whole number."""
    size, name = next(((size, name) for size, name in _SPANS if number % size == 0), (1, "second"))
    many = number // size
    return f"{many:,} {name}" if many == 1 else f"{many:,} {name}s"


@register.filter
def until(moment: datetime, now: datetime) -> str:
    """``8 days``, ``5 hours`` or ``12 minutes`` from now to a moment, rounded up."""
    left = max(moment - now, timedelta(0))
    for unit, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if left > size or unit == "minute":
            number = -(-left // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    raise AssertionError("minutes always fit")
