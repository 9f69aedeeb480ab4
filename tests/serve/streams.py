"""Streams of requests as nobody should send them, for readers that may not differ about where one ends."""

from hypothesis import strategies as st

Seen = list[tuple[str, str, bytes | None]]

_NAMES = st.sampled_from(
    [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"Trailer", b"X-A"]
)
_VALUES = st.sampled_from(
    [
        *(
            b"x",
            b"0",
            b"3",
            b"5",
            b"03",
            b"+3",
            b"3, 3",
            b"-1",
            b"",
            b"chunked",
            b"Chunked",
            b"identity",
            b"gzip, chunked",
        ),
        *(
            b"chunked, chunked",
            b"close",
            b"keep-alive",
            b"Upgrade",
            b"close, upgrade",
            b"h2c",
            b"websocket",
            b"TLS/1.2",
        ),
        *(b"100-continue", b"a\tb", b"a\x0bb", b"a\xffb", b" chunked ", b"\tchunked"),
    ]
)
_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\0\r\n"])
_COLONS = st.sampled_from([b": "] * 8 + [b":", b" : ", b":\t"])
_LINES = st.builds(lambda *parts: b"".join(parts), _NAMES, _COLONS, _VALUES, _ENDS)
_STARTS = st.sampled_from(
    [
        *(b"GET /a HTTP/1.1\r\n", b"POST /b HTTP/1.1\r\n", b"HEAD /c HTTP/1.1\r\n", b"PUT /d?e HTTP/1.1\r\n") * 3,
        *(b"GET /f HTTP/1.0\r\n", b"POST /g HTTP/1.0\r\n", b"OPTIONS * HTTP/1.1\r\n", b"GET http://x/h HTTP/1.1\r\n"),
        *(b"GET /i HTTP/1.2\r\n", b"GET /j\r\n", b"\r\nGET /k HTTP/1.1\r\n", b"CONNECT x:1 HTTP/1.1\r\n"),
    ]
)
_FRAMINGS = st.sampled_from(
    [
        *(b"", b"Content-Length: 3\r\n", b"Content-Length: 36\r\n", b"Transfer-Encoding: chunked\r\n") * 3,
        *(
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        ),
        b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\nTransfer-Encoding: chunked\r\n",
    ]
)
_BODIES = st.lists(
    st.sampled_from(
        [
            *(b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n", b"1;x=y\r\na\r\n", b"A\r\n0123456789\r\n"),
            *(
                b"3\nabc\n",
                b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"0x3\r\nabc\r\n",
                b"3 \r\nabc\r\n",
                b"\r\n",
                b"3\r\nabcd\r\n",
            ),
            b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
    ),
    max_size=4,
).map(b"".join)
_REQUESTS = st.builds(
    lambda start, framing, lines, body: start + b"Host: x\r\n" + framing + b"".join(lines) + b"\r\n" + body,
    _STARTS,
    _FRAMINGS,
    st.lists(_LINES, max_size=2),
    _BODIES,
)
STREAMS = st.lists(_REQUESTS, min_size=1, max_size=4).map(b"".join)
