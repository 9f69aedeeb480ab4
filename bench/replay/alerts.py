"""Which thresholds were crossed, by the ledger's rows alone; and which alerts fired, and which mails arrived."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Final

from bench.replay.books import Books, sum_of_replay
from bench.replay.findings import Findings
from bench.replay.load import Answer
from bench.replay.world import Cap
from billing.alerts.models import Alert
from billing.spend.selectors.names import name_subject
from tenants.access import org_scope
from tenants.periods import period_bounds

#: of a default for each of these the first who crosses is told of
_MANY: Final = frozenset({"end_user", "tag", "session"})
_SHORT: Final = frozenset({"minute", "hour"})
_TITLE: Final = re.compile(
    r"\[.*?\] (?P<who>.+) used (?P<percent>\d+) % of the [a-z ]+ “(?P<name>.+)”(?P<refuses>: calls are refused)?"
)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that spend has reached; ``subject`` is ``*`` where one stands for many."""

    cap: str
    subject: str
    window: datetime
    threshold: int


def find_crossings(books: Books, caps: Sequence[Cap], answers: Sequence[Answer]) -> set[Crossing]:
    """From the rows, and from what callers were refused, alone: each budget, subject, window and threshold once.

    A hard budget of which most is spent, and which has no room for a call, has reached 100 per cent, whatever is left.
    Alerts fire when counters move, so of periods before the replay nobody is told. No order of the rows matters,
    because nothing of the replay makes spend less: what is reached at the end was crossed once.
    """
    found: set[Crossing] = set()
    by_id, moments = {cap.id: cap for cap in caps}, {str(row.id): row.started_at for row in books.fresh}
    for answer in answers:
        budget, subject, is_at_its_end = answer.refused_by or ("", "", False)
        if is_at_its_end:
            cap = by_id[budget]
            whom = "*" if not cap.subject and cap.scope in _MANY else subject
            period = "day" if cap.period in _SHORT else cap.period
            window = period_bounds(period, moments[answer.request_id], books.org.time_zone)[0]
            found |= {Crossing(cap.id, whom, window, level) for level in cap.thresholds if level <= 100}
    for cap in caps:
        for (starts, subject), nanos in sum_of_replay(books, cap).items():
            whom = "*" if not cap.subject and cap.scope in _MANY else subject
            window = period_bounds("day", starts, books.org.time_zone)[0] if cap.period in _SHORT else starts
            found |= {
                Crossing(cap.id, whom, window, level) for level in cap.thresholds if nanos * 100 // cap.limit >= level
            }
    return found


def check_alerts(
    findings: Findings,
    books: Books,
    caps: Sequence[Cap],
    answers: Sequence[Answer],
    mails: Sequence[EmailMessage],
) -> None:
    """None missing, none twice; and of thresholds that were jumped over together a mail of the gravest."""
    with org_scope(books.org.pk):
        alerts = list(Alert.objects.filter(org=books.org, kind="budget"))
        fired = Counter(_crossing_of(alert) for alert in alerts)
    expected = find_crossings(books, caps, answers)
    missing, surplus = expected - set(fired), set(fired) - expected
    twice = [crossing for crossing, times in fired.items() if times > 1]
    findings.check(
        "alerts",
        not missing and not surplus and not twice and bool(expected),
        f"{len(expected)} thresholds crossed by the ledger's rows and by refusals, {len(fired)} alerts: {len(missing)} missing,"
        f" {len(surplus)} for nothing, {len(twice)} twice",
        crossed=len(expected),
        fired=sum(fired.values()),
        missing=len(missing),
        surplus=len(surplus),
        twice=len(twice),
    )
    _check_mails(findings, books, caps, alerts, mails)


def _check_mails(
    findings: Findings, books: Books, caps: Sequence[Cap], alerts: Sequence[Alert], mails: Sequence[EmailMessage]
) -> None:
    by_id = {cap.id: cap for cap in caps}
    together: dict[tuple[str, datetime], list[Alert]] = defaultdict(list)
    for alert in alerts:
        together[alert.subject, alert.created_at].append(alert)
    expected: Counter[tuple[str, str, int]] = Counter()
    with org_scope(books.org.pk):
        for (subject, _), of_them in together.items():
            gravest = max(of_them, key=lambda alert: alert.threshold)
            cap = by_id[subject.partition(":")[0]]
            who = name_subject(books.org, cap.scope, gravest.facts["subject"])
            expected[cap.name, who, gravest.threshold] += 1
    arrived: Counter[tuple[str, str, int]] = Counter()
    by_name = {cap.name: cap for cap in caps}
    for mail in mails:
        if found := _TITLE.fullmatch(str(mail["Subject"]).strip()):
            reached = max(int(found["percent"]), 100 if found["refuses"] else 0)
            levels = [level for level in by_name[found["name"]].thresholds if level <= reached]
            arrived[found["name"], found["who"], max(levels)] += 1
    findings.check(
        "mails",
        arrived == expected and bool(arrived) and max(arrived.values()) == 1,
        f"{arrived.total()} mails of budgets for {len(alerts)} alerts, whoever jumped over several told of the gravest:"
        f" {(expected - arrived).total()} missing, {(arrived - expected).total()} too many",
        arrived=arrived.total(),
        missing=(expected - arrived).total(),
        surplus=(arrived - expected).total(),
    )


def _crossing_of(alert: Alert) -> Crossing:
    budget, _, subject = alert.subject.partition(":")
    return Crossing(budget, subject, alert.window_start, alert.threshold)
