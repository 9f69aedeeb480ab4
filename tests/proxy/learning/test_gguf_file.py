"""GGUF files: what their tensors say, and the same files with some of them others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from costhub.stack.small_model import find_weights
from proxy.learning.lora.gguf_file import F16, F32, NoGguf, check_kind, read_layout, read_tensor, write_with
from tests.proxy.learning.gguf import Packed, pack_floats, write_gguf

DRAW = np.random.default_rng(5)
MATRIX = DRAW.normal(size=(4, 64)).astype(np.float32)


def bytes_of(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def half(number: float) -> bytes:
    return np.float16(number).tobytes()


def read_one(kind: int, numbers: int, content: bytes) -> list[float]:
    file = bytes_of(write_gguf({"one": Packed(kind, (numbers,), content)}))
    (tensor,) = read_layout(file).tensors
    found: list[float] = read_tensor(file, tensor).tolist()
    return found


def scale_of(group: int, packed: list[int]) -> tuple[int, int]:
    """ggml's get_scale_min_k4."""
    if group < 4:
        return packed[group] & 63, packed[group + 4] & 63
    low = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4)
    return low, (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4)


def test_packed_numbers_are_unpacked_as_ggml_does() -> None:
    signed = list(range(-16, 16))
    assert read_one(8, 32, half(0.5) + bytes(one % 256 for one in signed)) == [one / 2 for one in signed]
    packed = [DRAW.integers(256) for _ in range(16)]
    fours = [one & 15 for one in packed] + [one >> 4 for one in packed]
    assert read_one(2, 32, half(0.25) + bytes(packed)) == [(one - 8) / 4 for one in fours]
    assert read_one(3, 32, half(0.25) + half(-3) + bytes(packed)) == [one / 4 - 3 for one in fours]
    assert read_one(30, 2, np.array([0x3FC0, 0xC000], np.uint16).tobytes()) == [1.5, -2.0]
    assert read_one(F16, 2, half(1.5) + half(-2)) == [1.5, -2.0]


def test_blocks_of_256_are_unpacked_as_ggml_does() -> None:
    raw = [int(one) for one in DRAW.integers(0, 256, 12 + 128)]
    scales, numbers = raw[:12], raw[12:]
    expected: list[float] = []
    for group in range(8):
        scale, least = scale_of(group, scales)
        part = numbers[32 * (group // 2) : 32 * (group // 2) + 32]
        expected += [0.5 * scale * (one >> 4 if group % 2 else one & 15) - 0.25 * least for one in part]
    assert read_one(12, 256, half(0.5) + half(0.25) + bytes(raw)) == expected

    raw = [int(one) for one in DRAW.integers(0, 256, 128 + 64 + 16)]
    low, high, scaled = raw[:128], raw[128:192], [one - 256 if one > 127 else one for one in raw[192:]]
    expected = []
    for start in range(2):
        for quarter in range(4):
            for place in range(32):
                four = low[64 * start + 32 * (quarter % 2) + place]
                six = (four >> 4 if quarter > 1 else four & 15) | ((high[32 * start + place] >> 2 * quarter) & 3) << 4
                expected.append(0.5 * scaled[8 * start + 2 * quarter + place // 16] * (six - 32))
    assert read_one(14, 256, bytes(raw) + half(0.5)) == expected


@pytest.mark.parametrize("alignment", [32, 64])
def test_a_file_with_other_tensors_has_all_else_as_it_was(alignment: int) -> None:
    content = write_gguf(
        {
            "norm": pack_floats(np.arange(5)),
            "packed": Packed(8, (2, 32), 2 * (half(1) + bytes(32))),
            "halves": pack_floats(MATRIX, 1),
            "whole": pack_floats(MATRIX),
            "last": pack_floats(np.arange(3)),
        },
        alignment=alignment,
    )
    file = bytes_of(content)
    layout = read_layout(file)
    size, written = write_with(file, layout, {})
    assert b"".join(written) == content
    assert size == len(content)

    new = DRAW.normal(size=(2, 32)).astype(np.float32)
    others = {"packed": lambda: new, "halves": lambda: MATRIX + 1, "whole": lambda: MATRIX + 2}
    size, parts = write_with(file, layout, others)
    changed = bytes_of(b"".join(parts))
    assert len(changed) == size
    after = read_layout(changed)
    found = {one.name: read_tensor(changed, one) for one in after.tensors}
    assert [one.kind for one in after.tensors] == [F32, F16, F16, F32, F32]
    assert found["norm"].tolist() == [0, 1, 2, 3, 4]
    assert found["last"].tolist() == [0, 1, 2]
    assert np.array_equal(found["packed"], new.astype(np.float16).astype(np.float32))
    assert np.array_equal(found["halves"], (MATRIX.astype(np.float32) + 1).astype(np.float16).astype(np.float32))
    assert np.array_equal(found["whole"], MATRIX + 2)
    assert changed[slice(*after.metadata)].tobytes() == file[slice(*layout.metadata)].tobytes()
    assert after.values["adapter.lora.alpha"] == 8


@pytest.mark.model
def test_the_demos_model_comes_through_unchanged() -> None:
    weights = find_weights()
    assert weights is not None
    file = np.memmap(weights, np.uint8, "r")
    layout = read_layout(file)
    size, written = write_with(file, layout, {})
    assert size == len(file)
    at = 0
    for part in written:
        assert part == file[at : at + len(part)].tobytes()
        at += len(part)
    assert at == size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUX" + bytes(40),
        b"GGUF" + (1).to_bytes(4, "little") + bytes(16),
        write_gguf({"one": pack_floats(MATRIX)})[:90],
        b"GGUF" + (3).to_bytes(4, "little") + (2**60).to_bytes(8, "little") + bytes(8),
    ],
)
def test_what_is_no_such_file_is_said(content: bytes) -> None:
    with pytest.raises(NoGguf):
        read_layout(bytes_of(content))


def test_what_is_not_unpacked_or_not_whole_is_said() -> None:
    file = bytes_of(write_gguf({"odd": Packed(19, (256,), bytes(66)), "torn": Packed(8, (33,), bytes(34))}))
    odd, torn = read_layout(file).tensors
    for act in (check_kind, lambda one: read_tensor(file, one)):
        with pytest.raises(NoGguf, match=r"The tensor odd is packed in a way that is not unpacked here \(kind 19\)"):
            act(odd)
    check_kind(torn)
    with pytest.raises(NoGguf, match="shorter"):
        read_tensor(file, torn)
