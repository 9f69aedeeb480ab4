"""Every form of the console, found by walking the URLconf: without its token nothing is done, and whatever is typed is
answered in words. And every link of the pages of the demo organisation leads somewhere."""

from typing import Any, Final

import pytest
from django.test import Client

from billing.demo.seed import seed_history
from tests.console.client import Visit, error_of, read_form
from tests.console.crawler import crawl
from tests.console.test_forged_posts import NEEDS, OPEN, addresses, count_entries
from tests.sampling import part
from tests.world import World, close_scopes, sign_in_now

SCRIPT: Final = '"><script>alert(1)</script>'
#: what is typed into a field
HOSTILE: Final = (
    "",
    " ",
    SCRIPT,
    "\u202eمرحبا\u202c",
    "💸" * 40,
    "x" * 6_000,
    "nul\x00",
    "-1",
    "9" * 400,
    "1e999999",
    "NaN",
    "0001-01-01T00:00",
    "http://[::1",
    "{}",
    "'; DROP TABLE tenants_user; --",
    "../../etc/passwd",
)
#: forms that call somebody, as the tests of upstreams and channels do: nothing is typed into them
CALLING: Final = {"test-upstream", "test-channel", "verify-domain"}


def test_without_its_token_no_form_does_anything(world: World) -> None:
    paths = addresses(world)
    client = Client(enforce_csrf_checks=True)
    sign_in_now(client, world.ada)
    before = count_entries(world)
    for name in sorted(set(NEEDS) | OPEN):
        close_scopes()
        # A page that lay open for a day: its token is another one's by now.
        answer = client.post(paths[name], {"csrfmiddlewaretoken": "x" * 64, "name": "x", "confirm": "Acme"})
        assert (answer.status_code, "This form is out of date" in answer.content.decode()) == (403, True), name
    close_scopes()
    assert count_entries(world) == before


def test_without_a_session_every_form_leads_to_the_sign_in(world: World) -> None:
    paths, nobody = addresses(world), Visit(None)
    before = count_entries(world)
    for name in sorted(set(NEEDS) | OPEN):
        answer = nobody.post(paths[name], {"name": "x", "confirm": "Acme"})
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/login"), name
    assert count_entries(world) == before


@pytest.mark.sampled
def test_whatever_is_typed_into_a_form_is_answered_in_words(world: World) -> None:
    ada, tried = Visit(world.ada), 0
    for turn, (name, path) in enumerate(sorted(addresses(world).items())):
        if name not in NEEDS or name in CALLING:
            continue
        page = ada.get(path)
        is_page = page.status_code == 200 and 'class="card form"' in page.content.decode()
        fields: dict[str, Any] = (
            read_form(page.content.decode()) if is_page else {"confirm": "", "name": "", "reason": ""}
        )
        for value in part(HOSTILE, turn):
            typed = {field: value for field in fields if field not in {"once", "seen"}}
            answer = ada.post(path, typed)
            tried += 1
            assert answer.status_code in {200, 302, 400, 402, 403, 404, 409, 413, 429}, (name, value[:40])
            html = answer.content.decode() if answer.headers.get("Content-Type", "").startswith("text/html") else ""
            assert "<script>alert(1)</script>" not in html, (name, "not escaped")
            if answer.status_code == 400 and is_page:
                assert error_of(answer), (name, value[:40], "says nothing")
    assert tried >= 250


def test_no_link_of_a_page_of_the_demo_is_broken(world: World) -> None:
    org = seed_history(owner=world.ada)
    assert org is not None
    world.ada.set_password("correct horse battery staple")
    world.ada.save()
    ada = Visit(world.ada)
    broken, opened = crawl(ada, f"/o/{org.slug}/")
    assert broken == {}
    assert opened >= 60
