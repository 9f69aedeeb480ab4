"""Vectors of questions, made in a thread of its own, those that wait together in one run.

The event loop never waits for more than a future. A model that cannot be loaded or that fails is tried again a minute
later; until then who asks is told so at once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from costhub.lib import clock, metrics

_log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

#: texts in one run
BATCH: Final = 32
#: more do not wait: who comes then would not be served in time
MOST_WAITING: Final = 256
_RETRY_NS: Final = 60 * 1_000_000_000


class EmbedderUnavailable(Exception):
    """There are no vectors at the moment."""


class Model(Protocol):
    """What makes vectors: MiniLM on ONNX Runtime, or the same weights in sentence-transformers."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text."""


def load_model(name: str) -> Model:
    """The model of a setting's name: ``onnx``, or ``sentence-transformers`` where that is installed. Slow; raises
    whatever keeps it from being loaded."""
    if name == "sentence-transformers":
        from proxy.cache.reference_model import ReferenceModel  # noqa: PLC0415 - it brings PyTorch

        return ReferenceModel()
    from proxy.cache.minilm import MiniLM  # noqa: PLC0415 - half a second that only who needs it pays

    return MiniLM()


class Embedder:
    """The model's thread."""

    def __init__(self, load: Callable[[], Model]) -> None:
        self._load = load
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._waiting: list[tuple[str, asyncio.Future[Vectors]]] = []
        self._is_running = False
        self._again_ns = 0

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def embed(self, text: str) -> "asyncio.Future[Vectors]":
        """A text's vector. The future fails with EmbedderUnavailable."""
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MOST_WAITING or clock.monotonic_ns() < self._again_ns:
            future.set_exception(EmbedderUnavailable())
            return future
        self._waiting.append((text, future))
        if not self._is_running:
            self._start()
        return future

    def _start(self) -> None:
        # Whoever has stopped waiting needs none.
        batch = [item for item in self._waiting[:BATCH] if not item[1].done()]
        del self._waiting[:BATCH]
        if not batch:
            self._is_running = bool(self._waiting)
            if self._waiting:
                self._start()
            return
        self._is_running = True
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run, [text for text, _ in batch])
        running.add_done_callback(lambda done: self._end(batch, done))

    def _run(self, texts: list[str]) -> Vectors:
        if self._model is None:
            self._model = self._load()
        return self._model.embed(texts)

    def _end(self, batch: list[tuple[str, "asyncio.Future[Vectors]"]], done: "asyncio.Future[Vectors]") -> None:
        error = EmbedderUnavailable() if done.cancelled() else done.exception()
        if error is not None:
            metrics.CACHE_FAILURES.labels("embedder").inc()
            _log.warning("no vectors for a minute", extra={"reason": f"{type(error).__name__}: {error}"[:300]})
            self._model = None
            self._again_ns = clock.monotonic_ns() + _RETRY_NS
        for place, (_, future) in enumerate(batch):
            if future.done():
                continue
            if error is None:
                future.set_result(done.result()[place])
            else:
                future.set_exception(EmbedderUnavailable())
        self._is_running = False
        if self._waiting:
            self._start()
