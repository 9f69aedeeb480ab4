"""The OpenAPI document keeps its word: schemathesis makes requests from it, valid and not, and holds every answer
against it. ``make soak`` makes forty for each operation, ``make test`` a few."""

from collections.abc import Callable, Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import pytest
import schemathesis
from django.test.client import ClientHandler
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.tenants.api.endpoints import Endpoint, endpoints, read_whole, schema
from tests.tenants.api.rows import make_rows
from tests.world import World

#: valid data may still be refused, by what is there already; the other checks hold whatever is sent
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
FEW: Final = 4
MANY: Final = 40

Environ = dict[str, Any]


class InProcess:
    """The product as a WSGI application, within the transaction of the test."""

    def __init__(self) -> None:
        self._handler = ClientHandler(enforce_csrf_checks=False)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer: Any = self._handler(environ)
        status = f"{answer.status_code} {HTTPStatus(answer.status_code).phrase}"
        start_response(status, [*answer.items()])
        return [read_whole(answer)]


@cache
def document() -> Any:
    """The document as schemathesis reads it, answered by the product."""
    read = schemathesis.openapi.from_dict(schema())
    read.app = InProcess()
    return read


def check(endpoint: Endpoint, token: str, ids: dict[str, str], examples: int) -> None:
    """Send so many requests to an endpoint. Raises AssertionError with the first answer that breaks the document's
    word."""
    operation = document()[f"/api/v1{endpoint.path}"][endpoint.method]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy(), is_known=st.booleans())
    def send(case: Any, is_known: bool) -> None:
        if is_known and endpoint.resource in ids:
            for name in ("id", "pk"):
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = ids[endpoint.resource]
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {token}"})

    send()


@pytest.fixture(scope="module")
def ids(standing_world: World) -> dict[str, str]:
    return make_rows(standing_world)


@pytest.mark.parametrize("endpoint", endpoints(), ids=str)
def test_every_answer_is_one_that_the_document_promises(
    standing_world: World, ids: dict[str, str], db: None, endpoint: Endpoint
) -> None:
    check(endpoint, standing_world.acme.admin_token, ids, FEW)


@pytest.mark.soak
@pytest.mark.parametrize("endpoint", endpoints(), ids=str)
def test_every_answer_of_many(standing_world: World, ids: dict[str, str], db: None, endpoint: Endpoint) -> None:
    check(endpoint, standing_world.acme.admin_token, ids, MANY)
