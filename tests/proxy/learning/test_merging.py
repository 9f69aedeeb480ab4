"""A base model with an adapter in it: what changes, by how much, and what is refused; without PyTorch."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from costhub.lib.safetensors import LENGTH_BYTES, count_header, find_tensors, read_floats, write_floats
from proxy.learning.lora.archive import File, whole, write_tar
from proxy.learning.lora.bases import Base
from proxy.learning.lora.gguf_file import read_layout, read_tensor
from proxy.learning.lora.merging import CannotMerge, merge
from tests.proxy.learning.gguf import Packed, pack_floats, write_gguf

Floats = NDArray[np.float32]

DRAW = np.random.default_rng(9)
CONFIG = {"lora_alpha": 8, "r": 4, "fan_in_fan_out": False}
DOWN = DRAW.normal(size=(4, 64)).astype(np.float32)
UP = DRAW.normal(size=(32, 4)).astype(np.float32)
BASE = DRAW.normal(size=(32, 64)).astype(np.float32)
EXPECTED = BASE + 2 * UP @ DOWN
QUERY = "model.layers.0.self_attn.q_proj"
PEFT = write_floats({f"base_model.model.{QUERY}.lora_A.weight": DOWN, f"base_model.model.{QUERY}.lora_B.weight": UP})
GGUF = write_gguf({"blk.0.attn_q.weight.lora_a": pack_floats(DOWN), "blk.0.attn_q.weight.lora_b": pack_floats(UP)})


def run(base: Base, **others: Any) -> dict[str, bytes]:
    files = merge(base, **{"peft": PEFT, "config": CONFIG, "gguf": GGUF} | others)
    return {file.name: b"".join(file.content) for file in files}


def write_folder(folder: Path, kind: str, name: str = f"{QUERY}.weight", matrix: Floats = BASE) -> Base:
    """One of Hugging Face's form, in two parts."""
    if kind == "BF16":
        raw = (matrix.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    else:
        raw = matrix.astype({"F16": np.float16, "F64": np.float64}.get(kind, np.float32)).tobytes()
    header: dict[str, Any] = {
        "__metadata__": {"format": "pt"},
        "before": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
        name: {"dtype": kind, "shape": list(matrix.shape), "data_offsets": [3, 3 + len(raw)]},
        "after": {"dtype": "U8", "shape": [2], "data_offsets": [3 + len(raw), 5 + len(raw)]},
    }
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + b"abc" + raw + b"de"
    (folder / "model-00001-of-00002.safetensors").write_bytes(content)
    (folder / "model-00002-of-00002.safetensors").write_bytes(write_floats({"norm": DOWN}))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "pytorch_model.bin").write_bytes(b"pickles")
    return Base(folder)


def read_matrix(content: bytes) -> Floats:
    place = find_tensors(content[LENGTH_BYTES : LENGTH_BYTES + count_header(content[:LENGTH_BYTES])])[f"{QUERY}.weight"]
    raw = content[place.start : place.end]
    assert content[place.start - 3 : place.start] == b"abc"
    assert content[place.end :] == b"de"
    if place.kind == "BF16":
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(place.shape)
    floats = np.frombuffer(raw, np.float16 if place.kind == "F16" else np.float32)
    return floats.astype(np.float32).reshape(place.shape)


@pytest.mark.parametrize(("kind", "error"), [("F32", 1e-6), ("F16", 1e-2), ("BF16", 8e-2)])
def test_a_folder_keeps_all_but_what_the_adapter_changes(tmp_path: Path, kind: str, error: float) -> None:
    found = run(write_folder(tmp_path, kind))
    assert found.keys() == {"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    assert np.abs(read_matrix(found["model-00001-of-00002.safetensors"]) - EXPECTED).max() < error
    assert np.array_equal(read_floats(found["model-00002-of-00002.safetensors"])["norm"], DOWN)
    assert found["config.json"] == (tmp_path / "config.json").read_bytes()


def test_half_a_float_is_rounded_to_the_nearest(tmp_path: Path) -> None:
    """To even ones where two are as near: by a unit in the place, not by what is cut off."""
    base = write_folder(tmp_path, "BF16", matrix=np.zeros((32, 64), np.float32))
    down, up = np.zeros((4, 64), np.float32), np.zeros((32, 4), np.float32)
    # 1 + 1/256 lies between 1 and 1 + 1/128; 1 + 3/256 between that and 1 + 1/64.
    down[0, :3], up[0, 0] = [1 + 1 / 256, 1 + 3 / 256, 1 + 1.1 / 256], 0.5
    names = [f"base_model.model.{QUERY}.lora_{letter}.weight" for letter in "AB"]
    found = run(base, peft=write_floats(dict(zip(names, (down, up), strict=True))))
    assert read_matrix(found["model-00001-of-00002.safetensors"])[0, :4].tolist() == [1, 1 + 1 / 64, 1 + 1 / 128, 0]


def test_a_matrix_that_lies_the_other_way_round_is_changed_the_other_way_round(tmp_path: Path) -> None:
    base = write_folder(tmp_path, "F32", matrix=np.ascontiguousarray(BASE.T))
    found = run(base, config=CONFIG | {"fan_in_fan_out": True})
    assert np.abs(read_matrix(found["model-00001-of-00002.safetensors"]) - EXPECTED.T).max() < 1e-5


@pytest.mark.parametrize(("kind", "error"), [(0, 1e-6), (1, 2e-2)])
def test_a_file_of_llama_cpp_is_one_afterwards(tmp_path: Path, kind: int, error: float) -> None:
    tensors = {"token_embd.weight": pack_floats(DOWN), "blk.0.attn_q.weight": pack_floats(BASE, kind)}
    (tmp_path / "base.gguf").write_bytes(write_gguf(tensors))
    (content,) = run(Base(tmp_path, "base.gguf")).values()
    file = np.frombuffer(content, np.uint8)
    found = {one.name: read_tensor(file, one) for one in read_layout(file).tensors}
    assert np.array_equal(found["token_embd.weight"], DOWN)
    assert np.abs(found["blk.0.attn_q.weight"] - EXPECTED).max() < error


@pytest.mark.parametrize(
    ("kind", "name", "others", "says"),
    [
        ("F32", "other.weight", {}, "has no model.layers.0.self_attn.q_proj.weight of this adapter's shape"),
        ("F64", f"{QUERY}.weight", {}, "Weights of the kind F64 are not merged here"),
        ("F32", f"{QUERY}.weight", {"peft": b"torn"}, "does not begin as a safetensors file does"),
        ("F32", f"{QUERY}.weight", {"peft": write_floats({})}, "The adapter is not whole"),
        ("F32", f"{QUERY}.weight", {"peft": write_floats({"odd": DOWN})}, "odd is no part of an adapter"),
    ],
)
def test_what_cannot_be_merged_is_said_before_the_first_byte(
    tmp_path: Path, kind: str, name: str, others: dict[str, Any], says: str
) -> None:
    base = write_folder(tmp_path, kind, name)
    with pytest.raises(CannotMerge, match=says):
        merge(base, **{"peft": PEFT, "config": CONFIG, "gguf": GGUF} | others)


def test_files_that_are_not_what_they_should_be_are_said(tmp_path: Path) -> None:
    base = Base(tmp_path, "base.gguf")
    with pytest.raises(CannotMerge, match="No such file"):
        run(base)
    (tmp_path / "base.gguf").write_bytes(b"GGUF")
    with pytest.raises(CannotMerge, match="cannot be read"):
        run(base)
    (tmp_path / "base.gguf").write_bytes(write_gguf({"blk.0.attn_q.weight": Packed(19, (32, 64), bytes(66 * 8))}))
    with pytest.raises(CannotMerge, match="Merge it with the tools of its maker"):
        run(base)
    with pytest.raises(CannotMerge, match="has no form of this adapter"):
        run(base, gguf=b"")
    (tmp_path / "base.gguf").write_bytes(write_gguf({"blk.0.attn_q.weight": pack_floats(DOWN)}))
    with pytest.raises(CannotMerge, match="of this adapter's shape"):
        run(base)


def test_an_archive_is_written_as_its_files_are_made() -> None:
    made: list[int] = []

    def make() -> Iterator[bytes]:
        for part in range(3):
            made.append(part)
            yield bytes([part]) * 300

    parts = write_tar([whole("one", b"1"), File("two", 900, make())])
    begun = [next(parts) for _ in range(5)]
    assert made == [0]
    with tarfile.open(fileobj=io.BytesIO(b"".join([*begun, *parts]))) as files:
        found = {}
        for entry in files:
            file = files.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
    assert found == {"one": b"1", "two": bytes(300) + b"\1" * 300 + b"\2" * 300}
    with pytest.raises(ValueError, match="three has 1 bytes, not 2"):
        list(write_tar([File("three", 2, [b"x"])]))
