"""The same bytes, read by us and by h11, a parser that shares no line with ours: no request may end elsewhere.

Either may refuse what the other takes, because a refusal closes the connection and moves no boundary; what both take
must be the same requests with the same bodies, and we may take nothing behind the point at which h11 stopped.
"""

import asyncio
import itertools

import h11
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from costhub.serve.connection import Connection
from tests.sampling import examples
from tests.serve.server import Recorder
from tests.serve.streams import STREAMS, Seen


class _Transport(asyncio.Transport):
    """Takes what is written and forgets it; closes at once, as far as its protocol can tell."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._connection.connection_lost(None)

    abort = close


async def read_by_us(stream: bytes, cuts: list[int]) -> Seen:
    """The whole requests that the application was given, however the stream was cut."""
    recorder = Recorder()
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    connection = Connection(recorder, loop, set(), tasks)
    transport = _Transport(connection)
    connection.connection_made(transport)
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    for start, end in itertools.pairwise(edges):
        if start < end and not transport.is_closed:
            connection.data_received(stream[start:end])
    for _ in range(200):
        await asyncio.sleep(0)
        if not tasks:
            break
    transport.close()
    if tasks:
        await asyncio.wait(tasks)
    return [each for each in recorder.seen if each[2] is not None]


def read_by_h11(stream: bytes) -> Seen:
    """The whole requests that h11 finds, up to the first that it refuses or that closes."""
    found: Seen = []
    while True:
        # Empty lines ahead of a request are skipped, as RFC 9112, 2.2, has it; h11 does not.
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        reader.receive_data(stream.lstrip(b"\r\n"))
        method = target = ""
        body = b""
        try:
            while not isinstance(event := reader.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    method, target = event.method.decode(), event.target.decode()
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return found
        except h11.RemoteProtocolError:
            return found
        if method == "CONNECT":
            return found
        found.append((method, target, body))
        # Answering tells h11 that nobody takes up what was offered.
        reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        reader.send(h11.EndOfMessage())
        if reader.our_state is not h11.DONE:
            return found
        stream = reader.trailing_data[0]


def comparable(seen: Seen) -> Seen:
    """Targets as our application sees them."""
    return [(method, target.removeprefix("http://x").partition("?")[0], body) for method, target, body in seen]


@settings(max_examples=examples(400), suppress_health_check=[HealthCheck.too_slow])
@given(stream=STREAMS, cuts=st.lists(st.integers(0, 4_000), max_size=4))
@example(
    b"POST /b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 34\r\n\r\nGET /inner HTTP/1.1\r\nHost: x\r\n\r\n...",
    [],
)
@example(
    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    [70],
)
def test_no_request_ends_elsewhere(stream: bytes, cuts: list[int]) -> None:
    compare(stream, cuts)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
@given(stream=STREAMS, cuts=st.lists(st.integers(0, 4_000), max_size=4))
def test_no_request_ends_elsewhere_in_many_tries(stream: bytes, cuts: list[int]) -> None:
    compare(stream, cuts)


def compare(stream: bytes, cuts: list[int]) -> None:
    """Both read the same requests, and we read none behind the point at which h11 stopped."""
    ours, theirs = asyncio.run(read_by_us(stream, cuts)), comparable(read_by_h11(stream))
    shorter = min(len(ours), len(theirs))
    assert ours[:shorter] == theirs[:shorter]
    assert len(ours) <= len(theirs), "behind the point at which h11 refuses to go on"
