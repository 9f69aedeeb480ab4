"""Who is calling: one secret, in one of three headers, in the same words for every key that is not valid."""

import asyncio

import pytest
from django.conf import settings

from costhub.lib import secrets
from proxy.edges.auth import Auth, find_bearer
from proxy.edges.catalog import Catalog
from proxy.errors import Unauthorized
from tenants.access import org_scope
from tenants.actions.keys import revoke_key
from tenants.models import Organization
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.threads import in_thread
from tests.world import World


class TestCarriers:
    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer chk_1"},
            {"authorization": "bearer chk_1"},
            {"authorization": "BEARER   chk_1  "},
            {"x-api-key": "chk_1"},
            {"api-key": " chk_1 "},
            {"authorization": "Bearer chk_1", "x-api-key": "chk_1", "api-key": "chk_1"},
        ],
    )
    def test_one_secret_is_found(self, headers: dict[str, str]) -> None:
        assert find_bearer(headers, frozenset()) == "chk_1"

    @pytest.mark.parametrize(
        ("headers", "repeated", "code"),
        [
            ({}, set(), "missing_api_key"),
            ({"authorization": ""}, set(), "invalid_api_key"),
            ({"authorization": "Bearer"}, set(), "missing_api_key"),
            ({"authorization": "Bearer "}, set(), "missing_api_key"),
            ({"x-api-key": ""}, set(), "missing_api_key"),
            ({"authorization": "Basic Y2hrXzE6"}, set(), "invalid_api_key"),
            ({"authorization": "chk_1"}, set(), "invalid_api_key"),
            ({"authorization": "Bearer chk_1", "x-api-key": "chk_2"}, set(), "invalid_api_key"),
            ({"api-key": "chk_1", "x-api-key": "chk_2"}, set(), "invalid_api_key"),
            ({"authorization": "Bearer chk_1"}, {"authorization"}, "invalid_api_key"),
            ({"x-api-key": "chk_1"}, {"x-api-key"}, "invalid_api_key"),
            ({"authorization": "Bearer chk_1", "x-api-key": ""}, set(), "invalid_api_key"),
        ],
    )
    def test_none_or_several_are_refused(self, headers: dict[str, str], repeated: set[str], code: str) -> None:
        with pytest.raises(Unauthorized) as caught:
            find_bearer(headers, frozenset(repeated))
        assert (caught.value.status, caught.value.error_code) == (401, code)
        assert "chk_" not in caught.value.message

    def test_a_repeated_header_that_carries_no_key_is_none_of_our_business(self) -> None:
        assert find_bearer({"api-key": "chk_1", "cookie": "a"}, frozenset({"cookie"})) == "chk_1"


async def test_a_key_that_was_met_is_known_until_it_changes(committed_world: World) -> None:
    acme = committed_world.acme

    def end_key() -> None:
        with org_scope(acme.org_id):
            revoke_key(actor=acme.owner, key=acme.key)

    catalog = Catalog(settings.REDIS_URL)
    await catalog.open()
    digest = secrets.digest_of(acme.api_key, settings.KEY_PEPPER)
    assert catalog.recall(digest) is None
    key, org = await Auth(catalog, settings.KEY_PEPPER).authenticate(acme.api_key)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (known := catalog.recall(digest)) is None:
            await asyncio.sleep(0.01)  # nothing was heard of changes for a second: the machine is busy
    assert known == (key, org)

    await in_thread(end_key)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while catalog.recall(digest) is not None:
            await asyncio.sleep(0.01)
    with pytest.raises(Unauthorized):
        await Auth(catalog, settings.KEY_PEPPER).authenticate(acme.api_key)
    await catalog.close()


async def test_every_invalid_key_is_refused_in_the_same_words(committed_world: World) -> None:
    acme, mallcorp = committed_world.acme, committed_world.mallcorp

    def end_both() -> None:
        with org_scope(acme.org_id):
            revoke_key(actor=acme.owner, key=acme.key)
        with org_scope(mallcorp.org_id):
            Organization.objects.filter(pk=mallcorp.org.pk).update(is_active=False)

    await in_thread(end_both)
    catalog = Catalog(settings.REDIS_URL)
    await catalog.open()
    refusals = set()
    unknown = secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER).text
    for bearer in (acme.api_key, mallcorp.api_key, unknown, unknown[:-1] + "!", acme.admin_token, "x" * 10_000, "é"):
        with pytest.raises(Unauthorized) as caught:
            await Auth(catalog, settings.KEY_PEPPER).authenticate(bearer)
        refusals.add((caught.value.message, caught.value.error_code, caught.value.status))
    await catalog.close()
    assert refusals == {
        ("Incorrect API key provided. You can find your keys in the console under Keys.", "invalid_api_key", 401)
    }


async def test_a_key_is_checked_under_the_installations_pepper(committed_world: World) -> None:
    catalog = Catalog(settings.REDIS_URL)
    await catalog.open()
    key, org = await Auth(catalog, settings.KEY_PEPPER).authenticate(committed_world.acme.api_key)
    assert (key.org_id, org.slug) == (committed_world.acme.org_id, committed_world.acme.org.slug)
    with pytest.raises(Unauthorized):
        await Auth(catalog, b"another pepper, 32 bytes long...").authenticate(committed_world.acme.api_key)
    await catalog.close()
