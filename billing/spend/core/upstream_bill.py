"""An upstream's bill against the ledger, by day and model: how much of it is covered, and what a difference comes from.

A bill is rows of money, of tokens, or of both: OpenAI's costs (``/v1/organization/costs`` grouped by line item) and
usage (``/v1/organization/usage/completions`` grouped by model), or a table with the columns ``day``, ``model``,
``cost``, ``input_tokens`` and ``output_tokens``. Days are UTC's, as providers bill.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from costhub.lib.errors import InvalidField
from costhub.lib.money import NANOS_PER_USD, format_for_people

MAX_ROWS: Final = 20_000
#: counts that differ by less are the same calls: what was running at midnight is on either day
_SAME_PER_MILLE: Final = 5
_MAX_AMOUNT: Final = Decimal(10) ** 9
_MAX_TOKENS: Final = 10**15


class Finding(StrEnum):
    """What explains a row."""

    AGREES = "agrees"
    #: on the bill, and no call of ours
    MISSING_CALLS = "missing_calls"
    #: fewer tokens here than there
    MISSING_TOKENS = "missing_tokens"
    #: calls of ours, and nothing on the bill
    NOT_ON_THE_BILL = "not_on_the_bill"
    #: the same tokens, and no price here
    UNPRICED = "unpriced"
    #: the same tokens at another price
    WRONG_PRICE = "wrong_price"
    #: the money differs, and the bill tells no tokens that would explain it
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Used:
    """A day of a model: nano-USD, or None where a bill tells tokens only; tokens, or None where it tells money only."""

    cost: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def __add__(self, more: "Used") -> "Used":
        return Used(
            _sum(self.cost, more.cost),
            _sum(self.input_tokens, more.input_tokens),
            _sum(self.output_tokens, more.output_tokens),
        )

    @property
    def tokens(self) -> int | None:
        """Input and output."""
        return _sum(self.input_tokens, self.output_tokens)


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


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All days and models. ``coverage`` is per mille of the bill's money that the ledger has as well."""

    matches: Sequence[Match]
    coverage: int | None

    @property
    def drift(self) -> int:
        """Nano-USD, ours less theirs."""
        return sum(match.drift for match in self.matches)


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
    return Reconciled(matches, covered * 1000 // billed if billed > 0 else None)


def _explain(theirs: Used, ours: Used) -> tuple[Finding, str]:
    if ours.tokens is None and ours.cost is None:
        return (
            Finding.MISSING_CALLS,
            "It is on the bill, and no call of it came through CostHub: is a key used elsewhere?",
        )
    if theirs.tokens is None and theirs.cost is None:
        return Finding.NOT_ON_THE_BILL, "The ledger has calls that the bill does not know: is it of another account?"
    if theirs.tokens is not None:
        lacking = theirs.tokens - (ours.tokens or 0)
        if lacking * 1000 > theirs.tokens * _SAME_PER_MILLE:
            return Finding.MISSING_TOKENS, f"{lacking:,} of {theirs.tokens:,} tokens on the bill are not in the ledger."
    if theirs.cost is None or _is_same(ours.cost or 0, theirs.cost):
        return Finding.AGREES, ""
    if not ours.cost and ours.tokens:
        return Finding.UNPRICED, (
            f"It has no price here, and costs {format_for_people(theirs.cost)} there: give it one from that day on, and"
            " re-rate its calls."
        )
    if theirs.tokens is None:
        return Finding.UNEXPLAINED, "The money differs; give the bill's tokens too to find out why."
    per_cent = Decimal(theirs.cost - (ours.cost or 0)) * 100 / (ours.cost or 1)
    return (
        Finding.WRONG_PRICE,
        f"The same tokens, and the bill is {per_cent.quantize(Decimal('0.1'))} % higher: correct the price from that"
        " day on, and re-rate its calls.",
    )


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


def read_table(text: str) -> Bill:
    """A CSV with a header. Raises InvalidField naming the line at fault."""
    rows = []
    reader = csv.DictReader(io.StringIO(text))
    if not {"day", "model"} <= set(reader.fieldnames or ()):
        raise InvalidField("Give a header with day, model and cost, input_tokens or output_tokens.", field="csv")
    for line, row in enumerate(reader, start=2):
        field = f"csv line {line}"
        try:
            day = date.fromisoformat(row["day"] or "")
        except ValueError as error:
            raise InvalidField("Give days as 2026-10-31.", field=field) from error
        used = Used(
            _money(row.get("cost"), field),
            *(_count(row.get(name), field) for name in ("input_tokens", "output_tokens")),
        )
        rows.append((day, (row["model"] or "").strip(), used))
    return _collect(rows)


def _read_result(result: Mapping[str, Any], field: str) -> tuple[str, Used]:
    if "amount" in result:
        amount = result["amount"]
        if not isinstance(amount, dict) or str(amount.get("currency", "usd")).lower() != "usd":
            raise InvalidField("An amount is in usd.", field=field)
        # A line item is "model, what of it".
        model = str(result.get("line_item") or "").partition(",")[0].strip()
        return model, Used(cost=_money(amount.get("value"), field))
    counts = (_count(result.get(name), field) for name in ("input_tokens", "output_tokens"))
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
