"""The pages of invitations, tokens, service accounts, single sign-on, and of requests for more."""

import re
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from costhub.lib import clock
from costhub.lib.secrets import ADMIN_TOKEN, is_well_formed
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import (
    AdminToken,
    BudgetRequest,
    ClaimedDomain,
    Invitation,
    ServiceAccount,
    SignOn,
    User,
)
from tests.audit import read_audit
from tests.console.client import Visit, error_of, rows_of, text_of
from tests.lib.name_server import serve_text_records
from tests.proxy.learning.rows import fill, fill_learning, make_dataset, make_version
from tests.tenants.accounts.rows import make_certificate
from tests.world import Api, World, make_budget, make_catalog

pytestmark = pytest.mark.usefixtures("mails")


def only(world: World, model: Any) -> Any:
    """The one row of Acme's, or the newest."""
    with org_scope(world.acme.org.pk):
        return model.objects.filter(org=world.acme.org).order_by("-created_at").first()


def actions_of(world: World, kind: str) -> list[str]:
    """What the audit log says of rows of a kind, oldest first."""
    return [entry.action for entry in read_audit(world.acme.org, target_kind=kind)]


def grow_old(visit: Visit) -> None:
    User.objects.filter(email="ada@acme.example").update(last_login=clock.now() - timedelta(minutes=16))


class TestInvitations:
    def test_somebody_is_invited_and_the_offer_taken_back(self, world: World) -> None:
        ada = Visit(world.ada)
        project = str(world.acme.project.pk)
        wrong = ada.submit("/o/acme/invitations/new", email="ivy@acme.example", role="admin", projects=[project])
        assert (wrong.status_code, "acts in the whole organisation" in error_of(wrong)) == (400, True)
        assert ada.submit("/o/acme/invitations/new", email="nobody", role="viewer").status_code == 400
        sent = ada.submit("/o/acme/invitations/new", email="Ivy@acme.example", role="developer", projects=[project])
        assert sent.status_code == 302
        row = only(world, Invitation)
        assert (row.email, row.role, [str(one) for one in row.projects]) == ("ivy@acme.example", "developer", [project])
        assert "developer 1 project ada@acme.example" in rows_of(ada.get("/o/acme/invitations"))[0]
        ada.post(f"/o/acme/invitations/{row.pk}/withdraw")
        assert rows_of(ada.get("/o/acme/invitations"))[0].endswith("withdrawn")
        assert actions_of(world, "invitation") == ["invitation.created", "invitation.withdrawn"]

    def test_who_may_not_invite_sees_no_button(self, world: World) -> None:
        ben = Visit(world.ben)
        assert "Invite somebody" not in text_of(ben.get("/o/acme/invitations"))
        assert ben.get("/o/acme/invitations/new").status_code == 403


class TestTokens:
    def test_a_token_is_shown_once_works_and_is_revoked(self, world: World) -> None:
        ada = Visit(world.ada)
        made = ada.submit("/o/acme/tokens/new", name="ci", role="admin", scopes=["read", "write_keys"])
        secret = re.search(r'id="secret">([^<]+)<', made.content.decode())
        assert secret
        assert is_well_formed(secret[1], ADMIN_TOKEN)
        assert Api(token=secret[1]).get("/keys").status_code == 200
        assert Api(token=secret[1]).get("/members/x").status_code == 404
        assert Api(token=secret[1]).post("/members", {"email": "x@acme.example", "role": "viewer"}).status_code == 403
        token = only(world, AdminToken)
        page = f"/o/acme/tokens/{token.pk}"
        assert secret[1] not in ada.get(page).content.decode()
        ada.post(page, {"confirm": "other"})
        assert Api(token=secret[1]).get("/keys").status_code == 200
        ada.post(page, {"confirm": "ci"})
        assert Api(token=secret[1]).get("/keys").status_code == 401
        assert "revoked" in text_of(ada.get(page))

    def test_what_cannot_be_says_what_to_choose(self, world: World) -> None:
        ada = Visit(world.ada)
        bad: list[tuple[dict[str, Any], str]] = [
            ({"role": "viewer", "scopes": ["write_money"]}, "does not have write_money"),
            ({"role": "viewer", "scopes": ["everything"]}, "Choose some of"),
            ({"role": ""}, "Give a role, or a service account"),
            ({"role": "viewer", "expires_at": "2020-01-01T00:00"}, "in the future"),
            ({"role": "viewer", "expires_at": "9999-12-31T23:59"}, "between the years"),
        ]
        for typed, words in bad:
            answer = ada.submit("/o/acme/tokens/new", name="x", **typed)
            assert (answer.status_code, words in error_of(answer)) == (400, True), (typed, error_of(answer))

    def test_an_account_of_a_program_is_narrowed_and_disabled(self, world: World) -> None:
        ada = Visit(world.ada)
        project = str(world.acme.project.pk)
        ada.submit("/o/acme/service-accounts/new", name="deployer", role="developer", projects=[project])
        account = only(world, ServiceAccount)
        made = ada.submit(f"/o/acme/tokens/new?account={account.pk}", name="its own")
        secret = re.search(r'id="secret">([^<]+)<', made.content.decode())
        assert secret, text_of(made)
        assert Api(token=secret[1]).get("/keys").status_code == 200
        assert Api(token=secret[1]).get("/budgets").status_code == 403
        page = f"/o/acme/service-accounts/{account.pk}"
        ada.press(page, f"{page}/switch")
        assert Api(token=secret[1]).get("/keys").status_code == 401
        assert "account disabled" in rows_of(ada.get("/o/acme/tokens"))[0]
        assert rows_of(ada.get("/o/acme/service-accounts"))[0].startswith("deployer developer 1 project")
        taken = ada.submit("/o/acme/service-accounts/new", name="deployer")
        assert (taken.status_code, "of this name" in error_of(taken)) == (409, True)

    def test_after_a_while_it_is_asked_who_one_is(self, world: World) -> None:
        ada = Visit(world.ada)
        form = {"name": "x", "role": "viewer"}
        grow_old(ada)
        for path in ("/o/acme/tokens/new", "/o/acme/invitations/new", "/o/acme/domains/claim"):
            answer = ada.post(path, {**form, "email": "x@acme.example"})
            assert answer.headers["Location"].startswith("/account/reauthenticate/"), path


class TestSignOns:
    def test_a_domain_is_claimed_proved_and_given_up(self, world: World, settings: Settings) -> None:
        ada = Visit(world.ada)
        ada.post("/o/acme/domains/claim", {"name": "not a domain"})
        assert "Give a domain such as example.com" in text_of(ada.get("/o/acme/sign-ons"))
        ada.post("/o/acme/domains/claim", {"name": "acme.example"})
        row = only(world, ClaimedDomain)
        page = text_of(ada.get("/o/acme/sign-ons"))
        assert f"_costhub.acme.example with the value {row.challenge}" in page
        with serve_text_records({"_costhub.acme.example": row.challenge}) as settings.DNS_SERVER:
            ada.post(f"/o/acme/domains/{row.pk}/verify")
        assert "acme.example is yours" in text_of(ada.get("/o/acme/sign-ons"))
        ada.post(f"/o/acme/domains/{row.pk}/release", {"confirm": "x"})
        assert only(world, ClaimedDomain).verified_at
        ada.post(f"/o/acme/domains/{row.pk}/release", {"confirm": "acme.example"})
        assert only(world, ClaimedDomain) is None
        assert actions_of(world, "claimed_domain") == [
            f"claimed_domain.{verb}" for verb in ("claimed", "verified", "released")
        ]

    def test_providers_are_set_up_changed_and_removed(self, world: World) -> None:
        ada = Visit(world.ada)
        typed = {"issuer": "https://idp.acme.example", "client_id": "costhub", "client_secret": "s3cret"}
        wrong = ada.submit("/o/acme/sign-ons/new/oidc", **typed | {"issuer": "ftp://x"})
        assert wrong.status_code == 400
        made = ada.submit("/o/acme/sign-ons/new/oidc", name="Okta", **typed)
        page = made.headers["Location"]
        shown = ada.get(page).content.decode()
        row = only(world, SignOn)
        assert f"http://testserver/account/sso/oidc/{row.pk}/login/callback/" in shown
        assert "s3cret" not in shown
        assert ada.submit(page, name="Our Okta", client_secret="", role="developer", is_active=None).status_code == 302
        row = only(world, SignOn)
        assert (row.name, row.role, row.is_active) == ("Our Okta", "developer", False)
        assert "switched off" in text_of(ada.get("/o/acme/sign-ons"))
        saml = {"entity_id": "https://idp.acme.example", "sso_url": "https://idp.acme.example/sso"}
        bad = ada.submit("/o/acme/sign-ons/new/saml", **saml, certificate="x")
        assert (bad.status_code, "-----BEGIN CERTIFICATE-----" in error_of(bad)) == (400, True)
        made = ada.submit("/o/acme/sign-ons/new/saml", **saml, certificate=make_certificate("idp")[1])
        assert made.status_code == 302
        assert "/metadata/" in ada.get(made.headers["Location"]).content.decode()
        ada.post(f"{page}/remove", {"confirm": "Our Okta"})
        assert "Our Okta is removed" in text_of(ada.get("/o/acme/sign-ons"))
        assert ada.get("/o/acme/sign-ons/new/ldap").status_code == 404


class TestRequestsForMore:
    def test_a_developer_asks_and_sees_what_became_of_it(self, world: World) -> None:
        budget = make_budget(world.acme, "10.00", name="team")
        ben, ada = Visit(world.ben), Visit(world.ada)
        assert "Ask for more" in text_of(ben.get(f"/o/acme/budgets/{budget.pk}"))
        until = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
        page = f"/o/acme/budgets/{budget.pk}/ask"
        assert ben.submit(page, amount="5", until=until).status_code == 400
        asked = ben.submit(page, amount="5", until=until, reason="a <b>load</b> test")
        assert asked.status_code == 302
        row = rows_of(ada.get("/o/acme/budget-requests"))[0]
        assert ("a <b>load</b> test ben@acme.example team $5.00" in row, row.endswith("open")) == (True, True)
        assert "1 request waits for an answer" in text_of(ada.get("/o/acme/budget-requests"))
        request = only(world, BudgetRequest)
        assert ada.post(f"/o/acme/budget-requests/{request.pk}/withdraw").status_code == 403
        ben.post(f"/o/acme/budget-requests/{request.pk}/withdraw")
        assert rows_of(ben.get("/o/acme/budget-requests"))[0].endswith("withdrawn")

    def test_a_viewer_neither_sees_nor_asks(self, world: World) -> None:
        budget = make_budget(world.acme, "10.00")
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
        vic = Visit(User.objects.get(email="vic@acme.example"))
        assert vic.get("/o/acme/budget-requests").status_code == 403
        assert vic.get(f"/o/acme/budgets/{budget.pk}/ask").status_code == 403


def test_tables_are_taken_away_only_by_who_just_signed_in(world: World) -> None:
    ada = Visit(world.ada)
    api = Api(user=world.ada)
    for path in ("/o/acme/requests.csv", "/o/acme/breakdown.csv"):
        assert ada.get(path).status_code == 200
    grow_old(ada)
    for path in (
        "/o/acme/requests.csv",
        "/o/acme/breakdown.csv",
        "/o/acme/billing/papers",
        "/o/acme/settings/remove-demo",
    ):
        answer = ada.post(path) if "demo" in path else ada.get(path)
        assert answer.headers["Location"].startswith("/account/reauthenticate/"), path
    grow_old_in_api(api)
    refused = api.get("/requests", format="csv")
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")
    assert Api(token=world.acme.admin_token).get("/requests", format="csv").status_code == 200


def test_what_people_said_is_taken_away_only_by_who_just_signed_in(world: World) -> None:
    """A dataset's version, and models, which may say what they were taught."""
    learned = fill_learning(world.acme)
    version, tuned = learned["dataset-versions"][0], learned["tuned-models"][0]
    ada, api = Visit(world.ada), Api(user=world.ada)
    download = f"/o/acme/dataset-versions/{version}/download"
    paths = (f"/dataset-versions/{version}/export", f"/tuned-models/{tuned}/export")
    assert ada.post(download, {"part": "train"}).status_code == 200
    assert [api.get(path).status_code for path in paths] == [200, 200]
    grow_old(ada)
    assert ada.post(download, {"part": "train"}).headers["Location"].startswith("/account/reauthenticate/")
    grow_old_in_api(api)
    for path in (*paths, f"{paths[1]}?weights=merged"):
        refused = api.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required"), path
    program = Api(token=world.acme.admin_token)
    assert [program.get(path).status_code for path in paths] == [200, 200]


def test_what_leaves_and_what_opens_a_door_by_the_api_asks_again(world: World) -> None:
    acme, api = world.acme, Api(user=world.ada)
    upstream = make_catalog(acme).upstream
    hook = {"kind": "webhook", "name": "ops", "url": "https://93.184.215.14/in"}
    channel = api.post("/channels", hook).json()["id"]
    mail = api.post("/channels", {"kind": "email", "name": "finance", "roles": ["finance"]}).json()["id"]
    dataset = make_dataset(acme)
    fill(acme, dataset, 3)
    version = make_version(acme, dataset)
    bill = {"upstream": upstream.name, "credential": "sk-admin-0123456789abcdef"}
    asks: list[tuple[str, str, Any]] = [
        ("GET", "/spend/focus", None),
        ("GET", "/finance-packs/archive", None),
        ("GET", f"/dataset-versions/{version.pk}/export", None),
        ("POST", "/channels", hook | {"name": "other"}),
        ("POST", f"/channels/{channel}/rotate-secret", {}),
        ("PATCH", f"/channels/{channel}", {"url": "https://93.184.215.14/elsewhere"}),
        ("POST", "/bill-sources", bill),
    ]
    grow_old_in_api(api)
    for method, path, body in asks:
        refused = api.send(method, path, body)
        assert (refused.status_code, refused.json().get("code")) == (403, "reauthentication_required"), (method, path)
    # A mail goes to members only, and a name opens nothing.
    assert api.post("/channels", {"kind": "email", "name": "owners", "roles": ["owner"]}).status_code == 201
    assert api.patch(f"/channels/{channel}", {"name": "operations"}).status_code == 200
    assert api.patch(f"/channels/{mail}", {"roles": ["owner"]}).status_code == 200
    program = Api(token=acme.admin_token)
    for method, path, body in asks:
        assert program.send(method, path, body).status_code in {200, 201}, (method, path)


def grow_old_in_api(api: Api) -> None:
    """As if the person had signed in long ago."""
    session = api.client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 0.0}]
    session.save()
