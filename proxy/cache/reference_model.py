"""The same weights in sentence-transformers: slower, with PyTorch, and what MiniLM's vectors are compared with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.cache.minilm import find_vetted_folder


class ReferenceModel:
    """sentence-transformers' model, from the files that the other one reads too: nothing is fetched."""

    def __init__(self) -> None:
        """Raises ModelUnusable, and ImportError where sentence-transformers is not installed."""
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - not in the default install

        self._model: Any = SentenceTransformer(str(find_vetted_folder()), device="cpu", local_files_only=True)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector a text."""
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)
