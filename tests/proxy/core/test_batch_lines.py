"""Lines of output and error files, written and read."""

import orjson
import pytest

from proxy.core.batch_lines import Outcome, dump_answer, dump_failure, read_outcome

NAME = 'a","body":{"response"},"error":null}'


@pytest.mark.parametrize(
    "body",
    [b'{"a":1}', b'{"body":{"body":2},"error":null}', b'{"text":"},\\"error\\":null}","n":18446744073709551617.0}'],
)
def test_an_answer_is_read_byte_by_byte(body: bytes) -> None:
    line = dump_answer("batch_req_1", NAME, 200, "call", body)
    assert line.endswith(b"\n")
    assert read_outcome(line.rstrip(b"\n")) == Outcome(NAME, 200, body)
    assert orjson.loads(line)["custom_id"] == NAME


def test_what_was_never_answered_says_why() -> None:
    line = dump_failure("batch_req_1", NAME, "batch_expired", 'Too late, "body": none.')
    assert read_outcome(line) == Outcome(NAME, 0, code="batch_expired", message='Too late, "body": none.')


def test_what_does_not_open_any_more_has_no_name() -> None:
    gone = b'{"response":null,"error":{"code":"unreadable","message":"It cannot be opened any more."}}'
    assert read_outcome(gone) == Outcome("", 0, code="unreadable", message="It cannot be opened any more.")
