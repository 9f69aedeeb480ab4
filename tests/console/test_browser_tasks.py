"""The main tasks of somebody who looks after an organisation, one after the other, in a real Chromium."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections
from playwright.sync_api import Browser, Page, expect

from costhub.lib import clock
from proxy.batches.ids import BATCH, show_id
from tenants.access import org_scope
from tenants.models import Budget, BudgetRequest, CachePurge
from tests.billing.alerts.examples import make_alerts
from tests.console.test_browser import Visitor, chromium, console, spent, visitor
from tests.proxy.batches.rows import fill_batches
from tests.world import Tenant, World, make_client, sign_in_now

__all__ = ["chromium", "console", "spent", "visitor"]

pytestmark = pytest.mark.browser


def fill_beside(tenant: Tenant) -> UUID:
    """A batch, made in a thread that leaves no connection behind."""
    try:
        return fill_batches(tenant)
    finally:
        connections.close_all()


def fill(page: Page, **typed: str) -> None:
    """The page's form, by its fields' names."""
    for name, text in typed.items():
        page.locator(f"#field-{name}").fill(text)


def test_a_budget_is_made_and_more_of_it_is_asked_for_and_granted(
    visitor: Visitor, chromium: Browser, console: str, spent: World
) -> None:
    org = f"{console}/o/{spent.acme.org.slug}"
    page = visitor.enter(spent)
    page.goto(f"{org}/budgets")
    page.get_by_role("link", name="New budget").click()
    fill(page, limit="25", name="team")
    page.get_by_role("button", name="Create budget").click()
    expect(page.get_by_role("link", name="team")).to_be_visible()

    asking = Visitor(chromium.new_context(), console)
    client = make_client()
    sign_in_now(client, spent.ben)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    asking.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": console}])
    asking.page.goto(f"{org}/budgets")
    asking.page.get_by_role("link", name="team").click()
    asking.page.get_by_role("link", name="Ask for more").click()
    until = clock.now() + timedelta(days=1)
    fill(asking.page, amount="5", until=f"{until:%Y-%m-%dT%H:%M}", reason="a load test")
    asking.page.get_by_role("button", name="Ask", exact=True).click()
    expect(asking.page.get_by_role("button", name="Withdraw it")).to_be_visible()
    assert asking.page.get_by_role("button", name="Yes").count() == 0

    page.goto(asking.page.url)
    page.get_by_role("button", name="Yes, $5.00").click()
    expect(page.locator("main")).to_contain_text("granted: $5.00")
    asking.page.context.close()
    asking.check()
    with org_scope(spent.acme.org.pk):
        made = Budget.objects.get(org=spent.acme.org, name="team")
        (asked,) = BudgetRequest.objects.filter(org=spent.acme.org, budget=made)
    assert (made.limit_nanos, asked.state, asked.granted_nanos) == (25 * 10**9, "granted", 5 * 10**9)


def test_somebody_is_invited_an_alert_taken_care_of_and_a_channel_made(visitor: Visitor, spent: World) -> None:
    org = f"{visitor.base}/o/{spent.acme.org.slug}"
    make_alerts(spent.acme)
    page = visitor.enter(spent)
    page.goto(f"{org}/members")
    page.get_by_role("link", name="Invite somebody").click()
    fill(page, email="new@acme.example")
    page.locator("#field-role").select_option("finance")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("row", name="new@acme.example")).to_contain_text("finance")

    page.goto(f"{org}/alerts")
    waiting = page.get_by_role("button", name="Acknowledge")
    before = waiting.count()
    waiting.first.click()
    expect(page.get_by_text("takes care of it")).to_have_count(1)
    expect(waiting).to_have_count(before - 1)

    page.get_by_role("link", name="New channel").click()
    page.locator("#field-kind").select_option("email")
    fill(page, name="Mails to owners")
    page.get_by_label("owner", exact=True).check()
    page.get_by_role("button", name="Create channel").click()
    expect(page.get_by_role("link", name="Mails to owners")).to_be_visible()


def test_a_price_follows_another_a_batch_is_cancelled_and_the_cache_purged(visitor: Visitor, spent: World) -> None:
    org = f"{visitor.base}/o/{spent.acme.org.slug}"
    page = visitor.enter(spent)
    page.goto(f"{org}/prices/new?model=small")
    fill(page, output_per_million="1.20")
    page.get_by_role("button", name="Add this price").click()
    expect(page.locator("main")).to_contain_text("$1.20")

    # Playwright keeps an event loop in this thread.
    with ThreadPoolExecutor(max_workers=1) as beside:
        name = show_id(BATCH, beside.submit(fill_beside, spent.acme).result())
    page.goto(f"{org}/batches")
    page.get_by_role("link", name=name[:15]).click()
    page.get_by_label(f"Type {name} to confirm").fill(name)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("It ends: calls that run come to their end")).to_be_visible()

    page.goto(f"{org}/cache")
    page.get_by_label(f"Type {spent.acme.org.name} to confirm").fill(spent.acme.org.name)
    with page.expect_navigation():
        page.get_by_role("button", name="Purge all").click()
    expect(page.get_by_role("heading", name="Cache", level=1)).to_be_visible()
    with org_scope(spent.acme.org.pk):
        assert CachePurge.objects.filter(org=spent.acme.org, kind="all").count() == 1
