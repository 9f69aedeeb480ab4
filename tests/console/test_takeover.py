"""Ways into somebody else's account, or out of the limits of one's own, that people have tried elsewhere."""

from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.orgs import add_member, suspend_member
from tenants.choices import Role
from tenants.models import ClaimedDomain, Membership
from tests.console.test_accounts import PASSWORD, code_in, give_password, set_up_totp, totp_code
from tests.tenants.accounts.rows import make_account_rows
from tests.world import Api, World, sign_in_now

pytestmark = pytest.mark.usefixtures("mails")


def grow_old(client: Client) -> None:
    """Let the client's session have begun 16 minutes ago."""
    session = client.session
    records = session["account_authentication_methods"]
    for record in records:
        record["at"] -= 16 * 60
    session["account_authentication_methods"] = records
    session.save()


class TestAnUnattendedBrowser:
    """Whoever finds one open must not get further than its session."""

    def test_it_does_not_change_the_address(self, world: World, visit: Any) -> None:
        client = Client()
        sign_in_now(client, give_password(world.ada))
        fresh = visit(client, "get", "/account/email/")
        assert fresh.status_code == 200
        grow_old(client)
        sent = visit(client, "post", "/account/email/", {"email": "thief@mallcorp.example", "action_add": ""})
        assert sent.headers["Location"].startswith("/account/reauthenticate/?next=")
        assert not EmailAddress.objects.filter(email="thief@mallcorp.example").exists()

    def test_it_does_not_set_a_first_password(self, world: World, visit: Any) -> None:
        client = Client()
        world.ada.set_unusable_password()
        world.ada.save()
        sign_in_now(client, world.ada)
        grow_old(client)
        visit(client, "post", "/account/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
        world.ada.refresh_from_db()
        assert not world.ada.has_usable_password()

    def test_who_has_no_password_yet_is_sent_to_sign_in_again(self, world: World, visit: Any) -> None:
        client = Client()
        world.ada.set_unusable_password()
        world.ada.save()
        sign_in_now(client, world.ada)
        grow_old(client)
        page = visit(client, "get", "/account/reauthenticate/?next=/o/acme/keys/new")
        assert page.status_code == 200
        assert "<h1>Sign in again</h1>" in page.content.decode()

    @pytest.mark.parametrize("path", ["/account/2fa/webauthn/add/", "/account/2fa/totp/activate/"])
    def test_who_has_nothing_to_be_asked_for_signs_in_again_for_a_first_factor(
        self, world: World, visit: Any, path: str
    ) -> None:
        """People of single sign-on: without a password or factor, django-allauth would refuse them for ever."""
        client = Client()
        world.ada.set_unusable_password()
        world.ada.save()
        sign_in_now(client, world.ada)
        grow_old(client)
        sent = visit(client, "get", path)
        assert (sent.status_code, sent.headers["Location"]) == (302, f"/account/reauthenticate/?next={quote(path, '')}")
        page = visit(client, "get", sent.headers["Location"]).content.decode()
        assert "<h1>Sign in again</h1>" in page
        assert 'href="/account/password/reset/"' in page
        sign_in_now(client, world.ada)
        assert visit(client, "get", path).status_code == 200

    def test_who_has_a_password_is_asked_for_it_before_a_first_factor(self, world: World, visit: Any) -> None:
        client = Client()
        sign_in_now(client, give_password(world.ada))
        grow_old(client)
        sent = visit(client, "get", "/account/2fa/webauthn/add/")
        assert sent.headers["Location"].startswith("/account/reauthenticate/?next=")
        assert 'type="password"' in visit(client, "get", sent.headers["Location"]).content.decode()


class TestPasswords:
    def test_a_reset_asks_for_the_second_factor_too(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        client = Client()
        sign_in_now(client, world.ada)
        secret = set_up_totp(client, visit)
        thief = Client()
        mail.outbox.clear()
        visit(thief, "post", "/account/password/reset/", {"email": "ada@acme.example"})
        visit(thief, "post", "/account/password/reset/confirm/", {"code": code_in(str(mail.outbox[-1].body))})
        new = "another battery staple horse"
        done = visit(thief, "post", "/account/password/reset/complete/", {"password1": new, "password2": new})
        assert done.headers["Location"].startswith("/account/2fa/authenticate/")
        assert visit(thief, "get", "/").headers["Location"] == "/login?next=/"
        assert len(totp_code(secret)) == 6

    @pytest.mark.parametrize("typed", ["ada@acme.examp\u217ce", "\uff41da@acme.example", "ada@acme.example\u200b"])
    def test_an_address_that_looks_alike_gets_no_code_of_anothers(self, world: World, visit: Any, typed: str) -> None:
        give_password(world.ada)
        mail.outbox.clear()
        visit(Client(), "post", "/account/password/reset/", {"email": typed})
        assert [each.to for each in mail.outbox if "code" in str(each.body) and each.to != ["ada@acme.example"]] == []

    def test_signing_up_takes_a_hash_whether_the_address_is_known_or_not(
        self, world: World, visit: Any, settings: Settings
    ) -> None:
        settings.PASSWORD_HASHERS = ["tests.console.test_takeover.CountingHasher"]
        counts = []
        for email in ("ada@acme.example", "new@acme.example"):
            CountingHasher.made = 0
            visit(Client(), "post", "/account/signup/", {"email": email, "password1": PASSWORD})
            counts.append(CountingHasher.made)
        assert counts[0] == counts[1] >= 1

    def test_nobody_takes_an_address_that_is_another_accounts(self, world: World, visit: Any) -> None:
        client = Client()
        sign_in_now(client, give_password(world.mallory))
        visit(client, "post", "/account/email/", {"email": "Ada@acme.example", "action_add": ""})
        assert not EmailAddress.objects.filter(user=world.mallory, email="ada@acme.example").exists()

    def test_a_new_password_ends_the_other_sessions(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        thief, ada = Client(), Client()
        for client in (thief, ada):
            visit(client, "post", "/login", {"email": "ada@acme.example", "password": PASSWORD})
        new = {"oldpassword": PASSWORD, "password1": "another battery staple horse"}
        visit(ada, "post", "/account/password/change/", new | {"password2": new["password1"]})
        assert visit(thief, "get", "/").headers["Location"] == "/login?next=/"
        assert visit(ada, "get", "/").headers["Location"] == "/o/acme/"

    def test_signing_in_begins_another_session(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        client = Client()
        session = client.session
        session["x"] = 1
        session.save()
        before = session.session_key
        visit(client, "post", "/login", {"email": "ada@acme.example", "password": PASSWORD})
        assert client.session.session_key != before
        assert not Session.objects.filter(session_key=before).exists()


class TestOtherOrganisations:
    def test_one_signs_nobody_out_who_is_not_its_own(self, world: World, visit: Any) -> None:
        """Anybody can make anybody a member: so a suspension must not reach beyond the organisation."""
        client = Client()
        visit(client, "post", "/login", {"email": give_password(world.ada).email, "password": PASSWORD})
        assert UserSession.objects.filter(user=world.ada).count() == 1
        with org_scope(world.mallcorp.org.pk):
            added = add_member(actor=world.mallcorp.owner, email="ada@acme.example", role=Role.VIEWER)
            suspend_member(actor=world.mallcorp.owner, membership=added, is_suspended=True)
        assert visit(client, "get", "/o/acme/").status_code == 200
        assert visit(client, "get", "/o/mallcorp/").status_code == 404

    def test_none_puts_itself_before_ones_own(self, world: World, visit: Any) -> None:
        """Else somebody's keys and credentials would be typed into a stranger's organisation."""
        with org_scope(world.mallcorp.org.pk):
            world.mallcorp.org.name = "AAA"
            world.mallcorp.org.save()
            add_member(actor=world.mallcorp.owner, email="ada@acme.example", role=Role.OWNER)
        client = Client()
        sign_in_now(client, world.ada)
        assert visit(client, "get", "/").headers["Location"] == "/o/acme/"
        members = {row["email"] for row in Api(user=world.ada).get("/members").json()["data"]}
        assert members == {"ada@acme.example", "ben@acme.example"}

    def test_a_directory_signs_its_own_people_out_everywhere(self, world: World, visit: Any) -> None:
        client = Client()
        visit(client, "post", "/login", {"email": give_password(world.ben).email, "password": PASSWORD})
        make_account_rows(world.acme)
        with org_scope(world.acme.org.pk):
            ClaimedDomain.objects.filter(name="acme.example").update(verified_at=clock.now())
            membership = Membership.objects.get(user=world.ben)
            suspend_member(actor=world.acme.owner, membership=membership, is_suspended=True)
        assert visit(client, "get", "/").headers["Location"] == "/login?next=/"


class TestSingleSignOn:
    def test_who_signed_up_first_with_anothers_address_is_locked_out(self, world: World, visit: Any) -> None:
        visit(Client(), "post", "/account/signup/", {"email": "vic@acme.example", "password1": PASSWORD})
        cache.clear()
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.ADMIN)
        thief = Client()
        answer = visit(thief, "post", "/login", {"email": "vic@acme.example", "password": PASSWORD})
        assert answer.headers["Location"] == "/account/confirm-email/"
        assert visit(thief, "get", "/").headers["Location"] == "/login?next=/"

    def test_nobody_is_signed_out_by_a_link(self, world: World, visit: Any) -> None:
        rows = make_account_rows(world.acme)
        client = Client()
        sign_in_now(client, world.ada)
        answer = visit(client, "get", f"/account/sso/saml/{rows['sign-ons'][0]}/sls/", {"SAMLRequest": LOGOUT})
        assert answer.status_code == 404
        assert visit(client, "get", "/").headers["Location"] == "/o/acme/"

    def test_a_stranger_fills_no_table(self, world: World, visit: Any) -> None:
        own = make_account_rows(world.acme)["sign-ons"][0]
        unknown = "00000000-0000-4000-8000-000000000000"
        before = Session.objects.count()
        for sign_on, body in ((unknown, "x"), (own, "x" * 300_000), (own, "")):
            path = f"/account/sso/saml/{sign_on}/acs/"
            assert visit(Client(), "post", path, {"SAMLResponse": body}).status_code in {404, 403}
        assert visit(Client(), "get", f"/account/sso/saml/{own}/acs/").status_code == 403
        assert Session.objects.count() == before


class CountingHasher(MD5PasswordHasher):
    """Counts what it is asked for."""

    made = 0

    def encode(self, password: str, salt: str) -> str:
        """As MD5 does it."""
        CountingHasher.made += 1
        return super().encode(password, salt)


def _make_logout_request() -> str:
    import base64
    import zlib

    now = clock.now()
    text = (
        '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_x" Version="2.0"'
        f' IssueInstant="{now:%Y-%m-%dT%H:%M:%SZ}" NotOnOrAfter="{now + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}">'
        '<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://idp.acme.example/meta</saml:Issuer>'
        '<saml:NameID xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">ada</saml:NameID></samlp:LogoutRequest>'
    )
    return base64.b64encode(zlib.compress(text.encode())[2:-4]).decode()


LOGOUT: Final = _make_logout_request()
