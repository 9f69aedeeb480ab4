"""Encoders of students, loaded once and kept while they are asked: each has 200 MB."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from proxy.learning.encoders.changes import change_with

if TYPE_CHECKING:
    from proxy.cache.minilm import MiniLM

#: at once in one process
MOST_LOADED: Final = 3


class Encoders:
    """By the digest of what they have learned. For one thread."""

    def __init__(self, most: int = MOST_LOADED) -> None:
        self._most = most
        self._loaded: OrderedDict[str, MiniLM] = OrderedDict()

    @property
    def loaded(self) -> list[str]:
        """The digests of those that are loaded."""
        return list(self._loaded)

    def embed(self, sha256: str, read: Callable[[], bytes], texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of an encoder. ``read`` gives what it has learned, where it is not loaded. Raises what ``read``
        does, ModelUnusable, and ValueError for what is no encoder's."""
        model = self._loaded.get(sha256)
        if model is None:
            # The place first: two more at once are never there.
            while len(self._loaded) >= self._most:
                self._loaded.popitem(last=False)
            from proxy.cache.minilm import MiniLM  # noqa: PLC0415 - half a second that only who needs it pays

            model = self._loaded[sha256] = MiniLM(change=change_with(read()))
        self._loaded.move_to_end(sha256)
        return model.embed(texts)

    def forget(self, sha256: str) -> None:
        """Drop it: what it learned from was withdrawn."""
        self._loaded.pop(sha256, None)
