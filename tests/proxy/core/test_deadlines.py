"""By when an answer is wanted."""

from typing import Any
from uuid import uuid4

import orjson
import pytest

from proxy.core.deadlines import (
    Due,
    Pace,
    check_capacity,
    find_online_from,
    has_time_for_a_batch,
    is_step,
    parse_deadline,
)
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


MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("waiting", "concurrency", "minutes"),
    [
        ({}, 1, 1),
        ({1: 47}, 8, 1),
        # Those that are due later come later, but for two rounds that may have begun.
        ({1: 31, 600: 9_000}, 8, 1),
        # And one that is due earlier keeps none of them waiting for too long.
        ({10: 479}, 8, 1),
        ({10: 400, 20: 559}, 8, 1),
        ({0: 479}, 8, 10),
    ],
)
def test_a_deadline_is_promised_that_can_be_kept(waiting: dict[int, int], concurrency: int, minutes: int) -> None:
    check_capacity(_by_moment(waiting), Pace(concurrency), NOON_MS, NOON_MS + minutes * MINUTE_MS)


@pytest.mark.parametrize(
    ("waiting", "concurrency", "minutes", "told"),
    [
        ({1: 48}, 8, 1, 48),
        ({1: 32, 600: 9_000}, 8, 1, 48),
        ({10: 480}, 8, 1, 480),
        ({10: 400, 20: 560}, 8, 1, 960),
        ({0: 480}, 8, 10, 480),
    ],
)
def test_more_calls_than_can_be_answered_in_time_are_refused(
    waiting: dict[int, int], concurrency: int, minutes: int, told: int
) -> None:
    with pytest.raises(ApiError) as raised:
        check_capacity(_by_moment(waiting), Pace(concurrency), NOON_MS, NOON_MS + minutes * MINUTE_MS)
    assert (raised.value.status, raised.value.error_code) == (409, "deadline_cannot_be_kept")
    assert raised.value.message.startswith(
        f"{told} calls wait for this upstream, 8 of which run at a time, for up to 10 s each:"
    )


def _by_moment(waiting: dict[int, int]) -> dict[int, int]:
    return {NOON_MS + minutes * MINUTE_MS: calls for minutes, calls in waiting.items()}


def test_calls_go_online_as_early_as_all_of_them_need() -> None:
    few, many, behind = uuid4(), uuid4(), uuid4()
    pools = {
        behind: _due(6, 700, 700),
        few: _due(6, 600, 600),
        many: _due(1_440, 600, 650),
    }
    found = find_online_from(pools, Pace(8))
    # 1,446 calls of ten seconds, eight at a time, behind a quarter of an hour: not within half an hour.
    early_ms = 15 * MINUTE_MS + 1_810_000
    assert found == {
        few: NOON_MS + 600 * MINUTE_MS - early_ms,
        many: NOON_MS + 600 * MINUTE_MS - early_ms,
        behind: NOON_MS + 700 * MINUTE_MS - 15 * MINUTE_MS - 1_820_000,
    }
    assert find_online_from({few: pools[few]}, Pace(8)) == {few: NOON_MS + 570 * MINUTE_MS}
    # What is due behind its last call keeps it not waiting.
    assert find_online_from({few: pools[few], behind: _due(9_000, 601, 900)}, Pace(8))[few] == NOON_MS + 570 * MINUTE_MS


def test_calls_go_online_the_earlier_the_longer_they_take() -> None:
    name = uuid4()
    found = find_online_from({name: _due(160, 600, 600)}, Pace(8, 2 * MINUTE_MS))
    assert found == {name: NOON_MS + (600 - 15 - 40) * MINUTE_MS}
    # A call takes as long as it takes, however many run at a time.
    assert Pace(8, 2 * MINUTE_MS).needed_ms(1) == 2 * MINUTE_MS


def _due(calls: int, first: int, last: int) -> Due:
    return Due(calls, calls, NOON_MS + first * MINUTE_MS, NOON_MS + last * MINUTE_MS)


@pytest.mark.parametrize(
    ("calls", "hours", "expected"),
    [(1, 3, True), (1, 2.99, False), (720, 3, True), (721, 3, False), (10_000, 6, False), (10_000, 6.25, True)],
)
def test_a_batch_is_tried_where_all_can_be_asked_online_behind_it(calls: int, hours: float, expected: bool) -> None:
    assert has_time_for_a_batch(calls, Pace(8), int(hours * 60) * MINUTE_MS) is expected


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
