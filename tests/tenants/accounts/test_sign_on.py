"""Single sign-on against a real OIDC provider and with SAML assertions that are signed here."""

import base64
import os
import re
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from django.test import Client
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Saml
from pytest_django import Settings

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.stack.ports import find_free_port
from tenants.access import org_scope
from tenants.actions.orgs import add_member, find_or_create_user, suspend_member
from tenants.actions.sign_on import admit_person, claim_domain, create_sign_on, update_sign_on
from tenants.choices import Role, SignOnKind
from tenants.models import ClaimedDomain, Membership, SignOn, User
from tests.lib.name_server import serve_text_records
from tests.patience import PATIENCE_SECONDS, wait_for_server
from tests.tenants.accounts.rows import make_certificate
from tests.world import Api, Tenant, World, close_scopes, make_client

IDP = "https://idp.acme.example/meta"


def claim(tenant: Tenant, name: str = "acme.example") -> None:
    """A domain that is verified, as if its challenge had been found."""
    with org_scope(tenant.org.pk):
        found = claim_domain(actor=tenant.owner, name=name)
        ClaimedDomain.objects.filter(pk=found.pk).update(verified_at=clock.now())


def members(tenant: Tenant) -> dict[str, str]:
    """Roles by address."""
    with org_scope(tenant.org.pk):
        found = dict(Membership.objects.filter(org=tenant.org).values_list("user__email", "role"))
    close_scopes()
    return found


def is_signed_in(client: Client) -> bool:
    close_scopes()
    return not client.get("/").headers["Location"].startswith("/login")


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a running OIDC provider."""
    port = find_free_port()
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
        env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(port, lambda: server.poll() is None, lambda: "the provider did not start")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


class TestOidc:
    @pytest.fixture
    def sign_on(self, world: World, provider: str, settings: Settings) -> SignOn:
        port = int(provider.rsplit(":", 1)[1])
        settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.1/32"), port),)
        claim(world.acme)
        with org_scope(world.acme.org.pk):
            return create_sign_on(
                actor=world.acme.owner,
                name="Acme's directory",
                kind=SignOnKind.OIDC,
                role=Role.DEVELOPER,
                issuer=provider,
                client_id="costhub",
                client_secret="not a secret",
            )

    def go(self, client: Client, sign_on: SignOn, provider: str, **claims: object) -> tuple[int, str]:
        """Sign in by way of the provider, as somebody of these claims. Gives the status and where one is sent."""
        subject = str(claims.pop("sub", "zoe"))
        httpx2.put(
            f"{provider}/users/{subject}", json=claims, trust_env=False, timeout=PATIENCE_SECONDS
        ).raise_for_status()
        close_scopes()
        begun = client.get(f"/account/sso/oidc/{sign_on.pk}/login/")
        assert begun.status_code == 302, begun.content
        consented = httpx2.post(
            begun.headers["Location"], data={"sub": subject}, trust_env=False, timeout=PATIENCE_SECONDS
        )
        back = urlsplit(consented.headers["Location"])
        close_scopes()
        answer = client.get(f"{back.path}?{back.query}")
        close_scopes()
        return answer.status_code, answer.headers.get("Location", "")

    def test_who_comes_for_the_first_time_is_a_member_then(self, world: World, sign_on: SignOn, provider: str) -> None:
        page = make_client().post("/login/single-sign-on", {"email": "zoe@ACME.example"}).content.decode()
        assert f'href="/account/sso/oidc/{sign_on.pk}/login/?next=/"' in page
        client = make_client()
        assert self.go(client, sign_on, provider, email="zoe@acme.example", name="Zoe") == (302, "/")
        assert is_signed_in(client)
        assert members(world.acme)["zoe@acme.example"] == "developer"
        again = make_client()
        assert self.go(again, sign_on, provider, email="zoe@acme.example") == (302, "/")
        assert User.objects.filter(email="zoe@acme.example").count() == 1

    def test_an_account_that_is_there_is_found_and_keeps_its_role(
        self, world: World, sign_on: SignOn, provider: str
    ) -> None:
        client = make_client()
        assert self.go(client, sign_on, provider, sub="ben", email="ben@acme.example")[0] == 302
        assert members(world.acme)["ben@acme.example"] == "developer"
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email="fay@acme.example", role=Role.FINANCE)
        assert self.go(make_client(), sign_on, provider, sub="fay", email="fay@acme.example")[0] == 302
        assert members(world.acme)["fay@acme.example"] == "finance"

    @pytest.mark.parametrize("claims", [{"email": "mallory@mallcorp.example"}, {"email": "zoe@sub.acme.example"}, {}])
    def test_it_vouches_for_nobody_of_another_domain(
        self, world: World, sign_on: SignOn, provider: str, claims: dict[str, object]
    ) -> None:
        client = make_client()
        before = User.objects.count()
        status, _ = self.go(client, sign_on, provider, sub=f"x{uuid.uuid4().hex}", email_verified=True, **claims)
        assert status == 403
        assert not is_signed_in(client)
        assert User.objects.count() == before
        assert members(world.acme) == {"ada@acme.example": "owner", "ben@acme.example": "developer"}

    def test_whom_the_directory_suspended_stays_out(self, world: World, sign_on: SignOn, provider: str) -> None:
        with org_scope(world.acme.org.pk):
            ben = Membership.objects.get(user=world.ben)
            suspend_member(actor=world.acme.owner, membership=ben, is_suspended=True)
        client = make_client()
        assert self.go(client, sign_on, provider, sub="ben", email="ben@acme.example")[0] == 403
        assert not is_signed_in(client)

    def test_an_operator_who_once_visited_becomes_a_member(self, world: World, sign_on: SignOn) -> None:
        olga = find_or_create_user("olga@acme.example")
        with org_scope(world.acme.org.pk):
            visit = {"role": "viewer", "visit_until": clock.now()}
            Membership.objects.create(org=world.acme.org, user=olga, **visit)
        admit_person(sign_on, olga)
        with org_scope(world.acme.org.pk):
            member = Membership.objects.get(user=olga)
        assert (member.role, member.visit_until) == ("developer", None)

    def test_an_answer_to_nobodys_question_is_refused(self, world: World, sign_on: SignOn, provider: str) -> None:
        client = make_client()
        begun = client.get(f"/account/sso/oidc/{sign_on.pk}/login/")
        asked = parse_qs(urlsplit(begun.headers["Location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        consented = httpx2.post(
            begun.headers["Location"], data={"sub": "zoe"}, trust_env=False, timeout=PATIENCE_SECONDS
        )
        back = urlsplit(consented.headers["Location"])
        close_scopes()
        other = make_client()
        assert other.get(f"{back.path}?{back.query}").status_code == 403
        assert not is_signed_in(other)

    def test_one_that_is_switched_off_or_unknown_is_no_page(self, world: World, sign_on: SignOn, provider: str) -> None:
        with org_scope(world.acme.org.pk):
            update_sign_on(actor=world.acme.owner, sign_on=sign_on, is_active=False)
        close_scopes()
        for wanted in (str(sign_on.pk), str(uuid.uuid4()), "x"):
            assert make_client().get(f"/account/sso/oidc/{wanted}/login/").status_code == 404

    def test_an_address_inside_is_not_asked(self, world: World, sign_on: SignOn, settings: Settings) -> None:
        settings.ALLOWED_PRIVATE_NETWORKS = ()
        close_scopes()
        refused = make_client().get(f"/account/sso/oidc/{sign_on.pk}/login/")
        assert refused.status_code == 403
        assert "could not be asked" in refused.content.decode()
        with org_scope(world.acme.org.pk), pytest.raises(Exception, match="may not be called from here"):
            update_sign_on(actor=world.acme.owner, sign_on=sign_on, issuer="https://169.254.169.254", client_secret="x")


class TestSaml:
    @pytest.fixture
    def sign_on(self, world: World) -> SignOn:
        claim(world.acme)
        with org_scope(world.acme.org.pk):
            return create_sign_on(
                actor=world.acme.owner,
                name="Acme's directory",
                kind=SignOnKind.SAML,
                role=Role.VIEWER,
                entity_id=IDP,
                sso_url="https://idp.acme.example/sso",
                certificate=make_certificate("idp")[1],
            )

    def go(
        self,
        sign_on: SignOn,
        *,
        mail: str = "bo@acme.example",
        signer: str = "idp",
        is_signed: bool = True,
        answers: str = "",
        age: timedelta = timedelta(0),
        tamper: tuple[str, str] = ("", ""),
        audience: str = "",
        wrap: str = "",
        times: int = 1,
    ) -> tuple[int, bool]:
        """Sign in with an assertion. Gives the last status, and whether somebody is signed in."""
        client = make_client()
        close_scopes()
        begun = client.get(f"/account/sso/saml/{sign_on.pk}/login/")
        query = parse_qs(urlsplit(begun.headers["Location"]).query)
        request = zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15).decode()
        asked = re.search(r'ID="([^"]+)"', request)
        target = re.search(r'AssertionConsumerServiceURL="([^"]+)"', request)
        issuer = re.search(r"<saml:Issuer[^>]*>([^<]+)", request)
        assert asked
        assert target
        assert issuer
        assertion = _assertion(mail, answers or asked[1], target[1], audience or issuer[1], age)
        if is_signed:
            key, certificate = make_certificate(signer)
            signed = Saml.add_sign(
                assertion,
                key,
                certificate,
                sign_algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                digest_algorithm="http://www.w3.org/2001/04/xmlenc#sha256",
            ).decode()
            assertion = re.sub(r"^<\?xml[^>]*>", "", signed)
        if wrap:
            forged = _assertion("ada@acme.example", asked[1], target[1], issuer[1], age)
            assertion = _wrap(wrap, forged, assertion)
        response = _response(assertion.replace(*tamper) if tamper[0] else assertion, answers or asked[1], target[1])
        body = {"SAMLResponse": base64.b64encode(response.encode()).decode(), "RelayState": ""}
        for turn in range(times):
            if turn:
                client.logout()
            answer = client.post(urlsplit(target[1]).path, body)
            close_scopes()
            answer = client.get(answer.headers["Location"])
        return answer.status_code, is_signed_in(client)

    def test_a_good_assertion_lets_somebody_in(self, world: World, sign_on: SignOn) -> None:
        assert self.go(sign_on) == (302, True)
        assert members(world.acme)["bo@acme.example"] == "viewer"
        metadata = make_client().get(f"/account/sso/saml/{sign_on.pk}/metadata/")
        assert (metadata.status_code, f"/account/sso/saml/{sign_on.pk}/acs/" in metadata.content.decode()) == (
            200,
            True,
        )

    @pytest.mark.parametrize(
        "fault",
        [
            {"signer": "somebody else"},
            {"is_signed": False},
            {"tamper": ("bo@acme.example", "ada@acme.example")},
            {"answers": "_another_question"},
            {"age": timedelta(hours=1)},
            {"audience": "https://another.example/meta"},
            {"mail": "bo@mallcorp.example"},
            {"wrap": "before"},
            {"wrap": "after"},
            {"wrap": "around"},
            {"wrap": "within the signature"},
            {"times": 2},
        ],
        ids=lambda fault: "-".join(map(str, next(iter(fault.items())))),
    )
    def test_any_other_lets_nobody_in(self, world: World, sign_on: SignOn, fault: dict[str, object]) -> None:
        before = User.objects.count()
        status, is_in = self.go(sign_on, **fault)  # type: ignore[arg-type]
        # The first of two that are alike makes an account: for whom the provider vouches.
        made = 1 if fault.get("times") == 2 else 0
        assert (status, is_in, User.objects.count()) == (403, False, before + made)


class TestSettings:
    def test_a_domain_is_its_verifiers_alone(self, world: World, settings: Settings) -> None:
        ada = Api(token=world.acme.admin_token)
        records: dict[str, str] = {}
        claimed = ada.post("/domains", {"name": "ACME.example."}).json()
        assert claimed["name"] == "acme.example"
        assert claimed["challenge_url"] == "https://acme.example/.well-known/costhub-domain.txt"
        assert claimed["challenge_record"] == "_costhub.acme.example"
        with serve_text_records(records) as settings.DNS_SERVER:
            for wrong in ("", "costhub-of-somebody-else", f"v=spf1 {claimed['challenge']}"):
                records["_costhub.acme.example"] = wrong
                missing = ada.post(f"/domains/{claimed['id']}/verify")
                assert (missing.status_code, missing.json()["code"]) == (409, "challenge_missing")
                assert claimed["challenge"] in missing.json()["detail"]
            records["acme.example"] = claimed["challenge"]
            assert ada.post(f"/domains/{claimed['id']}/verify").status_code == 409
            records["_costhub.acme.example"] = claimed["challenge"]
            verified = ada.post(f"/domains/{claimed['id']}/verify")
            assert (verified.status_code, bool(verified.json()["verified_at"])) == (200, True)
            mallory = Api(token=world.mallcorp.admin_token)
            again = mallory.post("/domains", {"name": "acme.example"}).json()
            records["_costhub.acme.example"] = again["challenge"]
            taken = mallory.post(f"/domains/{again['id']}/verify")
            assert (taken.status_code, "another organisation" in taken.json()["detail"]) == (409, True)
        with org_scope(world.acme.org.pk), pytest.raises(Conflict):
            claim_domain(actor=world.acme.owner, name="acme.example")

    @pytest.mark.parametrize("name", ["", "acme", "acme.1", "a b.example", "ada@acme.example", "x" * 64 + ".example"])
    def test_what_is_no_domain_is_refused(self, world: World, name: str) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(InvalidField) as caught:
            claim_domain(actor=world.acme.owner, name=name)
        assert caught.value.field == "name"

    def test_nobody_becomes_more_than_the_one_who_set_it_up(self, world: World) -> None:
        fields = {"issuer": "https://idp.acme.example", "client_id": "c", "client_secret": "s"}
        with org_scope(world.acme.org.pk):
            for role, error in ((Role.OWNER, InvalidField), (Role.ADMIN, Forbidden)):
                actor = world.acme.owner if role is Role.OWNER else world.ben_actor
                with pytest.raises(error):
                    create_sign_on(actor=actor, name="x", kind=SignOnKind.OIDC, role=role, **fields)

    def test_the_secret_is_never_shown_and_belongs_to_its_issuer(self, world: World) -> None:
        ada = Api(token=world.acme.admin_token)
        body = {"name": "x", "kind": "oidc", "role": "viewer", "issuer": "https://idp.acme.example", "client_id": "c"}
        assert ada.post("/sign-ons", body).json()["errors"][0]["field"] == "client_secret"
        assert ada.post("/sign-ons", body | {"entity_id": "x"}).json()["errors"][0]["field"] == "entity_id"


def _assertion(mail: str, answers: str, target: str, audience: str, age: timedelta) -> str:
    now = clock.now() - age

    def at(seconds: int) -> str:
        return (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return (
        f'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{uuid.uuid4().hex}" Version="2.0"'
        f' IssueInstant="{at(0)}"><saml:Issuer>{IDP}</saml:Issuer><saml:Subject>'
        '<saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">bo</saml:NameID>'
        '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
        f'<saml:SubjectConfirmationData NotOnOrAfter="{at(300)}" Recipient="{target}" InResponseTo="{answers}"/>'
        f'</saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="{at(-60)}" NotOnOrAfter="{at(300)}">'
        f"<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>"
        f'</saml:Conditions><saml:AuthnStatement AuthnInstant="{at(0)}" SessionIndex="s1"><saml:AuthnContext>'
        "<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>"
        "</saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>"
        f'<saml:Attribute Name="uid"><saml:AttributeValue>{mail}</saml:AttributeValue></saml:Attribute>'
        f'<saml:Attribute Name="mail"><saml:AttributeValue>{mail}</saml:AttributeValue></saml:Attribute>'
        "</saml:AttributeStatement></saml:Assertion>"
    )


def _wrap(how: str, forged: str, signed: str) -> str:
    """A signed assertion beside, within or around one that somebody made up."""
    if how == "before":
        return forged + signed
    if how == "after":
        return signed + forged
    if how == "around":
        extra = f"<saml:AuthzDecisionStatement>{signed}</saml:AuthzDecisionStatement></saml:Assertion>"
        return forged.replace("</saml:Assertion>", extra)
    whole = re.search(r"<ds:Signature.*</ds:Signature>", signed, re.DOTALL)
    assert whole
    bare = signed.replace(whole[0], "")
    signature = whole[0].replace("</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")
    return forged.replace("</saml:Issuer>", f"</saml:Issuer>{signature}", 1)


def _response(assertion: str, answers: str, target: str) -> str:
    now = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_{uuid.uuid4().hex}" Version="2.0"'
        f' IssueInstant="{now}" Destination="{target}" InResponseTo="{answers}">'
        f'<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{IDP}</saml:Issuer><samlp:Status>'
        '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>'
        f"{assertion}</samlp:Response>"
    )
