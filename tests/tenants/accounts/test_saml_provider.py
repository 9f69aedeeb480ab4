"""Single sign-on with a SAML identity provider that somebody else wrote: it reads our question and our metadata, and we
its signed answer."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from tenants.access import org_scope
from tenants.actions.sign_on import create_sign_on, update_sign_on
from tenants.choices import Role, SignOnKind
from tenants.models import SignOn, User
from tests.tenants.accounts.rows import make_certificate
from tests.tenants.accounts.saml_provider import SIG_RSA_SHA1, SIGN_ON, SamlProvider
from tests.tenants.accounts.test_sign_on import IDP, claim, is_signed_in, members
from tests.world import World, close_scopes, make_client


@pytest.fixture
def sign_on(world: World) -> SignOn:
    claim(world.acme)
    with org_scope(world.acme.org.pk):
        return create_sign_on(
            actor=world.acme.owner,
            name="Acme's directory",
            kind=SignOnKind.SAML,
            role=Role.DEVELOPER,
            entity_id=IDP,
            sso_url=SIGN_ON,
            certificate=make_certificate("idp")[1],
        )


def open_provider(folder: Path, sign_on: SignOn, signer: str = "idp") -> SamlProvider:
    """A directory that was told of us by our own metadata."""
    close_scopes()
    metadata = make_client().get(f"/account/sso/saml/{sign_on.pk}/metadata/").content.decode()
    return SamlProvider(folder, IDP, metadata, *make_certificate(signer))


def begin(sign_on: SignOn, page: str = "") -> tuple[Client, str, str]:
    """Somebody who was sent to the directory, with what it is asked and what we want to hear again."""
    client = make_client()
    close_scopes()
    begun = client.get(f"/account/sso/saml/{sign_on.pk}/login/", {"next": page} if page else {})
    assert begun.headers["Location"].startswith(SIGN_ON)
    query = parse_qs(urlsplit(begun.headers["Location"]).query)
    return client, query["SAMLRequest"][0], query.get("RelayState", [""])[0]


def come_back(client: Client, where: str, fields: dict[str, str], relay: str) -> int:
    close_scopes()
    answer = client.post(urlsplit(where).path, fields | {"RelayState": relay})
    close_scopes()
    return client.get(answer.headers["Location"]).status_code


def test_who_has_shown_the_directory_who_they_are_is_let_in_with_its_role(
    world: World, sign_on: SignOn, tmp_path: Path
) -> None:
    provider = open_provider(tmp_path, sign_on)
    client, question, relay = begin(sign_on)
    where, fields = provider.answer(question, "bo@acme.example")
    assert urlsplit(where).path == f"/account/sso/saml/{sign_on.pk}/acs/"
    assert come_back(client, where, fields, relay) == 302
    assert is_signed_in(client)
    assert members(world.acme)["bo@acme.example"] == "developer"
    assert client.get("/o/acme/keys").status_code == 200
    # The same answer, taken from the wire, lets nobody in again.
    thief = make_client()
    assert come_back(thief, where, fields, relay) == 403
    assert not is_signed_in(thief)


def test_an_account_that_is_there_keeps_its_role(world: World, sign_on: SignOn, tmp_path: Path) -> None:
    provider = open_provider(tmp_path, sign_on)
    client, question, relay = begin(sign_on)
    come_back(client, *provider.answer(question, world.ada.email), relay)
    assert is_signed_in(client)
    assert members(world.acme)[world.ada.email] == "owner"


@pytest.mark.parametrize(
    ("email", "signer", "how"),
    [
        ("bo@acme.example", "somebody else", {}),
        ("bo@acme.example", "idp", {"is_signed": False}),
        ("bo@acme.example", "idp", {"algorithm": SIG_RSA_SHA1}),
        ("bo@mallcorp.example", "idp", {}),
    ],
)
def test_nobody_else_s_word_and_no_word_of_others_counts(
    world: World, sign_on: SignOn, tmp_path: Path, email: str, signer: str, how: dict[str, Any]
) -> None:
    before = User.objects.count()
    provider = open_provider(tmp_path, sign_on, signer)
    client, question, relay = begin(sign_on)
    where, fields = provider.answer(question, email, **how)
    assert come_back(client, where, fields, relay) == 403
    assert (is_signed_in(client), User.objects.count()) == (False, before)


def test_the_answer_to_another_s_question_is_refused(world: World, sign_on: SignOn, tmp_path: Path) -> None:
    provider = open_provider(tmp_path, sign_on)
    _, question, relay = begin(sign_on)
    client, _, _ = begin(sign_on)
    assert come_back(client, *provider.answer(question, "bo@acme.example"), relay) == 403
    assert not is_signed_in(client)


def test_a_new_certificate_of_the_directory_s_is_taken_once_it_is_told(
    world: World, sign_on: SignOn, tmp_path: Path
) -> None:
    provider = open_provider(tmp_path, sign_on, "next year's")
    client, question, relay = begin(sign_on)
    assert come_back(client, *provider.answer(question, "bo@acme.example"), relay) == 403
    with org_scope(world.acme.org.pk):
        update_sign_on(actor=world.acme.owner, sign_on=sign_on, certificate=make_certificate("next year's")[1])
    client, question, relay = begin(sign_on)
    assert come_back(client, *provider.answer(question, "bo@acme.example"), relay) == 302
    assert is_signed_in(client)
