"""The page of the management API: every operation of the document, and what its fields may be."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from costhub.console.api_reference import name_kind, read_resources
from tenants.api import document as document_of_api
from tenants.api.document import render_document
from tests.console.client import Visit, text_of
from tests.tenants.api.endpoints import endpoints
from tests.world import World


def test_every_operation_stands_there_once() -> None:
    shown = [f"{one.method} {one.path}" for operations in read_resources().values() for one in operations]
    assert sorted(shown) == sorted(str(endpoint) for endpoint in endpoints())
    anchors = [one.anchor for operations in read_resources().values() for one in operations]
    assert len(anchors) == len(set(anchors))


def test_a_resource_shows_what_it_takes_and_gives(world: World) -> None:
    page = text_of(Visit(world.ben).get("/o/acme/api-reference?resource=domains"))
    assert "POST /domains" in page
    assert "Body name required string" in page
    # A page of rows shows the rows' fields.
    assert "Answer 200, 8 fields" in page
    assert "challenge_record string" in page
    for bad in ("nothing", "<script>"):
        missing = Visit(world.ben).get(f"/o/acme/api-reference?resource={bad}")
        assert (missing.status_code, "There is no resource" in text_of(missing)) == (404, True)


def test_the_document_is_made_once_whoever_asks_for_it(world: World) -> None:
    document_of_api._make_document.cache_clear()
    document_of_api._write_document.cache_clear()
    with ThreadPoolExecutor() as threads:
        # As after a start, when several ask before there is one.
        assert len(set(threads.map(lambda _: render_document(), range(4)))) == 1
    first = Visit(None).get("/api/schema")
    assert first.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    document = json.loads(first.content)
    assert (document["openapi"], "/api/v1/keys" in document["paths"]) == ("3.1.1", True)
    document_of_api._write_document.cache_clear()
    assert Visit(None).get("/api/schema").content == first.content
    assert document_of_api._make_document.cache_info().misses == 1


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "uuid"}, "uuid"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"enum": ["a", "b"]}, "a or b"),
        ({"type": ["string", "null"], "format": "date-time"}, "date-time or null"),
        ({"oneOf": [{"$ref": "#/components/schemas/Role"}, {"type": "null"}]}, "owner or viewer or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Target"}}, "list of Target"),
        ({"enum": ["", None]}, "empty or null"),
        ({"type": "integer", "format": "int64"}, "integer"),
        ({}, "anything"),
    ],
)
def test_kinds_in_words(schema: dict[str, object], words: str) -> None:
    document = {"components": {"schemas": {"Role": {"enum": ["owner", "viewer"]}, "Target": {"type": "object"}}}}
    assert name_kind(schema, document) == words
