"""Bodies that come compressed, unfolded within a bound."""

import zlib
from collections.abc import Mapping
from typing import Final

from proxy.errors import InvalidRequest

#: what zlib is told: the container, or both of them where it finds out by itself
_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_KNOWN: Final = {"gzip", "x-gzip", "deflate"}


def find_encoding(headers: Mapping[str, str]) -> str:
    """How the body is compressed; empty where it is not. Raises InvalidRequest for what is not taken here."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return ""
    if encoding not in _KNOWN:
        raise InvalidRequest(
            f"The body's encoding is {encoding[:100]!r}: send it as it is, or with `Content-Encoding: gzip` or"
            " `deflate`.",
            param="Content-Encoding",
            code="unsupported_content_encoding",
            status=415,
            headers={"accept-encoding": "gzip, deflate"},
        )
    return encoding


def decode(encoding: str, raw: bytes, most_bytes: int) -> bytes:
    """The body as it was before it was compressed. Raises InvalidRequest if it is broken, or longer than that."""
    if encoding == "deflate":
        # RFC 9110, 8.4.1.2, wants zlib's container; some clients leave it out.
        has_container = len(raw) >= 2 and raw[0] & 15 == 8 and int.from_bytes(raw[:2]) % 31 == 0
        reader = zlib.decompressobj(zlib.MAX_WBITS if has_container else _RAW)
    else:
        reader = zlib.decompressobj(_GZIP)
    try:
        body = reader.decompress(raw, most_bytes + 1)
    except zlib.error as error:
        raise _broken(encoding) from error
    if len(body) > most_bytes:
        raise InvalidRequest(
            f"The body is longer than {most_bytes} bytes once it is unpacked, the most that is taken here.",
            code="request_too_large",
        )
    if not reader.eof or reader.unused_data:
        raise _broken(encoding)
    return body


def _broken(encoding: str) -> InvalidRequest:
    return InvalidRequest(
        f"The body is not one whole stream of {encoding}: send it again, or without Content-Encoding.",
        param="Content-Encoding",
        code="invalid_content_encoding",
    )
