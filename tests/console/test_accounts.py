"""Accounts in the console: making one, the first two minutes, second factors, sessions, invitations, requests."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any, ClassVar

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from costhub.lib import clock
from costhub.lib.money import parse_usd
from costhub.lib.secrets import API_KEY, MasterKeys, is_well_formed
from tenants.access import access_org, list_memberships, org_scope
from tenants.actions.budget_requests import ask_for_more
from tenants.actions.invitations import invite
from tenants.actions.orgs import add_member, find_or_create_user, require_second_factor, suspend_member
from tenants.choices import BudgetScope, Role
from tenants.models import Budget, BudgetIncrease, BudgetRequest, Invitation, Membership, Organization, Upstream, User
from tests.billing.ledger import record_call
from tests.console.client import read_form
from tests.proxy.learning.rows import consent
from tests.world import Api, World, close_scopes, make_budget, make_catalog, make_client, sign_in_now

PASSWORD = "correct horse battery staple"

pytestmark = pytest.mark.usefixtures("mails")


def code_in(text: str) -> str:
    """The code that stands on a line of its own."""
    found = re.search(r"^([A-Z0-9]{3,5}-?[A-Z0-9]{3,5})$", text, re.MULTILINE)
    assert found, text
    return found[1]


def give_password(user: User) -> User:
    user.set_password(PASSWORD)
    user.save()
    return user


def totp_code(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


def at_one_moment(seconds: int = 0) -> time_machine.travel:
    """So many seconds from now the clock stands: a code is asked for in the half minute that it was made for."""
    return time_machine.travel(clock.now() + timedelta(seconds=seconds), tick=False)


def set_up_totp(client: Client, visit: Any) -> str:
    """Switch an authenticator app on, by the pages; gives its seed."""
    page = visit(client, "get", "/account/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    assert secret, page
    with at_one_moment():
        done = visit(client, "post", "/account/2fa/totp/activate/", {"code": totp_code(secret[1])})
    assert done.status_code == 302, done.content
    return secret[1]


class TestTheFirstTwoMinutes:
    def test_from_nothing_to_a_key_and_a_call_to_paste(self, db: None, visit: Any) -> None:
        client = make_client()
        signed_up = visit(client, "post", "/account/signup/", {"email": " Nia@Globex.example ", "password1": PASSWORD})
        assert signed_up.headers["Location"] == "/account/confirm-email/"
        assert [each.to for each in mail.outbox] == [["nia@globex.example"]]
        (sent,) = mail.outbox
        code = code_in(str(sent.body))
        assert sent.subject == "[CostHub] Please Confirm Your Email Address"
        assert (
            "user nia@globex.example has given your email address to register an account on 127.0.0.1:8000."
            in sent.body
        )
        html = str(sent.alternatives[0][0])  # type: ignore[attr-defined]
        assert (code in html, ">Please Confirm Your Email Address</h1>" in html) == (True, True)
        wrong = visit(client, "post", "/account/confirm-email/", {"code": "AAAA-AAAA"})
        assert "ncorrect code" in wrong.content.decode()
        confirmed = visit(client, "post", "/account/confirm-email/", {"code": code})
        assert confirmed.headers["Location"] == "/"
        assert visit(client, "get", "/").headers["Location"] == "/organizations/new"
        assert "Create your organisation" in visit(client, "get", "/organizations/new").content.decode()
        made = visit(client, "post", "/organizations/new", {"name": "Globex"})
        assert made.headers["Location"] == "/o/globex/welcome"
        page = unescape(visit(client, "get", "/o/globex/welcome").content.decode())
        key = re.search(r'id="new-key">(\S+)</code>', page)
        assert key
        assert is_well_formed(key[1], API_KEY)
        assert f"curl http://testserver/v1/chat/completions \\\n  -H 'Authorization: Bearer {key[1]}'" in page
        assert f'OpenAI(base_url="http://testserver/v1", api_key="{key[1]}")' in page
        assert f'new OpenAI({{ baseURL: "http://testserver/v1", apiKey: "{key[1]}" }})' in page
        assert "Your first API key" not in visit(client, "get", "/o/globex/welcome").content.decode()
        assert visit(client, "get", "/").headers["Location"] == "/o/globex/"

    def test_a_form_that_is_sent_twice_makes_one_organisation(self, db: None, visit: Any) -> None:
        client = make_client()
        nia = find_or_create_user("nia@globex.example")
        client.force_login(nia)
        page = visit(client, "get", "/organizations/new").content.decode()
        mark = re.search(r'name="once" value="([^"]+)"', page)
        assert mark
        sent = {"name": "Globex", "once": mark[1]}
        assert [visit(client, "post", "/organizations/new", sent).status_code for _ in range(2)] == [302, 409]
        assert [one.org.name for one in list_memberships(nia)] == ["Globex"]

    def test_what_a_mail_tells_of_a_browser_is_no_markup(self, world: World, visit: Any) -> None:
        client = make_client()
        client.defaults["HTTP_USER_AGENT"] = "<b>Lynx</b>"
        sign_in_now(client, give_password(world.ada))
        changed = {
            "oldpassword": PASSWORD,
            "password1": "another long pass phrase",
            "password2": "another long pass phrase",
        }
        assert visit(client, "post", "/account/password/change/", changed).status_code == 302
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["ada@acme.example"], "[CostHub] Password Changed")
        assert "- Browser: <b>Lynx</b>" in sent.body
        html = str(sent.alternatives[0][0])  # type: ignore[attr-defined]
        assert ("&lt;b&gt;Lynx&lt;/b&gt;" in html, "<b>" in html) == (True, False)

    def test_an_address_with_an_account_looks_like_one_without(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        pages = [
            visit(make_client(), "post", "/account/signup/", {"email": email, "password1": PASSWORD})
            for email in ("ada@acme.example", "new@acme.example")
        ]
        assert {(page.status_code, page.headers["Location"]) for page in pages} == {(302, "/account/confirm-email/")}
        assert "already exists" in mail.outbox[0].body
        assert User.objects.filter(email="ada@acme.example").count() == 1

    @pytest.mark.parametrize("password", ["short", "password1234", "nia@globex.example"])
    def test_a_weak_password_is_refused_in_words(self, db: None, visit: Any, password: str) -> None:
        page = visit(make_client(), "post", "/account/signup/", {"email": "nia@globex.example", "password1": password})
        assert (page.status_code, 'role="alert"' in page.content.decode()) == (200, True)
        assert not User.objects.filter(email="nia@globex.example").exists()

    def test_where_people_come_by_invitation_nobody_signs_up(self, db: None, visit: Any, settings: Settings) -> None:
        settings.SIGN_UP = "invited"
        page = visit(make_client(), "post", "/account/signup/", {"email": "nia@globex.example", "password1": PASSWORD})
        assert page.status_code == 200
        assert not User.objects.filter(email="nia@globex.example").exists()
        assert "Make an account" not in visit(make_client(), "get", "/login").content.decode()
        client = make_client()
        client.force_login(find_or_create_user("nia@globex.example"))
        assert "You are not in an organisation yet" in visit(client, "get", "/organizations/new").content.decode()
        assert visit(client, "post", "/organizations/new", {"name": "Globex"}).status_code == 200
        assert not Membership.objects.filter(user__email="nia@globex.example").exists()

    @pytest.mark.parametrize("name", ["", " ", "x" * 121, "\u202e"])
    def test_a_name_that_cannot_be_one_is_refused_in_words(self, db: None, visit: Any, name: str) -> None:
        client = make_client()
        client.force_login(find_or_create_user("nia@globex.example"))
        page = visit(client, "post", "/organizations/new", {"name": name})
        assert (page.status_code, "visible characters" in page.content.decode()) == (400, True)


class TestPasswords:
    def test_who_forgot_theirs_gets_a_code_and_sets_a_new_one(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        client = make_client()
        asked = visit(client, "post", "/account/password/reset/", {"email": "ada@acme.example"})
        assert asked.headers["Location"] == "/account/password/reset/confirm/"
        visit(client, "post", "/account/password/reset/confirm/", {"code": code_in(str(mail.outbox[0].body))})
        done = visit(
            client,
            "post",
            "/account/password/reset/complete/",
            {"password1": "another long pass phrase", "password2": "another long pass phrase"},
        )
        assert done.status_code == 302
        assert visit(client, "get", "/").headers["Location"] == "/o/acme/"
        world.ada.refresh_from_db()
        assert world.ada.check_password("another long pass phrase")

    def test_nobody_learns_who_has_an_account(self, world: World, visit: Any) -> None:
        pages = [
            visit(make_client(), "post", "/account/password/reset/", {"email": email})
            for email in ("ada@acme.example", "nobody@acme.example")
        ]
        assert len({(page.status_code, page.headers["Location"]) for page in pages}) == 1


class TestSecondFactors:
    def test_an_authenticator_app_is_asked_for_at_the_next_sign_in(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        client = make_client()
        sign_in_now(client, world.ada)
        secret = set_up_totp(client, visit)
        stored = Authenticator.objects.get(user=world.ada, type="totp").data["secret"]
        assert secret not in stored
        codes = visit(client, "get", "/account/2fa/recovery-codes/").content.decode()
        assert Authenticator.objects.filter(user=world.ada, type="recovery_codes").exists()
        assert "ecovery" in codes

        later = make_client()
        first = visit(later, "post", "/login", {"email": "ada@acme.example", "password": PASSWORD, "next": "/o/acme/"})
        assert first.headers["Location"] == "/account/2fa/authenticate/"
        assert visit(later, "get", "/o/acme/").headers["Location"] == "/login?next=/o/acme/"
        assert visit(later, "post", "/account/2fa/authenticate/", {"code": "000000"}).status_code == 200
        with at_one_moment(30):
            right = visit(later, "post", "/account/2fa/authenticate/", {"code": totp_code(secret)})
            assert right.headers["Location"] == "/o/acme/"
            assert visit(later, "get", "/o/acme/").status_code == 200

    def test_codes_cannot_be_guessed_through(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        client = make_client()
        sign_in_now(client, world.ada)
        secret = set_up_totp(client, visit)
        later = make_client()
        visit(later, "post", "/login", {"email": "ada@acme.example", "password": PASSWORD})
        for _ in range(11):
            visit(later, "post", "/account/2fa/authenticate/", {"code": "000000"})
        with at_one_moment(30):
            refused = visit(later, "post", "/account/2fa/authenticate/", {"code": totp_code(secret)})
        assert (refused.status_code, "Too many" in refused.content.decode()) == (200, True)
        assert visit(later, "get", "/").headers["Location"] == "/login?next=/"

    def test_an_organisation_asks_its_powerful_members_for_one(self, world: World, visit: Any) -> None:
        client = make_client()
        sign_in_now(client, give_password(world.ada))
        refused = Api(user=world.ada).patch(f"/organizations/{world.acme.org_id}", {"requires_second_factor": True})
        assert (refused.status_code, "locked out" in refused.json()["detail"]) == (409, True)
        with org_scope(world.acme.org.pk):
            require_second_factor(actor=world.acme.owner, is_required=False)
            world.acme.org.requires_second_factor = True
            world.acme.org.save()
        assert visit(client, "get", "/o/acme/").headers["Location"] == "/account/2fa/"
        denied = Api(user=world.ada).get("/keys")
        assert (denied.status_code, denied.json()["code"]) == (403, "second_factor_required")
        assert Api(user=world.ben).get("/keys").status_code == 200
        assert Api(token=world.acme.admin_token).get("/keys").status_code == 200
        set_up_totp(client, visit)
        assert visit(client, "get", "/o/acme/").status_code == 200

    def test_what_matters_is_asked_for_again_after_a_while(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        old = Api(user=world.ada)
        session = old.client.session
        records = session["account_authentication_methods"]
        records[0]["at"] -= 16 * 60
        session["account_authentication_methods"] = records
        session.save()
        budget = make_budget(world.acme, "10.00")
        make_budget(world.acme, "10.00", scope=BudgetScope.END_USER)
        kept = consent(world.acme, per_mille=100, kept_days=30)
        upstream = {"name": "u", "kind": "openai", "base_url": "https://llm.acme.example/v1", "credential": "sk-1"}
        for method, path, body in [
            ("POST", "/keys", {"name": "k"}),
            ("POST", "/members", {"email": "x@acme.example", "role": "viewer"}),
            ("POST", "/admin-tokens", {"name": "t", "role": "viewer"}),
            ("POST", "/invitations", {"email": "x@acme.example", "role": "viewer"}),
            ("POST", "/domains", {"name": "acme.example"}),
            ("POST", "/upstreams", upstream),
            ("PATCH", f"/budgets/{budget.pk}", {"limit": "11.00"}),
            ("PATCH", f"/budgets/{budget.pk}", {"action": "warn"}),
            ("POST", "/budgets", {"scope": "end_user", "subject": "mia", "period": "day", "limit": "1000000"}),
            ("POST", "/capture-policies", {"per_mille": 10}),
            ("PATCH", f"/capture-policies/{kept.pk}", {"per_mille": 101}),
            ("PATCH", f"/capture-policies/{kept.pk}", {"kept_days": 31}),
        ]:
            refused = old.send(method, path, body)
            assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required"), path
        assert old.patch(f"/budgets/{budget.pk}", {"limit": "9.00"}).status_code == 200
        # Less is kept, and nothing any more, without a word.
        assert old.patch(f"/capture-policies/{kept.pk}", {"per_mille": 99, "kept_days": 29}).status_code == 200
        assert old.delete(f"/capture-policies/{kept.pk}").status_code == 204
        assert old.post(f"/keys/{world.acme.key.pk}/revoke").status_code == 200
        wrong = visit(old.client, "post", "/account/reauthenticate/", {"password": "wrong"})
        assert wrong.status_code == 200
        visit(old.client, "post", "/account/reauthenticate/", {"password": PASSWORD})
        assert old.post("/keys", {"name": "k"}).status_code == 201


class TestSessions:
    def test_they_are_listed_and_ended(self, world: World, visit: Any) -> None:
        give_password(world.ada)
        here, there = make_client(), make_client()
        for client in (here, there):
            visit(client, "post", "/login", {"email": "ada@acme.example", "password": PASSWORD})
        assert UserSession.objects.filter(user=world.ada).count() == 2
        assert "127.0.0.1" in visit(here, "get", "/account/sessions/").content.decode()
        visit(here, "post", "/account/sessions/")
        assert visit(here, "get", "/").headers["Location"] == "/o/acme/"
        assert visit(there, "get", "/").headers["Location"] == "/login?next=/"

    def test_an_address_that_a_stranger_claimed_must_be_confirmed(self, db: None, visit: Any) -> None:
        visit(make_client(), "post", "/account/signup/", {"email": "vic@acme.example", "password1": PASSWORD})
        cache.clear()  # another code is sent after ten seconds only
        answer = visit(make_client(), "post", "/login", {"email": "vic@acme.example", "password": PASSWORD})
        assert answer.headers["Location"] == "/account/confirm-email/"
        assert not EmailAddress.objects.get(email="vic@acme.example").verified


class TestInvitations:
    def link(self, world: World, email: str = "ivy@acme.example", role: Role = Role.DEVELOPER) -> str:
        with org_scope(world.acme.org.pk):
            return invite(actor=world.acme.owner, email=email, role=role).path

    def test_who_is_invited_sees_as_what_and_accepts(self, world: World, visit: Any) -> None:
        path = self.link(world)
        client = make_client()
        page = visit(client, "get", path)
        assert "Join Acme" in page.content.decode()
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert visit(client, "post", path).headers["Location"].startswith("/login?next=/invitations/")
        ivy = find_or_create_user("ivy@acme.example")
        client.force_login(ivy)
        accepted = visit(client, "post", path)
        assert accepted.headers["Location"] == "/o/acme/welcome"
        assert "Welcome to Acme" in visit(client, "get", "/o/acme/welcome").content.decode()
        assert access_org(ivy, "acme").role is Role.DEVELOPER
        close_scopes()
        again = visit(client, "get", path)
        assert (again.status_code, "ask for a new one" in again.content.decode()) == (404, True)

    def test_who_needs_a_second_factor_accepts_and_is_led_to_its_set_up(self, world: World, visit: Any) -> None:
        path, client = self.link(world, role=Role.ADMIN), make_client()
        with org_scope(world.acme.org.pk):
            Organization.objects.filter(pk=world.acme.org.pk).update(requires_second_factor=True)
        client.force_login(find_or_create_user("ivy@acme.example"))
        accepted = visit(client, "post", path)
        assert accepted.headers["Location"] == "/o/acme/welcome"
        assert visit(client, "get", "/o/acme/welcome").headers["Location"] == "/account/2fa/"
        with org_scope(world.acme.org.pk):
            assert Membership.objects.get(user__email="ivy@acme.example").role == "admin"
            assert Invitation.objects.get().accepted_at is not None

    def test_who_was_suspended_meanwhile_is_told(self, world: World, visit: Any) -> None:
        path, client = self.link(world), make_client()
        with org_scope(world.acme.org.pk):
            ivy = add_member(actor=world.acme.owner, email="ivy@acme.example", role=Role.VIEWER)
            suspend_member(actor=world.acme.owner, membership=ivy, is_suspended=True)
        client.force_login(find_or_create_user("ivy@acme.example"))
        refused = visit(client, "post", path)
        assert (refused.status_code, "but suspended: ask an owner" in refused.content.decode()) == (403, True)
        with org_scope(world.acme.org.pk):
            assert Invitation.objects.get().accepted_at is not None

    def test_opening_the_link_accepts_nothing_and_it_is_no_others(self, world: World, visit: Any) -> None:
        path = self.link(world)
        client = make_client()
        client.force_login(world.mallory)
        assert "Sign out" in visit(client, "get", path).content.decode()
        assert visit(client, "post", path).status_code == 403
        with org_scope(world.acme.org.pk):
            assert Invitation.objects.get().accepted_at is None

    def test_an_old_a_withdrawn_and_a_made_up_one_read_alike(self, world: World, visit: Any) -> None:
        path = self.link(world)
        with org_scope(world.acme.org.pk):
            invite(actor=world.acme.owner, email="ivy@acme.example", role=Role.VIEWER)
        other = self.link(world, "ian@acme.example")
        with time_machine.travel(clock.now() + timedelta(days=8)):
            pages = [visit(make_client(), "get", each) for each in (path, other, "/invitations/chi_" + "0" * 38)]
        assert {page.status_code for page in pages} == {404}
        assert len({re.sub(r'csrf[^>]+value="[^"]+"', "", page.content.decode()) for page in pages}) == 1


class TestRequestsForMore:
    def ask(self, world: World) -> str:
        budget = make_budget(world.acme, "10.00", name="team")
        with org_scope(world.acme.org.pk):
            request = ask_for_more(
                actor=world.ben_actor,
                budget=budget,
                amount_nanos=parse_usd("5"),
                until=clock.now() + timedelta(days=2),
                reason="a load test",
            )
        return f"/o/acme/budget-requests/{request.pk}"

    def test_the_page_says_who_why_and_what_it_does_and_takes_less(self, world: World, visit: Any) -> None:
        path, client = self.ask(world), make_client()
        sign_in_now(client, world.ada)
        page = visit(client, "get", path).content.decode()
        for text in ("ben@acme.example asks for $5.00 more", "a load test", "$10.00 becomes $15.00"):
            assert text in page
        assert visit(client, "post", path, {"decision": "less", "amount": "5.01"}).status_code == 400
        assert visit(client, "post", path, {"decision": "less", "amount": "x"}).status_code == 400
        assert visit(client, "post", path, {"decision": "less", "amount": "2,50"}).status_code == 400
        assert visit(client, "post", path, {"decision": "maybe"}).status_code == 400
        decided = visit(client, "post", path, {"decision": "less", "amount": "2.50", "answer": "half"})
        assert decided.status_code == 302
        with org_scope(world.acme.org.pk):
            request, increase = BudgetRequest.objects.get(), BudgetIncrease.objects.get()
        assert (request.state, request.granted_nanos, request.answer) == ("granted", 2_500_000_000, "half")
        assert (increase.amount_nanos, increase.pk) == (2_500_000_000, request.increase_id)
        assert mail.outbox[-1].to == ["ben@acme.example"]
        assert "$2.50 of the $5.00" in mail.outbox[-1].body
        assert visit(client, "post", path, {"decision": "no"}).status_code == 409

    def test_the_mail_says_what_it_does_and_leads_to_each_answer(
        self, world: World, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        record_call(world.acme, clock.now(), cost=4 * 10**9)
        budget = make_budget(world.acme, "10.00", name="team")
        until = (clock.now() + timedelta(days=2)).isoformat()
        asked = {"budget": str(budget.pk), "amount": "5", "until": until, "reason": "a load test"}
        with django_capture_on_commit_callbacks(execute=True):
            made = Api(user=world.ben).post("/budget-requests", asked).json()
        told = mail.outbox[-1]
        html = str(told.alternatives[0][0])  # type: ignore[union-attr]
        for text in (str(told.body), html):
            assert "$4.00 of $10.00 is spent (40 %). With $5.00 more the limit is $15.00." in text
            for decision in ("yes", "less", "no"):
                assert f"/o/acme/budget-requests/{made['id']}?decision={decision}#decide" in text, decision

    def test_who_asked_does_not_decide(self, world: World, visit: Any) -> None:
        path, client = self.ask(world), make_client()
        sign_in_now(client, world.ben)
        assert 'name="decision"' not in visit(client, "get", path).content.decode()
        assert visit(client, "post", path, {"decision": "yes"}).status_code == 403
        with org_scope(world.acme.org.pk):
            assert Budget.objects.get().increases.count() == 0

    def test_after_a_while_a_decision_is_confirmed_first(self, world: World, visit: Any) -> None:
        path, client = self.ask(world), make_client()
        client.force_login(give_password(world.ada))
        User.objects.filter(pk=world.ada.pk).update(last_login=clock.now() - timedelta(hours=1))
        close_scopes()
        sent = client.post(path, {"decision": "yes"}, headers={"Referer": f"http://testserver{path}"})
        assert sent.headers["Location"] == f"/account/reauthenticate/?next={path}"
        assert visit(client, "post", path, {"decision": "no"}).status_code == 302

    def test_a_strangers_link_leads_nowhere(self, world: World, visit: Any) -> None:
        path, client = self.ask(world), make_client()
        client.force_login(world.mallory)
        assert visit(client, "get", path).status_code == 404


class TestAConfirmationBetween:
    """Whoever is asked who they are, in the middle of a form, types nothing twice."""

    PAGE = "/o/acme/upstreams/new"
    TYPED: ClassVar = {
        "name": "our <b>GPUs</b>",
        "kind": "openai",
        "base_url": "https://llm.acme.example/v1",
        "credential": "sk-acme-0123456789",
        "once": "",
    }

    def begin(self, world: World, visit: Any) -> Client:
        """Ada, who signed in a while ago, has sent the form."""
        client = make_client()
        client.force_login(give_password(world.ada))
        User.objects.filter(pk=world.ada.pk).update(last_login=clock.now() - timedelta(hours=1))
        close_scopes()
        sent = client.post(self.PAGE, self.TYPED, headers={"Referer": f"http://testserver{self.PAGE}"})
        assert sent.headers["Location"] == f"/account/reauthenticate/?next={self.PAGE}"
        visit(client, "post", f"/account/reauthenticate/?next={self.PAGE}", {"password": PASSWORD})
        return client

    def test_what_was_typed_stands_there_once_but_no_secret(self, world: World, visit: Any) -> None:
        client = self.begin(world, visit)
        assert "sk-acme" not in json.dumps(dict(client.session.items()), default=str)
        other = visit(client, "get", "/o/acme/projects/new")
        assert "here is what you typed" not in other.content.decode()
        page = visit(client, "get", self.PAGE)
        form = read_form(page.content.decode())
        assert (form["name"], form["kind"], form["base_url"], form["credential"]) == (
            "our <b>GPUs</b>",
            "openai",
            "https://llm.acme.example/v1",
            "",
        )
        assert "Nothing was done yet: here is what you typed" in page.content.decode()
        with org_scope(world.acme.org.pk):
            assert not Upstream.objects.filter(org=world.acme.org).exists()
        assert read_form(visit(client, "get", self.PAGE).content.decode())["name"] == ""
        made = visit(client, "post", self.PAGE, form | {"credential": self.TYPED["credential"]})
        assert made.status_code == 302

    def test_under_another_master_key_it_is_typed_anew(self, world: World, visit: Any, settings: Settings) -> None:
        client = self.begin(world, visit)
        settings.MASTER_KEYS = MasterKeys(b"o" * 32, ())
        page = visit(client, "get", self.PAGE)
        assert (page.status_code, read_form(page.content.decode())["name"]) == (200, "")


class TestAddedMembers:
    def test_who_is_added_gets_a_mail_with_the_way_in(self, world: World, visit: Any) -> None:
        client = make_client()
        sign_in_now(client, world.ada)
        visit(client, "post", "/o/acme/members/new", {"email": "ivy@acme.example", "role": "viewer"})
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["ivy@acme.example"], "ada@acme.example has added you to Acme on CostHub")
        links = re.findall(r"http://\S+", str(sent.body))
        assert links == [
            "http://127.0.0.1:8000/login?next=/o/acme/welcome",
            "http://127.0.0.1:8000/account/password/reset/",
        ]
        ivy = make_client()
        visit(ivy, "post", "/account/password/reset/", {"email": "ivy@acme.example"})
        visit(ivy, "post", "/account/password/reset/confirm/", {"code": code_in(str(mail.outbox[-1].body))})
        visit(ivy, "post", "/account/password/reset/complete/", {"password1": PASSWORD, "password2": PASSWORD})
        assert visit(ivy, "get", "/o/acme/welcome").status_code == 200

    def test_a_directory_mails_nobody(self, world: World, visit: Any) -> None:
        program = Api(token=world.acme.admin_token)
        close_scopes()
        made = program.client.post(
            "/scim/v2/Users",
            json.dumps({"userName": "ivy@acme.example"}),
            content_type="application/scim+json",
            headers={"Authorization": f"Bearer {world.acme.admin_token}"},
        )
        assert (made.status_code, mail.outbox) == (201, [])

    def test_a_member_without_a_second_factor_is_led_to_it_by_every_page(self, world: World, visit: Any) -> None:
        upstream = make_catalog(world.acme).upstream
        world.acme.org.requires_second_factor = True
        with org_scope(world.acme.org.pk):
            world.acme.org.save()
        client = make_client()
        sign_in_now(client, world.ada)
        answer = visit(client, "post", f"/o/acme/upstreams/{upstream.pk}/test")
        assert answer.headers["Location"] == "/account/2fa/"
