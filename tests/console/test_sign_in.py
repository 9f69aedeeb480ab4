"""Signing in and out."""

import re

import pytest
from django.http import HttpResponse
from django.test import Client

from costhub.console.sign_in import NO_MATCH
from tenants.actions.orgs import find_or_create_user
from tenants.models import User
from tests.world import World, close_scopes, make_client

PASSWORD = "correct horse battery staple"


@pytest.fixture
def ada(world: World) -> User:
    world.ada.set_password(PASSWORD)
    world.ada.save()
    return world.ada


def sign_in(client: Client, email: str, password: str, **more: str) -> HttpResponse:
    close_scopes()
    return client.post("/login", {"email": email, "password": password, **more})  # type: ignore[return-value]


def without_token(page: HttpResponse) -> str:
    return re.sub(r'(csrfmiddlewaretoken" value=")[^"]+', r"\1", page.content.decode())


class TestSignIn:
    @pytest.mark.parametrize("email", ["ada@acme.example", " ADA@acme.EXAMPLE "])
    def test_the_right_password_leads_to_the_first_organisation(self, ada: User, email: str) -> None:
        client = make_client()
        assert sign_in(client, email, PASSWORD).headers["Location"] == "/"
        close_scopes()
        assert client.get("/").headers["Location"] == "/o/acme/"

    def test_whatever_is_wrong_the_answer_is_the_same(self, ada: User) -> None:
        find_or_create_user("nopass@acme.example")
        inactive = find_or_create_user("gone@acme.example")
        inactive.set_password(PASSWORD)
        inactive.is_active = False
        inactive.save()
        attempts = [
            ("ada@acme.example", "wrong"),
            ("nobody@acme.example", PASSWORD),
            ("nopass@acme.example", ""),
            ("gone@acme.example", PASSWORD),
            ("ada@acme.example\x00", PASSWORD),
        ]
        pages = [(email, sign_in(make_client(), email, password)) for email, password in attempts]
        said = {without_token(page).replace(email.replace("\x00", "\ufffd"), "") for email, page in pages}
        assert {page.status_code for _, page in pages} == {400}
        assert len(said) == 1
        assert NO_MATCH in said.pop()

    @pytest.mark.parametrize(
        ("target", "leads_to"),
        [
            ("/o/acme/requests?status=ok", "/o/acme/requests?status=ok"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ],
    )
    def test_one_is_sent_on_within_the_site_only(self, ada: User, target: str, leads_to: str) -> None:
        assert sign_in(make_client(), ada.email, PASSWORD, next=target).headers["Location"] == leads_to

    def test_a_form_of_another_site_is_refused(self, ada: User) -> None:
        client = Client(enforce_csrf_checks=True)
        page = sign_in(client, ada.email, PASSWORD)
        assert (page.status_code, "This form is out of date" in page.content.decode()) == (403, True)

    def test_somebody_without_an_organisation_may_make_one(self, world: World) -> None:
        zed = find_or_create_user("zed@nobody.example")
        client = make_client()
        client.force_login(zed)
        assert client.get("/").headers["Location"] == "/organizations/new"


class TestSessions:
    def test_signing_out_takes_a_post_and_ends_the_session(self, ada: User) -> None:
        client = make_client()
        client.force_login(ada)
        assert client.get("/logout").status_code == 405
        close_scopes()
        assert client.get("/").headers["Location"] == "/o/acme/"
        assert client.post("/logout").headers["Location"] == "/login"
        assert client.get("/").headers["Location"] == "/login?next=/"

    def test_a_live_page_whose_session_ended_goes_to_sign_in_whole(self, ada: User) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/o/acme/requests?status=ok"}
        page = make_client().get("/o/acme/requests?status=ok&cursor=", headers=headers)
        assert (page.status_code, page.headers["HX-Redirect"]) == (204, "/login?next=/o/acme/requests%3Fstatus%3Dok")

    def test_a_foreign_address_is_not_gone_back_to(self, ada: User) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": "https://evil.example/"}
        assert make_client().get("/o/acme/", headers=headers).headers["HX-Redirect"] == "/login?next=/"
