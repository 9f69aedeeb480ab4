"""Whatever is sent, the answer is a problem body with a sentence: never a 5xx, never somebody else's error page."""

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from tests.sampling import part
from tests.tenants.api.endpoints import Endpoint, endpoints
from tests.tenants.api.rows import make_rows
from tests.world import Api, World

WRITES = [
    endpoint
    for endpoint in endpoints()
    if endpoint.method in {"POST", "PATCH"} and endpoint.resource not in {"organizations", "stripe-events"}
]
#: so many fields of one kind are sent every value twice, though each is sent but a quarter
COMMON = 8
HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    10**400,
    1.5,
    1e308,
    "",
    " ",
    "x" * 6000,
    "nul\x00",
    "\ud800",
    "\u202e",
    "1e999999",
    "NaN",
    "-0",
    "1" * 500,
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-02-30",
    "http://[::1",
    [],
    {},
    [[]],
    {"a": {"b": 1}},
    ["x\x00"],
    [None, 1, {}],
    list(range(1000)),
]


@cache
def values_by_field() -> dict[tuple[Endpoint, str], Sequence[Any]]:
    """What is sent as each field. Fields of one kind take turns, so that each kind is sent every value; those of a kind
    that is rare are sent all."""
    by_kind: defaultdict[tuple[str, str | None], list[tuple[Endpoint, str]]] = defaultdict(list)
    for endpoint in WRITES:
        for name, told in endpoint.fields.items():
            by_kind[str(told.get("type")), told.get("format")].append((endpoint, name))
    return {
        field: part(HOSTILE, turn) if len(fields) >= COMMON else HOSTILE
        for fields in by_kind.values()
        for turn, field in enumerate(fields)
    }


def check_problem(answer: Any) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert (
        {"type", "title", "status", "code", "detail"}
        <= body.keys()
        <= {"type", "title", "status", "code", "detail", "errors"}
    )
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:costhub:problem:{body['code']}"
    assert body["detail"]
    for error in body.get("errors", []):
        assert set(error) == {"field", "message"}
        assert error["message"]
    return body


@pytest.fixture
def ada(standing_world: World, db: None) -> Api:
    return Api(token=standing_world.acme.admin_token)


@pytest.fixture(scope="module")
def ids(standing_world: World) -> dict[str, str]:
    return make_rows(standing_world)


@pytest.mark.sampled
@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_no_value_of_no_field_is_an_error_of_ours(ada: Api, ids: dict[str, str], endpoint: Endpoint) -> None:
    path = endpoint.path_of(ids[endpoint.resource]) if endpoint.takes_id else endpoint.path
    for name in endpoint.fields:
        for value in values_by_field()[endpoint, name]:
            answer = ada.send(endpoint.method, path, {name: value})
            if answer.status_code >= 300:
                check_problem(answer)


@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_an_unknown_field_is_refused_by_name(ada: Api, ids: dict[str, str], endpoint: Endpoint) -> None:
    path = endpoint.path_of(ids[endpoint.resource]) if endpoint.takes_id else endpoint.path
    problem = check_problem(ada.send(endpoint.method, path, {"colour": 1}))
    assert problem["errors"][0]["field"] == "colour"
    assert problem["errors"][0]["message"].startswith(
        ("There is no such field here; there are: ", "This takes no fields.")
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "name: This field is required."),
        (b"{", "The body is not JSON: Expecting property name enclosed in double quotes at line 1, column 2."),
        (b"\xff\xfe", "The body is not JSON in UTF-8, or holds a number that is too long."),
        (b'{"name": 1e400, "a": NaN}', "NaN is no JSON."),
        (b'{"a": Infinity}', "Infinity is no JSON."),
        (b'{"name": "a", "name": "b"}', "A name occurs twice in one object: keep one."),
        (b'{"name": ' + b"9" * 5000 + b"}", "The body is not JSON in UTF-8, or holds a number that is too long."),
        (b"[" * 100_000, "The body is nested deeper than 20 levels."),
        (b'{"name": ' + b"[" * 21 + b"]" * 21 + b"}", "The body is nested deeper than 20 levels."),
        (b'{"name": "a\\u0000b"}', "Remove the NUL character (\\u0000)."),
        (b'{"name": "\\ud83d"}', "Remove the lone surrogate: it is no character."),
        (b'{"n\\u0000": 1}', "Remove the NUL character (\\u0000)."),
        (b"[]", "Send a JSON object, with its fields by name."),
        (b'"x"', "Send a JSON object, with its fields by name."),
        (b"null", "Send a JSON object, with its fields by name."),
        (b'{"name": 5}', "name: Give a string."),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bodies_are_read_strictly(ada: Api, body: bytes, detail: str) -> None:
    answer = ada.send("POST", "/projects", body)
    assert (answer.status_code, check_problem(answer)["detail"]) == (400, detail)


def test_the_field_of_a_bad_string_is_named_by_its_path(ada: Api) -> None:
    problem = check_problem(ada.send("POST", "/keys", b'{"name": "k", "models": ["a", "b\\u0000"]}'))
    assert problem["errors"] == [{"field": "models[1]", "message": "Remove the NUL character (\\u0000)."}]


def test_a_body_of_more_than_a_megabyte_is_too_large(ada: Api) -> None:
    fits = json.dumps({"name": "x" * (1024 * 1024 - 20)}).encode()
    assert ada.send("POST", "/projects", fits).status_code == 400
    for size in (1024 * 1024, 3 * 1024 * 1024):
        answer = ada.send("POST", "/projects", b'{"name": "' + b"x" * size + b'"}')
        assert (answer.status_code, check_problem(answer)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
)
def test_other_content_types_are_refused(ada: Api, content_type: str) -> None:
    answer = ada.send("POST", "/projects", b"name=x", content_type=content_type)
    assert (answer.status_code, check_problem(answer)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/keys/x/explode", 404),
        ("GET", "/keys/", 404),
        ("PUT", "/keys", 405),
        ("DELETE", "/keys", 405),
        ("OPTIONS", "/keys", 405),
        ("DELETE", "/prices/x", 405),
        ("PATCH", "/audit-log/x", 405),
    ],
)
def test_paths_and_methods_that_are_not_there(ada: Api, method: str, path: str, status: int) -> None:
    answer = ada.send(method, path)
    assert answer.status_code == status
    check_problem(answer)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "\u0661"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "\u00e9"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "MjAyNi0wMS0wMSB4"}, "cursor"),
        ({"cursor": "a\x00"}, "cursor"),
        ({"project": "a\x00"}, "project"),
    ],
)
def test_query_parameters_are_read_strictly(ada: Api, query: dict[str, str], field: str) -> None:
    problem = check_problem(ada.get("/keys", **query))
    assert problem["status"] == 400
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "email", ["a" * 60 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60, "@", "a@b", 5]
)
def test_an_address_that_cannot_be_one_is_refused(ada: Api, email: object) -> None:
    problem = check_problem(ada.post("/members", {"email": email, "role": "viewer"}))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, "email")


def test_a_thousand_parameters_are_too_many(ada: Api) -> None:
    problem = check_problem(ada.get("/keys?" + "&".join(["limit=1"] * 1001)))
    assert (problem["status"], problem["detail"]) == (400, "The request cannot be read.")


def test_a_format_that_there_is_not_is_no_path(ada: Api) -> None:
    assert check_problem(ada.get("/requests", format="xml"))["status"] == 404


def test_accepting_something_else_than_json_is_refused(ada: Api) -> None:
    answer = ada.send("GET", "/keys", headers={"Accept": "text/html"})
    assert (answer.status_code, check_problem(answer)["code"]) == (406, "not_acceptable")


def test_nothing_of_a_refused_request_is_left(ada: Api) -> None:
    before = ada.get("/audit-log").content
    assert ada.post("/keys", {"name": "k", "models": ["none"]}).status_code == 400
    assert ada.get("/audit-log").content == before
