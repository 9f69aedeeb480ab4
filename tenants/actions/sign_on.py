"""Single sign-on: an organisation's identity provider, the domains that it answers for, and whom it lets in."""

import re
import secrets
from typing import Any, Final

from cryptography import x509
from django.conf import settings
from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import AppError, Conflict, Forbidden, InvalidField
from costhub.lib.net import gate_from_settings
from costhub.lib.origins import parse_url
from costhub.lib.secrets import seal, unseal
from costhub.lib.text_records import find_text_records
from tenants.access import Actor, org_scope
from tenants.actions.audit import record
from tenants.actions.changes import store_changes
from tenants.actions.grants import check_may_give
from tenants.actions.values import check_name
from tenants.choices import Permission, Role, SignOnKind
from tenants.models import ClaimedDomain, Membership, SignOn, User

MAX_URL_CHARACTERS: Final = 500
MAX_CERTIFICATE_CHARACTERS: Final = 8_000
MAX_DOMAINS: Final = 50
MAX_SIGN_ONS: Final = 5
#: where a domain's owner puts the challenge: a TXT record of this name before the domain's, or a file at this path
CHALLENGE_RECORD: Final = "_costhub."
CHALLENGE_PATH: Final = "/.well-known/costhub-domain.txt"
_DOMAIN: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
#: of each kind, what must be there
_FIELDS: Final = {
    SignOnKind.OIDC: ("issuer", "client_id"),
    SignOnKind.SAML: ("entity_id", "sso_url", "certificate"),
}


class ChallengeMissing(AppError):
    """The challenge is not to be read at the domain."""

    code = "challenge_missing"
    http_status = 409


def create_sign_on(
    *, actor: Actor, name: str, kind: SignOnKind, role: Role, client_secret: str = "", **fields: str
) -> SignOn:
    """Set up an identity provider. OIDC takes ``issuer``, ``client_id`` and ``client_secret``; SAML takes
    ``entity_id``, ``sso_url`` and ``certificate`` (PEM).

    Raises InvalidField for what cannot be, Forbidden for a role that the actor may not give, and Conflict where there
    are as many as there may be.
    """
    _check_may_write(actor, role)
    sign_on = SignOn(org=actor.org, name=check_name(name), kind=kind.value, role=role.value)
    for field, value in _check_fields(kind, fields).items():
        setattr(sign_on, field, value)
    if kind is SignOnKind.OIDC:
        if not client_secret:
            raise InvalidField("Give the client secret that the provider shows.", field="client_secret")
        sign_on.client_secret = _seal(sign_on, client_secret)
    with transaction.atomic():
        if SignOn.objects.filter(org=actor.org).count() >= MAX_SIGN_ONS:
            raise Conflict(f"There are {MAX_SIGN_ONS} identity providers already: remove one first.")
        sign_on.save(force_insert=True)
        record(actor, "created", sign_on, name=sign_on.name, kind=kind, role=role)
    return sign_on


def update_sign_on(*, actor: Actor, sign_on: SignOn, **changes: Any) -> SignOn:
    """Change a provider: its name, role, whether it is in use, or what reaches it.

    Raises InvalidField for what cannot be, and for another issuer without its client secret.
    """
    _check_may_write(actor, changes.get("role", Role(sign_on.role)))
    check_may_give(actor, Role(sign_on.role))
    kind = SignOnKind(sign_on.kind)
    new: dict[str, Any] = {}
    if "name" in changes:
        new["name"] = check_name(changes.pop("name"))
    if "role" in changes:
        new["role"] = changes.pop("role").value
    if "is_active" in changes:
        new["is_active"] = changes.pop("is_active")
    secret = changes.pop("client_secret", "")
    if changes:
        now = {field: getattr(sign_on, field) for field in _FIELDS[kind]}
        checked = _check_fields(kind, now | changes)
        if checked.get("issuer", sign_on.issuer) != sign_on.issuer and not secret:
            raise InvalidField("Give the client secret of the new issuer too.", field="client_secret")
        new |= checked
    if secret and kind is SignOnKind.OIDC:
        probe = SignOn(org=actor.org, id=sign_on.pk, issuer=new.get("issuer", sign_on.issuer))
        new["client_secret"] = _seal(probe, secret)
    store_changes(actor, sign_on, new, hidden=frozenset({"client_secret", "certificate"}))
    return sign_on


def remove_sign_on(*, actor: Actor, sign_on: SignOn) -> None:
    """Remove a provider. Its people stay members, and sign in by other ways."""
    _check_may_write(actor, Role(sign_on.role))
    with transaction.atomic():
        record(actor, "removed", sign_on, name=sign_on.name)
        sign_on.delete()


def claim_domain(*, actor: Actor, name: str) -> ClaimedDomain:
    """Claim a domain of e-mail addresses. It counts once ``verify_domain`` has found its challenge there.

    Raises InvalidField for what is no domain, and Conflict for one that is claimed already or one too many.
    """
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    domain = name.strip().lower().rstrip(".")
    if not _DOMAIN.fullmatch(domain):
        raise InvalidField("Give a domain such as example.com, as it stands in e-mail addresses.", field="name")
    claim = ClaimedDomain(org=actor.org, name=domain, challenge=f"costhub-{secrets.token_hex(16)}")
    try:
        with transaction.atomic():
            if ClaimedDomain.objects.filter(org=actor.org).count() >= MAX_DOMAINS:
                raise Conflict(f"There are {MAX_DOMAINS} domains already: remove one first.")
            claim.save(force_insert=True)
            record(actor, "claimed", claim, name=domain)
    except IntegrityError as error:
        raise Conflict("This domain is claimed already.", field="name") from error
    return claim


def verify_domain(*, actor: Actor, claim: ClaimedDomain) -> ClaimedDomain:
    """Read the challenge in the domain's DNS, or at the domain over https. Raises ChallengeMissing, and Conflict for a
    domain that another organisation has verified."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    if claim.verified_at is None:
        check_challenge(claim)
        try:
            with transaction.atomic():
                claim.verified_at = claim.checked_at = clock.now()
                claim.save(update_fields=["verified_at", "checked_at"])
                record(actor, "verified", claim, name=claim.name)
        except IntegrityError as error:
            raise Conflict("This domain belongs to another organisation here.") from error
    return claim


def release_domain(*, actor: Actor, claim: ClaimedDomain) -> None:
    """Give a domain up: nobody is let in for it any more."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    with transaction.atomic():
        record(actor, "released", claim, name=claim.name)
        claim.delete()


def admit_person(sign_on: SignOn | None, user: User) -> None:
    """Make whom a provider vouched for a member, unless they are. Raises Forbidden for somebody who was suspended."""
    if sign_on is None:
        raise Forbidden("This way to sign in is not in use.")
    with org_scope(sign_on.org_id):
        # An operator who once visited is no member by that.
        Membership.objects.filter(org=sign_on.org, user=user, visit_until__isnull=False, suspended_at=None).delete()
        membership, is_new = Membership.objects.get_or_create(
            org=sign_on.org, user=user, defaults={"role": sign_on.role}
        )
        if is_new:
            actor = Actor(sign_on.org, Role(sign_on.role), f"sign-on {sign_on.name}"[:254])
            record(actor, "added", membership, email=user.email, role=sign_on.role)
        elif membership.suspended_at is not None:
            raise Forbidden(f"Your organisation's directory has ended your access to {sign_on.org.name}.")


def open_client_secret(sign_on: SignOn) -> str:
    """The client secret in clear. Raises UnusableCredential if it was sealed for another issuer."""
    return unseal(
        settings.MASTER_KEYS,
        bytes(sign_on.org.data_key),
        org_id=str(sign_on.org_id),
        origin=_bound_to(sign_on),
        sealed=bytes(sign_on.client_secret),
    )


def _check_may_write(actor: Actor, role: Role) -> None:
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    if role is Role.OWNER:
        raise InvalidField("People who come by single sign-on cannot be owners: choose another role.", field="role")
    check_may_give(actor, role)


def _check_fields(kind: SignOnKind, given: dict[str, str]) -> dict[str, str]:
    foreign = given.keys() - set(_FIELDS[kind])
    if foreign:
        raise InvalidField(f"This field is not one of {kind.upper()}: leave it out.", field=min(foreign))
    checked = {}
    for field in _FIELDS[kind]:
        value = given.get(field, "").strip()
        if not value:
            raise InvalidField(f"Give this too: {kind.upper()} needs it.", field=field)
        checked[field] = _CHECKS.get(field, _check_line)(value, field)
    return checked


def _check_line(value: str, field: str) -> str:
    if len(value) > (200 if field == "client_id" else MAX_URL_CHARACTERS) or not value.isprintable():
        raise InvalidField("Give one line of visible characters, as the provider shows it.", field=field)
    return value


def _check_url(value: str, field: str) -> str:
    _check_line(value, field)
    try:
        target = parse_url(value)
    except InvalidField as error:
        raise InvalidField(error.message, field=field) from error
    if target.address is not None:  # a name is vetted whenever it is called
        gate_from_settings().pin_now(target, field=field)
    return value.rstrip("/") if field == "issuer" else value


def _check_link(value: str, field: str) -> str:
    """An address that only browsers go to."""
    _check_line(value, field)
    if not value.startswith("https://"):
        raise InvalidField("Give an address that begins with https://.", field=field)
    return value


def _check_certificate(value: str, field: str) -> str:
    if len(value) > MAX_CERTIFICATE_CHARACTERS:
        raise InvalidField(f"Give one certificate of at most {MAX_CERTIFICATE_CHARACTERS} characters.", field=field)
    try:
        x509.load_pem_x509_certificate(value.encode())
    except (ValueError, UnicodeEncodeError) as error:
        raise InvalidField(
            "Give the provider's certificate in PEM: it begins with -----BEGIN CERTIFICATE-----.", field=field
        ) from error
    return value


_CHECKS: Final = {"issuer": _check_url, "sso_url": _check_link, "certificate": _check_certificate}


def check_challenge(claim: ClaimedDomain) -> None:
    """Look for a domain's challenge, on the network. Raises ChallengeMissing."""
    record_name = CHALLENGE_RECORD + claim.name
    if claim.challenge in find_text_records(record_name):
        return
    url = f"https://{claim.name}{CHALLENGE_PATH}"
    how = (
        f"Add a TXT record {record_name} with the value {claim.challenge}, or put that line into a file that is served"
        f" at {url}; then try again."
    )
    try:
        fetched = gate_from_settings().fetch_now("GET", url, max_bytes=4_096)
    except AppError as error:
        raise ChallengeMissing(f"{error.message} {how}") from error
    lines = fetched.body.decode("utf-8", "replace").split()
    if fetched.status != 200 or claim.challenge not in lines:
        raise ChallengeMissing(
            f"The challenge was found neither in DNS nor at {url} (it answered {fetched.status}). {how}"
        )


def _seal(sign_on: SignOn, text: str) -> bytes:
    if len(text) > 4_096 or not text.isprintable():
        raise InvalidField("Give the client secret as the provider shows it, in one line.", field="client_secret")
    return seal(
        settings.MASTER_KEYS,
        bytes(sign_on.org.data_key),
        org_id=str(sign_on.org_id),
        origin=_bound_to(sign_on),
        text=text,
    )


def _bound_to(sign_on: SignOn) -> str:
    return f"sign-on:{sign_on.pk}:{sign_on.issuer}"
