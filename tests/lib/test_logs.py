"""What a line of the log says, and what it leaves out."""

import json
import logging
from typing import Any

import pytest
from django.test import RequestFactory

from costhub.lib.logs import JsonFormatter
from tests.world import World, make_client


def line_of(message: str, *arguments: Any, **extra: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message, "args": arguments} | extra)
    found: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return found


def test_a_line_is_one_object_with_what_the_caller_added() -> None:
    found = line_of("drained %d", 7, org="acme", amount=5)
    assert (found["logger"], found["message"], found["org"], found["amount"]) == ("x", "drained 7", "acme", 5)


def test_a_request_is_its_path_and_never_its_query() -> None:
    request = RequestFactory().get("/o/acme/keys?code=secret")
    assert line_of("Not Found: %s", request.path, request=request)["request"] == "GET /o/acme/keys"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Not Found: /invitations/chi_0123456789abcdef", "Not Found: /invitations/…"),
        ("/unsubscribe/eyJhIjoxfQ:1a?x=1 failed", "/unsubscribe/…?x=1 failed"),
        ("key chk_0123456789 and token cha_abcdef0123", "key chk_… and token cha_…"),
        ("chk is no key", "chk is no key"),
        # What JSON escapes stays whole, and hides nothing.
        ("GET '\"/invitations/chi_0123456789\"'", "GET '\"/invitations/…\"'"),
        ('/invitations/x","forged":"y', '/invitations/…","forged":"y'),
        ("first line\nchk_0123456789\tcha_abcdef0123", "first line\nchk_…\tcha_…"),
    ],
)
def test_a_secret_of_ours_does_not_get_into_it(text: str, shown: str) -> None:
    assert line_of(text)["message"] == shown
    assert line_of("%s", text, other=text)["other"] == shown


def test_nor_does_one_of_a_request_that_was_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    make_client().get("/invitations/chi_" + "0" * 38 + "?token=tokenofaquery")
    make_client().get("/nowhere?token=tokenofaquery")
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("/nowhere" in line for line in lines)
    assert not any("0000" in line or "tokenofaquery" in line for line in lines)
