"""What a browser is told about calls from pages of other origins."""

import pytest

from proxy import paths
from proxy.batches import api
from proxy.core.cors import allow_origin, allow_preflight

APP = "https://app.example.org"


@pytest.mark.parametrize("origin", [APP, "HTTPS://App.example.org"])
def test_a_page_of_a_listed_origin_may_read_the_answer(origin: str) -> None:
    assert allow_origin(origin, {APP, "http://localhost:3000"}) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "*",
        "vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin", ["https://evil.example.org", f"{APP}:444", f"{APP}.evil.example", "http://app.example.org", "null", ""]
)
def test_no_other_page_may(origin: str) -> None:
    assert allow_origin(origin, {APP}) == {}
    assert allow_origin(origin, set()) == {}


def test_all_may_where_the_operator_says_so() -> None:
    assert allow_origin("null", {"*"}) == {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("authorization,content-type,x-stainless-os", "authorization,content-type,x-stainless-os"),
        ("", "authorization, content-type"),
        ("x\r\nset-cookie: a=b", "authorization, content-type"),
        ("a," * 1_001, "authorization, content-type"),
    ],
)
def test_the_headers_that_a_page_sends_are_allowed(asked: str, allowed: str) -> None:
    assert allow_preflight({"access-control-request-headers": asked}) == {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": allowed,
        "access-control-max-age": "600",
    }


def test_a_page_may_ask_by_every_method_that_is_served() -> None:
    served = {path.method for path in paths._PATHS} | {
        method for methods in api._METHODS.values() for method in methods.split(" or ")
    }
    assert set(allow_preflight({})["access-control-allow-methods"].split(", ")) == served
