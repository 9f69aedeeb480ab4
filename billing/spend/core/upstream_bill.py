"""An upstream's bill against the ledger, by day and model: how much of it is covered, and what a difference comes from.

A bill is rows of money, of tokens, or of both: OpenAI's costs (``/v1/organization/costs`` grouped by line item) and
usage (``/v1/organization/usage/completions`` and its like, grouped by model), or a table with the columns ``day``,
``model``, ``cost``, ``input_tokens`` and ``output_tokens``, whatever it calls them. Days are UTC's, as providers bill.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from costhub.lib.errors import InvalidField
from costhub.lib.money import NANOS_PER_USD, format_for_people

MAX_ROWS: Final = 20_000
#: counts that differ by less are the same calls: what was running at midnight is on either day
_SAME_PER_MILLE: Final = 5
#: what bills count of a model, and what people call it
CLASSES: Final = {
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "images": "images",
    "seconds": "seconds of sound",
    "characters": "characters",
}
#: pieces that a model may be billed by, or by its tokens: where one side does not count them they are not compared
_PIECES: Final = ("images", "seconds", "characters")
#: what a table has, by our names; one that has others says which
COLUMNS: Final = ("day", "model", "cost", "input_tokens", "output_tokens")
_MAX_AMOUNT: Final = Decimal(10) ** 9
_MAX_TOKENS: Final = 10**15


class Finding(StrEnum):
    """What explains a row."""

    AGREES = "agrees"
    #: on the bill, and no call of ours
    MISSING_CALLS = "missing_calls"
    #: fewer tokens here than there
    MISSING_TOKENS = "missing_tokens"
    #: more tokens here than there
    EXTRA_TOKENS = "extra_tokens"
    #: calls of ours, and nothing on the bill
    NOT_ON_THE_BILL = "not_on_the_bill"
    #: the same tokens, and no price here
    UNPRICED = "unpriced"
    #: the same tokens at another price
    WRONG_PRICE = "wrong_price"
    #: the money differs, and the bill does not tell all tokens that would explain it; or nothing can be compared
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Used:
    """A day of a model: nano-USD, or None where a bill tells no money; and how much of each class, or None where it
    does not tell that."""

    cost: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None
    seconds: int | None = None
    characters: int | None = None

    def __add__(self, more: "Used") -> "Used":
        return Used(*(_sum(getattr(self, each.name), getattr(more, each.name)) for each in fields(Used)))

    @property
    def is_nothing(self) -> bool:
        """Whether it tells nothing at all."""
        return self == Used()


Bill = Mapping[tuple[date, str], Used]


@dataclass(frozen=True, slots=True)
class Match:
    """A day and model on both sides. ``drift`` is nano-USD, ours less theirs."""

    day: date
    model: str
    theirs: Used
    ours: Used
    finding: Finding
    text: str

    @property
    def drift(self) -> int:
        """Below zero where the upstream bills more than the ledger has."""
        return (self.ours.cost or 0) - (self.theirs.cost or 0)

    @property
    def coverage(self) -> int | None:
        """Per mille of the bill's money that the ledger has as well; None where nothing is billed."""
        return _per_mille(min(self.ours.cost or 0, self.theirs.cost or 0), self.theirs.cost or 0)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All days and models. ``coverage`` is as a row's, of all of them."""

    matches: Sequence[Match]
    coverage: int | None

    @property
    def drift(self) -> int:
        """Nano-USD, ours less theirs."""
        return sum(match.drift for match in self.matches)

    @property
    def apart(self) -> int:
        """Nano-USD that the two sides are apart in all, whichever has more: too much in one row makes good for nothing
        that is too little in another. Rows that agree add nothing."""
        return sum(abs(match.drift) for match in self.matches if match.finding is not Finding.AGREES)


def reconcile_bill(theirs: Bill, ours: Bill) -> Reconciled:
    """Hold a bill against the ledger's days and models."""
    nothing = Used()
    matches = []
    for day, model in sorted({*theirs, *ours}):
        there, here = theirs.get((day, model), nothing), ours.get((day, model), nothing)
        finding, text = _explain(there, here)
        matches.append(Match(day, model, there, here, finding, text))
    billed = sum(match.theirs.cost or 0 for match in matches)
    covered = sum(min(match.ours.cost or 0, match.theirs.cost or 0) for match in matches)
    return Reconciled(matches, _per_mille(covered, billed))


def _per_mille(covered: int, billed: int) -> int | None:
    return covered * 1000 // billed if billed > 0 else None


def _explain(theirs: Used, ours: Used) -> tuple[Finding, str]:
    if ours.is_nothing:
        return (
            Finding.MISSING_CALLS,
            "It is on the bill, and no call of it came through CostHub: is a key used elsewhere?",
        )
    if theirs.is_nothing:
        return Finding.NOT_ON_THE_BILL, "The ledger has calls that the bill does not know: is it of another account?"
    told = {name: there for name in CLASSES if (there := getattr(theirs, name)) is not None}
    classes = [
        (CLASSES[name], there, getattr(ours, name) or 0)
        for name, there in told.items()
        if name not in _PIECES or getattr(ours, name) is not None
    ]
    if not classes and theirs.cost is None:
        counts = " and ".join(CLASSES[name] for name in told)
        return (
            Finding.UNEXPLAINED,
            f"The bill counts {counts} alone, and the ledger none: give its money or tokens too.",
        )
    if any(here < there and not _is_same(here, there) for _, there, here in classes):
        return Finding.MISSING_TOKENS, _compare_tokens(classes)
    if any(not _is_same(here, there) for _, there, here in classes):
        return Finding.EXTRA_TOKENS, _compare_tokens(classes)
    if theirs.cost is None or _is_same(ours.cost or 0, theirs.cost):
        return Finding.AGREES, ""
    if not ours.cost:
        return Finding.UNPRICED, (
            f"It has no price here, and costs {format_for_people(theirs.cost)} there: give it one from that day on, and"
            " re-rate its calls."
        )
    untold = [words for name, words in CLASSES.items() if name not in told and getattr(ours, name)]
    if untold or not told:
        counts = " and ".join(untold) or "tokens"
        return Finding.UNEXPLAINED, f"The money differs; give the bill's {counts} too to find out why."
    per_cent = Decimal(abs(theirs.cost - ours.cost)) * 100 / abs(ours.cost)
    word = "higher" if theirs.cost > ours.cost else "lower"
    return (
        Finding.WRONG_PRICE,
        f"As much was used, and the bill is {per_cent.quantize(Decimal('0.1'))} % {word}: correct the price from that"
        " day on, and re-rate its calls.",
    )


def _compare_tokens(classes: Sequence[tuple[str, int, int]]) -> str:
    """Class by class where they differ; each is its name, what the bill has and what the ledger has."""
    parts = []
    for name, there, here in classes:
        if here < there and not _is_same(here, there):
            parts.append(f"{there - here:,} of {there:,} {name} on the bill are not in the ledger.")
        elif not _is_same(here, there):
            parts.append(f"The ledger has {here:,} {name}, {here - there:,} more than the bill.")
    return " ".join(parts)


def _is_same(ours: int, theirs: int) -> bool:
    return abs(ours - theirs) * 1000 <= max(abs(ours), abs(theirs)) * _SAME_PER_MILLE


def read_openai(data: Mapping[str, Any]) -> Bill:
    """Pages of OpenAI's costs or usage: ``{"data": [{"start_time", "results": [...]}]}``. Raises InvalidField."""
    buckets = data.get("data")
    if not isinstance(buckets, list):
        raise InvalidField("Give the answer of OpenAI's costs or usage API: an object with data.", field="data")
    rows = []
    for place, bucket in enumerate(buckets):
        field = f"data[{place}]"
        results = bucket.get("results") if isinstance(bucket, dict) else None
        start = bucket.get("start_time") if isinstance(bucket, dict) else None
        if not isinstance(results, list) or not isinstance(start, int) or not 0 < start < 2**33:
            raise InvalidField("A bucket has start_time and results.", field=field)
        day = datetime.fromtimestamp(start, UTC).date()
        for result in results:
            if not isinstance(result, dict):
                raise InvalidField("A result is an object.", field=field)
            rows.append((day, *_read_result(result, field)))
    return _collect(rows)


def read_table(text: str, columns: Mapping[str, str] | None = None) -> Bill:
    """A CSV with a header, of commas or semicolons, as spreadsheets write it too. ``columns`` are what it calls day,
    model, cost, input_tokens and output_tokens, where it does not call them so. Raises InvalidField naming the line at
    fault."""
    lines = io.StringIO(text.removeprefix("\ufeff"), newline=None)
    header = lines.readline()
    lines.seek(0)
    # Where a semicolon divides columns, a comma is what other languages write for a point.
    is_european = ";" in header and "," not in header
    reader = csv.DictReader(lines, delimiter=";" if is_european else ",")
    rows = []
    try:
        names = _name_columns([str(name).strip() for name in reader.fieldnames or ()], columns or {})
        reader.fieldnames = names
        for row in reader:
            rows.append(_read_row(row, f"csv line {reader.line_num}", "," if is_european else "."))
            if len(rows) > MAX_ROWS:
                break  # which collecting them refuses
    except csv.Error as error:
        # The only thing that the module says of what we give it: a field has no end.
        raise InvalidField(
            "A field is too long: is there a quotation mark without its second?",
            field=f"csv line {reader.line_num + 1}",
        ) from error
    return _collect(rows)


def _name_columns(header: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """The header in our names. Raises InvalidField."""
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise InvalidField(f"Say how the bill calls some of {', '.join(COLUMNS)}.", field="columns")
        if theirs not in header:
            raise InvalidField(f"The bill's header has no such column as the one for {ours}.", field=f"columns.{ours}")
    given = {theirs: ours for ours, theirs in columns.items()}
    if len(given) < len(columns):
        raise InvalidField("Two of them are the same column of the bill: each is one thing.", field="columns")
    # A column of one of our names that another one stands for is something else.
    names = [given.get(name, "" if name in columns else name) for name in header]
    if not {"day", "model"} <= set(names):
        raise InvalidField(
            "Give a header with day, model and cost, input_tokens or output_tokens, or say in columns which those are.",
            field="csv",
        )
    if twice := next((name for name in COLUMNS if names.count(name) > 1), None):
        raise InvalidField(
            f"The bill's header has more than one column for {twice}: leave one of them out.", field="csv"
        )
    return names


def _read_row(row: Mapping[str, Any], field: str, point: str) -> tuple[date, str, Used]:
    text = (row["day"] or "").strip()
    try:
        # A day, or a moment in it.
        day = date.fromisoformat(text[:10] if text[10:11] in {"", "T", " "} else "")
        if day.year in {MINYEAR, MAXYEAR}:
            raise ValueError("there may be no day before or after it")
    except ValueError as error:
        raise InvalidField("Give days as 2026-10-31.", field=field) from error
    cost = (row.get("cost") or "").strip().replace(point, ".")
    counts = (_count((row.get(name) or "").strip(), field) for name in ("input_tokens", "output_tokens"))
    return day, (row["model"] or "").strip(), Used(_money(cost, field), *counts)


def _read_result(result: Mapping[str, Any], field: str) -> tuple[str, Used]:
    if "amount" in result:
        amount = result["amount"]
        if not isinstance(amount, dict) or str(amount.get("currency", "usd")).lower() != "usd":
            raise InvalidField("An amount is in usd.", field=field)
        # A line item is "model, what of it".
        model = str(result.get("line_item") or "").partition(",")[0].strip()
        return model, Used(cost=_money(amount.get("value"), field))
    counts = (_count(result.get(name), field) for name in CLASSES)
    return str(result.get("model") or ""), Used(None, *counts)


def _collect(rows: Iterable[tuple[date, str, Used]]) -> Bill:
    found: dict[tuple[date, str], Used] = {}
    for number, (day, model, used) in enumerate(rows):
        if number >= MAX_ROWS:
            raise InvalidField(f"Give at most {MAX_ROWS} rows at once.", field="data")
        found[day, model] = found.get((day, model), Used()) + used
    return found


def _money(value: Any, field: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        amount = Decimal(value if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else "x")
    except InvalidOperation as error:
        raise InvalidField("Give money as a decimal number of USD.", field=field) from error
    if not amount.is_finite() or abs(amount) > _MAX_AMOUNT:
        raise InvalidField("Give money as a decimal number of USD.", field=field)
    return int((amount * NANOS_PER_USD).quantize(Decimal(1), ROUND_HALF_EVEN))


def _count(value: Any, field: str) -> int | None:
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) > _MAX_TOKENS:
        raise InvalidField("Give tokens as a whole number.", field=field)
    return int(text)


def _sum(left: int | None, right: int | None) -> int | None:
    return right if left is None else left if right is None else left + right
