"""Every form of the console, found by walking the URLconf: without its token nothing is done, and whatever is typed is
answered in words. And every link of the pages of the demo organisation leads somewhere."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import resolve

from billing.demo.seed import seed_history
from tenants.choices import RouteKind
from tests.console.client import Visit, error_of, read_forms
from tests.console.crawler import crawl
from tests.console.test_forged_posts import NEEDS, OPEN, addresses, count_entries
from tests.console.test_staff import make_operator
from tests.sampling import part
from tests.tenants.route_examples import make_route
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


def answer_hostile(visit: Visit, name: str, method: str, path: str, fields: Iterable[str], turn: int) -> int:
    """Send a form with each hostile text in every field: it is answered in words. Gives how often it was sent."""
    values = part(HOSTILE, turn)
    for value in values:
        typed = {field: value for field in fields if field not in {"once", "seen"}}
        answer = visit.post(path, typed) if method == "post" else visit.get(f"{path}?{urlencode(typed)}")
        where = (name, method, value[:40])
        assert answer.status_code in {200, 302, 400, 402, 403, 404, 409, 413, 429}, (where, answer.status_code)
        html = answer.content.decode() if answer.headers.get("Content-Type", "").startswith("text/html") else ""
        assert "<script>alert(1)</script>" not in html, (where, "not escaped")
        if answer.status_code == 400 and html:
            assert error_of(answer) or "Bad request" in html, (where, "says nothing")
    return len(values)


@pytest.mark.sampled
def test_whatever_is_typed_into_a_form_is_answered_in_words(world: World) -> None:
    """Every form of every page, and every address that takes one of a page that is not there now."""
    ada, paths, tried = Visit(world.ada), addresses(world), 0
    make_route(world.acme, RouteKind.FIXED, ["small"])
    forms: dict[tuple[str, str], tuple[str, Iterable[str]]] = {}
    for page_name, path in sorted(paths.items()):
        if page_name == "live":
            continue
        page = ada.get(path)
        if page.status_code == 200 and page.headers["Content-Type"].startswith("text/html"):
            for method, action, fields in read_forms(page.content.decode(), path):
                if action.startswith("/o/acme/") and (name := resolve(action).url_name):
                    _, known = forms.get((method, name), ("", ()))
                    forms[method, name] = action, {*known, *fields}
    with_fields = {name for method, name in forms if method == "post"}
    seen = {"change-route", "increase-budget", "new-budget-request", "purge-cache", "shorten-prompt", "start-replay"}
    assert seen <= with_fields, seen - with_fields
    assert "if_model" in forms["get", "routes"][1]
    forms |= {("post", name): (paths[name], ("confirm", "name", "reason")) for name in set(NEEDS) - with_fields}
    for turn, ((method, name), (path, names)) in enumerate(sorted(forms.items())):
        if name not in CALLING:
            tried += answer_hostile(ada, name, method, path, names, turn)
    assert tried >= 250


def test_whatever_is_typed_outside_of_an_organisation_is_answered_in_words(world: World) -> None:
    for visit, path in ((Visit(make_operator()), "/staff/plans/new"), (Visit(world.ada), "/organizations/new")):
        html = visit.get(path).content.decode()
        (fields,) = (found for method, action, found in read_forms(html, path) if (method, action) == ("post", path))
        for turn in range(4):
            answer_hostile(visit, path, "post", path, fields, turn)


def test_no_link_of_a_page_of_the_demo_is_broken(world: World) -> None:
    org = seed_history(owner=world.ada)
    assert org is not None
    world.ada.set_password("correct horse battery staple")
    world.ada.save()
    ada = Visit(world.ada)
    broken, opened = crawl(ada, f"/o/{org.slug}/")
    assert broken == {}
    assert opened >= 60
