"""What holds for every page: who may open it, hostile names, no inline script, addresses that cannot be read."""

import re
from typing import Any

import pytest
import time_machine
from django.conf import settings

from costhub.console.navigation import ENTRIES
from costhub.console.urls import urlpatterns
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.orgs import add_member
from tenants.actions.stops import set_stopped
from tenants.choices import PERMISSIONS, BudgetScope, Role
from tenants.models import Membership, User
from tests.billing.alerts.examples import make_alerts
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, text_of
from tests.console.crawler import crawl
from tests.tenants.accounts.rows import make_account_rows
from tests.world import World, make_budget, make_catalog, make_rate_limit

SCRIPT = "<script>alert(1)</script>"
MADE = (
    "budgets",
    "limits",
    "keys",
    "projects",
    "end-users",
    "models",
    "prices",
    "upstreams",
    "members",
    "channels",
    "rules",
    "cache/policies",
    "compression",
    "routes",
    "datasets",
    "learning/trainings",
    "learning/consents",
)
LISTS = (
    "batches",
    "budgets",
    "budgets/off",
    "limits",
    "service-accounts",
    "keys",
    "projects",
    "end-users",
    "models",
    "upstreams",
    "invoices",
    "members",
    "audit-log",
)


@pytest.fixture(autouse=True)
def _at_noon() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def member(world: World, role: Role) -> User:
    email = f"{role.value}@acme.example"
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email=email, role=role)
    return User.objects.get(email=email)


def addresses(world: World) -> dict[str, str]:
    """A page of each kind that a GET opens, by its name."""
    catalog = make_catalog(world.acme)
    budget = make_budget(world.acme, "10.00", scope=BudgetScope.PROJECT, name=SCRIPT)
    limit = make_rate_limit(world.acme, 5)
    record_call(world.acme, NOW, cost=10**9, end_user=SCRIPT, request_model="small")
    with org_scope(world.acme.org.pk):
        someone = Membership.objects.get(org=world.acme.org, user=world.ben)
    parts = {
        "budget": budget.pk,
        "limit": limit.pk,
        "key": world.acme.key.pk,
        "project": world.acme.project.pk,
        "model": catalog.model.pk,
        "new-adjustment": f"{catalog.model.pk}/adjust",
        "upstream": catalog.upstream.pk,
        "member": someone.pk,
    }
    rooms = {"new-adjustment": "models"}
    names = {entry.section: "" if entry.section == "overview" else entry.section for entry in ENTRIES}
    names |= {name: f"{rooms.get(name, f'{name}s')}/{part}" for name, part in parts.items()}
    names["billing"] = "billing"
    for room in MADE:
        names[f"new-{room}"] = f"{room}/new"
    return {name: f"/o/acme/{path}" for name, path in names.items()}


def test_every_page_opens_for_an_owner_and_has_nothing_inline(world: World) -> None:
    ada = Visit(world.ada)
    for name, path in addresses(world).items():
        page = ada.get(path)
        html = page.content.decode()
        assert page.status_code == 200, (name, page.status_code)
        assert SCRIPT not in html, name
        assert re.findall(r"\sstyle=|<style|<script(?![^>]*\ssrc=)|\son\w+=|javascript:", html) == [], name
        assert html.count("<h1") == 1, name
        assert page.headers["Cache-Control"] == "private, no-store", name


@pytest.mark.parametrize("role", [Role.ADMIN, Role.FINANCE, Role.DEVELOPER, Role.VIEWER])
def test_each_role_opens_the_pages_that_its_navigation_shows_and_no_others(world: World, role: Role) -> None:
    visit = Visit(member(world, role))
    for entry in ENTRIES:
        path = "/o/acme/" if entry.section == "overview" else f"/o/acme/{entry.section}"
        page = visit.get(path)
        is_allowed = entry.permission in PERMISSIONS[role]
        assert page.status_code == (200 if is_allowed else 403), (role, entry.section)
        if is_allowed:
            assert f'href="{path}"' in page.content.decode()


@pytest.mark.parametrize("role", [Role.FINANCE, Role.DEVELOPER, Role.VIEWER])
@pytest.mark.parametrize("has_called", [False, True])
def test_no_link_that_a_role_is_shown_refuses_it(world: World, role: Role, has_called: bool) -> None:
    if has_called:
        addresses(world)
        make_account_rows(world.acme)
        make_alerts(world.acme)
    someone = member(world, role)
    someone.set_password("correct horse battery staple")
    someone.save()
    broken, opened = crawl(Visit(someone), "/o/acme/welcome")
    assert broken == {}
    assert opened >= 10


def test_while_all_calls_are_stopped_every_page_says_so(world: World) -> None:
    ben, words = Visit(world.ben), "All calls of Acme are refused: somebody has stopped them."
    shown = []
    for is_stopped in (False, True, False):
        with org_scope(world.acme.org.pk):
            set_stopped(actor=world.acme.owner, target=world.acme.org, is_stopped=is_stopped)
        shown.append([words in text_of(ben.get(f"/o/acme/{page}")) for page in ("", "keys", "settings")])
    assert shown == [[False] * 3, [True] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (Role.FINANCE, "Settings has the button that takes them again."),
        (Role.VIEWER, "Ask a member who may stop calls to take them again."),
    ],
)
def test_who_cannot_take_calls_again_is_sent_to_no_button(world: World, role: Role, words: str) -> None:
    with org_scope(world.acme.org.pk):
        set_stopped(actor=world.acme.owner, target=world.acme.org, is_stopped=True)
    page = Visit(member(world, role)).get("/o/acme/settings")
    assert (words in text_of(page), "Take calls again" in text_of(page)) == (True, role is Role.FINANCE)


def test_the_menu_leads_to_another_organisation_and_to_one_s_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_menu(user: User) -> str:
        (menu,) = re.findall(r'<ul class="menu">.*?</ul>', Visit(user).get("/o/acme/keys").content.decode(), re.DOTALL)
        return " ".join(re.findall(r'href="([^"]*)"', menu))

    assert find_menu(world.ben) == "/o/acme/ /organizations/new /account/2fa/"
    world.ben.is_platform_operator = True
    world.ben.save()
    monkeypatch.setattr(settings, "SIGN_UP", "invited")
    assert find_menu(world.ben) == "/o/acme/ /account/2fa/ /staff/"
    assert 'href="/">Back to the console' in Visit(world.ben).get("/organizations/new").content.decode()


def test_the_palette_finds_pages_and_rows_that_one_may_open(world: World) -> None:
    make_catalog(world.acme, model="small")
    ada, viewer = Visit(world.ada), Visit(member(world, Role.VIEWER))
    assert text_of(ada.get("/o/acme/find?q=small")) == "small Model for small Upstream"
    assert "Budgets & limits Page" in text_of(ada.get("/o/acme/find?q=bud"))
    assert "Budgets" not in text_of(viewer.get("/o/acme/find?q=bud"))
    with org_scope(world.acme.org.pk):
        create_end_user(actor=world.acme.owner, external_id="u-17", name="Mia Maier")
    assert text_of(ada.get("/o/acme/find?q=maier")) == text_of(ada.get("/o/acme/find?q=u-17")) == "Mia Maier End user"
    assert text_of(ada.get("/o/acme/find?q=%00%F0%9F%92%A9")) == "Nothing of this name."
    assert Visit(world.mallory).get("/o/acme/find?q=small").status_code == 404


BAD_QUERIES = {
    "colour=red": "There is no such parameter here",
    "sort=colour": "sort: give one of",
    "page=0": "page: give a whole number",
    "page=9999999999999": "page: give a whole number",
    "q=%00": "remove the character NUL",
    f"q={'x' * 201}": "at most 200 characters",
}


def test_an_address_that_cannot_be_read_says_what_to_give(world: World) -> None:
    ada = Visit(world.ada)
    for room in LISTS:
        for query, words in BAD_QUERIES.items():
            page = ada.get(f"/o/acme/{room}?{query}")
            assert (page.status_code, words in error_of(page)) == (400, True), (room, query)


def test_lists_take_hostile_searches(world: World) -> None:
    ada = Visit(world.ada)
    for room in LISTS:
        for text in ("%25%27--", "\u202eمرحبا", "💸" * 50, SCRIPT):
            page = ada.get(f"/o/acme/{room}?q={text}&page=2")
            assert page.status_code == 200, room
            assert SCRIPT not in page.content.decode(), room


def test_nobody_else_comes_in(world: World) -> None:
    """A foreign organisation's pages and rows are unknown ones, also for POST."""
    mallory, nobody = Visit(world.mallory), Visit(None)
    for name, path in addresses(world).items():
        assert mallory.get(path).status_code == 404, name
        assert mallory.get(path.replace("/o/acme/", "/o/mallcorp/")).status_code in (
            {404} if re.search(r"[0-9a-f]{8}-", path) else {200}
        ), name
        assert nobody.get(path).status_code == 302, name
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        if not route.startswith("o/<slug:slug>/"):
            continue
        path = "/" + re.sub(r"<[^>]+>", "x", route.replace("<slug:slug>", "acme"))
        assert mallory.post(path).status_code in {404, 405}, path
