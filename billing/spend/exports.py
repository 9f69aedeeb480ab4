"""Calls and sums as CSV that a spreadsheet opens as it is: with names, a column for each tag, one unit of money."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Call, Spend, list_requests
from billing.spend.selectors.names import find_names
from billing.spend.selectors.totals import Totals
from costhub.lib.money import format_usd
from tenants.access import Actor, org_scope

#: what makes a spreadsheet read UTF-8
MARK: Final = "\ufeff"
_PAGE: Final = 200
#: a spreadsheet would run what begins like this: end users' ids and tags are strangers' words
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CALL_COLUMNS: Final = (
    "time",
    "id",
    "project",
    "key",
    "end_user",
    "model",
    "answered_by",
    "upstream",
    "status",
    "error",
    "refused_by",
    "input_tokens",
    "output_tokens",
    "list_cost_usd",
    "cost_usd",
    "saved_usd",
    "cache",
    "route",
    "duration_ms",
)
#: what a group of calls comes to
SUMS: Final = ("calls", "input_tokens", "output_tokens", "list_cost_usd", "cost_usd", "saved_usd")


def export_calls(actor: Actor, filters: LedgerFilters, tags: Sequence[str]) -> Iterator[str]:
    """The calls of the filters, all of them, newest first, times in the organisation's zone: a head with a column for
    each of ``tags``, then some hundred lines at a time. What else a call is tagged with is in the last column, as JSON.

    Each part is read in a transaction of its own: a ledger of millions of calls holds none open.
    """
    zone, names, cursor = ZoneInfo(actor.org.time_zone), dict[str, str](), ""
    yield MARK + _write([*_CALL_COLUMNS, *(f"tag {name}" for name in tags), "other_tags"])
    while True:
        with org_scope(actor.org.pk):
            page = list_requests(actor, filters, cursor=cursor, limit=_PAGE)
            entries = [call.entry for call in page.calls]
            told = {
                str(one)
                for entry in entries
                for one in (entry.project_id, entry.key_id, entry.upstream_id, (entry.refused_by or {}).get("subject"))
                if one
            }
            names |= find_names(actor.org, told - names.keys())
        yield _write(*(_call_line(call, names, tags, zone) for call in page.calls))
        cursor = page.next_cursor
        if not cursor:
            return


def export_sums(spend: Spend, group: str, label: str) -> str:
    """Sums by one group, with its names beside ids where it has both."""
    has_ids = any(row.labels for row in spend.rows)
    head = [label, *([f"{label}_id"] if has_ids else []), *SUMS]
    lines = (
        [
            row.labels.get(group) or row.group[group],
            *([row.group[group]] if has_ids else []),
            *show_sums(row.totals),
        ]
        for row in spend.rows
    )
    return MARK + _write(head, *lines)


def show_sums(totals: Totals) -> list[Any]:
    """The cells of ``SUMS``."""
    return [
        totals.requests,
        totals.input_tokens,
        totals.output_tokens,
        format_usd(totals.list_cost),
        format_usd(totals.effective_cost),
        format_usd(totals.list_cost - totals.effective_cost),
    ]


def name_refusal(told: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """``the day budget of the end user mia: limit $10.00``, from what a refused call's row keeps."""
    if not told:
        return ""
    subject = str(told.get("subject", ""))
    whose = str(told.get("scope", "")).replace("_", " ")
    who = "" if told.get("scope") == "organization" else f" {names.get(subject, subject)}"
    what = f"{told['period']} budget" if told.get("kind") == "budget" else f"rate limit on {told.get('unit', '')}"
    unit = "$" if told.get("kind") == "budget" or told.get("unit") == "usd" else ""
    return f"{what} of the {whose}{who}: limit {unit}{_short(str(told.get('limit', '')))}"


def _short(amount: str) -> str:
    """Two places at least, and no zeros behind them."""
    whole, point, rest = amount.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}" if point else whole


def _call_line(call: Call, names: Mapping[str, str], tags: Sequence[str], zone: ZoneInfo) -> list[Any]:
    entry = call.entry
    others = {name: value for name, value in entry.tags.items() if name not in tags}
    return [
        entry.started_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
        str(entry.id),
        names.get(str(entry.project_id), str(entry.project_id)),
        names.get(str(entry.key_id), str(entry.key_id)),
        entry.end_user,
        entry.request_model,
        entry.response_model,
        names.get(str(entry.upstream_id), "") if entry.upstream_id else "",
        entry.status,
        entry.error_code,
        name_refusal(entry.refused_by, names),
        call.input_tokens,
        call.output_tokens,
        format_usd(call.list_cost),
        format_usd(call.effective_cost),
        format_usd(call.list_cost - call.effective_cost),
        entry.cache_status,
        entry.route_reason,
        entry.duration_us // 1000,
        *(str(entry.tags.get(name, "")) for name in tags),
        json.dumps(others, ensure_ascii=False, sort_keys=True) if others else "",
    ]


def _write(*lines: Iterable[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([guard_cell(cell) for cell in line] for line in lines)
    return text.getvalue()


def guard_cell(cell: Any) -> Any:
    """A cell that no spreadsheet runs."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_amount(cell):
        return f"'{cell}"
    return cell


def _is_amount(text: str) -> bool:
    """A number below zero is no formula."""
    return text.startswith("-") and text[1:].replace(".", "", 1).isdigit()
