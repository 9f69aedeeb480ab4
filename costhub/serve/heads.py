"""What is taken as the head of a request, and the words for what is not. Pure.

llhttp, which httptools wraps, is strict already: folded lines, line ends of one character, blanks around a name, two
lengths, a length beside a coding are errors of its own. What it would let pass and we do not is here.
"""

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple
from urllib.parse import unquote

import httptools

Headers = list[tuple[bytes, bytes]]
_NAME: Final = itemgetter(0)

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 256
#: what is remembered of targets has so many bytes each at most
_SHORT_BYTES: Final = 256
#: fields behind a chunked body, which nobody reads; the same room holds the extensions of a chunk
MAX_TRAILER_BYTES: Final = 16 * 1024

_HEAD: Final = "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n"
_BODY: Final = '{{"error":{{"message":"{}","type":"{}","param":null,"code":"{}"}}}}'


class Refusal(NamedTuple):
    """Why a connection is closed: an answer in the shape of the API's own errors."""

    status: str
    code: str
    message: str
    kind: str = "invalid_request_error"

    def answer(self, *, has_body: bool = True) -> bytes:
        """The whole response; without its body where HEAD was asked for."""
        body = _BODY.format(self.message, self.kind, self.code)
        return (_HEAD.format(self.status, len(body)) + body * has_body).encode("ascii")


NOT_HTTP: Final = Refusal(
    "400 Bad Request",
    "invalid_http",
    "What came is not HTTP/1.1: check the client or what stands between it and CostHub.",
)
TOO_LARGE: Final = Refusal(
    "431 Request Header Fields Too Large",
    "headers_too_large",
    f"The headers of the request are too large: {MAX_HEAD_BYTES} bytes in {MAX_HEADERS} lines at most.",
)
TRAILERS: Final = Refusal(
    "431 Request Header Fields Too Large",
    "trailers_too_large",
    f"There is too much between or after the chunks of the body: {MAX_TRAILER_BYTES} bytes at most.",
)
BAD_HOST: Final = Refusal("400 Bad Request", "invalid_host", "HTTP/1.1 wants exactly one Host header: send one.")
BAD_CODING: Final = Refusal(
    "400 Bad Request",
    "invalid_transfer_encoding",
    "The only Transfer-Encoding that is taken is chunked, over HTTP/1.1: send that, or a Content-Length.",
)
BAD_VERSION: Final = Refusal(
    "505 HTTP Version Not Supported", "unsupported_http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here."
)
NO_TUNNEL: Final = Refusal(
    "405 Method Not Allowed", "method_not_allowed", "CONNECT is for proxies, and this server is none."
)
BROKEN: Final = Refusal(
    "500 Internal Server Error",
    "internal_error",
    "CostHub failed to answer this request. It is in our log.",
    "api_error",
)


class Refused(Exception):
    """A request is not taken, and where the next one would begin is not to be trusted."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def check_head(version: str, headers: Headers) -> bool:
    """Whether the caller waits to be asked for its body. Names are in lower case.

    Raises Refused for a head that somebody in front of us may have understood otherwise.
    """
    if version not in {"1.1", "1.0"}:
        raise Refused(BAD_VERSION)
    names = [*map(_NAME, headers)]
    hosts = names.count(b"host")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Refused(BAD_HOST)
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        # RFC 9112, 6.1: of HTTP/1.0 such a message is to be treated as if its framing were faulty.
        if version == "1.0" or codings != [b"chunked"]:
            raise Refused(BAD_CODING)
    if b"expect" not in names or version == "1.0":
        return False
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def read_target(url: bytes) -> tuple[str, bytes, bytes]:
    """The path decoded, the path as it came, and the query. Raises Refused."""
    return _read_known(url) if len(url) <= _SHORT_BYTES else _read(url)


def _read(url: bytes) -> tuple[str, bytes, bytes]:
    try:
        target = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError as error:
        raise Refused(NOT_HTTP) from error
    raw = target.path or b"/"
    path = raw.decode("ascii")
    return (unquote(path) if "%" in path else path), raw, target.query or b""


#: callers ask for a few targets, again and again
_read_known: Final = lru_cache(maxsize=1_024)(_read)


def without_upgrade(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The same head, as if no other protocol were offered (RFC 9110, 7.8): everything else stands as it stood."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade")
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode("ascii"), lines)
