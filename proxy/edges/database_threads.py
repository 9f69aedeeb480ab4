"""PostgreSQL for handlers of the LLM API, asked in threads of their own: one that hangs takes none of those in which
asyncio resolves names, and we unpack bodies, read long answers and load vocabularies."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final, TypeVar

#: so many questions, and connections, a process has at once; the others wait
MOST_AT_ONCE: Final = 8

Value = TypeVar("Value")


class DatabaseThreads:
    """A process's threads, made when the first question comes."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        # Some processes have several loops.
        self._changing = Lock()

    async def run(self, ask: Callable[[], Value]) -> Value:
        """What ``ask`` gives or raises, in one of the threads; it lets go of its connection by itself."""
        with self._changing:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="handlers-database")
            asking = self._threads.submit(ask)
        return await asyncio.wrap_future(asking)

    def close(self) -> None:
        """Have the threads end when everything is answered that was asked. Whoever asks later has others."""
        with self._changing:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)


DATABASE_THREADS: Final = DatabaseThreads()
