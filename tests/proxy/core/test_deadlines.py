"""By when an answer is wanted."""

from typing import Any

import orjson
import pytest

from proxy.core.deadlines import check_capacity, is_step, parse_deadline
from proxy.dialects import dialect_of
from proxy.errors import ApiError
from proxy.values.request import Endpoint
from tests.proxy.core.examples import NOON_MS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("86400", 86_400), ("2026-03-02T13:00:00Z", 3_600), ("2026-03-02T14:00:00+01:00", 3_600)],
)
def test_deadlines_are_seconds_or_moments(text: str, seconds: int) -> None:
    assert parse_deadline(text, NOON_MS) == NOON_MS + seconds * 1000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0", "deadline_passed"),
        ("2026-03-02T11:59:59Z", "deadline_passed"),
        ("59", "deadline_too_near"),
        ("86401", "deadline_too_far"),
        ("2027-03-02T12:00:00Z", "deadline_too_far"),
        ("soon", "deadline_unreadable"),
        ("2026-03-02T13:00:00", "deadline_unreadable"),
        ("-60", "deadline_unreadable"),
        ("", "deadline_unreadable"),
        ("9" * 5_000, "deadline_unreadable"),
    ],
)
def test_what_cannot_be_promised_is_said_at_once(text: str, code: str) -> None:
    with pytest.raises(ApiError) as raised:
        parse_deadline(text, NOON_MS)
    assert (raised.value.status, raised.value.error_code, raised.value.param) == (400, code, "x-costhub-deadline")


def test_more_calls_than_can_be_answered_in_time_are_refused() -> None:
    check_capacity(47, 8, 60_000)
    with pytest.raises(ApiError) as raised:
        check_capacity(48, 8, 60_000)
    assert (raised.value.status, raised.value.error_code) == (409, "deadline_cannot_be_kept")


USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Yes."}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "Sunny."}
PATCHED = {"type": "custom_tool_call_output", "call_id": "c", "output": "Done."}


@pytest.mark.parametrize(
    ("endpoint", "said", "expected"),
    [
        (Endpoint.CHAT, [USER], False),
        (Endpoint.CHAT, [USER, {"role": "tool", "tool_call_id": "c", "content": "No."}], True),
        (Endpoint.CHAT, [USER, {"role": "tool", "tool_call_id": "c", "content": "No."}, USER], True),
        (Endpoint.CHAT, [USER, {"role": "tool", "tool_call_id": "c", "content": "No."}, ASSISTANT, USER], False),
        (Endpoint.MESSAGES, [{"role": "user", "content": [RESULT, {"type": "text", "text": "Remember."}]}], True),
        (Endpoint.MESSAGES, [{"role": "user", "content": [RESULT]}, ASSISTANT, USER], False),
        (Endpoint.RESPONSES, [{"type": "function_call_output", "call_id": "c", "output": "1"}, USER], True),
        (Endpoint.RESPONSES, [USER, PATCHED], True),
        (Endpoint.RESPONSES, [PATCHED, ASSISTANT, USER], False),
        (Endpoint.RESPONSES, "Hi", False),
    ],
)
def test_a_step_follows_from_what_a_tool_has_given(endpoint: Endpoint, said: Any, expected: bool) -> None:
    name = "input" if endpoint is Endpoint.RESPONSES else "messages"
    more = {"max_tokens": 9} if endpoint is Endpoint.MESSAGES else {}
    raw = orjson.dumps({"model": "small", name: said, **more})
    assert is_step(dialect_of(endpoint).parse_request(endpoint, raw)) is expected
