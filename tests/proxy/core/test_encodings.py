"""Compressed bodies: unpacked within a bound, or refused in words."""

import gzip
import zlib

import pytest

from proxy.core.encodings import decode, find_encoding
from proxy.errors import InvalidRequest

BODY = b'{"model":"small","messages":[]}'


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("named", ["", "identity", " Identity "])
def test_most_bodies_come_as_they_are(named: str) -> None:
    assert find_encoding({"content-encoding": named}) == ""


@pytest.mark.parametrize("named", ["zstd", "br", "gzip, gzip", "aws-chunked", "x" * 5_000])
def test_what_cannot_be_unpacked_is_named(named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_encoding({"content-encoding": named})
    error = caught.value
    assert (error.status, error.error_code, error.param) == (415, "unsupported_content_encoding", "Content-Encoding")
    assert error.headers == {"accept-encoding": "gzip, deflate"}
    assert repr(named[:100]) in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("named", "packed"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, 1, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, 9)),
        ("deflate", raw_deflate(BODY)),
    ],
)
def test_a_body_is_unpacked(named: str, packed: bytes) -> None:
    assert decode(find_encoding({"content-encoding": named}), packed, len(BODY)) == BODY


@pytest.mark.parametrize(
    ("named", "packed"),
    [
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", gzip.compress(BODY, mtime=0)[:-1]),
        ("gzip", gzip.compress(BODY, mtime=0) + gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY, mtime=0) + b"\0"),
        ("gzip", zlib.compress(BODY)),
        ("deflate", b""),
        ("deflate", BODY),
        ("deflate", zlib.compress(BODY)[:-5] + b"\0\0\0\0\0"),
    ],
)
def test_what_is_not_one_whole_stream_is_refused(named: str, packed: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(named, packed, 1_000)
    assert (caught.value.status, caught.value.error_code) == (400, "invalid_content_encoding")


@pytest.mark.parametrize("level", [1, 9])
def test_a_few_bytes_do_not_become_gigabytes(level: int) -> None:
    packed = gzip.compress(b" " * 5_000_000, level)
    assert decode("gzip", packed, 5_000_000) == b" " * 5_000_000
    with pytest.raises(InvalidRequest) as caught:
        decode("gzip", packed, 4_999_999)
    assert (caught.value.status, caught.value.error_code) == (400, "request_too_large")
