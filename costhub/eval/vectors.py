"""Vectors of the data's texts, computed once and kept in a folder: embedding them costs half an hour of a core."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.cache.minilm import DIMENSIONS, MODEL, MOST_PIECES, MiniLM

#: texts a file: what is lost when a run is stopped
_TEXTS_A_FILE: Final = 500
_DIGEST_BYTES: Final = 16


class Vectors:
    """MiniLM's vectors by text, from files where they have been computed before."""

    def __init__(self, folder: Path | None) -> None:
        """``folder``: where the files are; None keeps nothing."""
        self._folder = folder
        self._model: MiniLM | None = None
        self._known: dict[bytes, NDArray[np.float32]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob(f"{MODEL}-*.npz")):
                with np.load(path) as file:
                    self._remember([digest.tobytes() for digest in file["digests"]], file["vectors"])

    def embed(self, texts: Sequence[str], most_pieces: int = MOST_PIECES) -> NDArray[np.float32]:
        """One unit vector a text, in the texts' order. ``most_pieces``: what is read of each text."""
        digests = [_digest(text, most_pieces) for text in texts]
        missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        # Neighbours in length pad one another least.
        items = sorted(missing.items(), key=lambda item: len(item[1]))
        for start in range(0, len(items), _TEXTS_A_FILE):
            self._compute(items[start : start + _TEXTS_A_FILE], most_pieces)
        if not texts:
            return np.empty((0, DIMENSIONS), np.float32)
        return np.stack([self._known[digest] for digest in digests])

    def all(self) -> NDArray[np.float32]:
        """Every vector that has been computed so far."""
        return np.stack(list(self._known.values()))

    def _compute(self, items: Sequence[tuple[bytes, str]], most_pieces: int) -> None:
        if self._model is None:
            self._model = MiniLM()
        digests = [digest for digest, _ in items]
        vectors = self._model.embed([text for _, text in items], most_pieces=most_pieces)
        self._remember(digests, vectors)
        if self._folder is not None:
            path = self._folder / f"{MODEL}-{hashlib.sha256(b''.join(digests)).hexdigest()[:_DIGEST_BYTES]}.npz"
            unfinished = path.with_suffix(".part")
            with unfinished.open("wb") as file:
                np.savez(
                    file, digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES), vectors=vectors
                )
            unfinished.rename(path)

    def _remember(self, digests: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        self._known.update(zip(digests, vectors, strict=True))


def _digest(text: str, most_pieces: int = MOST_PIECES) -> bytes:
    read = "" if most_pieces == MOST_PIECES else f"{most_pieces}\0"
    return hashlib.sha256((read + text).encode("utf-8", "replace")).digest()[:_DIGEST_BYTES]
