"""Bank, callers, ledger and counters: what each knows of the same calls."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from bench.replay.findings import Findings
from bench.replay.load import Answer
from bench.replay.trace import PRICES
from bench.replay.watch import Fullest
from bench.replay.world import Cap, World
from costhub.lib import keyspace
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.redis import client
from proxy.ledger.recount import find_drift
from proxy.models import LedgerEntry
from tenants.models import Organization
from tenants.periods import period_bounds
from tests.bank import Bank

#: the ledger's columns, by the scope of a budget
_COLUMNS: Final = {
    "project": "project_id",
    "key": "key_id",
    "end_user": "end_user",
    "model": "request_model",
    "session": "session",
}


@dataclass(frozen=True, slots=True)
class Books:
    """Every row of the organisation, and those of the replay."""

    org: Organization
    rows: tuple[LedgerEntry, ...]
    fresh: tuple[LedgerEntry, ...]


def check_bill(findings: Findings, books: Books, world: World, answers: Sequence[Answer], bank: Bank) -> None:
    """The bank's bill against the ledger: call by call, and by key and model."""
    billed: dict[str, int] = defaultdict(int)
    for one in bank.bill():
        per_input, per_output = (Decimal(price) / 1000 for price in PRICES.get(one.model, (0, 0)))
        billed[one.request_id.partition(":")[0]] += one.cost_nanos(per_input, per_output)
    ledger: dict[str, int] = defaultdict(int)
    by_key: dict[tuple[str, str], int] = defaultdict(int)
    for row in books.fresh:
        ledger[str(row.corrects or row.id)] += row.effective_cost
        by_key[str(row.key_id), row.request_model] += row.effective_cost
    # Who made a call is what its caller says, not what the ledger does.
    bill_by_key: dict[tuple[str, str], int] = defaultdict(int)
    for answer in answers:
        if answer.call.key:
            bill_by_key[world.keys[answer.call.key], answer.call.model] += billed.get(answer.request_id, 0)
    differing = [each for each in {*billed, *ledger} if billed.get(each, 0) != ledger.get(each, 0)]
    total = sum(billed.values())
    findings.check(
        "bill",
        not differing and total == sum(ledger.values()) and dict(by_key) == dict(bill_by_key),
        f"the bank billed {format_usd_exact(total)} USD for {len(billed):,} calls, the ledger has"
        f" {format_usd_exact(sum(ledger.values()))}; by key and model {len(by_key)} sums agree; calls that differ: {len(differing)}",
        billed=total,
        ledger=sum(ledger.values()),
        differing=len(differing),
    )


def check_rows(findings: Findings, books: Books, answers: Sequence[Answer]) -> None:
    """A row for every call whose key was known, and none for others; refusals by code as the callers saw them."""
    known = Counter(answer.request_id for answer in answers if answer.has_row)
    rows = Counter(str(row.id) for row in books.fresh if row.kind == "call")
    silent = sum(answer.status == 0 for answer in answers)
    unread = sum(answer.status == 503 and not answer.has_row for answer in answers)
    findings.check(
        "rows",
        known == rows and set(rows.values()) == {1} and not silent,
        f"{sum(known.values()):,} calls with a known key have {sum(rows.values()):,} rows, each one;"
        f" {sum(not answer.call.key for answer in answers)} with an unknown key have none, nor {unread} whose key could not be read"
        f" in time; calls without an answer: {silent}",
        calls=sum(known.values()),
        rows=sum(rows.values()),
        unread=unread,
    )
    seen = Counter((answer.status, answer.code) for answer in answers if answer.has_row)
    kept = Counter(
        (row.status, row.error_code if row.status != 200 else "") for row in books.fresh if row.kind == "call"
    )
    named = {f"{status} {code}".strip(): count for (status, code), count in sorted(seen.items())}
    findings.check(
        "answers",
        seen == kept and any(status == 402 for status, _ in seen) and any(status == 429 for status, _ in seen),
        "callers saw " + ", ".join(f"{count:,} × {name}" for name, count in named.items()) + "; rows have the same",
        **named,
    )


def check_hard_budgets(findings: Findings, books: Books, caps: Sequence[Cap], fullest: Fullest) -> None:
    """Neither what was spent and held at any look, nor what the ledger sums to, is above a hard limit."""
    spends = [
        (cap, to_ms(starts), subject, nanos)
        for cap in caps
        if cap.is_hard
        for (starts, subject), nanos in sum_of_replay(books, cap).items()
    ]
    # Whoever had spent more before there was the budget is refused, and looked at all the same.
    over = [
        (cap.name, subject)
        for cap, starts, subject, nanos in spends
        if max(nanos, fullest.nanos.get((cap.id, starts, subject), 0)) > cap.limit
    ]
    unseen = sum((cap.id, starts, subject) not in fullest.nanos for cap, starts, subject, _ in spends)
    full = sum(nanos >= cap.limit * 97 // 100 for cap, _, _, nanos in spends)
    findings.check(
        "hard budgets",
        not over and not unseen and full > 0,
        f"{fullest.looks} looks at what is spent and held while it went on, and the ledger's sums: of {len(spends)} that were"
        f" spent from {len(over)} were ever above their limit; {full} are used to 97 % or more",
        looks=fullest.looks,
        counters=len(spends),
        over=len(over),
        used_up=full,
    )


def check_counters(findings: Findings, books: Books) -> None:
    """Counters are what the ledger says, and nothing is held any more."""
    shard = books.org.shard
    drift = find_drift(shard)
    counters = sum(1 for _ in client().scan_iter(match=f"{keyspace.tag(shard)}:budget:*", count=5_000))
    held = client().zcard(keyspace.leases_key(shard))
    findings.check(
        "counters",
        not drift and not held,
        f"{counters} counters, {len(drift)} of which differ from the ledger; open holds: {held}",
        counters=counters,
        drift=len(drift),
    )


def sum_of_replay(books: Books, cap: Cap) -> dict[tuple[datetime, str], int]:
    """What ``sum_by_period`` gives of the periods and subjects that the replay has spent in: nothing watched those
    before."""
    moved = sum_by_period([row for row in books.fresh if row.attempts], cap, books.org.time_zone)
    return {each: nanos for each, nanos in sum_by_period(books.rows, cap, books.org.time_zone).items() if each in moved}


def sum_by_period(rows: Iterable[LedgerEntry], cap: Cap, time_zone: str) -> dict[tuple[datetime, str], int]:
    """What each subject of a budget has spent, by (start of the period, subject), summed from rows one by one."""
    spent: dict[tuple[datetime, str], int] = defaultdict(int)
    starts: dict[int, datetime] = {}
    for row in rows:
        subjects = [each for each in _subjects_of(row, cap.scope) if not cap.subject or each == cap.subject]
        if not subjects:
            continue
        # Every period begins on a whole hour, in a zone that is whole hours away from UTC.
        hour = int(row.started_at.timestamp()) // 3600
        if hour not in starts:
            starts[hour] = period_bounds(cap.period, from_ms(hour * 3_600_000), time_zone)[0]
        for subject in subjects:
            spent[starts[hour], subject] += row.effective_cost
    return spent


def _subjects_of(row: LedgerEntry, scope: str) -> list[str]:
    if scope == "organization":
        return [str(row.org_id)]
    if scope == "tag":
        return [f"{name}={value}" for name, value in row.tags.items()]
    found = str(getattr(row, _COLUMNS[scope]))
    return [found] if found else []


def format_usd_exact(nanos: int) -> str:
    """All nine places."""
    return f"{nanos // 10**9:,}.{nanos % 10**9:09}"
