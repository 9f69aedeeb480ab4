"""One run, inside a stack that is up: history, limits, replay, checks. Imported when the settings are there."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from time import sleep
from typing import Any, Final

import httpx2

from bench.replay import alerts, books, outlook, sums
from bench.replay.findings import Findings
from bench.replay.history import write_history
from bench.replay.load import CONNECTIONS, Answer, replay
from bench.replay.stack import wait_still
from bench.replay.trace import TraceCall
from bench.replay.watch import Fullest, watch_hard_budgets
from bench.replay.world import World, drop_demo_budgets, make_catalog, make_limits
from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.models import LedgerEntry
from tenants.access import list_org_ids, org_scope
from tenants.models import Organization
from tests.bank import Bank
from tests.mail import MailSink

#: for the history and what comes before the first call
SETUP_SECONDS: Final = 120.0


def run_replay(
    http: httpx2.Client, stack: dict[str, Any], bank: Bank, sink: MailSink, calls: Sequence[TraceCall], speed: float
) -> tuple[Findings, World, Organization]:
    """Everything in order. Gives what was found."""
    findings = Findings()
    org = _find_org()
    drop_demo_budgets(http, stack)
    world = make_catalog(http, stack, bank)
    hour = _wait_for_room(calls[-1].at / speed)
    spent = write_history(world, calls, str(org.pk), org.time_zone, hour)
    make_limits(http, world, calls, spent, speed)
    with watch_hard_budgets(stack["redis_url"], world.caps) as fullest:
        answers, seconds = asyncio.run(replay(calls, stack["base_url"], world.secrets, speed))
        bank.wait_quiet()
        still = wait_still(org)
    _report_load(findings, answers, seconds, speed, still)
    found = read_books(org, hour)
    _check(findings, found, world, answers, bank, fullest, sink)
    outlook.run_jobs(found, hour)
    wait_still(org)
    outlook.check_forecast(findings, found, world.caps, sink.mails)
    outlook.check_anomaly(findings, found, world, hour, sink.mails)
    return findings, world, org


def read_books(org: Organization, hour: datetime) -> books.Books:
    """Every row; the replay's are those from its hour on."""
    with org_scope(org.pk):
        rows = tuple(LedgerEntry.objects.filter(org_id=org.pk).order_by("started_at", "id"))
    return books.Books(org, rows, tuple(row for row in rows if row.started_at >= hour))


def _check(
    findings: Findings,
    found: books.Books,
    world: World,
    answers: Sequence[Answer],
    bank: Bank,
    fullest: Fullest,
    sink: MailSink,
) -> None:
    books.check_bill(findings, found, world, answers, bank)
    books.check_rows(findings, found, answers)
    books.check_hard_budgets(findings, found, world.caps, fullest)
    books.check_counters(findings, found)
    sums.check_sums(findings, found)
    alerts.check_alerts(findings, found, world.caps, answers, sink.mails)


def _find_org() -> Organization:
    [org_id] = list_org_ids()
    with org_scope(org_id):
        return Organization.objects.get(pk=org_id)


def _wait_for_room(seconds: float) -> datetime:
    """The hour that holds the whole replay: this one, or the next if this one is nearly over."""
    now = clock.now()
    hour = from_ms(int(now.timestamp()) // 3600 * 3_600_000)
    if now + timedelta(seconds=seconds * 1.2 + SETUP_SECONDS) > hour + timedelta(hours=1):
        hour += timedelta(hours=1)
        print(f"waiting for {hour:%H:%M}: the replay is to lie within one hour", flush=True)
        sleep((hour - now).total_seconds() + 1)
    return hour


def _report_load(findings: Findings, answers: Sequence[Answer], seconds: float, speed: float, still: float) -> None:
    late = sorted(answer.late for answer in answers)
    span = answers[-1].call.at
    planted = sum(answer.call.is_planted for answer in answers)
    findings.check(
        "replay",
        True,
        f"{len(answers):,} calls of {span:,.0f} s in {seconds:.0f} s, {len(answers) / seconds:.0f} a second, asked for"
        f" {speed:g}x, {span / seconds:.1f}x with the last answer; behind schedule: median {median(late) * 1000:.0f} ms,"
        f" p95 {late[int(len(late) * 0.95) - 1] * 1000:.0f} ms, most {late[-1] * 1000:.0f} ms, over {CONNECTIONS} connections;"
        f" {planted} planted calls; all still {still:.0f} s later",
        calls=len(answers),
        seconds=round(seconds, 1),
        speed=round(span / seconds, 2),
        late_median_ms=round(median(late) * 1000, 1),
        late_p95_ms=round(late[int(len(late) * 0.95) - 1] * 1000, 1),
        late_most_ms=round(late[-1] * 1000, 1),
        planted=planted,
        input_tokens=sum(answer.call.input_tokens for answer in answers),
        output_tokens=sum(answer.call.output_tokens for answer in answers),
    )
