"""Forms that save money, filled in without a mouse, and the public page of upstreams, in a real Chromium."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tenants.access import org_scope
from tenants.models import CachePolicy, Route
from tests.console.test_browser import (
    NARROW,
    WIDTHS,
    Visitor,
    chromium,
    console,
    spent,
    violations_of,
    visitor,
)
from tests.world import World

__all__ = ["chromium", "console", "spent", "visitor"]

pytestmark = pytest.mark.browser


def type_over(page: Page, label: str, text: str) -> None:
    """Into a field that the Tab key has come to."""
    field = page.get_by_label(label)
    for _ in range(60):
        if field.evaluate("found => found === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(field).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def test_a_cache_policy_is_made_without_a_mouse_and_a_mistake_is_told_at_its_field(
    visitor: Visitor, spent: World
) -> None:
    page = visitor.enter(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/cache")
    page.get_by_role("link", name="New policy").press("Enter")
    type_over(page, "Kept for, in seconds", "0")
    page.keyboard.press("Enter")
    wrong = page.get_by_label("Kept for, in seconds")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-ttl_seconds-error")).to_contain_text("Give 1 to 2592000 seconds")
    # What was typed elsewhere is still there.
    visitor.complaints = [said for said in visitor.complaints if "400" not in said]
    type_over(page, "Kept for, in seconds", "90")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cache", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("kept 90 s")
    with org_scope(spent.acme.org.pk):
        assert CachePolicy.objects.get(org=spent.acme.org).ttl_seconds == 90


def test_a_route_is_tried_before_it_is_made(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/routes/new")
    page.get_by_role("link", name="fallbacks").click()
    page.get_by_label("Name").fill("sturdy")
    page.get_by_label("The route decides").select_option("on")
    page.get_by_label("Asked 1").select_option("small")
    page.get_by_label("A question to try it on").fill("What is 2 + 2?")
    page.get_by_role("button", name="Where would it go?").click()
    expect(page.locator("#field-model_1-error")).to_contain_text("Give 2 to 8 targets")
    visitor.complaints = [said for said in visitor.complaints if "400" not in said]
    page.get_by_role("link", name="fixed").click()
    page.get_by_label("Name").fill("sturdy")
    page.get_by_label("The route decides").select_option("on")
    page.get_by_label("Target 1", exact=True).select_option("small")
    page.get_by_label("A question to try it on").fill("What is 2 + 2?")
    page.get_by_role("button", name="Where would it go?").click()
    expect(page.locator("#preview")).to_contain_text("1. small")
    assert violations_of(page, "a route that was tried") == []
    with org_scope(spent.acme.org.pk):
        assert not Route.objects.filter(org=spent.acme.org).exists()
    page.get_by_role("button", name="Create route").click()
    expect(page.get_by_role("heading", name="sturdy")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_the_public_page_of_upstreams_is_read_by_whoever_has_its_address(
    chromium: Browser, console: str, spent: World, width: int, height: int
) -> None:
    inside = Visitor(chromium.new_context(), console)
    page = inside.enter(spent)
    page.goto(f"{console}/o/{spent.acme.org.slug}/settings")
    page.get_by_role("button", name="Publish").click()
    address = page.get_by_role("link", name="/status/").get_attribute("href")
    assert address is not None
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if width == NARROW["width"] else "light"
    )
    reader = Visitor(context, console)
    reader.page.goto(address)
    expect(reader.page.get_by_role("heading", name="for small", level=2)).to_be_visible()
    assert violations_of(reader.page, f"status {width}") == []
    assert reader.page.evaluate("document.documentElement.scrollWidth") == width
    assert reader.page.context.cookies() == []
    for each in (inside, reader):
        each.page.context.close()
        each.check()
