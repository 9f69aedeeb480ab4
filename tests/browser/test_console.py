"""The console in a real Chromium, served by the real server: what a person sees, at three widths."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from costhub.lib import clock
from costhub.stack.ports import find_free_port
from costhub.stack.services import Proxy
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.choices import BudgetPeriod
from tests.billing.ledger import record_call, record_correction
from tests.billing.outlook import store_forecast
from tests.world import World, make_budget, make_catalog

pytestmark = pytest.mark.browser

PASSWORD: Final = "correct horse battery staple"
WIDTHS: Final = ((1440, 900), (768, 1024), (390, 844))


@pytest.fixture(scope="module")
def console(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running CostHub on the test run's own stores."""
    server = Proxy(tmp_path_factory.mktemp("console"), dict(os.environ), port=find_free_port(), workers=1)
    server.start()
    try:
        server.wait_ready(60)
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all windows. Playwright keeps an event loop in this thread, which Django would take for ours."""
    path = os.environ.get("COSTHUB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "Install Chromium, or name one in COSTHUB_CHROMIUM."
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def spent(chromium: Browser, committed_world: World) -> World:
    """Acme with three calls of this minute, one of them corrected, and a budget."""
    acme, now = committed_world.acme, clock.now()
    committed_world.ada.set_password(PASSWORD)
    committed_world.ada.save()
    catalog = make_catalog(acme, model="small")
    assert catalog.price is not None
    make_budget(acme, "10.00", period=BudgetPeriod.TOTAL)
    priced = {"price_id": catalog.price.pk, "upstream_id": catalog.upstream.pk, "held": 3_000_000_000}
    record_call(acme, now - timedelta(seconds=3), cost=1_250_000_000, request_model="large", **priced)
    call = record_call(
        acme, now - timedelta(seconds=2), cost=285_000, input_tokens=1_500, output_tokens=100, end_user="mia", **priced
    )
    estimate = record_call(acme, now - timedelta(seconds=1), cost=300_000_000, is_estimated=True, **priced)
    record_correction(acme, estimate, -50_000_000)
    assert call.effective_cost == 285_000
    return committed_world


class Visitor:
    """One browser window that remembers what must never happen."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def sign_in(self, world: World) -> Page:
        self.page.goto(f"{self.base}/o/{world.acme.org.slug}/")
        self.page.get_by_label("E-mail address").fill(world.ada.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()
        return self.page

    def check(self) -> None:
        """Nothing was complained about, and nobody else was asked for anything.

        htmx reports a request that a newer one or a new page made needless in these two words; one that failed has
        others.
        """
        needless = ("error: htmx:afterRequest", "error: htmx:sendAbort")
        assert [said for said in self.complaints if not said.startswith(needless)] == []
        assert self.hosts == {self.base.removeprefix("http://")}


@pytest.fixture
def visitor(chromium: Browser, console: str) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    visitor = Visitor(context, console)
    yield visitor
    context.close()
    visitor.check()


def test_the_tiles_show_exactly_what_the_ledger_holds(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    month = page.locator('[data-tile="month"] .value')
    expect(month).to_have_text("$1.50")
    assert (month.get_attribute("title") or "").endswith("exactly $1.500285000")
    expect(page.locator('[data-tile="budget"] .value')).to_have_text("15 %")
    expect(page.locator('[data-tile="requests"] .value')).to_have_text("3")
    models = page.get_by_role("table").first.locator("tbody tr")
    expect(models).to_have_count(2)
    expect(models.nth(0)).to_contain_text("large")
    expect(models.nth(0)).to_contain_text("$1.25")


def test_the_forecast_s_band_lies_beyond_what_is_spent(visitor: Visitor, spent: World) -> None:
    now = clock.now()
    store_forecast(spent.acme, month=now.date().replace(day=1), first_day=now.date(), made_at=now)
    tile = visitor.sign_in(spent).locator('[data-tile="forecast"]')
    expect(tile).to_contain_text("$18.50")
    expect(tile).to_contain_text("Past months missed by 6.4 %")
    edges = []
    for part in (".fill", ".range", ".pace", ".track"):
        box = tile.locator(f".band {part}").bounding_box()
        assert box is not None
        edges.append((box["x"], box["x"] + box["width"]))
    (_, spent_to), (low, high), (expected, _), (_, whole) = edges
    assert spent_to < low < expected < high < whole


def test_a_call_tells_its_story_in_the_drawer_and_on_its_page(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.get_by_role("link", name="Requests", exact=True).click()
    rows = page.locator("table.requests tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator(".cost")).to_have_text("$0.250000000")
    expect(rows.nth(1).locator(".cost")).to_have_text("$0.000285000")
    rows.nth(1).click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator("[data-story=cost]")).to_have_text("$0.000285000")
    expect(drawer).to_contain_text("Sum, rounded up once to a nano-dollar")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    rows.nth(0).click()
    expect(drawer).to_contain_text("Corrected")
    drawer.get_by_role("link", name="Open as page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("small")
    expect(page.locator("[data-story=cost]")).to_have_text("$0.250000000")


def test_filters_change_the_list_and_the_address(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/requests")
    page.get_by_label("End user, exactly").fill("mia")
    page.keyboard.press("Enter")
    expect(page.locator("table.requests tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/requests\?range=30d&end_user=mia$"))
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_role("heading", name="No call matches")).to_be_visible()
    page.go_back()
    expect(page.locator("table.requests tbody tr")).to_have_count(1)


def test_a_new_call_appears_without_anybody_asking(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    expect(page.locator('[data-tile="requests"] .value')).to_have_text("3")
    page.locator("body").click(position={"x": 400, "y": 5})
    record_call(spent.acme, clock.now(), cost=2_000_000_000)
    expect(page.locator('[data-tile="month"] .value')).to_have_text("$3.50", timeout=15_000)
    expect(page.locator('[data-tile="requests"] .value')).to_have_text("4")


def test_the_list_keeps_growing_while_somebody_watches(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/requests")
    for rows in (4, 5):
        record_call(spent.acme, clock.now(), cost=1)
        expect(page.locator("table.requests tbody tr")).to_have_count(rows, timeout=20_000)


def test_everything_is_reachable_by_keyboard(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()"))
    for name in ("Overview", "Requests", "Theme", "Sign out", "24 hours", "Custom", "End user", "large", "first key"):
        assert name in seen, (name, seen)
    chart = page.locator("[data-chart]")
    chart.focus()
    page.keyboard.press("End")
    expect(chart.locator("[data-tip]:visible")).to_contain_text("$1.500285000")


def test_a_row_opens_by_keyboard_and_gives_the_focus_back(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/requests")
    link = page.locator(".row-link").nth(1)
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Close").press("Enter")
    expect(link).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_somebody_chooses(
    chromium: Browser, console: str, spent: World, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    visitor = Visitor(context, console)
    page = visitor.sign_in(spent)

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    colours = {"light": "rgb(246, 247, 249)", "dark": "rgb(13, 15, 19)"}
    other = "dark" if scheme == "light" else "light"
    assert background() == colours[scheme]
    page.get_by_role("button", name="Switch between light and dark").click()
    assert background() == colours[other]
    page.reload()
    assert background() == colours[other]
    context.close()
    visitor.check()


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_no_page_scrolls_sideways(chromium: Browser, console: str, spent: World, width: int, height: int) -> None:
    long_name = "an-unreasonably-long-model-name-" * 6
    call = record_call(spent.acme, clock.now(), cost=10**15, request_model=long_name, end_user=long_name, status=502)
    context = chromium.new_context(viewport={"width": width, "height": height})
    visitor = Visitor(context, console)
    page = visitor.sign_in(spent)
    org = f"{console}/o/{spent.acme.org.slug}"
    for address in (f"{org}/", f"{org}/requests", f"{org}/requests/{call.id}", f"{console}/requests/{call.id}"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == width, address
    page.goto(f"{org}/requests")
    page.locator(".row-link").first.click()
    expect(page.locator("dialog[open] .story")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    context.close()
    visitor.check()


def test_mallory_sees_nothing_of_acme(visitor: Visitor, spent: World) -> None:
    with org_scope(spent.acme.org.pk):
        call = LedgerEntry.objects.filter(org_id=spent.acme.org.pk, kind="call").earliest("started_at")
    spent.mallory.set_password(PASSWORD)
    spent.mallory.save()
    page = visitor.page
    page.goto(f"{visitor.base}/login")
    page.get_by_label("E-mail address").fill(spent.mallory.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Send the first call")).to_be_visible()
    for path in (f"/o/{spent.acme.org.slug}/", f"/requests/{call.id}"):
        answer = page.goto(f"{visitor.base}{path}")
        assert answer is not None
        assert answer.status == 404
    # Chromium itself notes each 404 on the console; anything else would be a fault.
    assert [said for said in visitor.complaints if "404" not in said] == []
    visitor.complaints.clear()
