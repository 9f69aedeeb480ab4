"""Work that grows with a request, done beside the event loop where the request is large.

quicktok and SHA-256 let go of the interpreter's lock while they work, and a body's number of values is bounded
(core/weight.py), so that threads do: what they do to Python's objects is little, and calls go on beside them.

Two threads, so that one long count does not hold up every short one. Who waits does so for a bounded time, and its own
work then has a time of its own: it does not pay for those before it. Of all places no organisation takes more than a
quarter, so that a tenant that sends nothing but large bodies leaves the others theirs.

Reading a vocabulary keeps the lock: a proxy reads those that its settings name before it takes calls, and any other,
in a thread, when the first text is to be counted in it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from proxy.core import tokens
from proxy.core.bounds import exact_bound
from proxy.edges.leaving import finish
from proxy.values.plan import Bound, Candidate
from proxy.values.request import Request
from tenants.choices import Tokenizer

#: less than that is counted in a millisecond or two
INLINE_BYTES: Final = 64 * 1024
#: a count that takes longer is not waited for; nor is a thread that is free later
DEADLINE_SECONDS: Final = 2.0
THREADS: Final = 2
#: so many may wait or be counted at once, and of one organisation
MOST_WAITING: Final = 16
MOST_OF_ONE: Final = 4

_T = TypeVar("_T")


async def run_whole(work: Callable[[], _T]) -> _T:
    """What ``work`` gives or raises, done in a thread. Who leaves meanwhile stays until it is done: nobody looks at
    what is still being written."""
    return await finish(asyncio.get_running_loop().run_in_executor(None, work))


class NotLoaded(Exception):
    """A text was to be counted in a vocabulary that is not in memory yet."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__(vocabulary)
        self.vocabulary = vocabulary


class Counting:
    """A few threads, and a bound on what waits for them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="counting")
        self._free = asyncio.Semaphore(THREADS)
        self._waiting: Counter[str] = Counter()
        # Vocabularies that are in memory, and those that are being read.
        self._loaded: set[str] = {"", Tokenizer.BYTES.value}
        self._loading: dict[str, asyncio.Future[None]] = {}

    def close(self) -> None:
        """Stop the threads. Nothing is counted afterwards."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read(self, vocabularies: Iterable[str]) -> None:
        """Have these in memory, at once: for a process that takes no calls yet."""
        for vocabulary in vocabularies:
            tokens.load(vocabulary)
            self._loaded.add(vocabulary)

    async def load(self, vocabulary: str) -> None:
        """Return when a vocabulary is in memory."""
        if vocabulary in self._loaded:
            return
        loading = self._loading.get(vocabulary)
        if loading is None:
            # In a thread of its own: those that count are not kept from others.
            loading = asyncio.ensure_future(asyncio.to_thread(tokens.load, vocabulary))
            self._loading[vocabulary] = loading
            loading.add_done_callback(lambda _: self._loading.pop(vocabulary, None))
        await asyncio.shield(loading)
        self._loaded.add(vocabulary)

    def count(self, request: Request, candidate: Candidate, most_output: int) -> Bound:
        """``exact_bound``, at once. Raises NotLoaded where its vocabulary has to be loaded first."""
        if candidate.model.tokenizer not in self._loaded:
            raise NotLoaded(candidate.model.tokenizer)
        return exact_bound(request, candidate, most_output)

    async def run(
        self,
        size: int,
        exactly: Callable[[], _T],
        loosely: Callable[[], _T],
        whose: str = "",
        vocabulary: str = "",
    ) -> _T:
        """What ``exactly`` gives, for a body of ``size`` bytes; what ``loosely`` gives where that would take too long.
        ``whose`` is the organisation, ``vocabulary`` what ``exactly`` counts in. Raises what they raise."""
        if vocabulary not in self._loaded:
            await self.load(vocabulary)
        if size <= INLINE_BYTES:
            return exactly()
        if self._waiting.total() >= MOST_WAITING or self._waiting[whose] >= MOST_OF_ONE:
            return loosely()
        self._waiting[whose] += 1
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            self._leave(whose)
            return loosely()
        except BaseException:
            self._leave(whose)
            raise

        def end(running: "asyncio.Future[Any]") -> None:
            # The thread is busy until then, whoever has stopped waiting.
            self._free.release()
            self._leave(whose)
            if not running.cancelled():
                running.exception()  # whoever waited has been told, or is gone

        running = asyncio.get_running_loop().run_in_executor(self._threads, exactly)
        running.add_done_callback(end)
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await asyncio.shield(running)
        return loosely()

    def _leave(self, whose: str) -> None:
        self._waiting[whose] -= 1
        if not self._waiting[whose]:
            del self._waiting[whose]
