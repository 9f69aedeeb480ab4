"""What calls should have cost, against what the ledger has of them: pure, in integers of nano-USD.

A call is its row and every row that corrects it. Re-rated, it is taken out at the price versions that it was charged
at and put in again at the one that holds now, each as a row of its own under the call's moment, with tokens and money:
so the sums of both versions stay right, an invoice shows both, and what was re-rated already changes nothing.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from proxy.core import pricing
from proxy.core.row import Row, add_usage, read_usage, subtract, usage_columns
from proxy.values.attempt import Certainty, Usage
from tenants.price_snapshots import DEFAULT_TIER, PriceSnapshot

#: a price version, the discount or mark-up on it, and the service tier that answered
PriceKey = tuple[str | None, str | None, str]
#: the version that holds at a moment in ms, for answers that say they came from a model of this name
FindPrice = Callable[[int, str], PriceSnapshot | None]
#: how a re-rating's rows say whose they are
REASON: Final = "re-rated: "


class LeftOut(StrEnum):
    """Why a call keeps its cost."""

    #: its tokens are not known yet, or never were
    ESTIMATE = "estimate"
    #: no price of the model holds at its moment
    UNPRICED = "unpriced"
    #: several models answered it, and it was corrected: which of them the correction was of is not known
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Change:
    """A call that costs another amount now. ``rows`` sum to ``after`` less ``before``."""

    before: int
    after: int
    rows: tuple[Row, ...]


def rerate(rows: Sequence[Row], model: str, find_price: FindPrice, mark: str) -> Change | LeftOut | None:
    """What becomes of one call; None where it costs what it should.

    ``rows``: the call's row, then all that correct it. ``find_price`` gives the version of ``model`` that holds.
    ``mark`` is the re-rating's id: the same one makes the same rows.
    """
    call = rows[0]
    # What another re-rating has added changes money alone.
    truths = [row for row in rows[1:] if not row["route_reason"].startswith(REASON)]
    if call["is_estimated"] and not truths:
        return LeftOut.ESTIMATE
    price = find_price(call["started_at_ms"], call["response_model"])
    if price is None:
        return LeftOut.UNPRICED
    asked = {attempt.get("model") or call["request_model"] for attempt in call["attempts"]}
    if asked == {model} and call["request_model"] == model:
        return _rerate_whole(rows, price, mark, is_corrected=bool(truths))
    if any(row["attempts"] or row["effective_cost"] for row in rows[1:]):
        return LeftOut.MIXED
    return _rerate_part(call, model, price, mark)


def _rerate_whole(
    rows: Sequence[Row], price: PriceSnapshot, mark: str, *, is_corrected: bool
) -> Change | LeftOut | None:
    """A call of one model: all its tokens go from the versions that they are at to the one that holds."""
    call = rows[0]
    present: dict[PriceKey, tuple[Usage, int]] = {}
    for row in rows:
        used, cost = present.get(_key_of(row), (Usage(), 0))
        present[_key_of(row)] = add_usage([used, read_usage(row)]), cost + row["effective_cost"]
    used = add_usage([each for each, _ in present.values()])
    before = sum(cost for _, cost in present.values())
    parts = _parts(call, used, is_corrected=is_corrected)
    if parts is None:
        return LeftOut.ESTIMATE
    after = sum(_rate(part, price, tier, calls) for part, tier, calls in parts)
    target: PriceKey = (price.id, price.adjustment_id or None, call["service_tier"])
    if after == before and all(not cost and not any(used) for key, (used, cost) in present.items() if key != target):
        return None
    wanted = {target: (used, after)}
    made = []
    for key in dict.fromkeys([*present, *wanted]):
        used_now, cost_now = present.get(key, (Usage(), 0))
        used_then, cost_then = wanted.get(key, (Usage(), 0))
        more, nanos = subtract(used_then, used_now), cost_then - cost_now
        if any(more) or nanos:
            made.append(_row(call, key, more, nanos, (), mark))
    return Change(before, after, tuple(made))


def _rerate_part(call: Row, model: str, price: PriceSnapshot, mark: str) -> Change | LeftOut | None:
    """A call that several models were asked for: the attempts of this one, as money alone."""
    before = after = 0
    for attempt in call["attempts"]:
        if (attempt.get("model") or call["request_model"]) != model:
            continue
        before += attempt["cost"]
        if attempt.get("certainty") == Certainty.BOUND:
            return LeftOut.ESTIMATE
        part = Usage(**attempt.get("usage") or {}), price, attempt.get("service_tier") or ""
        after += _rate(*part, attempt.get("packed", 1)) if attempt["cost"] else 0
    if before == after:
        return None
    parts = [] if model == call["request_model"] else [{"model": model, "cost": after - before}]
    row = _row(call, _key_of(call), Usage(), after - before, parts, mark)
    return Change(before, after, (row,))


def _rate(used: Usage, price: PriceSnapshot, tier: str, calls: int) -> int:
    """What an attempt costs, one of ``calls`` that were asked as one: those have one fee together."""
    if calls > 1 and price.per_request:
        price = replace(price, per_request=-(-price.per_request // calls))
    return pricing.cost(used, price, tier or DEFAULT_TIER)


def _parts(call: Row, used: Usage, *, is_corrected: bool) -> list[tuple[Usage, str, int]] | None:
    """What is rated one by one, each with its tier and how many calls were asked as one: the attempts that used
    something, or all of a call that was corrected since. None where an attempt was charged at its bound and nobody
    knows what it used."""
    if is_corrected:
        return [(used, call["service_tier"], 1)] if any(used) else []
    billed = [attempt for attempt in call["attempts"] if attempt["cost"] or attempt.get("usage")]
    if any(attempt.get("certainty") == Certainty.BOUND for attempt in billed):
        return None
    if not all("usage" in attempt for attempt in billed):
        # Attempts of an older row do not say what they used.
        return [(used, call["service_tier"], 1)] if any(used) else []
    return [
        (Usage(**attempt["usage"]), attempt.get("service_tier") or "", attempt.get("packed", 1)) for attempt in billed
    ]


def _key_of(row: Mapping[str, Any]) -> PriceKey:
    return row["price_id"], row["adjustment_id"], row["service_tier"]


def _row(call: Row, key: PriceKey, used: Usage, nanos: int, attempts: Sequence[Row], mark: str) -> Row:
    price_id, adjustment_id, tier = key
    return call | {
        "id": row_id(call["id"], key, mark),
        "kind": "correction",
        "corrects": call["id"],
        **usage_columns(used),
        "list_cost": nanos,
        "effective_cost": nanos,
        "savings": {},
        "price_id": price_id,
        "adjustment_id": adjustment_id,
        "service_tier": tier,
        "would_refuse": [],
        "refused_by": {},
        "is_estimated": False,
        "is_overrun": False,
        "held": 0,
        "attempts": list(attempts),
        "route_reason": REASON + mark,
        "error_code": "",
        "duration_us": 0,
        "first_byte_us": None,
        "overhead_us": None,
    }


def row_id(call_id: str, key: PriceKey, mark: str) -> str:
    """The id of one row of a re-rating: the call's moment, and a digest of whose it is, so that it is made once."""
    digest = hashlib.sha256(f"{mark}/{call_id}/{'/'.join(part or '' for part in key)}".encode()).hexdigest()
    return f"{call_id[:14]}8{digest[:3]}-8{digest[3:6]}-{digest[6:18]}"
