"""What a caller is told of a call beside its answer."""

import re
from typing import Final

from costhub.lib import clock
from costhub.lib.money import format_usd
from proxy.core.rate_limits import describe
from proxy.edges.entry import Entry
from proxy.values.request import ALL_SAID
from tenants.choices import LimitUnit

_NOTHING: Final = format_usd(0)
#: how the headers of windows end that count money
_OF_MONEY: Final = f"-{LimitUnit.USD}"
#: fields whose names are a caller's own words
_LONGEST_LIST: Final = 1_000
#: what no header can hold of them
_NO_SIGN: Final = re.compile(r"[^ -~]")


def first_headers(entry: Entry) -> dict[str, str]:
    """What is known before the first byte of an answer."""
    row, candidate, hold = entry.row, entry.candidate, entry.hold
    served = entry.served or candidate
    headers = {
        "x-request-id": entry.request_id,
        "x-costhub-cache": row["cache_status"],
        "x-costhub-model": served.model.name if served is not None else row["request_model"],
        "x-costhub-route": row["route_reason"],
        "x-costhub-overhead-ms": _overhead_ms(entry),
    }
    if hold is not None and candidate is not None and candidate.layout.told:
        headers |= describe(candidate.layout.told, hold.used)
    if entry.confidence:
        headers["x-costhub-confidence"] = entry.confidence
    if entry.compression:
        headers["x-costhub-compression"] = entry.compression
    if entry.key.hides_amounts:
        headers = {name: value for name, value in headers.items() if not name.endswith(_OF_MONEY)}
    if entry.unsaid is not ALL_SAID and any(entry.unsaid):
        headers["x-costhub-dropped"] = _dropped(entry)
    return headers


def final_headers(entry: Entry) -> dict[str, str]:
    """What is known when the whole answer is there."""
    return first_headers(entry) | cost_fields(entry)


def cost_fields(entry: Entry) -> dict[str, str]:
    """What the call cost, known at its end; nothing for a key that hides amounts, but to our own jobs."""
    if entry.key.hides_amounts and not entry.is_own:
        return {}
    cost, saved = entry.cost, entry.saved
    told = format_usd(cost)
    fields = {
        "x-costhub-cost": told,
        "x-costhub-list-cost": format_usd(cost + saved) if saved else told,
        "x-costhub-savings": format_usd(saved) if saved else _NOTHING,
    }
    hold = entry.hold
    if hold is not None and hold.remaining is not None:
        fields["x-costhub-budget-remaining"] = format_usd(
            hold.remaining + hold.amount + entry.earlier_models_cost - cost
        )
    return fields


def _dropped(entry: Entry) -> str:
    """What of the request the upstream was not told."""
    names = ", ".join(dict.fromkeys((*entry.unsaid.fields, *entry.unsaid.hints)))
    return _NO_SIGN.sub("?", names[:_LONGEST_LIST])


def _overhead_ms(entry: Entry) -> str:
    micros = (clock.monotonic_ns() - entry.started_ns - entry.waited.total_ns) // 1000
    return f"{micros // 1000}.{micros % 1000:03d}"
