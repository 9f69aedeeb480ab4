"""A base model with an adapter's changes in it: one model that needs no adapter beside it. Without PyTorch.

Each weight matrix W becomes W + (alpha / r) B A (Hu et al. 2021). It is made anew for each who asks, tensor by tensor:
nothing of it is stored, so that nothing is left of it when consent is taken back.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costhub.lib.safetensors import LENGTH_BYTES, NoSafetensors, Place, count_header, find_tensors, read_floats
from proxy.learning.lora.archive import File
from proxy.learning.lora.bases import Base
from proxy.learning.lora.gguf_file import NoGguf, Tensor, check_kind, read_layout, read_tensor, write_with

Floats = NDArray[np.float32]

_PEFT: Final = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_GGUF: Final = re.compile(r"(.+\.weight)\.lora_([ab])")
_ALPHA: Final = "adapter.lora.alpha"
_WEIGHTS: Final = ".safetensors"
#: files beside the weights that say how they are used: tokenizers, templates, settings
_BESIDE: Final = (".json", ".jinja", ".txt", ".model")
_CHUNK_BYTES: Final = 1024 * 1024


class CannotMerge(Exception):
    """This base cannot take up this adapter here. The message says why."""


class _Pair(NamedTuple):
    """What an adapter adds to one matrix: ``scale`` times ``up`` times ``down``."""

    down: Floats
    up: Floats
    scale: float

    def make(self) -> Floats:
        return np.asarray(self.scale * (self.up @ self.down), np.float32)


def merge(base: Base, *, peft: bytes, config: Mapping[str, Any], gguf: bytes) -> Iterator[File]:
    """The merged model's files: one of llama.cpp's where the base is one, else a folder of Hugging Face's form. Files
    are to be read one after another. Raises CannotMerge, before the first of them."""
    try:
        if not base.is_folder:
            return _merge_gguf(base.folder / base.gguf, gguf)
        return _merge_folder(base.folder, peft, config)
    except (NoGguf, NoSafetensors) as error:
        raise CannotMerge(f"{error} Merge it with the tools of its maker.") from error
    except OSError as error:
        raise CannotMerge(f"The base model's files cannot be read: {error.strerror}.") from error


def _merge_gguf(path: Path, adapter: bytes) -> Iterator[File]:
    if not adapter:
        raise CannotMerge("llama.cpp has no form of this adapter.")
    learned = np.frombuffer(adapter, np.uint8)
    said = read_layout(learned)
    pairs = _pair({one.name: read_tensor(learned, one) for one in said.tensors}, _GGUF, said.values[_ALPHA])
    content = np.memmap(path, np.uint8, "r")
    layout = read_layout(content)
    known = {one.name: one for one in layout.tensors}
    _check(pairs, {name: one.shape for name, one in known.items()})
    for name in pairs:
        check_kind(known[name])
    size, written = write_with(
        content, layout, {name: partial(_add, content, known[name], pair) for name, pair in pairs.items()}
    )
    return iter([File("merged.gguf", size, written)])


def _add(content: NDArray[np.uint8], tensor: Tensor, pair: _Pair) -> Floats:
    return read_tensor(content, tensor) + pair.make()


def _merge_folder(folder: Path, peft: bytes, config: Mapping[str, Any]) -> Iterator[File]:
    found = _pair(read_floats(peft), _PEFT, float(config["lora_alpha"]))
    if config.get("fan_in_fan_out"):
        # The matrix lies the other way round.
        found = {name: _Pair(pair.up.T, pair.down.T, pair.scale) for name, pair in found.items()}
    pairs = {f"{name}.weight": pair for name, pair in found.items()}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    weights = {path: _read_header(path) for path in files if path.suffix == _WEIGHTS}
    places = {name: place for tensors in weights.values() for name, place in tensors.items()}
    _check(pairs, {name: place.shape for name, place in places.items()})
    unknown = {places[name].kind for name in pairs} - _KINDS.keys()
    if unknown:
        raise CannotMerge(f"Weights of the kind {min(unknown)} are not merged here.")
    return (
        File(path.name, path.stat().st_size, _patch(path, weights.get(path, {}), pairs))
        for path in files
        if path in weights or path.suffix in _BESIDE
    )


def _pair(tensors: Mapping[str, Floats], form: re.Pattern[str], alpha: float) -> dict[str, _Pair]:
    """By the name of what they are added to. Raises CannotMerge for what is no adapter of this kind."""
    found: dict[str, dict[str, Floats]] = {}
    for name, tensor in tensors.items():
        named = form.fullmatch(name)
        if named is None or tensor.ndim != 2:
            raise CannotMerge(f"{name} is no part of an adapter that is merged here.")
        found.setdefault(named[1], {})[named[2].lower()] = tensor
    if not found or any(len(two) != 2 for two in found.values()):
        raise CannotMerge("The adapter is not whole.")
    return {name: _Pair(two["a"], two["b"], alpha / len(two["a"])) for name, two in found.items()}


def _check(pairs: Mapping[str, _Pair], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, pair in pairs.items():
        if shapes.get(name) != (len(pair.up), pair.down.shape[1]):
            raise CannotMerge(f"The base model that lies here has no {name} of this adapter's shape.")


def _read_header(path: Path) -> dict[str, Place]:
    with path.open("rb") as file:
        return find_tensors(file.read(count_header(file.read(LENGTH_BYTES))))


def _patch(path: Path, tensors: Mapping[str, Place], pairs: Mapping[str, _Pair]) -> Iterator[bytes]:
    """The file as it is, but for the tensors that change: these lie where they lay."""
    changed = sorted((place.start, name) for name, place in tensors.items() if name in pairs)
    with path.open("rb") as file:
        for start, name in changed:
            yield from _copy(file, start)
            place = tensors[name]
            read, write = _KINDS[place.kind]
            raw = file.read(place.end - place.start)
            yield write(read(raw).reshape(place.shape) + pairs[name].make())
        yield from _copy(file, os.fstat(file.fileno()).st_size)


def _copy(file: BinaryIO, until: int) -> Iterator[bytes]:
    while file.tell() < until:
        part = file.read(min(_CHUNK_BYTES, until - file.tell()))
        if not part:
            raise CannotMerge("A file of the base model became shorter while it was read.")
        yield part


def _read_bfloat(raw: bytes) -> Floats:
    return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)


def _write_bfloat(numbers: Floats) -> bytes:
    """Rounded to the nearest, to even ones where two are as near."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


_KINDS: Final[Mapping[str, tuple[Callable[[bytes], Floats], Callable[[Floats], bytes]]]] = {
    "F32": (lambda raw: np.frombuffer(raw, np.float32), lambda numbers: numbers.astype(np.float32).tobytes()),
    "F16": (
        lambda raw: np.frombuffer(raw, np.float16).astype(np.float32),
        lambda numbers: numbers.astype(np.float16).tobytes(),
    ),
    "BF16": (_read_bfloat, _write_bfloat),
}
