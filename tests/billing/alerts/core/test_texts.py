"""What people read: every kind in words, moments in the organisation's own time."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.alerts.core.kinds import KINDS, Fact, RuleTerms, crossed, severity_of
from billing.alerts.core.texts import describe
from billing.choices import AlertEvent, AlertKind, Severity
from tests.billing.alerts.examples import FACTS

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_its_words(kind: AlertKind) -> None:
    facts, title = FACTS[kind]
    text = describe(kind, facts, AlertEvent.OPENED, BERLIN)
    assert text.title == title
    assert text.advice.endswith(".")
    assert all(name and value for name, value in text.figures)
    assert describe(kind, facts, AlertEvent.RECOVERED, BERLIN).title == f"Over: {title}"


@pytest.mark.parametrize("kind", AlertKind)
def test_facts_of_another_release_are_no_error(kind: AlertKind) -> None:
    text = describe(kind, {"of_another_release": 1}, AlertEvent.OPENED, BERLIN)
    assert (text.title, text.figures) == (KINDS[kind].title, ())
    assert text.advice == "Another release of CostHub wrote this, and what it says is not known."
    assert describe(kind, {}, AlertEvent.RECOVERED, BERLIN).title == f"Over: {KINDS[kind].title}"


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
