"""Requests that nobody should send: what is wrong with their heads, by place, and with their bodies, by reader."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.proxy.raw_http import Header, make_request

#: who is answered, and knows that there is no more
HOST: Final = b"host: 127.0.0.1\r\nconnection: close\r\n"
#: request lines, as they are; what follows is a host and the end of the head
LINES: Final = [
    b"",
    b"\r\n",
    b"GET",
    b"GET ",
    b"GET  HTTP/1.1",
    b"GET {path}",
    b"GET {path} HTTP",
    b"GET {path} HTTP/",
    b"GET {path} HTTP/1",
    b"GET {path} HTTP/1.",
    b"GET {path} HTTP/1.1 ",
    b"GET {path} HTTP/1.1 x",
    b"GET {path} HTTP/1.9",
    b"GET {path} HTTP/2.0",
    b"GET {path} HTTP/9.9",
    b"GET {path} HTTP/-1.1",
    b"GET {path} HTTP/1.1111111111111111111",
    b"GET {path} http/1.1",
    b"GET {path} ICAP/1.0",
    b"GET {path} RTSP/1.0",
    b" GET {path} HTTP/1.1",
    b"\tGET {path} HTTP/1.1",
    b"GET\t{path}\tHTTP/1.1",
    b"GET {path} x HTTP/1.1",
    b"GET {path}\x00 HTTP/1.1",
    b"GET {path}\xff HTTP/1.1",
    b"GET {path}\x7f HTTP/1.1",
    b"GET {path}?\x00=\x00 HTTP/1.1",
    b"GET {path}?%00=%ff%fe HTTP/1.1",
    b"GET {path}%00 HTTP/1.1",
    b"GET {path}%ff%fe HTTP/1.1",
    b"GET {path}%zz HTTP/1.1",
    b"GET {path}/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
    b"GET {path}/../../../../etc/passwd HTTP/1.1",
    b"GET {path}\\..\\.. HTTP/1.1",
    b"GET {path};a=b HTTP/1.1",
    b"GET {path}#fragment HTTP/1.1",
    b"GET * HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET http://evil.example{path} HTTP/1.1",
    b"GET //evil.example{path} HTTP/1.1",
    b"CONNECT 127.0.0.1:22 HTTP/1.1",
    b"TRACE {path} HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"M-SEARCH {path} HTTP/1.1",
    b"PROPFIND {path} HTTP/1.1",
    b"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX {path} HTTP/1.1",
    b"G\x00T {path} HTTP/1.1",
    b"\xc3\x84 {path} HTTP/1.1",
    b"get {path} HTTP/1.1",
    b"GET " + b"/x" * 40_000 + b" HTTP/1.1",
    b"GET {path}?" + b"a=b&" * 20_000 + b" HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x80\x2e\x01\x00\x02",
    b"SSH-2.0-OpenSSH_9.2",
    b"*1\r\n$4\r\nPING",
    b"\x00" * 200,
    b"\xff" * 200,
]
#: lines of a head, behind a good request line and a host
FIELDS: Final = [
    b"no colon",
    b": no name",
    b" : blank name",
    b"name : blank before the colon",
    b"na me: blank",
    b"na\x00me: x",
    b"n\xc3\xa4me: x",
    b"name: \x00",
    b"name: \x01\x02\x03",
    b"name: \xff\xfe",
    b"name: a\rb",
    b"name: a\nb",
    b" folded: x",
    b"name: a\r\n folded",
    b"host: other",
    b"host:",
    b"host: a\r\nhost: b",
    b"content-length: -1",
    b"content-length: +5",
    b"content-length: 0x5",
    b"content-length: 5, 5",
    b"content-length: 5\r\ncontent-length: 6",
    b"content-length: 99999999999999999999999999",
    b"content-length: five",
    b"content-length:",
    b"content-length: 5\r\ntransfer-encoding: chunked",
    b"transfer-encoding: identity",
    b"transfer-encoding: gzip",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, chunked",
    b"transfer-encoding: chunked, identity",
    b"transfer-encoding: xchunked",
    b"transfer-encoding : chunked",
    b"transfer-encoding:\x0bchunked",
    b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n",
    b"transfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n",
    b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n",
    b"transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n",
    b"transfer-encoding: chunked\r\n\r\n5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n",
    b"expect: 100-continue\r\ncontent-length: 5",
    b"expect: the unexpected",
    b"connection: close, keep-alive, upgrade, \x00",
    b"upgrade: h2c\r\nconnection: upgrade",
    b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x",
    b"authorization: Bearer",
    b"authorization: Bearer \xff\xff",
    b"authorization: Basic \x00",
    b"authorization: Bearer a\r\nauthorization: Bearer b",
    b"cookie: sessionid=\x00; csrftoken=\xff",
    b"cookie: " + b"a=b; " * 2_000,
    b"range: bytes=-1-",
    b"content-type: \xff/\xfe; charset=\x00",
    b"content-type: application/json; charset=utf-7",
    b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd",
    b"accept: " + b"*/*," * 3_000,
    b"x-forwarded-for: " + b"1.1.1.1, " * 1_000,
    b"x-forwarded-proto: \x00",
    b"x: y\r\n" * 1_000 + b"z: z",
    b"x: " + b"y" * 100_000,
    b"idempotency-key: " + b"k" * 5_000,
    b"traceparent: 00-" + b"z" * 32 + b"-0000000000000000-ff",
    b"traceparent: \x00",
    b"x-costhub-organization: ../../\x7f",
    b"if-match: \x00",
]
#: bodies that are no JSON, or JSON that nobody means
BODIES: Final = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"{",
    b"}",
    b"{}{}",
    b'{"a"}',
    b'{"a":}',
    b"{'a': 1}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[]",
    b"null",
    b"true",
    b"1e999999",
    b"-",
    b'"' + b"a" * 100_000 + b'"',
    b'"\\ud800"',
    b'{"model": "\\ud800", "messages": []}',
    b'{"model": "a\\u0000b", "messages": [{"role": "user", "content": "\\u0000"}]}',
    b'{"model": NaN, "messages": Infinity}',
    b'{"model": "small", "messages": {}}',
    b'{"model": "small", "messages": [[[[]]]]}',
    b'{"model": "small", "messages": [null], "input": [null], "max_tokens": null}',
    b'{"model": ["small"], "messages": "x", "input": {"a": 1}, "max_tokens": "many"}',
    b'{"model": "small", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]}',
    b'{"model": "small", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1e308, "n": -5}',
    b'{"model": "small", "messages": [{"role": "user", "content": "x"}], "temperature": 1' + b"0" * 5_000 + b"}",
    b'{"model": "small", "model": "large", "messages": [], "messages": {}}',
    b'{"name": {"$ne": null}, "email": ["a"], "schemas": 5, "userName": {}}',
    b'{"name": "' + "é".encode("utf-16-le") + b'"}',
    b"name=%00&email=%ff&password=%zz&next=//evil.example",
    b"&" * 2_000,
    b"a=b&" * 3_000,
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="\x00"\r\n\r\nx',
]


@dataclass(frozen=True)
class Malformed:
    """One of them, and what it is, for whoever reads a failure."""

    what: str
    data: bytes


def broken_heads(paths: list[str]) -> Iterator[Malformed]:
    """Every broken request line, and every broken field, of each path."""
    for path in paths:
        for number, line in enumerate(LINES):
            data = line.replace(b"{path}", path.encode()) + b"\r\n" + HOST + b"\r\n"
            yield Malformed(f"line {number} {line[:40]!r} of {path}", data)
        for number, field in enumerate(FIELDS):
            data = f"POST {path} HTTP/1.1\r\n".encode() + HOST + field + b"\r\n\r\nhello"
            yield Malformed(f"field {number} {field[:40]!r} of {path}", data)


def broken_bodies(targets: dict[str, list[Header]]) -> Iterator[Malformed]:
    """Every broken body for each path, sent by somebody who may."""
    for path, headers in targets.items():
        for number, body in enumerate(BODIES):
            sent = [*headers, ("content-length", str(len(body))), ("connection", "close")]
            yield Malformed(f"body {number} {body[:40]!r} for {path}", make_request("POST", path, sent, body))
