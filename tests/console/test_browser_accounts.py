"""A passkey in a real Chromium: added on one page, used instead of a password on another; and what axe says of them."""

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, expect

from tests.console.test_browser import PASSWORD, Visitor, chromium, console
from tests.world import World

__all__ = ["chromium", "console"]

pytestmark = pytest.mark.browser


def test_a_passkey_is_added_and_then_enough(chromium: Browser, console: str, committed_world: World) -> None:
    committed_world.ada.set_password(PASSWORD)
    committed_world.ada.save()
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    # Browsers know no passkeys of an address.
    visitor = Visitor(context, console.replace("127.0.0.1", "localhost"))
    page = visitor.page
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page = visitor.sign_in(committed_world)

    page.goto(f"{visitor.base}/account/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Name").fill("my laptop")
    page.locator("[name=passwordless]").check()
    page.locator("#mfa_webauthn_add").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()
    assert Authenticator.objects.filter(user=committed_world.ada, type="webauthn").count() == 1

    context.clear_cookies()
    page.goto(f"{visitor.base}/o/{committed_world.acme.org.slug}/requests")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    assert page.url == f"{visitor.base}/o/{committed_world.acme.org.slug}/requests"
    # No page is wider than a phone, and none broke the Content-Security-Policy: ``check`` would have heard of it.
    for path in ("/account/2fa/", "/account/sessions/", "/account/password/change/", "/login/single-sign-on"):
        page.goto(f"{visitor.base}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()
    visitor.check()
