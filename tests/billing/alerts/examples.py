"""Alerts for tests: one with all that stands around it, and of each kind facts and the title that they make."""

from typing import Any, Final

from billing.alerts.actions.alerts import report
from billing.alerts.actions.mutes import set_muted
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Delivery
from billing.choices import AlertKind
from tenants.access import org_scope
from tests.billing.ledger import NOW
from tests.world import Tenant

FACTS: Final[dict[AlertKind, tuple[dict[str, Any], str]]] = {
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
    AlertKind.TOP_UP: (
        {"trouble": "declined", "amount": 20 * 10**9, "reason": "Your card was declined."},
        "Credits could not be bought by themselves",
    ),
    AlertKind.TAKEN_BACK: (
        {"payment": "pi_1", "cents": 2_000, "currency": "USD", "number": "", "is_disputed": True},
        "A payment of credits was disputed at Stripe",
    ),
    AlertKind.STRIPE_EVENT: (
        {"event": "evt_1", "kind": "checkout.session.completed", "object": "cs_1", "reason": "Credits are in USD."},
        "What Stripe told of cs_1 could not be done",
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
    AlertKind.CHANNEL_FAILING: (
        {"name": "Hook", "failures": 3, "since": "2026-11-30T23:30:00+00:00"},
        "The channel Hook fails",
    ),
    AlertKind.PRICE: (
        {
            "model": "small",
            "starts": "2026-11-30T23:30:00+00:00",
            "input_before": 150_000,
            "input_now": 300_000,
            "output_before": 600_000,
            "output_now": 600_000,
            "month_before": 10**9,
            "month_now": 2 * 10**9,
            "is_drop": False,
        },
        "The price of small changed on 1 December 2026",
    ),
}


def make_alerts(tenant: Tenant) -> dict[str, list[str]]:
    """An alert of a tenant's and all that stands around it, by resource of the API; its owner wants no mails of
    drift."""
    org, user_id = tenant.org, tenant.owner.user_id
    assert user_id is not None
    with org_scope(org.pk):
        set_muted(actor=tenant.owner, user_id=user_id, kinds=[AlertKind.DRIFT], is_muted=True)
        fact = Fact(AlertKind.UNPRICED, "small", 1, {"model": "small", "refused": 1, "answered": 0}, NOW)
        (alert,) = report(org, AlertKind.UNPRICED, [fact], now=NOW, is_complete=True)
        (delivery,) = Delivery.objects.filter(org=org)
    return {
        "alerts": [str(alert.pk)],
        "alert-rules": [str(alert.rule)],
        "channels": [str(delivery.channel)],
        "deliveries": [str(delivery.pk)],
    }
