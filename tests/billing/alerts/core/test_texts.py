"""What people read: every kind in words, moments in the organisation's own time."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.alerts.core.kinds import KINDS, Fact, RuleTerms, crossed, severity_of
from billing.alerts.core.texts import describe
from billing.choices import AlertEvent, AlertKind, Severity

BERLIN = ZoneInfo("Europe/Berlin")
FACTS: dict[AlertKind, tuple[dict[str, Any], str]] = {
    AlertKind.BUDGET: (
        {
            "who": "Project Research",
            "name": "Big",
            "period": "month",
            "spent": 1_234_567_890,
            "limit": 1_000_000_000,
            "percent": 123,
            "ends": "2026-11-30T23:00:00+00:00",
            "action": "block",
            "refuses": True,
        },
        "Project Research used 123 % of the monthly budget “Big”: calls are refused",
    ),
    AlertKind.FORECAST: (
        {
            "who": "Acme",
            "exceeds_on": "2026-11-28",
            "spent": 5,
            "limit": 10,
            "low": 9,
            "high": 14,
            "expected": 12,
            "error_per_mille": 83,
        },
        "Acme is forecast to exceed the monthly budget on 28 November 2026",
    ),
    AlertKind.ANOMALY: (
        {
            "who": "Key web",
            "unit": "day",
            "starts": "2026-11-21T23:00:00+00:00",
            "actual": 9_000_000_000,
            "expected": 1_000_000_000,
            "low": 500_000_000,
            "high": 1_500_000_000,
            "driver": "Model large: more tokens a call",
        },
        "Key web spent more than usual in the day of 22 November 2026",
    ),
    AlertKind.UNPRICED: ({"model": "new", "refused": 2, "answered": 0}, "The model new has no price"),
    AlertKind.OVERRUN: (
        {"model": "small", "calls": 1, "excess": 7},
        "Calls to small cost more than was held for them",
    ),
    AlertKind.UPSTREAM: (
        {"name": "gpu", "failed": 6, "calls": 10, "minutes": 5, "error": "503"},
        "The upstream gpu is failing",
    ),
    AlertKind.DRIFT: (
        {"who": "Acme", "counted": 10, "ledger": 7},
        "The counter of a budget of Acme did not agree with the ledger",
    ),
    AlertKind.METER: (
        {"meter": "usage", "hours": 1, "ledger": 10, "stripe": 7},
        "The meter usage does not agree with the ledger",
    ),
    AlertKind.LEARNED: (
        {"route": "smart", "learned": "2026-11-28T09:00:00+00:00", "labels": 240},
        "What the route smart has learned was taken back",
    ),
    AlertKind.PAID_TWICE: (
        {"number": "INV-000001", "cents": 123_456, "currency": "EUR", "entry": "cbtxn_1"},
        "The invoice INV-000001 was paid twice",
    ),
    AlertKind.BILL: (
        {
            "name": "openai",
            "first": "2026-11-14",
            "last": "2026-11-20",
            "billed": 10**9,
            "ledger": 5 * 10**8,
            "model": "gpt-4o",
            "why": "It has no price here.",
        },
        "The bill of the upstream openai is not what the ledger has",
    ),
    AlertKind.KEY_EXPIRING: (
        {"name": "web", "prefix": "chk_abc", "expires": "2026-11-30T23:30:00+00:00"},
        "The key web expires on 1 December 2026",
    ),
    AlertKind.CHANNEL_OFF: ({"name": "Hook", "reason": "410"}, "The channel Hook was switched off"),
}


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_its_words(kind: AlertKind) -> None:
    facts, title = FACTS[kind]
    text = describe(kind, facts, AlertEvent.OPENED, BERLIN)
    assert text.title == title
    assert text.advice.endswith(".")
    assert all(name and value for name, value in text.figures)
    assert describe(kind, facts, AlertEvent.RECOVERED, BERLIN).title == f"Over: {title}"


def test_money_is_never_rounded_away() -> None:
    text = describe(AlertKind.BUDGET, FACTS[AlertKind.BUDGET][0], AlertEvent.OPENED, BERLIN)
    assert dict(text.figures) == {
        "Spent": "$1.23 ($1.234567890)",
        "Budget": "$1.00",
        "Left": "-$0.23 (-$0.234567890)",
        "Resets": "1 December 2026, 00:00 (Europe/Berlin)",
    }
    dear = FACTS[AlertKind.BUDGET][0] | {"spent": 1_278_298_404_650_000, "limit": 1_200_000_000_000}
    figures = dict(describe(AlertKind.BUDGET, dear, AlertEvent.OPENED, BERLIN).figures)
    assert figures["Spent"] == "$1,278,298.40 ($1,278,298.404650000)"
    assert figures["Budget"] == "$1,200.00"
    assert figures["Left"] == "-$1,277,098.40 (-$1,277,098.404650000)"
    drift = describe(AlertKind.DRIFT, FACTS[AlertKind.DRIFT][0], AlertEvent.OPENED, BERLIN)
    assert dict(drift.figures)["Difference"] == "$0.000000003"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"action": "warn"}, "Calls go on: this budget only warns."),
        ({"is_shadow": True}, "It is a shadow: nothing is refused. The requests show what it would have refused."),
        ({"action": "degrade"}, "Calls are made cheaper by the budget's ladder."),
        (
            {"action": "degrade", "refuses": True},
            "Calls that do not fit are refused until it resets or somebody raises it.",
        ),
        ({}, "Calls that do not fit into what is left are refused."),
    ],
)
def test_a_budget_says_what_follows(how: dict[str, Any], says: str) -> None:
    facts = FACTS[AlertKind.BUDGET][0] | {"refuses": False} | how
    assert describe(AlertKind.BUDGET, facts, AlertEvent.OPENED, BERLIN).advice == says


def make_fact(kind: AlertKind, value: int, **details: Any) -> Fact:
    return Fact(kind, "x", value, details, thresholds=(50, 80, 100) if kind is AlertKind.BUDGET else ())


def test_thresholds_are_the_rules_else_the_budgets_else_the_kinds() -> None:
    rule = RuleTerms("r", AlertKind.BUDGET)
    assert crossed(rule, make_fact(AlertKind.BUDGET, 80)) == (50, 80)
    assert crossed(RuleTerms("r", AlertKind.BUDGET, (30, 90)), make_fact(AlertKind.BUDGET, 80)) == (30,)
    assert crossed(RuleTerms("r", AlertKind.KEY_EXPIRING), make_fact(AlertKind.KEY_EXPIRING, 3)) == (14, 3)
    assert crossed(RuleTerms("r", AlertKind.UPSTREAM), make_fact(AlertKind.UPSTREAM, 49)) == ()
    assert crossed(RuleTerms("r", AlertKind.UPSTREAM), make_fact(AlertKind.BUDGET, 100)) == ()


def test_what_stops_somebody_is_critical() -> None:
    assert severity_of(make_fact(AlertKind.BUDGET, 100, refuses=True), 100) is Severity.CRITICAL
    assert severity_of(make_fact(AlertKind.BUDGET, 100, refuses=False), 100) is Severity.WARNING
    assert severity_of(make_fact(AlertKind.BUDGET, 60), 50) is Severity.INFO
    assert severity_of(make_fact(AlertKind.ANOMALY, 0, is_drop=True), 0) is Severity.INFO
    assert severity_of(make_fact(AlertKind.KEY_EXPIRING, 2), 3) is Severity.WARNING


def test_every_kind_has_traits() -> None:
    assert set(KINDS) == set(AlertKind)
