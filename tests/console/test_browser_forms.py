"""Forms that save money, filled in without a mouse, and the public page of upstreams, in a real Chromium."""

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.choices import Compression, Mode, RouteKind
from tenants.models import CachePolicy, CompressionPolicy, Route
from tests.billing.ledger import record_call
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
from tests.tenants.route_examples import make_route
from tests.world import World, make_catalog

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
    expect(page.locator("main")).to_contain_text("kept for 90 seconds")
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


def test_a_compression_policy_s_sliders_say_what_each_share_would_have_cost_and_kept(
    visitor: Visitor, spent: World
) -> None:
    with org_scope(spent.acme.org.pk):
        policy = create_compression_policy(
            actor=spent.acme.owner, mode=Mode.SHADOW, methods=[Compression.EXTRACT], extract_percent=57
        )
    record_call(spent.acme, clock.now(), request_model="small", input_tokens=1_000_000, cost=150_000_000)
    page = visitor.enter(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/compression/{policy.pk}/edit")
    slider = page.get_by_role("slider", name="Per cent of passages or turns that are kept")
    expect(slider).to_have_value("57")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    shown = page.locator("#curve-extract_percent [data-tip]:visible")
    expect(shown).to_contain_text("56 % kept")
    expect(shown).to_contain_text("89 % at 50 %, 91.6 % at 57 %")
    slider.fill("50")
    expect(shown).to_contain_text("Kept of what answers need 89 %")
    expect(page.locator("#curve-keep_percent [data-tip]:visible")).to_have_count(0)
    assert violations_of(page, "a compression policy's sliders") == []
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Compression")).to_be_visible()
    with org_scope(spent.acme.org.pk):
        assert CompressionPolicy.objects.get(pk=policy.pk).extract_percent == 50


def test_a_cascade_s_slider_says_what_each_confidence_would_have_cost(visitor: Visitor, spent: World) -> None:
    make_catalog(spent.acme, model="large", input_per_million="3", output_per_million="12")
    route = make_route(spent.acme, RouteKind.CASCADE, confidence_percent=70)
    answer = {"number": 1, "status": 200, "model": "small", "input_tokens": 1_000, "output_tokens": 100}
    for confidence in ("0.950", "0.850"):
        record_call(
            spent.acme,
            clock.now() - timedelta(seconds=5),
            request_model="smart",
            route_reason="route smart v1 cascade: small, rung 1 of 2; small sure",
            attempts=[answer | {"cost": 210_000, "confidence": confidence}],
            cost=210_000,
        )
    page = visitor.enter(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/routes/{route.pk}/edit")
    slider = page.get_by_role("slider", name="Confidence from which on an answer is given")
    expect(slider).to_have_value("70")
    slider.focus()
    page.keyboard.press("ArrowRight")
    shown = page.locator("#curve-confidence_percent [data-tip]:visible")
    expect(shown).to_contain_text("From 71 % on")
    expect(page.locator(".slider output")).to_have_text("71")
    slider.fill("86")
    expect(shown).to_contain_text("$0.004620000")
    expect(shown).to_contain_text("1 of 2")
    assert violations_of(page, "a cascade's slider") == []
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="smart")).to_be_visible()
    with org_scope(spent.acme.org.pk):
        assert Route.objects.get(pk=route.pk).policy["confidence_percent"] == 86


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
