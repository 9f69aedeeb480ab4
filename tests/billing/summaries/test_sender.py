"""Summaries by mail: to those who pay, once, and not to who does not want them."""

from datetime import UTC, datetime, timedelta

from django.core import mail

from billing.summaries.sender import send_summaries
from tenants.access import org_scope
from tenants.models import Membership
from tests.billing.ledger import record_call
from tests.console.client import Visit
from tests.world import World

MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)


def test_owners_hear_of_a_week_once(world: World) -> None:
    record_call(world.acme, MONDAY - timedelta(days=2), cost=3 * 10**9, request_model="<b>small</b>", end_user="mia")
    record_call(world.acme, MONDAY - timedelta(days=9), cost=2 * 10**9)
    assert send_summaries(world.acme.owner, MONDAY) == 1
    assert send_summaries(world.acme.owner, MONDAY + timedelta(hours=1)) == 0
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["ada@acme.example"], "[Acme] Week from 16 November: $3.00, +50.0 %")
    assert "Model <b>small</b>: $3.00 after $0.00" in sent.body
    html = str(sent.alternatives[0][0])  # type: ignore[attr-defined]
    assert "&lt;b&gt;small&lt;/b&gt;" in html
    assert "<b>small</b>" not in html


def test_nobody_hears_of_a_week_without_calls(world: World) -> None:
    record_call(world.acme, MONDAY - timedelta(days=9), cost=2 * 10**9)
    assert send_summaries(world.acme.owner, MONDAY) == 0


def test_a_member_chooses_under_your_mails(world: World) -> None:
    record_call(world.acme, MONDAY - timedelta(days=2), cost=10**9)
    ada = Visit(world.ada)
    assert 'name="summary" value="1" checked' in " ".join(ada.get("/o/acme/alerts").content.decode().split())
    ada.post("/o/acme/alerts/mails", {"kind": ["budget"]})
    with org_scope(world.acme.org.pk):
        assert not Membership.objects.get(org=world.acme.org, user=world.ada).wants_summaries
    assert send_summaries(world.acme.owner, MONDAY) == 0
    ada.post("/o/acme/alerts/mails", {"kind": ["budget"], "summary": "1"})
    assert send_summaries(world.acme.owner, MONDAY) == 1
