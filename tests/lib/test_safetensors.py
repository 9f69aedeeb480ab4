"""Where a safetensors file's tensors lie, and what is none."""

import json

import numpy as np
import pytest

from costhub.lib.safetensors import NoSafetensors, Place, find_tensors, read_floats, write_floats

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([-1.5], np.float32)}


def test_what_was_written_is_read_and_always_alike() -> None:
    content = write_floats(TENSORS)
    found = read_floats(content)
    assert found.keys() == TENSORS.keys()
    assert all(np.array_equal(found[name], one) and found[name].shape == one.shape for name, one in TENSORS.items())
    assert write_floats(dict(reversed(TENSORS.items()))) == content


def test_kinds_that_are_no_floats_have_a_place_all_the_same() -> None:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "half": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
            "whole": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        }
    ).encode()
    first = 8 + len(header)
    assert find_tensors(header) == {
        "half": Place("F16", (2,), first, first + 4),
        "whole": Place("F32", (1,), first + 4, first + 8),
    }
    content = len(header).to_bytes(8, "little") + header + bytes(4) + np.float32(2.5).tobytes()
    assert {name: one.tolist() for name, one in read_floats(content).items()} == {"whole": [2.5]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        write_floats(TENSORS)[:-1],
    ],
)
def test_what_is_no_such_file_is_said(content: bytes) -> None:
    with pytest.raises(NoSafetensors):
        read_floats(content)
