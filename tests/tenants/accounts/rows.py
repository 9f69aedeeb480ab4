"""Rows of accounts: an identity provider's certificate, and one row of each resource."""

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from costhub.lib.money import parse_usd
from tenants.access import org_scope
from tenants.actions.budget_requests import ask_for_more
from tenants.actions.invitations import invite
from tenants.actions.sign_on import claim_domain, create_sign_on
from tenants.actions.tokens import create_service_account, create_token
from tenants.actions.views import save_view
from tenants.choices import Role, SignOnKind, ViewPage
from tests.world import Tenant, make_budget


@cache
def make_certificate(name: str) -> tuple[str, str]:
    """A private key and its certificate, in PEM; another for each name."""
    key = rsa.generate_private_key(65_537, 2_048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_account_rows(tenant: Tenant) -> dict[str, list[str]]:
    """One of each: ids, and what else names them, by resource."""
    actor = tenant.owner
    budget = make_budget(tenant, "10.00")
    with org_scope(tenant.org.pk):
        account = create_service_account(actor=actor, name="deployer", role=Role.DEVELOPER)
        token = create_token(actor=actor, name="ci token", account=account).token
        invitation = invite(actor=actor, email="ivy@acme.example", role=Role.VIEWER).invitation
        domain = claim_domain(actor=actor, name="acme.example")
        sign_on = create_sign_on(
            actor=actor,
            name="Acme's directory",
            kind=SignOnKind.SAML,
            role=Role.VIEWER,
            entity_id="https://idp.acme.example/meta",
            sso_url="https://idp.acme.example/sso",
            certificate=make_certificate("idp")[1],
        )
        request = ask_for_more(
            actor=actor,
            budget=budget,
            amount_nanos=parse_usd("5"),
            until=datetime.now(UTC) + timedelta(days=2),
            reason="a load test",
        )
        view = save_view(actor=actor, name="by team", page=ViewPage.BREAKDOWN, query="range=7d")
    return {
        "saved-views": [str(view.pk)],
        "service-accounts": [str(account.pk), account.name],
        "admin-tokens": [str(token.pk)],
        "invitations": [str(invitation.pk)],
        "domains": [str(domain.pk)],
        "sign-ons": [str(sign_on.pk)],
        "budget-requests": [str(request.pk)],
    }
