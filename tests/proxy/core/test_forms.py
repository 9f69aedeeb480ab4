"""Forms: what reading one takes is bounded, whatever is in it."""

import tracemalloc

import pytest

from proxy.core.forms import MOST_PARTS, read_form
from proxy.errors import InvalidRequest

PART = b'--b\r\nContent-Disposition: form-data; name="f[]"\r\n\r\nx\r\n'


@pytest.mark.parametrize(
    "raw", [b"--b\r\n" + b"\r\n--b" * 500_000, b"--b\r\n" + b"a\r\n" * 800_000 + b"\r\nx\r\n--b--\r\n"]
)
def test_a_body_of_nothing_but_boundaries_or_lines_is_not_taken_apart(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            read_form(raw)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * len(raw)


def test_so_many_parts_are_read_and_no_more() -> None:
    assert len(read_form(PART * MOST_PARTS + b"--b--\r\n").parts) == MOST_PARTS
    with pytest.raises(InvalidRequest, match="more than 64 parts"):
        read_form(PART * (MOST_PARTS + 1) + b"--b--\r\n")
