"""From usage and terms to lines: integers of nano-USD throughout, and one rounding to cents a group of lines.

The usage lines of a group sum to what the ledger says of it, to the nano. Tokens cost whole pico-USD each, so a class's
amount may end within a nano-USD: it is rounded down, and what the rows were rounded up by, with their fees and
estimates, is a line of its own. Fees, markups and discounts that do not come out even are rounded half to even.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from billing.invoices.choices import USAGE_KINDS, LineKind
from billing.invoices.core.terms import WHOLE, Coupon, Terms

#: a line's class that is no token's: fees a request, roundings up, and calls that were charged by an estimate
OTHER: Final = "other"
CLASS_TITLES: Final[dict[str, str]] = {
    "input": "input tokens",
    "cached_input": "cached input tokens",
    "cache_write": "cache-write tokens",
    "cache_write_1h": "cache-write tokens, one hour",
    "audio_input": "audio input tokens",
    "cached_audio_input": "cached audio input tokens",
    "image_input": "image input tokens",
    "cached_image_input": "cached image input tokens",
    "output": "output tokens",
    "audio_output": "audio output tokens",
    "image_output": "image output tokens",
    "web_searches_low": "web searches, low context",
    "web_searches": "web searches",
    "web_searches_high": "web searches, high context",
    "file_searches": "file searches",
    "code_sessions": "code sessions",
    "images": "images",
    "seconds": "seconds of sound",
    "characters": "characters",
    "pages": "pages",
    "web_searches_preview": "web searches by the preview tool",
    OTHER: "request fees, roundings and estimates",
}
#: the group of what is paid from prepaid credits
PREPAID: Final = "prepaid"
#: how a price is named whose usage is hours of GPUs
GPU_HOURS: Final = "//gpu"
_PICOS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What a period's calls of one project and model used at one price version, as the ledger has it now.

    ``unit_prices`` are pico-USD a token by class. ``saved`` is nano-USD by mechanism.
    """

    project: str
    project_name: str
    model: str
    price: str
    calls: int
    tokens: Mapping[str, int]
    unit_prices: Mapping[str, int]
    cost: int
    saved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``group`` is what is rounded to cents together; ``quantity`` tokens at ``unit_price`` pico-USD are
    ``nanos``, exactly but for what is below a nano. ``share`` is a markup's, in basis points. ``saved`` is told of and
    not billed."""

    kind: LineKind
    group: str
    text: str
    nanos: int
    start: datetime
    end: datetime
    project: str = ""
    project_name: str = ""
    model: str = ""
    price: str = ""
    token_class: str = ""
    quantity: int = 0
    unit_price: int = 0
    share: int = 0
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """What stands as one amount of cents on the document: the exact sum of its lines, rounded once."""

    name: str
    title: str
    nanos: int
    cents: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the period under one set of terms. ``billed`` of ``whole`` microseconds of the month are in it, after
    any trial."""

    start: datetime
    end: datetime
    billed: int
    whole: int
    terms: Terms
    plan: str


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the period whose usage is billed by one rule: the markup, tiers and credits of its terms."""

    start: datetime
    end: datetime
    terms: Terms

    def has(self, line: Line) -> bool:
        """Whether a line of usage, or a markup on it, is of this part."""
        return (line.start, line.end) == (self.start, self.end)


def usage_lines(usage: Iterable[Usage], start: datetime, end: datetime, kind: LineKind = LineKind.USAGE) -> list[Line]:
    """The lines of usage, by project, model, price version and token class."""
    lines = []
    for each in usage:
        group = group_of(kind, start, each.project, each.model)
        common = Line(
            kind=kind,
            group=group,
            text="",
            nanos=0,
            start=start,
            end=end,
            project=each.project,
            project_name=each.project_name,
            model=each.model,
            price=each.price,
        )
        rest = each.cost
        for name, tokens in each.tokens.items():
            price = each.unit_prices.get(name, 0)
            nanos = tokens * price // _PICOS
            rest -= nanos
            text = f"{each.model}: {CLASS_TITLES[name]}"
            lines.append(replace(common, text=text, nanos=nanos, token_class=name, quantity=tokens, unit_price=price))
        if rest:
            title = "GPU hours" if each.price == GPU_HOURS else CLASS_TITLES[OTHER]
            lines.append(replace(common, text=f"{each.model}: {title}", nanos=rest, token_class=OTHER))
    return lines


def savings_lines(usage: Iterable[Usage], start: datetime, end: datetime) -> list[Line]:
    """What was saved, by project, model and mechanism: shown, and not billed."""
    found: dict[tuple[str, str, str, str], int] = {}
    for each in usage:
        for mechanism, nanos in each.saved.items():
            key = (each.project, each.project_name, each.model, mechanism)
            found[key] = found.get(key, 0) + nanos
    return [
        Line(
            kind=LineKind.SAVINGS,
            group="",
            text=f"{model}: saved by {mechanism}",
            nanos=0,
            start=start,
            end=end,
            project=project,
            project_name=name,
            model=model,
            saved=nanos,
        )
        for (project, name, model, mechanism), nanos in sorted(found.items())
        if nanos
    ]


def fee_lines(stretches: Sequence[Stretch], seats: int) -> list[Line]:
    """The subscription fee, and that of seats beyond those included, by the share of the month under each set of
    terms."""
    lines = []
    for stretch in stretches:
        nanos = prorate(stretch.terms.fee, stretch.billed, stretch.whole)
        share = "" if stretch.billed == stretch.whole else ", part of the month"
        if nanos:
            text = f"{stretch.plan}: subscription{share}"
            lines.append(Line(LineKind.FEE, f"fee:{stretch.plan}", text, nanos, stretch.start, stretch.end))
        more = max(0, seats - stretch.terms.included_seats)
        nanos = prorate(stretch.terms.seat_fee * more, stretch.billed, stretch.whole)
        if nanos:
            beyond = f" beyond {stretch.terms.included_seats}" if stretch.terms.included_seats else ""
            text = f"{stretch.plan}: {more} seat{'s' if more > 1 else ''}{beyond}{share}"
            lines.append(Line(LineKind.FEE, f"seats:{stretch.plan}", text, nanos, stretch.start, stretch.end))
    return lines


def group_of(kind: LineKind, start: datetime, project: str, model: str) -> str:
    """The group of a project's and model's usage. The whole moment is in it: a plan may change twice in a day."""
    return f"{kind.value}:{start.isoformat()}:{project}:{model}"


def mark_up(usage: Sequence[Line], spans: Sequence[Span]) -> list[Line]:
    """The markups of a month's usage: of each part of it those of its own terms."""
    marked: list[Line] = []
    earlier: list[Line] = []
    for span in spans:
        own = [line for line in usage if span.has(line)]
        marked += markup_lines(own, span.terms, earlier)
        earlier += own
    return marked


def markup_lines(lines: Iterable[Line], terms: Terms, earlier: Iterable[Line] = ()) -> list[Line]:
    """The markup of each project and model on its usage. With tiers that is so for models with a markup of their own
    alone; of all other usage each part has its tier's, and what is below the first tier the plan's.

    ``earlier`` is the month's usage before this one, under whatever terms: tiers count from the month's beginning, so
    that a change of plan neither opens a tier anew nor loses what was used."""
    usage = [line for line in lines if line.kind in USAGE_KINDS]
    if not terms.tiers:
        return _share_lines(usage, terms)
    marked = _share_lines([line for line in usage if line.model in terms.models], terms)
    before = sum(line.nanos for line in earlier if line.kind in USAGE_KINDS and line.model not in terms.models)
    return marked + _tier_lines([line for line in usage if line.model not in terms.models], terms, before)


def _share_lines(usage: Iterable[Line], terms: Terms) -> list[Line]:
    sums: dict[str, Line] = {}
    for line in usage:
        if share := terms.markup_of(line.model):
            known = sums.get(line.group)
            sums[line.group] = replace(line, nanos=line.nanos + (known.nanos if known else 0), share=share)
    marked = []
    for line in sums.values():
        nanos = round_share(line.nanos, line.share)
        if nanos:
            text = f"{line.model}: {'markup' if line.share > 0 else 'discount'} on usage"
            marked.append(
                replace(
                    line,
                    kind=LineKind.MARKUP,
                    text=text,
                    nanos=nanos,
                    token_class="",
                    quantity=0,
                    unit_price=0,
                    price="",
                )
            )
    return marked


def _tier_lines(usage: Sequence[Line], terms: Terms, before: int) -> list[Line]:
    if not usage:
        return []
    total = before + sum(line.nanos for line in usage)
    start, end = usage[0].start, usage[0].end
    lowest = terms.tiers[0].from_nanos
    steps = [("below tier 1", 0, terms.markup)] if lowest else []
    steps += [(f"tier {place}", tier.from_nanos, tier.markup) for place, tier in enumerate(terms.tiers, start=1)]
    found = []
    for (name, low, share), upper in zip(steps, [*(low for _, low, _ in steps[1:]), None], strict=True):
        nanos = round_share(_inside(total, low, upper) - _inside(before, low, upper), share)
        if nanos:
            text = f"{'Markup' if share > 0 else 'Discount'} on usage, {name}"
            group = f"tier:{start.isoformat()}:{low}"
            found.append(Line(LineKind.MARKUP, group, text, nanos, start, end, share=share))
    return found


def _inside(total: int, low: int, upper: int | None) -> int:
    """How much of so much usage is between two amounts."""
    return max(0, (total if upper is None else min(total, upper)) - low)


def closing_lines(
    lines: Sequence[Line], stretches: Sequence[Stretch], coupon: Coupon | None, start: datetime, end: datetime
) -> list[Line]:
    """What depends on the sum of all others: included usage, the minimum, and a coupon."""
    closing = []
    # What comes late was of another month, with a minimum and included usage of its own.
    own = [line for line in lines if line.kind is not LineKind.LATE_USAGE]
    usage = sum(line.nanos for line in own if line.kind in (LineKind.USAGE, LineKind.MARKUP))
    included = sum(prorate(each.terms.included, each.billed, each.whole) for each in stretches)
    free = min(included, max(usage, 0))
    if free:
        closing.append(Line(LineKind.INCLUDED, "included", "Usage included in the plan", -free, start, end))
    subtotal = sum(line.nanos for line in (*own, *closing))
    minimum = sum(prorate(each.terms.minimum, each.billed, each.whole) for each in stretches)
    if minimum and subtotal < minimum:
        text = "Minimum of the plan, less what was used"
        closing.append(Line(LineKind.MINIMUM, "minimum", text, minimum - subtotal, start, end))
    if coupon and (off := coupon.off(max(subtotal, minimum))):
        closing.append(Line(LineKind.COUPON, "coupon", "Coupon", -off, start, end))
    return closing


def prepaid_lines(lines: Sequence[Line], spans: Iterable[Span], balance: int) -> list[Line]:
    """What of the usage under prepaid plans is paid from credits already, as far as they go: a line for each part of a
    month whose usage they pay for, the oldest first."""
    prepaid = sorted((span for span in spans if span.terms.prepaid), key=lambda span: span.start)
    used = [line for line in lines if line.kind in (*USAGE_KINDS, LineKind.MARKUP)]
    theirs = [sum(line.nanos for line in used if span.has(line)) for span in prepaid]
    # Of what the plans include nothing is paid for.
    owed = sum(line.nanos for line in used) + sum(line.nanos for line in lines if line.kind is LineKind.INCLUDED)
    left = min(sum(theirs), owed, balance)
    paid = []
    for span, nanos in zip(prepaid, theirs, strict=True):
        taken = min(nanos, left)
        if taken > 0:
            paid.append(Line(LineKind.CREDIT, PREPAID, "Paid from prepaid credits", -taken, span.start, span.end))
            left -= taken
    return paid


def group_lines(lines: Sequence[Line], rate: Decimal, zone: tzinfo = UTC) -> list[Group]:
    """The groups in the order of their first lines; ``rate`` is units of the invoice's currency for a USD. Days and
    months in titles are those of ``zone``."""
    names: dict[str, list[Line]] = {}
    for line in lines:
        if line.kind is not LineKind.SAVINGS:
            names.setdefault(line.group, []).append(line)
    titles = {name: _title(own, zone) for name, own in names.items()}
    begins: dict[str, set[datetime]] = {}
    for name, own in names.items():
        begins.setdefault(titles[name], set()).add(own[0].start)
    found = []
    for name, own in names.items():
        nanos = sum(line.nanos for line in own)
        title = titles[name]
        if len(begins[title]) > 1:
            # The same under another plan: parts of a month are told apart by when they begin.
            began = own[0].start.astimezone(zone)
            title = f"{title}, from {began.day} {began:%B %Y}"
        found.append(Group(name, title, nanos, to_cents(nanos, rate)))
    return found


def _title(lines: Sequence[Line], zone: tzinfo) -> str:
    first = lines[0]
    if first.kind in (*USAGE_KINDS, LineKind.RERATED):
        late = f", of {first.start.astimezone(zone):%B %Y}" if first.kind is LineKind.LATE_USAGE else ""
        late = ", re-rated" if first.kind is LineKind.RERATED else late
        return f"{first.project_name or first.project}: {first.model}{late}"
    # Of a note: what else follows of a project's usage stands apart from it.
    return f"{first.project_name}: {first.text}" if first.project_name else first.text


def to_cents(nanos: int, rate: Decimal) -> int:
    """The one rounding of a group: nano-USD at a rate to whole cents, half to even."""
    cents = Decimal(nanos) * rate / 10_000_000
    return int(cents.quantize(Decimal(1), ROUND_HALF_EVEN))


def prorate(nanos: int, part: int, whole: int) -> int:
    """``nanos`` times ``part`` of ``whole``, rounded half to even."""
    return _divide(nanos * part, whole) if whole else 0


def round_share(nanos: int, share: int) -> int:
    """So many basis points of ``nanos``, rounded half to even."""
    return _divide(nanos * share, WHOLE)


def _divide(number: int, by: int) -> int:
    quotient, rest = divmod(number, by)
    if rest * 2 > by or (rest * 2 == by and quotient % 2):
        quotient += 1
    return quotient


def find_late(
    now: Iterable[Usage], billed: Mapping[tuple[str, str, str], tuple[Mapping[str, int], int]]
) -> list[Usage]:
    """What the ledger has of a period beyond what was billed of it; less than nothing where it was corrected down.

    ``billed`` has tokens by class and nano-USD, by (project, model, price version).
    """
    late = []
    seen = set()
    for usage in now:
        key = (usage.project, usage.model, usage.price)
        seen.add(key)
        tokens, cost = billed.get(key, ({}, 0))
        change = {
            name: usage.tokens.get(name, 0) - tokens.get(name, 0) for name in dict.fromkeys([*usage.tokens, *tokens])
        }
        change = {name: count for name, count in change.items() if count and name != OTHER}
        if change or usage.cost != cost:
            late.append(replace(usage, tokens=change, cost=usage.cost - cost, saved={}))
    for key, (tokens, cost) in billed.items():
        if key not in seen and (cost or any(tokens.values())):
            gone = {name: -count for name, count in tokens.items() if count and name != OTHER}
            late.append(Usage(key[0], "", key[1], key[2], 0, gone, {}, -cost, {}))
    return late
