"""The console in a real Chromium, served by the real server: what a person sees, at three widths."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import pytest
from allauth.mfa.models import Authenticator
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect, sync_playwright

from billing.invoices.actions.wallet import add_credits
from billing.invoices.models import BillingAccount
from costhub.console.navigation import ENTRIES
from costhub.lib import clock
from proxy.learning.datasets import create_dataset
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy
from tenants.actions.compression import create_compression_policy
from tenants.actions.visits import allow_visits
from tenants.choices import BudgetPeriod, BudgetScope, CacheMode, Mode, RouteKind
from tenants.models import Budget, LanguageModel
from tenants.periods import period_bounds, previous_bounds
from tests.billing.invoices.examples import close, make_customer, make_plan
from tests.billing.ledger import record_call, record_correction
from tests.billing.outlook import store_forecast
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import deploy
from tests.proxy.learning.rows import fill_learning
from tests.sampling import IS_WHOLE
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.route_examples import make_route
from tests.world import World, make_budget, make_catalog, make_client, sign_in_now

pytestmark = pytest.mark.browser

PASSWORD: Final = "correct horse battery staple"
WIDTHS: Final = ((1440, 900), (768, 1024), (390, 844))
WIDE: Final[ViewportSize] = {"width": 1440, "height": 900}
MIDDLE: Final[ViewportSize] = {"width": 768, "height": 1024}
NARROW: Final[ViewportSize] = {"width": 390, "height": 844}
#: adds up how far anything has moved by itself since the page began. A move is told of after its frame was painted, so
#: whoever reads the sum waits for that
WATCH_SHIFTS: Final = """
    window.shifted = [];
    const place = (rect) => [rect.x, rect.y, rect.width, rect.height].map(Math.round).join(" ");
    const note = (entries) => {
      for (const entry of entries) {
        if (entry.hadRecentInput) continue;
        for (const { node, previousRect, currentRect } of entry.sources) {
          const name = (node?.nodeType === 1 ? node : node?.parentElement)?.outerHTML?.slice(0, 120);
          window.shifted.push(`${name}: ${place(previousRect)} -> ${place(currentRect)}`);
        }
      }
    };
    const observer = new PerformanceObserver((list) => note(list.getEntries()));
    observer.observe({ type: "layout-shift", buffered: true });
    window.readShifts = async () => {
      for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
      note(observer.takeRecords());
      return window.shifted;
    };
"""

LABEL: Final = "(cell) => getComputedStyle(cell, '::before').content"
WAIT_FOR_PAINT: Final = """
    new Promise((done) => new PerformanceObserver(done).observe({ type: "paint", buffered: true })).then(() => {})
"""


@pytest.fixture(scope="module")
def console(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running CostHub on the test run's own stores."""
    with deploy(tmp_path_factory.mktemp("console")) as proxy:
        yield proxy.root_url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all windows. Playwright keeps an event loop in this thread, which Django would take for ours."""
    path = os.environ.get("COSTHUB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "Install Chromium, or name one in COSTHUB_CHROMIUM."
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def spent(chromium: Browser, committed_world: World) -> World:
    """Acme with three calls of this minute, one of them corrected, and a budget."""
    acme, now = committed_world.acme, clock.now()
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
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def enter(self, world: World) -> Page:
        """Ada's overview, with the cookie of somebody who has signed in a moment ago."""
        client = make_client()
        sign_in_now(client, world.ada)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.base}])
        self.page.goto(f"{self.base}/o/{world.acme.org.slug}/")
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()
        return self.page

    def sign_in(self, world: World) -> Page:
        """The same, by way of the form."""
        world.ada.set_password(PASSWORD)
        world.ada.save()
        self.page.goto(f"{self.base}/o/{world.acme.org.slug}/")
        self.page.get_by_label("E-mail address").fill(world.ada.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()
        return self.page

    def check(self) -> None:
        """Nothing was complained about, and nobody else was asked for anything.

        htmx reports a request that a newer one or a new page made needless in these two words; one that failed has
        others. What Chromium advises of forms that are allauth's own is no complaint.
        """
        needless = ("error: htmx:afterRequest", "error: htmx:sendAbort", "verbose: [DOM]")
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
    models = page.get_by_role("region", name="Models").locator("tbody tr")
    expect(models).to_have_count(2)
    expect(models.nth(0)).to_contain_text("large")
    expect(models.nth(0)).to_contain_text("$1.25")


def test_the_forecast_s_band_lies_beyond_what_is_spent(visitor: Visitor, spent: World) -> None:
    now = clock.now()
    store_forecast(spent.acme, month=now.date().replace(day=1), first_day=now.date(), made_at=now)
    tile = visitor.enter(spent).locator('[data-tile="forecast"]')
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
    page = visitor.enter(spent)
    page.get_by_role("link", name="Requests", exact=True).click()
    rows = page.locator("table.requests tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator(".cost")).to_have_text("$0.250000000")
    expect(rows.nth(1).locator(".cost")).to_have_text("$0.000285000")
    rows.nth(1).click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator("[data-detail=cost]")).to_have_text("$0.000285000")
    expect(drawer).to_contain_text("Sum, rounded up once to a nano-dollar")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    rows.nth(0).click()
    expect(drawer).to_contain_text("Corrected")
    drawer.get_by_role("link", name="Open as page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("small")
    expect(page.locator("[data-detail=cost]")).to_have_text("$0.250000000")


def test_filters_change_the_list_and_the_address(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
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
    page = visitor.enter(spent)
    expect(page.locator('[data-tile="requests"] .value')).to_have_text("3")
    page.locator("body").click(position={"x": 400, "y": 5})
    record_call(spent.acme, clock.now(), cost=2_000_000_000)
    expect(page.locator('[data-tile="month"] .value')).to_have_text("$3.50")
    expect(page.locator('[data-tile="requests"] .value')).to_have_text("4")


def test_nothing_moves_when_numbers_arrive(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/")
    expect(page.get_by_role("region", name="Keys").get_by_role("link", name="first key")).to_be_visible()
    record_call(spent.acme, clock.now(), cost=2_000_000_000)
    expect(page.locator('[data-tile="month"] .value')).to_have_text("$3.50")
    assert page.evaluate("window.readShifts()") == []
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/requests")
    expect(page.locator("table.requests tbody tr")).to_have_count(4)
    assert page.evaluate("window.readShifts()") == []


def test_on_a_phone_no_page_of_the_menu_moves_however_late_its_script_comes(
    chromium: Browser, console: str, spent: World
) -> None:
    context = chromium.new_context(viewport=NARROW)
    visitor = Visitor(context, console)
    page = visitor.enter(spent)
    page.add_init_script(WATCH_SHIFTS)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    script = re.compile(r"/costhub[^/]*\.js$")
    page.route(script, hold)
    moved = {}
    for entry in ENTRIES:
        name = "" if entry.section == "overview" else entry.section
        with page.expect_request(script):
            page.goto(f"{console}/o/{spent.acme.org.slug}/{name}", wait_until="commit")
        page.evaluate(WAIT_FOR_PAINT)
        held.pop().continue_()
        page.wait_for_load_state()
        expect(page.locator(".pending > a:only-child, [aria-busy=true]")).to_have_count(0)
        if found := page.evaluate("window.readShifts()"):
            moved[entry.section] = found
    assert moved == {}
    context.close()
    visitor.check()


def test_the_list_keeps_growing_while_somebody_watches(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/requests")
    for rows in (4, 5):
        record_call(spent.acme, clock.now(), cost=1)
        expect(page.locator("table.requests tbody tr")).to_have_count(rows)


def test_everything_is_reachable_by_keyboard(visitor: Visitor, spent: World) -> None:
    page = visitor.sign_in(spent)
    page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    seen = set()
    # The tables come after the page.
    expect(page.get_by_role("region", name="Keys").get_by_role("link", name="first key")).to_be_visible()
    for _ in range(150):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()"))
    for name in ("Overview", "Requests", "Theme", "Sign out", "24 hours", "Custom", "End user", "large", "first key"):
        assert name in seen, (name, seen)
    chart = page.locator("[data-chart]")
    chart.focus()
    page.keyboard.press("End")
    expect(chart.locator("[data-tip]:visible")).to_contain_text("$1.500285000")


def test_a_row_opens_by_keyboard_and_gives_the_focus_back(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
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
    page = visitor.enter(spent)

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
    make_route(spent.acme, RouteKind.FIXED, ["small"], name=long_name)
    reason = f"route {long_name} v1 fixed: small, fixed; compressed"
    record_call(spent.acme, clock.now(), cost=10**12, request_model=long_name, route_reason=reason)
    context = chromium.new_context(viewport={"width": width, "height": height})
    visitor = Visitor(context, console)
    page = visitor.enter(spent)
    org = f"{console}/o/{spent.acme.org.slug}"
    last = clock.now().date()
    days = f"?from={last - timedelta(days=399)}&to={last}"
    pages = ("", days, "requests", f"requests/{call.id}", "routes", "compression")
    for address in (*(f"{org}/{name}" for name in pages), f"{console}/requests/{call.id}"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == width, address
    page.goto(f"{org}/requests")
    page.locator(".row-link").first.click()
    expect(page.locator("dialog[open] .request-detail")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    context.close()
    visitor.check()


def test_the_operators_tables_fit_a_phone(visitor: Visitor, spent: World) -> None:
    make_customer(spent.acme, since=clock.now() - timedelta(days=40), fee="49.00", prepaid=True)
    refusal = "Stripe refused: the customer has no way of payment that can be charged without them."
    with org_scope(spent.acme.org.pk):
        add_credits(actor=spent.acme.owner, amount_nanos=25 * 10**9, reference="first")
        BillingAccount.objects.filter(org=spent.acme.org).update(refusal=refusal)
        allow_visits(actor=spent.acme.owner, hours=1)
    spent.ada.is_platform_operator = True
    spent.ada.save()
    Authenticator.objects.create(user=spent.ada, type=Authenticator.Type.TOTP, data={})
    page = visitor.enter(spent)
    for path in (f"customers?q={spent.acme.org.slug}", f"?q={spent.acme.org.slug}"):
        for size in (NARROW, MIDDLE, WIDE):
            page.set_viewport_size(size)
            page.goto(f"{visitor.base}/staff/{path}")
            expect(page.locator("tbody .in-row").first).to_be_visible()
            if size is NARROW:
                assert page.locator("tbody td[data-label]").first.evaluate(LABEL) != "none", "its column has no head"
            table = page.locator(".scroller")
            assert table.evaluate("(it) => it.scrollWidth - it.clientWidth") <= 0, (path, size)
            assert violations_of(page, f"/staff/{path} {size['width']}") == []


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


def pages_of(world: World) -> list[str]:
    """An address of each page that an owner opens, some with rows and some without."""
    acme, made = world.acme, make_account_rows(world.acme)
    learned = fill_learning(acme)
    route = make_route(acme, RouteKind.FIXED, ["small"])
    with org_scope(acme.org.pk):
        cached = create_cache_policy(actor=acme.owner, mode=CacheMode.ON)
        shortened = create_compression_policy(actor=acme.owner, mode=Mode.ON)
        dataset = create_dataset(actor=acme.owner, name="Answers to keep", teacher="small")
        model = LanguageModel.objects.get(org=acme.org)
        budget = Budget.objects.filter(org=acme.org).latest("created_at")
        call = LedgerEntry.objects.filter(org_id=acme.org.pk, kind="call").latest("started_at")
    rows = [
        f"budgets/{budget.pk}",
        f"keys/{acme.key.pk}",
        f"projects/{acme.project.pk}",
        f"models/{model.pk}",
        f"upstreams/{model.upstream_id}",
        f"requests/{call.id}",
        f"tokens/{made['admin-tokens'][0]}",
        f"service-accounts/{made['service-accounts'][0]}",
        f"sign-ons/{made['sign-ons'][0]}",
        f"budget-requests/{made['budget-requests'][0]}",
        "breakdown?show=percent",
        "overview/table?by=end_user",
        "overview/money",
        f"cache/policies/{cached.pk}",
        f"compression/{shortened.pk}/edit",
        f"datasets/{dataset.pk}",
        f"learning/trainings/{learned['training-jobs'][0]}",
        f"learning/tuned/{learned['tuned-models'][0]}",
        f"learning/students/{learned['students'][0]}",
        f"learning/provider-tunings/{learned['provider-tunings'][0]}",
        f"datasets/{learned['datasets'][0]}/runs/new",
        f"learning/consents/{learned['capture-policies'][0]}",
        f"routes/{route.pk}/edit",
        f"upstreams/{model.upstream_id}/gpus/new",
        f"upstreams/{model.upstream_id}/bill",
        *(f"routes/new?kind={kind}" for kind in RouteKind),
        "invitations",
        *pages_of_billing(world),
    ]
    lists = [entry.section for entry in ENTRIES if entry.section != "overview"]
    forms = [
        f"{room}/new" for room in ("budgets", "limits", "keys", "models", "prices", "upstreams", "members", "channels")
    ]
    forms += ["cache/policies/new", "compression/new", "datasets/new"]
    forms += ["learning/trainings/new", "learning/consents/new", "learning/provider-tunings/new"]
    forms += ["invitations/new", "tokens/new", "service-accounts/new", "sign-ons/new/oidc", "sign-ons/new/saml"]
    return ["", *lists, *forms, *rows]


def pages_of_billing(world: World) -> list[str]:
    """What Acme was agreed, an invoice of last month, one of its lines, and why the bill changed."""
    acme, now = world.acme, clock.now()
    start, _ = previous_bounds("month", period_bounds("month", now, "UTC")[0], "UTC")
    make_customer(acme, since=start, fee="49.00", markup="10", grace_days=0, prepaid=True)
    make_plan(fee="99.00", models={"small": "5"})
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=25 * 10**9, reference="first")
    saved = {"list_cost": 9 * 10**9, "savings": {"cache": 2 * 10**9}}
    record_call(acme, start + timedelta(days=3), cost=7 * 10**9, request_model="small", **saved)
    (invoice,) = close(acme, now)
    return ["billing", "invoices/bridge", f"invoices/{invoice.pk}", f"invoices/{invoice.pk}/lines/2"]


@pytest.mark.sampled
def test_every_page_is_accessible_and_fits_a_phone(visitor: Visitor, spent: World) -> None:
    """axe's rules of WCAG 2.2 AA, wide and light, narrow and dark, or between them, in turns; no page has a word on the
    console. `make soak` looks at each page in all three ways."""
    page = visitor.enter(spent)
    make_budget(spent.acme, "1.00", scope=BudgetScope.END_USER, name="an-unreasonably-long-name-" * 4)
    found: list[str] = []
    for number, path in enumerate(pages_of(spent)):
        ways: list[tuple[str, ViewportSize]] = [("light", WIDE), ("dark", NARROW), ("light", MIDDLE)]
        for turn, (scheme, size) in enumerate(ways):
            if not IS_WHOLE and number % len(ways) != turn:
                continue
            page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
            page.set_viewport_size(size)
            page.goto(f"{visitor.base}/o/{spent.acme.org.slug}/{path}")
            found += violations_of(page, f"/{path} {size['width']}")
        for size in (MIDDLE, NARROW):
            page.set_viewport_size(size)
            if (width := page.evaluate("document.documentElement.scrollWidth")) != size["width"]:
                found.append(f"/{path} is {width} px wide of {size['width']}")
    assert found == []


def violations_of(page: Page, where: str) -> list[str]:
    """What axe finds: the rule, and where on the page."""
    # What it has to say of what is well is not made.
    options = {
        "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
        "resultTypes": ["violations"],
    }
    answer = Axe().run(page, options=options).response
    return [
        f"{where}: {broken['id']} at {node['target']}: {node.get('failureSummary', '')[:200]}"
        for broken in answer["violations"]
        for node in broken["nodes"][:3]
    ]


def test_a_key_is_made_and_found_again_without_a_mouse(visitor: Visitor, spent: World) -> None:
    page = visitor.enter(spent)
    page.locator("main").focus()
    page.keyboard.press("g")
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="Keys", level=1)).to_be_visible()
    page.get_by_role("link", name="New key").press("Enter")
    page.get_by_label("Name").fill("typed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="typed is made")).to_be_visible()
    expect(page.locator("#secret")).to_contain_text("chk")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to a page or find something")
    page.keyboard.press("Control+k")
    expect(palette).to_be_hidden()
    page.keyboard.press("Control+k")
    search = palette.get_by_role("combobox")
    # All pages, the first of them chosen; the arrows choose, and the search says which.
    expect(search).to_have_attribute("aria-activedescendant", "found-1")
    page.keyboard.press("ArrowDown")
    expect(search).to_have_attribute("aria-activedescendant", "found-2")
    expect(palette.get_by_role("option", selected=True)).to_have_text(re.compile("Breakdown"))
    assert violations_of(page, "the palette") == []
    search.fill("no such thing")
    expect(palette.get_by_role("status")).to_have_text("Nothing of this name.")
    assert search.get_attribute("aria-expanded") == "false"
    assert search.get_attribute("aria-activedescendant") is None
    search.fill("type")
    expect(palette.get_by_role("option", name="typed Key", selected=True)).to_be_visible()
    expect(palette.get_by_role("status")).to_have_text("1 found")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="typed", level=1)).to_be_visible()
