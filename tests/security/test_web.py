"""What browsers are told and not told, one test a kind. Elsewhere: the Content-Security-Policy in ``tests/console``,
CSV formulas in ``tests/billing``, bodies and uploads in ``tests/test_bodies.py`` and ``tests/proxy/batches``."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any, Final

import pytest
import time_machine
from django.conf import settings

from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.console.client import Visit
from tests.world import World, make_catalog, make_client

#: asked of a production's own settings, in a process of its own
_PRODUCTION: Final = """
import io, json, django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check", deploy=True, fail_level="WARNING", stdout=io.StringIO(), stderr=io.StringIO())
client = Client(headers={"host": "costhub.example.org"})
page = client.get("/login", headers={"x-forwarded-proto": "https"})
plain = client.get("/login")
well = client.get("/healthz")
cookies = {name: dict(cookie.items()) for name, cookie in page.cookies.items()}
print(json.dumps({
    "headers": {name.lower(): value for name, value in page.headers.items()}, "cookies": cookies,
    "plain": [plain.status_code, plain.headers.get("Location")], "well": well.status_code,
}))
"""


@pytest.fixture(scope="module")
def production() -> dict[str, Any]:
    """How a page comes out behind a proxy that ends TLS, and without it. ``check --deploy`` has found nothing."""
    key = "QSBrZXkgb2YgMzIgYnl0ZXMsIGZvciB0aGlzIHRlc3Q="
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "costhub.settings",
        "COSTHUB_PRODUCTION": "1",
        "COSTHUB_TRUSTED_PROXIES": "1",
        "COSTHUB_PUBLIC_URL": "https://costhub.example.org",
        "COSTHUB_SMTP_URL": "smtp://127.0.0.1:9",
        "COSTHUB_ALLOWED_HOSTS": "costhub.example.org",
        **dict.fromkeys(("COSTHUB_SECRET_KEY", "COSTHUB_KEY_PEPPER", "COSTHUB_MASTER_KEY"), key),
    }
    ran = subprocess.run([sys.executable, "-c", _PRODUCTION], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_a_production_says_what_browsers_must_know(production: dict[str, Any]) -> None:
    headers = production["headers"]
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_its_cookies_are_this_hosts_alone(production: dict[str, Any]) -> None:
    cookie = production["cookies"]["__Host-csrftoken"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == "Lax"


def test_it_answers_over_tls_only_but_for_who_looks_after_it(production: dict[str, Any]) -> None:
    assert production["plain"] == [301, "https://costhub.example.org/login"]
    assert production["well"] == 200


class TestSessions:
    def test_one_that_idles_is_over(self, world: World) -> None:
        ada = Visit(world.ada)
        assert ada.get("/o/acme/keys").status_code == 200
        with time_machine.travel(clock.now() + timedelta(seconds=settings.SESSION_IDLE_SECONDS - 60)):
            assert ada.get("/o/acme/keys").status_code == 200
        with time_machine.travel(clock.now() + timedelta(seconds=2 * settings.SESSION_IDLE_SECONDS - 120)):
            assert ada.get("/o/acme/keys").status_code == 200
        with time_machine.travel(clock.now() + timedelta(seconds=3 * settings.SESSION_IDLE_SECONDS)):
            assert ada.get("/o/acme/keys").headers["Location"] == "/login?next=/o/acme/keys"

    @pytest.mark.parametrize(
        ("path", "headers"), [("/o/acme/", {"X_CostHub_Refresh": "1", "HX_Request": "true"}), ("/o/nowhere/live", {})]
    )
    def test_what_an_open_page_asks_for_by_itself_keeps_nobody_signed_in(
        self, world: World, path: str, headers: dict[str, str]
    ) -> None:
        ada = Visit(world.ada)
        assert ada.get("/o/acme/keys").status_code == 200
        with time_machine.travel(clock.now() + timedelta(seconds=settings.SESSION_IDLE_SECONDS - 60)):
            ada.get(path, **headers)
        with time_machine.travel(clock.now() + timedelta(seconds=settings.SESSION_IDLE_SECONDS + 60)):
            assert ada.get("/o/acme/keys").headers["Location"] == "/login?next=/o/acme/keys"

    def test_one_that_began_long_ago_is_over_however_busy(self, world: World, settings: Any) -> None:
        settings.SESSION_COOKIE_AGE = 4 * 3600
        ada = Visit(world.ada)
        for hour in range(4):
            with time_machine.travel(clock.now() + timedelta(hours=hour)):
                assert ada.get("/o/acme/keys").status_code == 200, hour
        with time_machine.travel(clock.now() + timedelta(hours=4, minutes=1)):
            assert ada.get("/o/acme/keys").status_code == 302

    def test_it_is_another_one_after_signing_in(self, world: World) -> None:
        world.ada.set_password("a long enough secret")
        world.ada.save()
        browser = make_client()
        browser.cookies[settings.SESSION_COOKIE_NAME] = "chosenbysomebodyelse"
        answer = browser.post("/login", {"email": world.ada.email, "password": "a long enough secret"})
        assert answer.status_code == 302
        assert answer.cookies[settings.SESSION_COOKIE_NAME].value not in {"", "chosenbysomebodyelse"}


ELSEWHERE: Final = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\t//evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example",
    "http:evil.example",
    "https:///evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "//evil.example\\@testserver/",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "/%0d%0aLocation:%20https://evil.example/\r\nX: y",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_elsewhere(world: World, settings: Any, target: str) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the others take their time
    world.ada.set_password("a long enough secret")
    world.ada.save()
    form = {"email": world.ada.email, "password": "a long enough secret", "next": target}
    for client, path, values in (
        (make_client(), "/login", form),
        (Visit(world.ada).client, "/login", {"next": target}),
        (Visit(world.ada).client, "/logout", {"next": target}),
        (Visit(world.ada).client, "/account/reauthenticate/", form),
    ):
        answer = client.post(path, values)
        location = answer.headers.get("Location", "/")
        # What our own pages make of a path in which "evil" is a word stays a path of ours.
        assert location.startswith("/"), (path, location)
        assert not location.startswith(("//", "/\\")), (path, location)
        assert not set(location) & set("\t\r\n"), (path, location)


@pytest.mark.parametrize("credential", ["sk-a\r\nX-Evil: 1", "sk-a\nb", "sk-\x00", "sk-ä", "sk a", "sk-\u2028"])
def test_no_header_is_smuggled_into_what_upstreams_are_sent(world: World, credential: str) -> None:
    upstream = make_catalog(world.acme).upstream
    with org_scope(world.acme.org.pk), pytest.raises(InvalidField) as caught:
        update_upstream(actor=world.acme.owner, upstream=upstream, credential=credential)
    assert caught.value.field == "credential"


@pytest.mark.parametrize("name", ["Acme\r\nBcc: mallory@evil.example", "Acme\nX: y", "Acme\x85X", "Acme\u2028X"])
def test_no_header_is_smuggled_into_mails(world: World, name: str) -> None:
    """An organisation's name stands in subjects."""
    from tests.world import Api

    refused = Api(token=world.acme.admin_token).patch(f"/organizations/{world.acme.org_id}", {"name": name})
    assert (refused.status_code, refused.json().get("field", "name")) == (400, "name")
