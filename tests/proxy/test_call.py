"""A request as ASGI brings it: headers, the key in them, and a body in pieces."""

import asyncio
import gzip
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from proxy import call as call_module
from proxy.call import MAX_HEADER_BYTES, Call
from proxy.edges.shortcuts import Receive, Send, Shortcuts
from proxy.errors import InvalidRequest, Unauthorized
from proxy.values.request import Endpoint

KEY = "chk_the-key-of-this-test"
Message = dict[str, Any]


def make_call(*messages: Message, headers: list[tuple[str, bytes]] | None = None, limit: int = 1_000) -> Call:
    """A call that receives these messages, and then nothing for ever."""
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Future()
        return waiting.pop(0)

    raw = [(name.encode(), value) for name, value in headers or []]
    return Call({"headers": raw}, receive, Endpoint.CHAT, limit)


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


END = piece(b"", more=False)
GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([piece(b"{}", more=False)], b"{}"),
        ([{"type": "http.request", "body": b"{}"}], b"{}"),
        ([{"type": "http.request"}], b""),
        ([piece(b"{}"), END], b"{}"),
        ([piece(b""), piece(b'{"a"'), piece(b""), piece(b":1}", more=False)], b'{"a":1}'),
        ([piece(b"x" * 1_000), END], b"x" * 1_000),
        ([END], b""),
    ],
)
async def test_a_body_is_the_sum_of_its_pieces(messages: list[Message], body: bytes) -> None:
    assert await make_call(*messages).body() == body


async def refusal(call: Call) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await call.body()
    return caught.value


@pytest.mark.parametrize(
    "messages",
    [
        [piece(b"x" * 1_001, more=False)],
        [piece(b"x" * 1_000), piece(b"x")],
        [piece(b"x" * 600), piece(b"x" * 600)],
    ],
)
async def test_a_body_that_grows_past_the_limit_is_refused_at_once(messages: list[Message]) -> None:
    error = await refusal(make_call(*messages))
    assert (error.status, error.error_code) == (400, "request_too_large")
    assert error.message == "The body is longer than 1000 bytes, the most that is taken here."


async def test_a_length_past_the_limit_is_refused_before_the_body_comes() -> None:
    error = await refusal(make_call(headers=[("content-length", b"1001")]))
    assert (error.status, error.error_code) == (400, "request_too_large")


@pytest.mark.parametrize("length", [b"1000", b"", b"-5", b"1e9", "\u00b2".encode()])
async def test_a_length_that_says_nothing_is_not_believed(length: bytes) -> None:
    call = make_call(piece(b"{}", more=False), headers=[("content-length", length)])
    assert await call.body() == b"{}"


@pytest.mark.parametrize("messages", [[GONE], [piece(b'{"a"'), GONE]])
async def test_a_body_that_breaks_off_is_told_as_that(messages: list[Message]) -> None:
    error = await refusal(make_call(*messages))
    assert (error.status, error.error_code) == (400, "incomplete_body")


@pytest.mark.parametrize("messages", [[], [piece(b'{"a"')]])
async def test_a_body_that_does_not_come_is_not_waited_for(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "BODY_TIMEOUT_SECONDS", 0.01)
    error = await refusal(make_call(*messages))
    assert (error.status, error.error_code) == (408, "body_timeout")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "", "\u20ac"]
)
async def test_a_body_that_is_not_called_json_is_refused_unread(content_type: str) -> None:
    error = await refusal(make_call(headers=[("content-type", content_type.encode())]))
    assert (error.status, error.error_code, error.param) == (400, "unsupported_content_type", "Content-Type")
    assert repr(content_type[:100]) in error.message


@pytest.mark.parametrize(
    "content_type", [b"application/json", b"Application/JSON; charset=utf-8", b"application/vnd.api+json"]
)
async def test_every_name_of_json_is_taken(content_type: bytes) -> None:
    assert await make_call(END, headers=[("content-type", content_type)]).body() == b""


async def test_a_compressed_body_is_unpacked_and_has_the_same_limit() -> None:
    headers = [("content-encoding", b"gzip")]
    assert await make_call(piece(gzip.compress(b"{}"), more=False), headers=headers).body() == b"{}"
    error = await refusal(make_call(piece(gzip.compress(b" " * 1_001), more=False), headers=headers))
    assert error.error_code == "request_too_large"


async def test_an_encoding_that_is_not_taken_is_refused_unread() -> None:
    error = await refusal(make_call(headers=[("content-encoding", b"zstd")]))
    assert (error.status, error.error_code) == (415, "unsupported_content_encoding")


async def test_a_body_of_too_many_values_is_refused_and_others_have_their_turns() -> None:
    """Whoever waits is served between two slices of it."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    body = b'{"input":["' + b"x" * 20_000_000 + b'",' + b"1," * 500_000 + b"1]}"
    error = await refusal(make_call(piece(body, more=False), limit=30_000_000))
    counting.cancel()
    assert (error.status, error.error_code) == (400, "too_many_values")
    assert turns >= 3


async def test_a_caller_who_leaves_is_noticed_after_the_body() -> None:
    call = make_call(END, piece(b"late"), GONE)
    has_left = asyncio.Event()
    call.watch(has_left.set)
    assert not has_left.is_set()
    await call.body()
    await has_left.wait()


async def test_a_caller_who_leaves_in_the_body_is_told_by_reading() -> None:
    call = make_call(piece(b"{"), GONE)
    call.watch(_fail)
    assert (await refusal(call)).error_code == "incomplete_body"


async def test_nobody_looks_after_a_call_has_ended() -> None:
    ended = asyncio.Event()
    messages = [END]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        try:
            await asyncio.Future()
        finally:
            ended.set()
        raise AssertionError

    call = Call({"headers": []}, receive, Endpoint.CHAT, 1_000)
    call.watch(_fail)
    await call.body()
    await asyncio.sleep(0)
    call.stop_watching()
    await ended.wait()


class Server(Shortcuts):
    """A web server with shortcuts: it has this body, or none yet."""

    task = None

    def __init__(self, body: bytes | None) -> None:
        self.body = body
        self.watches: list[Callable[[], None]] = []

    def take_body(self, receive: Receive, most_bytes: int | None = None) -> bytes | None:
        return self.body if most_bytes is None or len(self.body or b"") <= most_bytes else None

    def watch(self, receive: Receive, leave: Callable[[], None]) -> bool:
        self.watches.append(leave)
        return True

    def send_whole(self, send: Send, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        raise AssertionError

    def send_head(self, send: Send, status: int, headers: Mapping[str, str], body: bytes, *, more: bool) -> bool:
        raise AssertionError


@pytest.mark.parametrize("here", [b"{}", None])
async def test_a_body_that_is_there_is_taken_without_waiting(here: bytes | None) -> None:
    server, messages = Server(here), [piece(b"[1]", more=False)]

    async def receive() -> Message:
        return messages.pop()

    call = Call({"headers": []}, receive, Endpoint.CHAT, 1_000, server)
    call.watch(_fail)
    assert await call.body() == (here or b"[1]")
    assert len(messages) == (1 if here else 0)
    call.stop_watching()
    assert server.watches == [_fail]


async def test_a_body_that_is_there_has_the_same_limit() -> None:
    call = Call({"headers": []}, _nothing_comes, Endpoint.CHAT, 1_000, Server(b"x" * 1_001))
    assert (await refusal(call)).error_code == "request_too_large"


PLAIN = {"content-type": "application/json", "content-length": "2"}


@pytest.mark.parametrize(
    ("headers", "endpoint", "body", "is_taken"),
    [
        (PLAIN, Endpoint.CHAT, b"{}", True),
        (PLAIN | {"content-type": "application/json; charset=utf-8"}, Endpoint.CHAT, b"{}", False),
        (PLAIN | {"content-type": "text/plain"}, Endpoint.CHAT, b"{}", False),
        (PLAIN | {"content-encoding": "gzip"}, Endpoint.CHAT, b"{}", False),
        (PLAIN, Endpoint.CHAT, b"x" * 1_000, True),
        (PLAIN, Endpoint.CHAT, b"x" * 1_001, False),
        # of a body that came in chunks nobody says how long it is
        ({"content-type": "application/json"}, Endpoint.CHAT, b"{}", True),
        ({"content-length": "2"}, Endpoint.CHAT, b"{}", False),
        (PLAIN, Endpoint.TRANSCRIPTIONS, b"{}", False),
    ],
)
def test_only_a_short_and_plain_body_is_taken_at_once(
    headers: dict[str, str], endpoint: Endpoint, body: bytes, *, is_taken: bool
) -> None:
    """Any other goes the way on which it is refused, unpacked or weighed."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    server = Server(body)
    call = Call({"headers": raw}, _nothing_comes, endpoint, 1_000, server)
    call.watch(_fail)
    assert call.body_at_once() == (body if is_taken else None)
    assert server.watches == ([_fail] if is_taken else [])


def test_a_body_that_is_still_to_come_is_not_taken_at_once() -> None:
    raw = [(name.encode(), value.encode()) for name, value in PLAIN.items()]
    for server in (Server(None), None):
        assert Call({"headers": raw}, _nothing_comes, Endpoint.CHAT, 1_000, server).body_at_once() is None


async def _nothing_comes() -> Message:
    raise AssertionError


def _fail() -> None:
    raise AssertionError("the caller has not left")


def test_headers_are_read_as_utf_8_or_else_as_latin_1() -> None:
    call = make_call(headers=[("x-costhub-user", "b\u00e9n".encode()), ("x-old", b"b\xe9n")])
    assert call.headers == {"x-costhub-user": "b\u00e9n", "x-old": "b\u00e9n"}


def test_of_several_lines_the_last_one_counts_and_all_are_known() -> None:
    call = make_call(headers=[("a", b"1"), ("b", b"2"), ("a", b"\xe9"), ("a", b"3")])
    assert (call.headers, call.repeated) == ({"a": "3", "b": "2"}, {"a": ["1", "\u00e9", "3"]})
    assert make_call(headers=[("a", b"1"), ("b", b"2")]).repeated == {}


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {KEY}")],
        [("authorization", f"bearer  {KEY} ")],
        [("x-api-key", KEY)],
        [("api-key", KEY)],
        [("authorization", f"Bearer {KEY}"), ("x-api-key", KEY), ("api-key", KEY)],
    ],
)
def test_a_key_is_found_in_each_of_its_places(headers: list[tuple[str, str]]) -> None:
    assert make_call(headers=[(name, value.encode()) for name, value in headers]).bearer() == KEY


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([("authorization", "Bearer ")], "missing_api_key"),
        ([("authorization", "Basic YWRhOnBhc3N3b3Jk")], "invalid_api_key"),
        ([("authorization", KEY)], "invalid_api_key"),
        ([("authorization", f"Bearer {KEY}")] * 2, "invalid_api_key"),
        ([("x-api-key", KEY)] * 2, "invalid_api_key"),
        ([("authorization", f"Bearer {KEY}"), ("x-api-key", "chk_another")], "invalid_api_key"),
        ([("x-api-key", KEY), ("api-key", "chk_another")], "invalid_api_key"),
        ([("cookie", f"api_key={KEY}"), ("x-goog-api-key", KEY)], "missing_api_key"),
    ],
)
def test_none_or_several_keys_are_refused(headers: list[tuple[str, str]], code: str) -> None:
    call = make_call(headers=[(name, value.encode()) for name, value in headers])
    with pytest.raises(Unauthorized) as caught:
        call.bearer()
    assert (caught.value.status, caught.value.error_code) == (401, code)
    assert KEY not in caught.value.message


def test_headers_have_a_limit_and_the_refusal_an_id() -> None:
    key = [("authorization", f"Bearer {KEY}".encode())]
    room = MAX_HEADER_BYTES - len("authorization") - len(key[0][1]) - len("x-filler")
    assert make_call(headers=[*key, ("x-filler", b"x" * room)]).bearer() == KEY
    call = make_call(headers=[*key, ("x-filler", b"x" * (room + 1))])
    with pytest.raises(InvalidRequest) as caught:
        call.bearer()
    assert (caught.value.status, caught.value.error_code) == (400, "headers_too_large")
    assert (
        caught.value.message == f"The request's headers have {MAX_HEADER_BYTES + 1} bytes: {MAX_HEADER_BYTES} at most."
    )
    assert len(call.id) == 36


def test_an_id_carries_the_moment_of_its_call() -> None:
    call = make_call()
    assert int(call.id.replace("-", "")[:12], 16) == call.started_ms
    assert call.id[14] == "7"
    assert call.keeps_going is False
