"""Roles in a real Chromium: each sees the pages and the buttons that the table of permissions gives it, and a page that
it may not open says so. And an authenticator app, switched on and asked for."""

import time
from typing import Final

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from playwright.sync_api import Browser, expect

from costhub.console.navigation import ENTRIES
from tenants.access import org_scope
from tenants.actions.orgs import add_member, set_role
from tenants.choices import PERMISSIONS, Permission, Role
from tenants.models import Membership, User
from tests.console.test_browser import PASSWORD, Visitor, chromium, console, spent
from tests.world import World, make_client, sign_in_now

__all__ = ["chromium", "console", "spent"]

pytestmark = pytest.mark.browser

#: a button of a page, and what it takes to be shown it
BUTTONS: Final = {
    "keys": ("New key", Permission.WRITE_KEYS),
    "budgets": ("New budget", Permission.WRITE_MONEY),
    "projects": ("New project", Permission.WRITE_SETTINGS),
    "upstreams": ("New upstream", Permission.WRITE_SETTINGS),
    "members": ("Invite somebody", Permission.WRITE_MEMBERS),
}
STEP_SECONDS: Final = 30


def enter(visitor: Visitor, user: User) -> None:
    """With the cookie of somebody who has signed in a moment ago."""
    client = make_client()
    sign_in_now(client, user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    visitor.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": visitor.base}])


@pytest.mark.parametrize("role", [*Role, None], ids=lambda role: role.value if role else "developer-of-a-project")
def test_each_role_sees_and_may_do_what_the_table_says(
    chromium: Browser, console: str, spent: World, role: Role | None
) -> None:
    """``None``: a developer of one project."""
    acme = spent.acme
    with org_scope(acme.org.pk):
        ben = Membership.objects.select_related("user").get(org=acme.org, user=spent.ben)
        where = [] if role else [acme.project.name]
        set_role(actor=acme.owner, membership=ben, role=role or Role.DEVELOPER, projects=where)
    held = PERMISSIONS[role] if role else frozenset[Permission]()
    in_projects = PERMISSIONS[role or Role.DEVELOPER]
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    visitor = Visitor(context, console)
    enter(visitor, spent.ben)
    page = visitor.page
    page.goto(f"{console}/o/{acme.org.slug}/welcome")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    shown = {link.strip() for link in links.all_inner_texts()}
    allowed = {
        entry
        for entry in ENTRIES
        if entry.permission in held or (role is None and entry.by_project and entry.permission in in_projects)
    }
    assert shown == {entry.label for entry in allowed}
    refused = 0
    for entry in ENTRIES:
        room = "" if entry.section == "overview" else entry.section
        answer = page.goto(f"{console}/o/{acme.org.slug}/{room}")
        assert answer is not None
        assert answer.status == (200 if entry in allowed else 403), entry.section
        if entry not in allowed:
            refused += 1
            expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
        elif entry.section in BUTTONS:
            label, permission = BUTTONS[entry.section]
            is_offered = permission in held or (entry.by_project and role is None and permission in in_projects)
            is_offered = is_offered and not (role is None and permission is Permission.WRITE_SETTINGS)
            expect(page.get_by_role("link", name=label, exact=True)).to_have_count(int(is_offered))
    context.close()
    # Chromium itself says of each refused page that it was refused, and of nothing else.
    told = [said for said in visitor.complaints if "403 (Forbidden)" in said]
    assert len(told) <= refused
    visitor.complaints = [said for said in visitor.complaints if said not in told]
    visitor.check()


def test_an_authenticator_app_is_set_up_and_asked_for(chromium: Browser, console: str, committed_world: World) -> None:
    world, context = committed_world, chromium.new_context(viewport={"width": 390, "height": 844})
    visitor = Visitor(context, console)
    page = visitor.sign_in(world)
    page.goto(f"{console}/account/2fa/totp/activate/")
    # Whoever sets one up says once more who they are.
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    seed = page.locator("#authenticator_secret").input_value()
    counter = int(time.time()) // STEP_SECONDS
    page.get_by_label("Authenticator code").fill(code_of(seed, counter))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()

    context.clear_cookies()
    page.goto(f"{console}/o/{world.acme.org.slug}/keys")
    page.get_by_label("E-mail address").fill(world.ada.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    field = page.get_by_label("Code")
    expect(field).to_be_visible()
    # A password alone opens nothing.
    other = context.new_page()
    other.goto(f"{console}/o/{world.acme.org.slug}/keys")
    assert "/login" in other.url
    other.close()
    field.fill("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    # The one that switched it on is used up; the next one is good a step before its time, since clocks differ.
    page.get_by_label("Code").fill(code_of(seed, max(counter + 1, int(time.time()) // STEP_SECONDS)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    assert page.url == f"{console}/o/{world.acme.org.slug}/keys"
    context.close()
    visitor.check()


def test_who_is_added_to_a_project_makes_a_key_of_it(chromium: Browser, console: str, spent: World) -> None:
    acme = spent.acme
    with org_scope(acme.org.pk):
        email = f"pia@{acme.org.slug}.example"
        pia = add_member(actor=acme.owner, email=email, role=Role.DEVELOPER, projects=[acme.project.name]).user
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    visitor = Visitor(context, console)
    enter(visitor, pia)
    page = visitor.page
    page.goto(f"{console}/")
    assert page.url == f"{console}/o/{acme.org.slug}/welcome"
    page.goto(f"{console}/o/{acme.org.slug}/keys")
    page.get_by_role("link", name="New key").first.click()
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_role("button", name="Create key").click()
    expect(page.locator("#secret")).to_contain_text("chk_")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
    visitor.check()


def code_of(seed: str, counter: int) -> str:
    return str(format_hotp_value(hotp_value(seed, counter)))
