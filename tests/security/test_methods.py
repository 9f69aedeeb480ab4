"""Every address by every method that browsers do not use for forms and links: nobody gets in by one of them, a stranger
least of all. GET and POST are in ``tests/console/test_walls.py``, documented methods of the API in
``tests/tenants/api/test_tenancy.py``."""

from typing import Final
from uuid import uuid4

import pytest

from tests.console.client import Visit
from tests.console.test_walls import ADDRESSES, Address
from tests.sampling import part
from tests.tenants.api.endpoints import endpoints
from tests.world import Api, World, close_scopes, make_client

METHODS: Final = ("PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "LINK", "PROPFIND")
#: those whose patterns say more than an address can be made of
FILLED: Final = [address for address in ADDRESSES if not set("^\\(") & set(address.pattern)]
CLOSED: Final = {"tenant", "person", "operator", "machine"}


def fill(address: Address, slug: str) -> str:
    return address.fill(slug, {name: str(uuid4()) for name in address.parts})


@pytest.mark.sampled
@pytest.mark.parametrize("method", METHODS)
def test_nobody_gets_in_by_another_method(world: World, method: str) -> None:
    client = make_client()
    seen = 0
    for address in part(FILLED, METHODS.index(method)):
        if address.kind not in CLOSED:
            continue
        close_scopes()
        answer = client.generic(method, fill(address, "acme"))
        led_to_sign_in = answer.status_code == 302 and "/login" in answer.headers["Location"]
        # Which methods there are is nobody's secret.
        tells_methods = method == "OPTIONS" and (answer.status_code, answer.content) == (200, b"")
        is_refused = answer.status_code in {401, 403, 404, 405}
        assert led_to_sign_in or tells_methods or is_refused, (method, address, answer.status_code)
        seen += 1
    assert seen >= 20


@pytest.mark.sampled
@pytest.mark.parametrize("method", METHODS)
def test_to_a_stranger_an_organisation_is_not_there_by_any_method(world: World, method: str) -> None:
    mallory = Visit(world.mallory)
    for address in part([one for one in FILLED if one.kind == "tenant"], METHODS.index(method)):
        ids = {name: str(uuid4()) for name in address.parts}
        answers = []
        for slug in ("acme", "nowhere"):
            close_scopes()
            answers.append(mallory.client.generic(method, address.fill(slug, ids)))
        strange, unknown = answers
        assert strange.status_code in {404, 405}, (method, address, strange.status_code)
        assert (strange.status_code, strange.content) == (unknown.status_code, unknown.content), (method, address)


@pytest.mark.sampled
@pytest.mark.parametrize("method", METHODS)
def test_the_api_answers_what_its_document_says_and_no_other_method(world: World, method: str) -> None:
    ada, documented = Api(token=world.acme.admin_token), {(one.method, one.path) for one in endpoints()}
    paths = sorted({one.path for one in endpoints()})
    # HEAD is what GET is, without a body.
    documented |= {("HEAD", one.path) for one in endpoints() if one.method == "GET"}
    for path in part(paths, METHODS.index(method)):
        if (method, path) not in documented:
            answer = ada.send(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code in {404, 405}, (method, path, answer.status_code)
